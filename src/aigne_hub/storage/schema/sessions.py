"""People who sign in: their sessions, their passwords, and who guesses at them."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
)

from aigne_hub.storage.schema.columns import identifier, instant, metadata

session = Table(
    "session",
    metadata,
    identifier(),
    # The keyed hash of the token in the cookie: who reads the database cannot sign in.
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    # How the person proved who they are: password, wallet, set-up.
    Column("method", Text, nullable=False),
    Column("user_agent", Text, nullable=False),
    Column("address", Text, nullable=False),
    instant("created_us"),
    instant("authenticated_us"),
    instant("used_us"),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("method <> ''", name="method"),
)

password = Table(
    "password",
    metadata,
    Column("user_id", Text, ForeignKey("user.id"), primary_key=True),
    # argon2id in its own notation, of a keyed hash of the password.
    Column("hash", Text, nullable=False),
    instant("changed_us"),
    CheckConstraint("hash LIKE '$argon2id$%'", name="hash"),
)

sign_in_failure = Table(
    "sign_in_failure",
    metadata,
    # The keyed hash of who tries what: neither e-mail nor address can be read here.
    Column("subject", LargeBinary, primary_key=True),
    Column("failures", BigInteger, nullable=False),
    instant("last_us"),
    instant("open_us"),
    CheckConstraint("length(subject) = 32", name="subject"),
    CheckConstraint("failures > 0", name="failures"),
)
Index("ix_sign_in_failure_last_us", sign_in_failure.c.last_us)
