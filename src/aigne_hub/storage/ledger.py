"""The statements that read and write money. Nothing else in the system may.

The journal compiles them for its driver; grants execute them through SQLAlchemy.
"""

from sqlalchemy import bindparam, insert, literal_column, select, update
from sqlalchemy.sql import Insert, Select, Update

from aigne_hub.storage import schema

# One update per account and batch: deltas were folded in memory over the locked rows.
UPDATE_ACCOUNT: Update = (
    update(schema.account)
    .where(schema.account.c.id == bindparam("account_id"))
    .values(
        balance=bindparam("balance"),
        held=bindparam("held"),
        expiry_due_us=bindparam("expiry_due_us"),
    )
)

UPDATE_LOT: Update = (
    update(schema.credit_grant)
    .where(schema.credit_grant.c.id == bindparam("grant_id"))
    .values(remaining=bindparam("remaining"))
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
    schema.account.c.expiry_due_us,
).where(schema.account.c.id == bindparam("account_id"))

SELECT_LOTS: Select[tuple[str, int, str, int, int, int | None]] = select(
    schema.credit_grant.c.id,
    schema.credit_grant.c.remaining,
    schema.credit_grant.c.category,
    schema.credit_grant.c.priority,
    schema.credit_grant.c.created_us,
    schema.credit_grant.c.expires_us,
).where(
    schema.credit_grant.c.account_id == bindparam("account_id"),
    schema.credit_grant.c.remaining > literal_column("0"),
)
