"""Wallets that sign people in: the steps of DID Connect, over several processes."""

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

from aigne_hub.storage.schema.columns import instant, metadata, one_of

did_session = Table(
    "did_session",
    metadata,
    # SHA-256 of the token that the code shows: challenges are made from the token.
    Column("digest", LargeBinary, primary_key=True),
    Column("action", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("step", BigInteger, nullable=False),
    # What the wallet is asked for in this step, as JSON.
    Column("asked", Text, nullable=False),
    # Where the hub said it is: challenges are for there alone.
    Column("origin", Text, nullable=False),
    # Who began it, so that nobody fills the table and nobody else collects.
    Column("address", Text, nullable=False),
    # The keyed hash of the browser's cookie; null for a program.
    Column("browser", LargeBinary),
    # Curve25519, to seal the login token for.
    Column("encryption_key", LargeBinary),
    # Who was signed in when it began.
    Column("for_user_id", Text, ForeignKey("user.id")),
    Column("back_to", Text, nullable=False),
    # The wallet that answered first.
    Column("did", Text),
    Column("public_key", LargeBinary),
    Column("wallet", Text, nullable=False),
    # How it ended.
    Column("user_id", Text, ForeignKey("user.id")),
    Column("error", Text, nullable=False),
    Column("login_token", LargeBinary),
    instant("created_us"),
    instant("expires_us"),
    instant("collected_us", nullable=True),
    one_of("action", "login", "bind", "switch"),
    one_of("status", "created", "scanned", "succeed", "error", "busy", "forbidden"),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("browser IS NULL OR length(browser) = 32", name="browser"),
    CheckConstraint("(did IS NULL) = (public_key IS NULL)", name="wallet"),
    CheckConstraint("(status = 'succeed') = (user_id IS NOT NULL)", name="outcome"),
    CheckConstraint("step >= 0", name="step"),
)
Index("ix_did_session_address", did_session.c.address, did_session.c.created_us)
Index("ix_did_session_expires_us", did_session.c.expires_us)

profile = Table(
    "profile",
    metadata,
    Column("user_id", Text, ForeignKey("user.id"), primary_key=True),
    Column("name", Text, nullable=False),
    # Not the user's e-mail: anybody can write anything into a wallet.
    Column("email", Text, nullable=False),
    instant("updated_us"),
)
