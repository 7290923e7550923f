"""Corrections of what was posted: always new transfers, never a change of old ones."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, case, func, insert, select, union_all

from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.transfers import WRITE_OFF, Transfer
from aigne_hub.storage import accounts, ledger, schema

_TRANSFER = schema.transfer.c
# Kinds that take from a lot, and those that give back to it.
_TAKING = ("capture", "adjustment", "reversal", "expiry")


@dataclass(frozen=True, slots=True)
class Correction:
    """What a correction moved, in nano-credits: out of or into the account, and written off."""

    operation_id: str
    amount: int
    written_off: int
    balance: int


def refund_call(
    connection: Connection, now_us: int, operation_id: str, call_id: str, amount: int | None = None
) -> Correction:
    """Give back `amount` of what a call was charged, all of what is left by default.

    It returns to the lots it came from, the last one spent first. A refund with the same
    `operation_id` is a Conflict. Raises NotFound for an unknown or uncharged call, and
    InvalidRequest for more than was charged and not yet refunded.
    """
    account_id = charged_account(connection, call_id)
    account = _load_with(connection, account_id, _lots_of_call(connection, account_id, call_id))
    _require_new(connection, account_id, operation_id)
    left = _charged_parts(connection, account_id, call_id)
    refundable = sum(left.values())
    wanted = refundable if amount is None else amount
    if not 0 < wanted <= refundable:
        raise InvalidRequest(
            f"At most {format_credits(refundable)} of this call can be refunded.", param="amount"
        )
    transfers = account.advance(now_us)
    parts = _latest(left, wanted)
    slack: dict[str, int] = {}
    if any(lot is None for lot, _ in parts):
        slack = _slack(connection, account, transfers)
    transfers += account.refund(operation_id, parts, slack, call_id=call_id, at_us=now_us)
    transfers += account.advance(now_us)
    accounts.save(connection, account, transfers)
    return _summed(account, operation_id, transfers)


def adjust_call(
    connection: Connection, now_us: int, operation_id: str, call_id: str, amount: int
) -> Correction:
    """Charge `amount` more for a settled call; what the account cannot pay is written off."""
    account_id = charged_account(connection, call_id)
    account = accounts.load(connection, account_id, lock=True)
    _require_new(connection, account_id, operation_id)
    transfers = account.advance(now_us)
    transfers += account.adjust(operation_id, amount, call_id, now_us)
    accounts.save(connection, account, transfers)
    return _summed(account, operation_id, transfers)


def reverse_grant(
    connection: Connection, now_us: int, operation_id: str, grant_id: str, amount: int | None = None
) -> Correction:
    """Take back a grant, or `amount` of it, because its payment was returned or it was wrong.

    What was spent of it is owed by the rest of the account, down to its overdraft limit; the
    remainder is written off. Raises NotFound, Conflict for a repeated `operation_id`, and
    InvalidRequest for more than was granted and not yet reversed.
    """
    granted = schema.credit_grant.c
    granted_to(connection, grant_id)
    row = connection.execute(select(schema.credit_grant).where(granted.id == grant_id)).one()
    account = _load_with(connection, row.account_id, {grant_id})
    _require_new(connection, row.account_id, operation_id)
    _require_new_reversal(connection, operation_id)
    left = row.amount - _reversed(connection, row.account_id, grant_id)
    wanted = left if amount is None else amount
    if not 0 < wanted <= left:
        raise InvalidRequest(
            f"At most {format_credits(left)} of this grant can be taken back.", param="amount"
        )
    transfers = account.advance(now_us)
    lot = next(lot for lot in account.lots if lot.id == grant_id)
    transfers += account.reverse(operation_id, lot, wanted, row.source, now_us)
    connection.execute(
        insert(schema.grant_reversal).values(
            operation_id=operation_id,
            grant_id=grant_id,
            account_id=row.account_id,
            amount=wanted,
            created_us=now_us,
        )
    )
    accounts.save(connection, account, transfers)
    return _summed(account, operation_id, transfers)


def recover(
    connection: Connection,
    now_us: int,
    operation_id: str,
    account_id: str,
    source: str,
    amount: int,
    *,
    call_id: str | None = None,
) -> None:
    """Make good what was written off.

    Of a reversal, because its money came back to `source`; of a call, because it costs less
    than it was charged. No balance changes. Raises Conflict for a repeated `operation_id`.
    """
    _require_new(connection, account_id, operation_id)
    posted = Transfer(
        account_id, operation_id, 0, "recovery", source, WRITE_OFF, amount, None, call_id, now_us
    )
    connection.execute(ledger.INSERT_TRANSFER, [posted._asdict()])


@dataclass(frozen=True, slots=True)
class Standing:
    """What stands of a call's charge now, in nano-credits.

    `paid` is what its account paid and was not given back; `written_off` what nobody paid.
    """

    paid: int
    written_off: int


def standing(connection: Connection, account_id: str, call_id: str) -> Standing:
    """Return what stands of a call's charge."""
    paid = written_off = 0
    for row in _transfers_of_call(connection, account_id, call_id):
        if row.kind in {"capture", "adjustment", "refund"}:
            paid += -row.amount if row.kind == "refund" else row.amount
        elif row.kind in {"write_off", "recovery"}:
            written_off += -row.amount if row.kind == "recovery" else row.amount
    return Standing(paid, written_off)


