"""Credit: granting it, showing it, letting it expire."""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, case, exists, func, insert, or_, select

from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.lots import Category, Lot
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.domain.transfers import FUNDING, FUNDING_MANUAL, PROMOTIONAL
from aigne_hub.ports import Clock
from aigne_hub.storage import accounts, metering, schema

PRIORITY_DEFAULT = 50
PRIORITY_MAX = 100
HISTORY_MAX = 1_000_000
REFERENCE_MAX = 200
NAME_MAX = 200
# Accounts that one transaction advances, so that calls never wait long for it.
ADVANCE_BATCH = 500
# What of a statement is spending, refunds counted against it.
_SPENDING = ("capture", "adjustment", "refund")


@dataclass(frozen=True, slots=True)
class Grant:
    """`remaining` is less than `amount` when a debt was repaid or pending usage taken from it.

    All nano-credits.
    """

    id: str
    amount: int
    remaining: int
    balance: int


@dataclass(frozen=True, slots=True)
class Balance:
    """An account in nano-credits; credit that has expired is in none of the first three.

    `available` = `balance` - `held` + overdraft. `granted` and `spent` are of all time;
    what was refunded is not spent, what was taken back was granted all the same.
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


@dataclass(frozen=True, slots=True)
class Terms:
    """What a grant is given under.

    `source` is the ledger account it comes from: by default `promotional` or, when paid,
    `funding:manual`. A second grant with the same `reference` is refused as a Conflict.
    """

    category: Category = Category.PAID
    priority: int = PRIORITY_DEFAULT
    effective_us: int | None = None
    expires_us: int | None = None
    source: str | None = None
    reference: str | None = None
    name: str = ""

    def checked(self, now_us: int) -> "Terms":
        """Return self, or raise InvalidRequest."""
        if not 0 <= self.priority <= PRIORITY_MAX:
            raise InvalidRequest(f"A priority is 0 to {PRIORITY_MAX}.", param="priority")
        if self.expires_us is not None and self.expires_us <= max(now_us, self.effective_us or 0):
            raise InvalidRequest("The grant would already have expired.", param="expires_at")
        for text, most, param in (
            (self.reference or "", REFERENCE_MAX, "reference"),
            (self.name, NAME_MAX, "name"),
        ):
            if len(text) > most or not text.isprintable():
                raise InvalidRequest(f"A {param} is at most {most} characters.", param=param)
        return self

    @property
    def funded_from(self) -> str:
        if self.source is None:
            return PROMOTIONAL if self.category is Category.PROMOTIONAL else FUNDING_MANUAL
        if self.source != PROMOTIONAL and not self.source.startswith(FUNDING):
            raise ValueError(f"{self.source!r} is not a ledger account that funds grants")
        return self.source


def grant(
    connection: Connection,
    clock: Clock,
    ids: Callable[[], str],
    account: str,
    amount: int,
    terms: Terms = Terms(),
) -> Grant:
    """Post a grant of `amount` nano-credits to an account, repaying a debt from it first.

    Usage that was metered and could not be paid is taken from it next. One that becomes
    effective later is posted then. Raises InvalidRequest, Conflict, or NotFound when there is
    no such account.
    """
    now = clock.now_us()
    terms.checked(now)
    held_by = accounts.load(connection, account, lock=True)
    if terms.reference is not None and find_by_reference(connection, terms.reference):
        raise Conflict("There is a grant with this reference already.")
    transfers = held_by.advance(now)
    if not 0 < amount <= AMOUNT_MAX - max(held_by.balance, 0):
        raise InvalidRequest(
            f"A grant is more than 0, and no balance exceeds {format_credits(AMOUNT_MAX)} credits.",
            param="amount",
        )
    lot = Lot(
        ids(), amount, terms.category, terms.priority, now, terms.expires_us, terms.effective_us
    )
    transfers += held_by.grant(lot, source=terms.funded_from, at_us=now)
    transfers += metering.collect(connection, held_by, now)
    connection.execute(
        insert(schema.credit_grant).values(
            id=lot.id,
            account_id=account,
            amount=amount,
            remaining=lot.remaining,
            category=lot.category,
            priority=lot.priority,
            effective_us=lot.effective_us,
            expires_us=lot.expires_us,
            created_us=now,
            source=lot.source,
            posted=lot.posted,
            reference=terms.reference,
            name=terms.name,
        )
    )
    accounts.save(connection, held_by, transfers)
    return Grant(lot.id, amount, lot.remaining, held_by.balance)


def find_by_reference(connection: Connection, reference: str) -> str | None:
    """Return the id of the grant that was made with a reference."""
    granted = schema.credit_grant.c
    found: str | None = connection.execute(
        select(granted.id).where(granted.reference == reference)
    ).scalar_one_or_none()
    return found


def balance(connection: Connection, clock: Clock, account: str) -> Balance:
    """Return what an account has now, as if everything due had expired already."""
    loaded = accounts.load(connection, account, lock=False)
    loaded.advance(clock.now_us())
    granted, spent = schema.credit_grant, schema.transfer
    total_granted = connection.execute(
        select(func.coalesce(func.sum(granted.c.amount), 0)).where(
            granted.c.account_id == account, granted.c.posted
        )
    ).scalar_one()
    total_spent = connection.execute(
        select(
            func.coalesce(
                func.sum(case((spent.c.kind == "refund", -spent.c.amount), else_=spent.c.amount)), 0
            )
        ).where(spent.c.account_id == account, spent.c.kind.in_(_SPENDING))
    ).scalar_one()
    return Balance(
        balance=loaded.balance,
        held=loaded.held,
        available=loaded.available,
        granted=int(total_granted),
        spent=int(total_spent),
    )


def spent_since(connection: Connection, account: str, since_us: int) -> int:
    """Return the nano-credits spent since an instant, less what was refunded since."""
    table = schema.transfer.c
    signed = case((table.kind == "refund", -table.amount), else_=table.amount)
    spent = connection.execute(
        select(func.coalesce(func.sum(signed), 0)).where(
            table.account_id == account,
            table.kind.in_(_SPENDING),
            table.created_us >= since_us,
        )
    ).scalar_one()
    return int(spent)


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


def advance_due(connection: Connection, now_us: int) -> int:
    """Post what time alone does to accounts: grants that became effective, and expiries.

    Returns how many transfers that took, of at most ADVANCE_BATCH accounts, the longest
    overdue first: run it again until it returns 0. What open holds stand on stays until they
    are resolved.
    """
    table, granted = schema.account.c, schema.credit_grant.c
    posted = 0
    scheduled = exists().where(
        granted.account_id == table.id, granted.posted.is_(False), granted.effective_us <= now_us
    )
    overdue = connection.execute(
        select(table.id)
        .where(table.due_us <= now_us, or_(table.balance > table.held, scheduled))
        .order_by(table.due_us, table.id)
        .limit(ADVANCE_BATCH)
    ).scalars()
    # Locks are taken in the order of ids, as everywhere.
    for account_id in sorted(overdue):
        account = accounts.load(connection, account_id, lock=True)
        transfers = account.advance(now_us)
        transfers += metering.collect(connection, account, now_us)
        accounts.save(connection, account, transfers)
        posted += len(transfers)
    return posted
