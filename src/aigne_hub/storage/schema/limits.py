"""What may be used, how much of it is, and what happened that somebody wants to know."""

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata, one_of

usage_limit = Table(
    "usage_limit",
    metadata,
    identifier(),
    Column("subject", Text, nullable=False),
    # The id of a key or a user, the DID of a project.
    Column("name", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("period", Text, nullable=False),
    amount("amount"),
    Column("zone", Text, nullable=False, server_default="UTC"),
    instant("created_us"),
    UniqueConstraint("subject", "name", "measure", "period"),
    one_of("subject", "key", "user", "project", name="subject"),
    one_of("measure", "credits", "requests", "tokens", "streams", name="measure"),
    one_of("period", "minute", "day", "week", "month", "total", name="period"),
    CheckConstraint("amount >= 0", name="amount"),
)

# One row a limit and window, written by the journal alone. Nothing resets it: the next
# window has another row.
limit_counter = Table(
    "limit_counter",
    metadata,
    identifier(),
    amount("used", "0"),
    amount("held", "0"),
    amount("amount", "0"),
    Column("alerted", Integer, nullable=False, server_default="0"),
    instant("until_us", nullable=True),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("held >= 0", name="held"),
    sqlite_with_rowid=False,
)

# The outbox of what webhooks are told; its id makes an event happen once.
event = Table(
    "event",
    metadata,
    identifier(),
    Column("type", Text, nullable=False),
    Column("account_id", Text),
    Column("payload", Text, nullable=False),
    instant("created_us"),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    identifier(),
    Column("url", Text, nullable=False),
    Column("sealed_secret", LargeBinary, nullable=False),
    # Event types it wants, separated by spaces; empty for all.
    Column("types", Text, nullable=False, server_default=""),
    # Whose events it gets; null for the operator's endpoints, which get all.
    Column("account_id", Text),
    instant("created_us"),
    instant("removed_us", nullable=True),
)

webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("event_id", Text, primary_key=True),
    Column("endpoint_id", Text, primary_key=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_us", BigInteger),
    Column("delivered_us", BigInteger),
    Column("status", Integer),
    Column("error", Text),
)
Index(
    "ix_webhook_delivery_due_us",
    webhook_delivery.c.due_us,
    sqlite_where=text("due_us IS NOT NULL"),
    postgresql_where=text("due_us IS NOT NULL"),
)
