"""Users, their identities and their keys."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    LargeBinary,
    Table,
    Text,
    text,
)

from aigne_hub.storage.schema.columns import identifier, instant, metadata, one_of, only

user = Table(
    "user",
    metadata,
    identifier(),
    Column("did", Text, nullable=False, unique=True),
    Column("email", Text, unique=True),
    Column("role", Text, nullable=False),
    Column("disabled_us", BigInteger),
    instant("created_us"),
    # The name of a program that calls without a person; such a user never signs in.
    Column("service", Text, unique=True),
    CheckConstraint("role <> ''", name="role"),
    CheckConstraint("did LIKE 'did:%'", name="did"),
    CheckConstraint(
        "service IS NULL OR (service <> '' AND email IS NULL AND role <> 'owner')", name="service"
    ),
)

# Roles of the operator's own; the four that every hub has are in the code.
role = Table(
    "role",
    metadata,
    Column("name", Text, primary_key=True),
    Column("permissions", Text, nullable=False),
    Column("origin", Text, nullable=False),
    instant("created_us"),
    CheckConstraint("name NOT IN ('', 'owner', 'admin', 'member', 'guest')", name="name"),
    one_of("origin", "file", "api", name="origin"),
)

identity = Table(
    "identity",
    metadata,
    Column("did", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("user_id", Text, ForeignKey("user.id")),
    Column("public_key", LargeBinary, nullable=False),
    Column("sealed_secret", LargeBinary),
    instant("created_us"),
    one_of("kind", "user", "application", "hub", name="kind"),
)
# There is one of the hub's own.
Index("ix_identity_hub", identity.c.kind, unique=True, **only(text("kind = 'hub'")))

api_key = Table(
    "api_key",
    metadata,
    identifier(),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    Column("prefix", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False, unique=True),
    Column("app_did", Text, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("models", Text, nullable=False, server_default=""),
    instant("created_us"),
    instant("expires_us", nullable=True),
    instant("revoked_us", nullable=True),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("scopes <> ''", name="scopes"),
)

# Applications that may call with signatures; their public keys are their identities'.
application = Table(
    "application",
    metadata,
    Column("did", Text, ForeignKey("identity.did"), primary_key=True),
    # Who pays for its calls.
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    Column("name", Text, nullable=False),
    # Whether components of the same Blocklet may call, who sign with its key and not its name.
    Column("sibling", Boolean, nullable=False),
    instant("created_us"),
    instant("revoked_us", nullable=True),
)

# What was signed for one use, until it would be too old anyway.
used_signature = Table(
    "used_signature",
    metadata,
    Column("mark", LargeBinary, primary_key=True),
    Column("expires_us", BigInteger, nullable=False, index=True),
    CheckConstraint("length(mark) = 32", name="mark"),
    sqlite_with_rowid=False,
)
