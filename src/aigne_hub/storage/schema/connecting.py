"""Programs that ask a person for a key: the connect flow of AIGNE's command line."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Index, LargeBinary, Table, Text

from aigne_hub.storage.schema.columns import instant, metadata

connect_session = Table(
    "connect_session",
    metadata,
    # SHA-256 of the session's id: whoever knows the id may collect the key.
    Column("digest", LargeBinary, primary_key=True),
    # Who asked, so that nobody fills the table.
    Column("address", Text, nullable=False),
    Column("user_id", Text, ForeignKey("user.id")),
    Column("key_id", Text, ForeignKey("api_key.id")),
    # The key's text, from when it is collected until the session ends.
    Column("sealed_key", LargeBinary),
    instant("created_us"),
    instant("expires_us"),
    instant("ended_us", nullable=True),
    CheckConstraint("length(digest) = 32", name="digest"),
    CheckConstraint("key_id IS NULL OR user_id IS NOT NULL", name="approved"),
    CheckConstraint("ended_us IS NULL OR sealed_key IS NULL", name="ended"),
)
Index("ix_connect_session_address", connect_session.c.address, connect_session.c.created_us)
Index("ix_connect_session_expires_us", connect_session.c.expires_us)
