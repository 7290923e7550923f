"""The authorization server: its keys, its clients, what users allowed them, and tokens.

Whatever is a secret is stored as a keyed digest, or sealed.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
)

from aigne_hub.storage.schema.columns import identifier, instant, metadata, one_of, only

# The newest key of an algorithm whose `active_us` has come signs; all verify until `until_us`.
signing_key = Table(
    "signing_key",
    metadata,
    identifier(),
    Column("algorithm", Text, nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("sealed_private", LargeBinary, nullable=False),
    instant("created_us"),
    instant("active_us"),
    instant("until_us", nullable=True),
    one_of("algorithm", "EdDSA", "ES256", name="algorithm"),
)

oauth_client = Table(
    "oauth_client",
    metadata,
    identifier(),
    Column("app_did", Text, nullable=False, unique=True),
    # Null for a public client.
    Column("secret_digest", LargeBinary),
    # For whom client credentials act.
    Column("user_id", Text, ForeignKey("user.id")),
    Column("name", Text, nullable=False),
    Column("native", Integer, nullable=False),
    Column("authentication", Text, nullable=False),
    # Lists: a line or a word each.
    Column("redirect_uris", Text, nullable=False),
    Column("grant_types", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("id_token_algorithm", Text, nullable=False),
    Column("uri", Text),
    # Who registered it without a key, so that nobody fills the table; null when an admin did.
    Column("address", Text),
    instant("created_us"),
    instant("disabled_us", nullable=True),
    CheckConstraint("secret_digest IS NULL OR length(secret_digest) = 32", name="digest"),
    CheckConstraint("(authentication = 'none') = (secret_digest IS NULL)", name="authentication"),
)
Index("ix_oauth_client_address", oauth_client.c.address, oauth_client.c.created_us)

# What a user lets a client do; its limits are those of the subject `grant` with its id.
oauth_grant = Table(
    "oauth_grant",
    metadata,
    identifier(),
    Column("user_id", Text, ForeignKey("user.id"), nullable=False, index=True),
    Column("client_id", Text, ForeignKey("oauth_client.id"), nullable=False, index=True),
    Column("scopes", Text, nullable=False),
    instant("created_us"),
    instant("updated_us"),
    instant("revoked_us", nullable=True),
)
Index(
    "uq_oauth_grant_live",
    oauth_grant.c.user_id,
    oauth_grant.c.client_id,
    unique=True,
    **only(oauth_grant.c.revoked_us.is_(None)),
)

# Every token that one authorization led to: they end together.
oauth_family = Table(
    "oauth_family",
    metadata,
    identifier(),
    Column("grant_id", Text, ForeignKey("oauth_grant.id"), nullable=False, index=True),
    Column("scopes", Text, nullable=False),
    Column("resource", Text, nullable=False),
    instant("authenticated_us"),
    instant("created_us"),
    instant("expires_us"),
    instant("revoked_us", nullable=True),
)
Index("ix_oauth_family_expires_us", oauth_family.c.expires_us)

refresh_token = Table(
    "refresh_token",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("family_id", Text, ForeignKey("oauth_family.id"), nullable=False, index=True),
    instant("created_us"),
    instant("expires_us"),
    instant("used_us", nullable=True),
    CheckConstraint("length(digest) = 32", name="digest"),
)

oauth_code = Table(
    "oauth_code",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("grant_id", Text, ForeignKey("oauth_grant.id"), nullable=False),
    Column("client_id", Text, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("nonce", Text),
    instant("authenticated_us"),
    instant("created_us"),
    instant("expires_us"),
    instant("used_us", nullable=True),
    # What it was redeemed for; the id is chosen before, so that a second try finds it.
    Column("family_id", Text, nullable=False),
    CheckConstraint("length(digest) = 32", name="digest"),
)
Index("ix_oauth_code_expires_us", oauth_code.c.expires_us)

oauth_device = Table(
    "oauth_device",
    metadata,
    Column("digest", LargeBinary, primary_key=True),
    Column("user_code_digest", LargeBinary, nullable=False, unique=True),
    Column("client_id", Text, ForeignKey("oauth_client.id"), nullable=False),
    Column("scopes", Text, nullable=False),
    Column("resource", Text, nullable=False),
    # Who asked: shown to who approves, and counted.
    Column("address", Text, nullable=False),
    Column("status", Text, nullable=False, server_default="waiting"),
    Column("grant_id", Text, ForeignKey("oauth_grant.id")),
    instant("authenticated_us", nullable=True),
    Column("interval_s", Integer, nullable=False),
    instant("polled_us", nullable=True),
    instant("created_us"),
    instant("expires_us"),
    one_of("status", "waiting", "approved", "denied", "used", name="status"),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("(status IN ('approved', 'used')) = (grant_id IS NOT NULL)", name="approved"),
)
Index("ix_oauth_device_address", oauth_device.c.address, oauth_device.c.created_us)
Index("ix_oauth_device_expires_us", oauth_device.c.expires_us)

# Wrong user codes of a user in an hour.
device_guess = Table(
    "device_guess",
    metadata,
    Column("user_id", Text, primary_key=True),
    instant("hour_us"),
    Column("failures", Integer, nullable=False),
)

# Access tokens revoked one by one, until they would have expired (RFC 7009).
revoked_token = Table(
    "revoked_token",
    metadata,
    identifier(),
    instant("expires_us"),
)
Index("ix_revoked_token_expires_us", revoked_token.c.expires_us)
