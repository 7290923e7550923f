"""Accounts, grants, transfers, holds and the meter. Constraints carry the invariants."""

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

# Only customers have a balance row; system accounts are names whose postings are summed.
account = Table(
    "account",
    metadata,
    Column("id", Text, ForeignKey("user.id"), primary_key=True),
    amount("balance", "0"),
    amount("held", "0"),
    amount("overdraft", "0"),
    # The earliest instant at which a lot becomes effective or expires; null for never.
    Column("due_us", BigInteger),
    instant("created_us"),
    CheckConstraint("held >= 0", name="held"),
    CheckConstraint("overdraft >= 0", name="overdraft"),
    CheckConstraint("balance - held + overdraft >= 0", name="available"),
)

credit_grant = Table(
    "credit_grant",
    metadata,
    identifier(),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    amount("amount"),
    amount("remaining"),
    Column("category", Text, nullable=False),
    Column("priority", Integer, nullable=False),
    instant("effective_us", nullable=True),
    instant("expires_us", nullable=True),
    instant("created_us"),
    Column("source", Text, nullable=False),
    # Whether its transfer is posted; a grant that is not yet effective is in no balance.
    Column("posted", Boolean, nullable=False, server_default=true()),
    # Who asked for it, so that a repeated request finds what the first one made.
    Column("reference", Text, unique=True),
    Column("name", Text, nullable=False, server_default=""),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("remaining >= 0 AND remaining <= amount", name="remaining"),
    one_of("category", "promotional", "paid", name="category"),
    CheckConstraint("priority BETWEEN 0 AND 100", name="priority"),
)
Index("ix_credit_grant_account_id", credit_grant.c.account_id, credit_grant.c.id)
Index(
    "ix_credit_grant_live",
    credit_grant.c.account_id,
    **only(text("remaining > 0")),
)

transfer = Table(
    "transfer",
    metadata,
    # The account leads the key: its statement is one range, and no second index is written.
    Column("account_id", Text, primary_key=True),
    Column("operation_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("debit", Text, nullable=False),
    Column("credit", Text, nullable=False),
    amount("amount"),
    Column("grant_id", Text),
    Column("call_id", Text),
    instant("created_us"),
    CheckConstraint("amount > 0", name="amount"),
    CheckConstraint("debit <> credit", name="sides"),
    one_of(
        "kind",
        "grant",
        "capture",
        "write_off",
        "expiry",
        "refund",
        "adjustment",
        "reversal",
        "recovery",
        name="kind",
    ),
    sqlite_with_rowid=False,
)

# A call's charge is found by its own operation; corrections of calls are few.
Index(
    "ix_transfer_correction",
    transfer.c.call_id,
    **only(text("operation_id <> call_id")),
)

# What a call is charged since its price was corrected: each row takes the one before to
# `charge_after`. `posted` is what its transfers did to the charge: less than the difference
# when part of it had been refunded already.
call_rerate = Table(
    "call_rerate",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("seq", Integer, primary_key=True),
    Column("run_id", Text, nullable=False, index=True),
    Column("account_id", Text, nullable=False),
    Column("rate_id", Text, ForeignKey("rate.id"), nullable=False),
    amount("charge_before"),
    amount("charge_after"),
    amount("posted"),
    instant("created_us"),
    CheckConstraint("charge_before >= 0 AND charge_after >= 0", name="charges"),
    CheckConstraint("charge_before <> charge_after", name="changes"),
    sqlite_with_rowid=False,
)

# How much of a grant was taken back by each reversal: its transfers may name other lots.
grant_reversal = Table(
    "grant_reversal",
    metadata,
    Column("operation_id", Text, primary_key=True),
    Column("grant_id", Text, ForeignKey("credit_grant.id"), nullable=False, index=True),
    Column("account_id", Text, nullable=False),
    amount("amount"),
    instant("created_us"),
    CheckConstraint("amount > 0", name="amount"),
)

hold = Table(
    "hold",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("account_id", Text, nullable=False),
    amount("amount"),
    Column("state", Text, nullable=False),
    Column("captured", BigInteger),
    instant("created_us"),
    instant("expires_us"),
    instant("resolved_us", nullable=True),
    CheckConstraint("amount >= 0", name="amount"),
    one_of("state", "pending", "captured", "voided", "expired", name="state"),
    CheckConstraint("(state = 'pending') = (resolved_us IS NULL)", name="resolved"),
    CheckConstraint("captured >= 0", name="captured"),
    sqlite_with_rowid=False,
)

# The outbox of the meter: one immutable fact a settled call, delivered at least once.
meter_event = Table(
    "meter_event",
    metadata,
    Column("call_id", Text, primary_key=True),
    Column("meter", Text, nullable=False),
    Column("account_id", Text, nullable=False),
    amount("value"),
    instant("created_us"),
    # Null while it is to be delivered; 0 when nobody wanted it.
    instant("delivered_us", nullable=True),
    CheckConstraint("value >= 0", name="value"),
    sqlite_with_rowid=False,
)
# Nothing is in it, and nothing written to it, unless somebody wants meter events.
Index(
    "ix_meter_event_waiting",
    meter_event.c.call_id,
    **only(text("delivered_us IS NULL")),
)
