"""The statements that read and write money. Nothing else in the system may.

The journal compiles them for its driver; grants execute them through SQLAlchemy.
"""

from typing import Any

from sqlalchemy import bindparam, insert, literal_column, select, update
from sqlalchemy.sql import Insert, Select, Update

from aigne_hub.domain.lots import Category, Lot
from aigne_hub.storage import schema

# One update per account and batch: deltas were folded in memory over the locked rows.
UPDATE_ACCOUNT: Update = (
    update(schema.account)
    .where(schema.account.c.id == bindparam("account_id"))
    .values(
        balance=bindparam("balance"),
        held=bindparam("held"),
        due_us=bindparam("next_due_us"),
    )
)

UPDATE_LOT: Update = (
    update(schema.credit_grant)
    .where(schema.credit_grant.c.id == bindparam("grant_id"))
    .values(remaining=bindparam("remaining"), posted=bindparam("is_posted"))
)

INSERT_TRANSFER: Insert = insert(schema.transfer).values(
    operation_id=bindparam("operation_id"),
    seq=bindparam("seq"),
    kind=bindparam("kind"),
    debit=bindparam("debit"),
    credit=bindparam("credit"),
    amount=bindparam("amount"),
    account_id=bindparam("account_id"),
    grant_id=bindparam("grant_id"),
    call_id=bindparam("call_id"),
    created_us=bindparam("created_us"),
)

SELECT_ACCOUNT: Select[tuple[str, int, int, int, int | None]] = select(
    schema.account.c.id,
    schema.account.c.balance,
    schema.account.c.held,
    schema.account.c.overdraft,
    schema.account.c.due_us,
).where(schema.account.c.id == bindparam("account_id"))

# In the order of domain.lots.Lot's fields.
LOTS: Select[tuple[str, int, str, int, int, int | None, int | None, bool, str]] = select(
    schema.credit_grant.c.id,
    schema.credit_grant.c.remaining,
    schema.credit_grant.c.category,
    schema.credit_grant.c.priority,
    schema.credit_grant.c.created_us,
    schema.credit_grant.c.expires_us,
    schema.credit_grant.c.effective_us,
    schema.credit_grant.c.posted,
    schema.credit_grant.c.source,
)
SELECT_LOTS = LOTS.where(
    schema.credit_grant.c.account_id == bindparam("account_id"),
    schema.credit_grant.c.remaining > literal_column("0"),
)


def lot_of(row: Any) -> Lot:
    """Return the lot of a row of SELECT_LOTS, whichever driver read it."""
    lot_id, remaining, category, priority, created, expires, effective, posted, source = row
    return Lot(
        lot_id,
        remaining,
        Category(category),
        priority,
        created,
        expires,
        effective,
        bool(posted),
        source,
    )
