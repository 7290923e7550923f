"""What may be used in a window, and how much of it is."""

from sqlalchemy import (
    CheckConstraint,
    Column,
    Integer,
    Table,
    Text,
    UniqueConstraint,
)

from aigne_hub.storage.schema.columns import amount, identifier, instant, metadata, one_of

usage_limit = Table(
    "usage_limit",
    metadata,
    identifier(),
    Column("subject", Text, nullable=False),
    # The id of a key, a user or a grant, the DID of a project.
    Column("name", Text, nullable=False),
    Column("measure", Text, nullable=False),
    Column("period", Text, nullable=False),
    amount("amount"),
    Column("zone", Text, nullable=False, server_default="UTC"),
    instant("created_us"),
    UniqueConstraint("subject", "name", "measure", "period"),
    one_of("subject", "key", "user", "project", "grant", name="subject"),
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
