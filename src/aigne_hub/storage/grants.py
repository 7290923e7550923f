"""Credit: granting it, showing it, letting it expire."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, func, insert, select

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.ledger import FUNDING_MANUAL, PROMOTIONAL, Category, Lot
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.ports import Clock
from aigne_hub.storage import accounts, schema

PRIORITY_DEFAULT = 50
PRIORITY_MAX = 100
HISTORY_MAX = 1_000_000
# Accounts whose expiries one transaction posts, so that calls never wait long for it.
EXPIRE_BATCH = 500


@dataclass(frozen=True, slots=True)
class Grant:
    """`remaining` is less than `amount` when a debt was repaid from it. All nano-credits."""

    id: str
    amount: int
    remaining: int
    balance: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An account in nano-credits; credit that has expired is in none of the first three.

    `available` = `balance` - `held` + overdraft. `granted` and `spent` are of all time.
    """

    balance: int
    held: int
    available: int
    granted: int
    spent: int


@dataclass(frozen=True, slots=True)
class Entry:
    """One transfer. `change` is what it did to the account's balance, 0 for a write-off."""

    operation_id: str
    kind: str
    amount: int
    change: int
    debit: str
    credit: str
    grant_id: str | None
    call_id: str | None
    created_us: int


def grant(
    connection: Connection,
    clock: Clock,
    ids: Callable[[], str],
    account: str,
    amount: int,
    category: Category = Category.PAID,
    priority: int = PRIORITY_DEFAULT,
    expires_us: int | None = None,
    source: str | None = None,
) -> Grant:
    """Post a grant of `amount` nano-credits to an account, repaying a debt from it first.

    `source` is the ledger account it comes from: by default `promotional` or, when paid,
    `funding:manual`. Raises InvalidRequest, or NotFound when there is no such account.
    """
    now = clock.now_us()
    source = source or _source_of(category)
    if source != PROMOTIONAL and not source.startswith("funding:"):
        raise ValueError(f"{source!r} is not a ledger account that funds grants")
    if not 0 <= priority <= PRIORITY_MAX:
        raise InvalidRequest(f"A priority is 0 to {PRIORITY_MAX}.", param="priority")
    if expires_us is not None and expires_us <= now:
        raise InvalidRequest("The grant would already have expired.", param="expires_at")
    held_by = accounts.load(connection, account, lock=True)
    transfers = held_by.expire(now)
    if not 0 < amount <= AMOUNT_MAX - max(held_by.balance, 0):
        raise InvalidRequest(
            f"A grant is more than 0, and no balance exceeds {format_credits(AMOUNT_MAX)} credits.",
            param="amount",
        )
    lot = Lot(ids(), amount, category, priority, now, expires_us)
    transfers.append(held_by.grant(lot, source=source, at_us=now))
    connection.execute(
        insert(schema.credit_grant).values(
            id=lot.id,
            account_id=account,
            amount=amount,
            remaining=lot.remaining,
            category=category,
            priority=priority,
            expires_us=expires_us,
            created_us=now,
            source=source,
        )
    )
    accounts.save(connection, held_by, transfers)
    return Grant(lot.id, amount, lot.remaining, held_by.balance)


def balance(connection: Connection, clock: Clock, account: str) -> Balance:
    """Return what an account has now, as if everything due had expired already."""
    loaded = accounts.load(connection, account, lock=False)
    loaded.expire(clock.now_us())
    granted, spent = schema.credit_grant, schema.transfer
    total_granted = connection.execute(
        select(func.coalesce(func.sum(granted.c.amount), 0)).where(granted.c.account_id == account)
    ).scalar_one()
    total_spent = connection.execute(
        select(func.coalesce(func.sum(spent.c.amount), 0)).where(
            spent.c.account_id == account, spent.c.kind == "capture"
        )
    ).scalar_one()
    return Balance(
        balance=loaded.balance,
        held=loaded.held,
        available=loaded.available,
        granted=int(total_granted),
        spent=int(total_spent),
    )


def history(connection: Connection, account: str, limit: int) -> list[Entry]:
    """Return the newest `limit` (1 to HISTORY_MAX) transfers of an account, newest first."""
    if not 1 <= limit <= HISTORY_MAX:
        raise InvalidRequest(f"A limit is 1 to {HISTORY_MAX}.", param="limit")
    table = schema.transfer.c
    rows = connection.execute(
        select(schema.transfer)
        .where(table.account_id == account)
        .order_by(table.created_us.desc(), table.operation_id.desc(), table.seq.desc())
        .limit(limit)
    )
    return [
        Entry(
            operation_id=row.operation_id,
            kind=row.kind,
            amount=row.amount,
            change=row.amount * ((row.credit == account) - (row.debit == account)),
            debit=row.debit,
            credit=row.credit,
            grant_id=row.grant_id,
            call_id=row.call_id,
            created_us=row.created_us,
        )
        for row in rows
    ]


def expire_due(connection: Connection, now_us: int) -> int:
    """Post the expiries that are due; return how many transfers that took.

    At most EXPIRE_BATCH accounts, the longest overdue first: run it again until it returns 0.
    What open holds stand on stays until they are resolved.
    """
    table = schema.account.c
    posted = 0
    overdue = connection.execute(
        select(table.id)
        .where(table.expiry_due_us <= now_us, table.balance > table.held)
        .order_by(table.expiry_due_us, table.id)
        .limit(EXPIRE_BATCH)
    ).scalars()
    # Locks are taken in the order of ids, as everywhere.
    for account_id in sorted(overdue):
        account = accounts.load(connection, account_id, lock=True)
        transfers = account.expire(now_us)
        accounts.save(connection, account, transfers)
        posted += len(transfers)
    return posted


def _source_of(category: Category) -> str:
    return PROMOTIONAL if category is Category.PROMOTIONAL else FUNDING_MANUAL