def is_known(connection: Connection, call_id: str, operation_id: str) -> bool:
    """Tell whether a correction of a call was made."""
    query = select(_TRANSFER.seq).where(
        _TRANSFER.call_id == call_id, _TRANSFER.operation_id == operation_id
    )
    return connection.execute(query.limit(1)).first() is not None


def granted_to(connection: Connection, grant_id: str) -> str:
    """Return whose grant it is. Raises NotFound."""
    granted = schema.credit_grant.c
    account_id: str | None = connection.execute(
        select(granted.account_id).where(granted.id == grant_id)
    ).scalar_one_or_none()
    if account_id is None:
        raise NotFound(f"There is no grant {grant_id[:80]!r}.")
    return account_id


def charged_account(connection: Connection, call_id: str) -> str:
    """Return whom a call was charged to, be it nothing.

    Raises NotFound for one that is open, and for one that was not to be charged: it failed, was
    refused, or billing was off.
    """
    call, hold = schema.model_call.c, schema.hold.c
    account_id: str | None = connection.execute(
        select(call.account_id)
        .join_from(schema.model_call, schema.hold, hold.call_id == call.id)
        .where(call.id == call_id, hold.state == "captured")
    ).scalar_one_or_none()
    if account_id is None:
        raise NotFound(f"There is no charged call {call_id[:80]!r}. See: aigne-hub calls list")
    return account_id


def _require_new(connection: Connection, account_id: str, operation_id: str) -> None:
    known = connection.execute(
        select(_TRANSFER.seq)
        .where(_TRANSFER.account_id == account_id, _TRANSFER.operation_id == operation_id)
        .limit(1)
    ).first()
    if known is not None:
        raise Conflict(f"The correction {operation_id!r} was made before.")


def _require_new_reversal(connection: Connection, operation_id: str) -> None:
    """Refuse an operation that took back another account's grant."""
    table = schema.grant_reversal.c
    query = select(table.operation_id).where(table.operation_id == operation_id)
    if connection.execute(query).first() is not None:
        raise Conflict(f"The correction {operation_id!r} was made before.")


def _load_with(connection: Connection, account_id: str, lot_ids: set[str]) -> Account:
    """Return a locked account with its live lots and those named, spent up or not."""
    account = accounts.load(connection, account_id, lock=True)
    missing = lot_ids - {lot.id for lot in account.lots}
    if missing:
        query = ledger.LOTS.where(schema.credit_grant.c.id.in_(sorted(missing)))
        account.lots += [ledger.lot_of(row) for row in connection.execute(query)]
    return account


def _transfers_of_call(connection: Connection, account_id: str, call_id: str) -> list[Any]:
    """Return every transfer about a call, in the order they were posted.

    Two look-ups by index: the account may have a million others.
    """
    columns = (
        _TRANSFER.kind,
        _TRANSFER.grant_id,
        _TRANSFER.amount,
        _TRANSFER.operation_id,
        _TRANSFER.seq,
        _TRANSFER.created_us,
    )
    rows = connection.execute(
        union_all(
            select(*columns).where(
                _TRANSFER.account_id == account_id,
                _TRANSFER.operation_id == call_id,
                _TRANSFER.call_id == call_id,
            ),
            select(*columns).where(
                _TRANSFER.call_id == call_id,
                _TRANSFER.operation_id != _TRANSFER.call_id,
                _TRANSFER.account_id == account_id,
            ),
        )
    )
    return sorted(rows, key=lambda row: (row.created_us, row.operation_id, row.seq))


