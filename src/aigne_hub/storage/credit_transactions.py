"""The transfers of customer accounts, as the credit transactions that programs read."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    or_,
    select,
)

from aigne_hub.domain.errors import NotFound
from aigne_hub.storage import lists, schema
from aigne_hub.storage.metering import operation_of

_SECOND_US = 1_000_000
_ID_PREFIX = "ctx_"

_TRANSFER = schema.transfer.c
_EVENT = schema.metered_event.c


class TransactionType(StrEnum):
    GRANT = "grant"
    CONSUMPTION = "consumption"
    EXPIRATION = "expiration"
    ADJUSTMENT = "adjustment"


# What is written off moves nothing on the customer's account.
_TYPES = {
    "grant": TransactionType.GRANT,
    "capture": TransactionType.CONSUMPTION,
    "expiry": TransactionType.EXPIRATION,
    "adjustment": TransactionType.ADJUSTMENT,
    "refund": TransactionType.ADJUSTMENT,
    "reversal": TransactionType.ADJUSTMENT,
}
_CONSUMING = ("capture", "adjustment", "refund")


@dataclass(frozen=True, slots=True)
class CreditTransaction:
    """One movement of an account in nano-credits; `change` is signed.

    `balance` is the account's after it. `event_id` and `meter_id` are those of what was
    metered; a call has its own id as event and no meter.
    """

    id: str
    account_id: str
    operation_id: str
    type: TransactionType
    amount: int
    change: int
    balance: int
    grant_id: str | None
    call_id: str | None
    event_id: str | None
    meter_id: str | None
    created_us: int


@dataclass(frozen=True, slots=True)
class Filter:
    """Which transfers; `start` and `end` are Unix seconds.

    `meter_id` wants what that meter consumed; `calls` then says whether calls are among it.
    """

    account_id: str | None = None
    grant_id: str | None = None
    meter_id: str | None = None
    calls: bool = False
    event_id: str | None = None
    start: int | None = None
    end: int | None = None


def page(
    connection: Connection, wanted: Filter, *, offset: int, limit: int
) -> tuple[int, list[CreditTransaction]]:
    """Return how many transfers match, and those from `offset` on, newest first."""
    query = _transfers(wanted)
    newest = (_TRANSFER.created_us.desc(), _TRANSFER.operation_id.desc(), _TRANSFER.seq.desc())
    count, rows = lists.paged(connection, query, *newest, offset=offset, limit=limit)
    return count, _with_balances(connection, rows)


def find(connection: Connection, transaction_id: str) -> CreditTransaction:
    """Return the transaction with this id. Raises NotFound."""
    try:
        account_id, seq, operation_id = _parts(transaction_id)
    except ValueError:
        account_id, seq, operation_id = "", 0, ""
    rows = connection.execute(
        _transfers(Filter()).where(
            _TRANSFER.account_id == account_id,
            _TRANSFER.operation_id == operation_id,
            _TRANSFER.seq == seq,
        )
    ).all()
    if not rows:
        raise NotFound(f"There is no credit transaction {transaction_id[:80]!r}.")
    return _with_balances(connection, rows)[0]


def consumed(connection: Connection, wanted: Filter) -> tuple[int, int]:
    """Return how many transfers consumed credit, and how much: what was refunded is not."""
    matching = _transfers(wanted).where(_TRANSFER.kind.in_(_CONSUMING)).subquery().c
    signed = case((matching.kind == "refund", -matching.amount), else_=matching.amount)
    row = connection.execute(
        select(func.count(matching.kind), func.coalesce(func.sum(signed), 0))
    ).one()
    return row[0], int(row[1])


def _transfers(wanted: Filter) -> Select[Any]:
    query = (
        select(schema.transfer, _EVENT.id.label("event_id"), _EVENT.meter_id)
        .select_from(
            schema.transfer.outerjoin(
                schema.metered_event,
                and_(
                    _TRANSFER.call_id.is_(None),
                    _TRANSFER.operation_id == operation_of("") + _EVENT.identifier,
                ),
            )
        )
        .where(_TRANSFER.kind.in_(tuple(_TYPES)))
    )
    conditions: list[ColumnElement[bool]] = []
    if wanted.account_id is not None:
        conditions.append(_TRANSFER.account_id == wanted.account_id)
    if wanted.grant_id is not None:
        conditions.append(_TRANSFER.grant_id == wanted.grant_id)
    if wanted.event_id is not None:
        conditions.append(
            or_(_EVENT.id == wanted.event_id, _TRANSFER.operation_id == wanted.event_id)
        )
    if wanted.meter_id is not None:
        of_meter = _EVENT.meter_id == wanted.meter_id
        conditions.append(
            or_(of_meter, _TRANSFER.call_id.is_not(None)) if wanted.calls else of_meter
        )
    if wanted.start is not None:
        conditions.append(_TRANSFER.created_us >= wanted.start * _SECOND_US)
    if wanted.end is not None:
        conditions.append(_TRANSFER.created_us < (wanted.end + 1) * _SECOND_US)
    return query.where(*conditions)


def _with_balances(connection: Connection, rows: Sequence[Row[Any]]) -> list[CreditTransaction]:
    """Add to each row its account's balance after it, in one pass over those accounts."""
    running = (
        select(
            _TRANSFER.account_id,
            _TRANSFER.operation_id,
            _TRANSFER.seq,
            func.sum(_change())
            .over(
                partition_by=_TRANSFER.account_id,
                order_by=(_TRANSFER.created_us, _TRANSFER.operation_id, _TRANSFER.seq),
            )
            .label("balance"),
        )
        .where(_TRANSFER.account_id.in_(sorted({row.account_id for row in rows})))
        .subquery()
        .c
    )
    operations = sorted({row.operation_id for row in rows})
    balances = {
        (found.account_id, found.operation_id, found.seq): int(found.balance)
        for found in connection.execute(
            select(running.account_id, running.operation_id, running.seq, running.balance).where(
                running.operation_id.in_(operations)
            )
        )
    }
    return [_transaction(row, balances[row.account_id, row.operation_id, row.seq]) for row in rows]


