"""What Payment Kit's API adds to the ledger: meters, what programs metered, notes on grants."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
    true,
)

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata, one_of, only

meter = Table(
    "meter",
    metadata,
    identifier(),
    Column("event_name", Text, nullable=False, unique=True),
    Column("name", Text, nullable=False),
    Column("unit", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("status", Text, nullable=False, server_default="active"),
    # JSON that its program keeps with it.
    Column("metadata", Text, nullable=False, server_default="{}"),
    instant("created_us"),
    instant("updated_us"),
    one_of("status", "active", "inactive", name="status"),
)

# Usage that a program reported. What the account could not pay yet stays `pending` and is
# taken from the credit it gets next; all else of a row is fixed.
metered_event = Table(
    "metered_event",
    metadata,
    identifier(),
    Column("identifier", Text, nullable=False, unique=True),
    Column("meter_id", Text, ForeignKey("meter.id"), nullable=False),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    amount("value"),
    amount("pending"),
    # When it was used, as its program says: Unix seconds.
    Column("timestamp", BigInteger, nullable=False),
    Column("subscription_id", Text),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("source_data", Text),
    Column("created_by", Text, nullable=False),
    instant("created_us"),
    CheckConstraint("value >= 0", name="value"),
    CheckConstraint("pending >= 0 AND pending <= value", name="pending"),
)
Index("ix_metered_event_account_id", metered_event.c.account_id, metered_event.c.id)
Index(
    "ix_metered_event_pending",
    metered_event.c.account_id,
    metered_event.c.id,
    **only(text("pending > 0")),
)

# What Payment Kit's API keeps with a grant; the ledger neither reads nor needs it.
grant_note = Table(
    "grant_note",
    metadata,
    Column("grant_id", Text, ForeignKey("credit_grant.id"), primary_key=True),
    Column("metadata", Text, nullable=False, server_default="{}"),
    Column("applicability", Text),
    # The DID of who gave it.
    Column("created_by", Text),
    instant("updated_us"),
)

# A meter event that was not taken, and when it is offered again. It never holds up others.
meter_delivery = Table(
    "meter_delivery",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("attempts", Integer, nullable=False),
    instant("due_us"),
    Column("error", Text, nullable=False),
)

# What is known of a grant that was made at Payment Kit, by its id there.
mirrored_grant = Table(
    "mirrored_grant",
    metadata,
    Column("kit_grant_id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("credit_grant.id")),
    Column("outcome", Text, nullable=False),
    Column("detail", Text, nullable=False, server_default=""),
    instant("created_us"),
    one_of("outcome", "granted", "skipped", "refused", "voided", name="outcome"),
    CheckConstraint(
        "grant_id IS NOT NULL OR outcome = 'skipped' OR outcome = 'refused'", name="grant_id"
    ),
)

# Since when this hub keeps accounts for a Payment Kit, by its address and meter.
payment_kit = Table(
    "payment_kit",
    metadata,
    identifier(),
    instant("since_us"),
)

# What programs keep with the hub, found again by where they are mounted.
setting = Table(
    "setting",
    metadata,
    identifier(),
    Column("mount_location", Text, nullable=False, unique=True),
    Column("type", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("settings", Text, nullable=False, server_default="{}"),
    Column("component_did", Text),
    instant("created_us"),
    instant("updated_us"),
)
