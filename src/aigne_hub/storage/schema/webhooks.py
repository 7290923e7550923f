"""What happened that somebody wants to know, who wants to, and who was told."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    false,
    text,
)

from aigne_hub.storage.schema.columns import identifier, instant, metadata, only

# The outbox of what webhooks are told; its id (`domain.events.event_id`) makes an event
# happen once.
event = Table(
    "event",
    metadata,
    identifier(),
    Column("type", Text, nullable=False),
    Column("account_id", Text),
    Column("payload", Text, nullable=False),
    instant("created_us"),
    # When it was handed to the endpoints that want it.
    instant("routed_us", nullable=True),
    CheckConstraint("id LIKE 'evt|_%' ESCAPE '|'", name="id"),
)
Index(
    "ix_event_unrouted",
    event.c.created_us,
    **only(text("routed_us IS NULL")),
)

webhook_endpoint = Table(
    "webhook_endpoint",
    metadata,
    identifier(),
    Column("url", Text, nullable=False),
    # Empty once the endpoint is removed.
    Column("sealed_secret", LargeBinary, nullable=False),
    # Event types it wants, separated by spaces; empty for all.
    Column("types", Text, nullable=False, server_default=""),
    # Whose events it gets; null for the operator's endpoints, which get all.
    Column("account_id", Text, ForeignKey("account.id"), index=True),
    # Whether the operator vouches for its address: it may then be a private one.
    Column("trusted", Boolean, nullable=False, server_default=false()),
    instant("created_us"),
    instant("succeeded_us", nullable=True),
    instant("failed_us", nullable=True),
    # When it answered 410.
    instant("disabled_us", nullable=True),
    instant("removed_us", nullable=True),
)

# One event for one endpoint: due, delivered, or neither when it was given up.
webhook_delivery = Table(
    "webhook_delivery",
    metadata,
    Column("event_id", Text, ForeignKey("event.id"), primary_key=True),
    Column("endpoint_id", Text, ForeignKey("webhook_endpoint.id"), primary_key=True),
    Column("attempts", Integer, nullable=False, server_default="0"),
    Column("due_us", BigInteger),
    Column("attempted_us", BigInteger),
    Column("delivered_us", BigInteger),
    Column("status", Integer),
    Column("error", Text),
    CheckConstraint("due_us IS NULL OR delivered_us IS NULL", name="due"),
)
Index(
    "ix_webhook_delivery_due",
    webhook_delivery.c.endpoint_id,
    webhook_delivery.c.due_us,
    **only(text("due_us IS NOT NULL")),
)

# Below what a user wants to be told that credit runs low, in place of the hub's thresholds.
low_balance_threshold = Table(
    "low_balance_threshold",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    # 0, which no account is below, stands for none.
    Column("amount", BigInteger, primary_key=True),
    CheckConstraint("amount >= 0", name="amount"),
)

# The lowest threshold an account is known to be below; null when it is above all.
low_balance = Table(
    "low_balance",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("told", BigInteger),
)