def _change() -> ColumnElement[int]:
    return case(
        (_TRANSFER.credit == _TRANSFER.account_id, _TRANSFER.amount),
        (_TRANSFER.debit == _TRANSFER.account_id, -_TRANSFER.amount),
        else_=0,
    )


def _transaction(row: Row[Any], balance: int) -> CreditTransaction:
    sign = (row.credit == row.account_id) - (row.debit == row.account_id)
    return CreditTransaction(
        id=_id_of(row.account_id, row.seq, row.operation_id),
        account_id=row.account_id,
        operation_id=row.operation_id,
        type=_TYPES[row.kind],
        amount=row.amount,
        change=sign * row.amount,
        balance=balance,
        grant_id=row.grant_id,
        call_id=row.call_id,
        event_id=row.event_id or row.call_id,
        meter_id=row.meter_id,
        created_us=row.created_us,
    )


def _id_of(account_id: str, seq: int, operation_id: str) -> str:
    """Return an id that may stand in a path, whatever the operation is called."""
    text = f"{account_id} {seq} {operation_id}"
    return _ID_PREFIX + urlsafe_b64encode(text.encode()).decode().rstrip("=")


def _parts(transaction_id: str) -> tuple[str, int, str]:
    if not transaction_id.startswith(_ID_PREFIX):
        raise ValueError("not the id of a transaction")
    encoded = transaction_id.removeprefix(_ID_PREFIX)
    text = urlsafe_b64decode(encoded + "=" * (-len(encoded) % 4)).decode()
    account_id, seq, operation_id = text.split(" ", 2)
    return account_id, int(seq), operation_id
