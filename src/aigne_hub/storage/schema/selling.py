"""What Payment Kit's API keeps of sales; the orders themselves are in `payments`."""

from sqlalchemy import Boolean, CheckConstraint, Column, ForeignKey, Table, Text, true

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata

payment_link = Table(
    "payment_link",
    metadata,
    identifier(),
    Column("lookup_key", Text, unique=True),
    Column("name", Text, nullable=False),
    # Nano-credits that the pay page suggests.
    amount("credits"),
    Column("active", Boolean, nullable=False, server_default=true()),
    Column("metadata", Text, nullable=False, server_default="{}"),
    instant("created_us"),
    instant("updated_us"),
    CheckConstraint("credits > 0", name="credits"),
)

# What a program said about the order it had made.
checkout_session = Table(
    "checkout_session",
    metadata,
    Column("order_id", Text, ForeignKey("payment_order.id"), primary_key=True),
    Column("client_reference_id", Text),
    Column("success_url", Text),
    Column("cancel_url", Text),
    Column("metadata", Text, nullable=False, server_default="{}"),
)