def _lots_of_call(connection: Connection, account_id: str, call_id: str) -> set[str]:
    """Return every lot that a refund of a call may touch."""
    named = {row.grant_id for row in _transfers_of_call(connection, account_id, call_id)}
    if None in named:
        granted = schema.credit_grant.c
        return set(
            connection.execute(select(granted.id).where(granted.account_id == account_id)).scalars()
        )
    return {lot for lot in named if lot is not None}


def _charged_parts(connection: Connection, account_id: str, call_id: str) -> dict[str | None, int]:
    """Return what of a call's charge is not yet refunded, by lot, in the order it was taken."""
    rows = _transfers_of_call(connection, account_id, call_id)
    left: dict[str | None, int] = defaultdict(int)
    for row in rows:
        if row.kind in {"capture", "adjustment"}:
            left[row.grant_id] += row.amount
    for row in rows:
        if row.kind == "refund":
            # Former overdraft may have returned to a lot that this call never took from.
            _take(left, row.grant_id if row.grant_id in left else None, row.amount)
    return {lot: amount for lot, amount in left.items() if amount}


def _take(left: dict[str | None, int], lot_id: str | None, amount: int) -> None:
    own = min(left[lot_id], amount)
    left[lot_id] -= own
    left[None] -= amount - own


def _latest(left: Mapping[str | None, int], wanted: int) -> list[tuple[str | None, int]]:
    """Return the parts of `left` that make `wanted`, the last taken first."""
    parts: list[tuple[str | None, int]] = []
    for lot_id, amount in reversed(list(left.items())):
        part = min(amount, wanted)
        if part:
            parts.append((lot_id, part))
            wanted -= part
    return parts


def _slack(connection: Connection, account: Account, unsaved: Sequence[Transfer]) -> dict[str, int]:
    """Return how much of each lot went to repaying a debt: gone, and in no transfer.

    What is `unsaved` has left the lots already, and is not in the database yet.
    """
    amounts = _net_taken(connection, account.id)
    for entry in unsaved:
        if entry.kind == "expiry" and entry.grant_id is not None:
            amounts[entry.grant_id] = amounts.get(entry.grant_id, 0) + entry.amount
    granted = schema.credit_grant.c
    rows: Any = connection.execute(
        select(granted.id, granted.amount).where(granted.account_id == account.id)
    )
    total = {row.id: row.amount for row in rows}
    return {
        lot.id: total[lot.id] - lot.remaining - amounts.get(lot.id, 0)
        for lot in account.lots
        if lot.posted
    }


def _net_taken(connection: Connection, account_id: str) -> dict[str, int]:
    """Return how much of each lot was taken for something, and not given back.

    What calls were refunded into a lot beyond what they took of it was overdraft that the lot
    had repaid: it is not what the lot was spent on.
    """
    signed = case((_TRANSFER.kind == "refund", -_TRANSFER.amount), else_=_TRANSFER.amount)
    by_call = (
        select(_TRANSFER.grant_id, func.sum(signed).label("net"))
        .where(_TRANSFER.account_id == account_id, _TRANSFER.grant_id.is_not(None))
        .where(_TRANSFER.kind.in_((*_TAKING, "refund")))
        .group_by(_TRANSFER.grant_id, _TRANSFER.call_id)
        .subquery()
    )
    rows: Any = connection.execute(
        select(by_call.c.grant_id, func.sum(by_call.c.net).label("net"))
        .where(by_call.c.net > 0)
        .group_by(by_call.c.grant_id)
    )
    return {row.grant_id: int(row.net) for row in rows}


def _reversed(connection: Connection, account_id: str, grant_id: str) -> int:
    """Return how much of a grant was taken back already."""
    table = schema.grant_reversal.c
    amount = connection.execute(
        select(func.coalesce(func.sum(table.amount), 0)).where(
            table.grant_id == grant_id, table.account_id == account_id
        )
    ).scalar_one()
    return int(amount)


def _summed(account: Account, operation_id: str, transfers: list[Transfer]) -> Correction:
    own = [entry for entry in transfers if entry.operation_id == operation_id]
    written_off = sum(entry.amount for entry in own if entry.kind == "write_off")
    moved = sum(entry.amount for entry in own) - written_off
    return Correction(operation_id, moved, written_off, account.balance)
