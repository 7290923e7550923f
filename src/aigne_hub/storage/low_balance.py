"""Telling users, once each time, that what they can spend fell below a threshold.

Looked for from time to time: no call pays for it. What calls under way hold does not count,
because most of it comes back: an account is low when it has been spent, not when it is busy.
"""

import json
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Engine,
    Row,
    Select,
    case,
    delete,
    func,
    insert,
    literal,
    null,
    select,
    update,
)

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.money import AMOUNT_MAX, format_credits
from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import reading, writing

INTERVAL_S = 10.0
THRESHOLDS_MAX = 8
# Accounts that one transaction looks at again and writes.
BATCH = 500

_ACCOUNT, _LOW = schema.account.c, schema.low_balance.c
_OWN, _GRANT = schema.low_balance_threshold.c, schema.credit_grant.c
# A threshold of its own that no account can be below: the account wants to hear nothing.
_NEVER = 0


def thresholds(connection: Connection, account_id: str) -> tuple[int, ...] | None:
    """Return an account's own thresholds, highest first; None when the hub's are in force."""
    found = connection.execute(
        select(_OWN.amount).where(_OWN.account_id == account_id).order_by(_OWN.amount.desc())
    ).scalars()
    own = tuple(found)
    return tuple(amount for amount in own if amount != _NEVER) if own else None


def set_thresholds(change: Changes, account_id: str, amounts: Collection[int] | None) -> None:
    """Give an account thresholds of its own; none to tell it nothing, None for the hub's.

    Raises InvalidRequest.
    """
    wanted = None if amounts is None else sorted(set(amounts), reverse=True)
    if wanted is not None and (
        len(wanted) > THRESHOLDS_MAX or any(not 0 < amount <= AMOUNT_MAX for amount in wanted)
    ):
        raise InvalidRequest(
            f"Give at most {THRESHOLDS_MAX} thresholds, each more than 0.", param="low_balance"
        )
    connection = change.connection
    connection.execute(delete(schema.low_balance_threshold).where(_OWN.account_id == account_id))
    if wanted is not None:
        rows = [{"account_id": account_id, "amount": amount} for amount in wanted or [_NEVER]]
        connection.execute(insert(schema.low_balance_threshold), rows)
    change.audit("credits.alerts", account_id, {"low_balance": wanted})


def wanted(engine: Engine, hub_thresholds: Sequence[int]) -> bool:
    """Tell whether there is any threshold at all."""
    if hub_thresholds:
        return True
    with reading(engine) as connection:
        return connection.execute(select(_OWN.account_id).limit(1)).first() is not None


def tell(
    engine: Engine, clock: Clock, ids: Callable[[], str], hub_thresholds: Sequence[int]
) -> int:
    """Note every account that crossed a threshold; return how many events that made.

    One that rose again is told anew the next time it falls. Only one process may run it.
    """
    events = 0
    crossing = _moved(hub_thresholds)
    while True:
        with reading(engine) as connection:
            moved = [row.id for row in connection.execute(crossing.limit(BATCH))]
        if not moved:
            return events
        with writing(engine) as connection:
            for row in connection.execute(crossing.where(_ACCOUNT.id.in_(moved))).all():
                events += _told(connection, row, clock.now_us(), ids)


def _moved(hub_thresholds: Sequence[int]) -> Select[Any]:
    """Select the accounts whose lowest threshold above them is not the one they were told."""
    spendable = _ACCOUNT.balance + _ACCOUNT.overdraft
    own = (
        select(func.min(_OWN.amount))
        .where(_OWN.account_id == _ACCOUNT.id, _OWN.amount > spendable)
        .correlate(schema.account)
        .scalar_subquery()
    )
    has_own = select(_OWN.amount).where(_OWN.account_id == _ACCOUNT.id).exists()
    below: ColumnElement[Any] = case((has_own, own), else_=_lowest(hub_thresholds, spendable))
    ever_granted = (
        select(func.coalesce(func.sum(_GRANT.amount), 0))
        .where(_GRANT.account_id == _ACCOUNT.id, _GRANT.posted)
        .correlate(schema.account)
        .scalar_subquery()
    )
    return (
        select(
            _ACCOUNT.id,
            spendable.label("spendable"),
            below.label("below"),
            _LOW.account_id.label("known"),
            _LOW.told,
            (ever_granted + _ACCOUNT.overdraft).label("ever"),
        )
        .join_from(schema.account, schema.low_balance, _LOW.account_id == _ACCOUNT.id, isouter=True)
        .where(below.is_distinct_from(_LOW.told))
        .order_by(_ACCOUNT.id)
    )


def _lowest(thresholds: Sequence[int], spendable: ColumnElement[int]) -> ColumnElement[Any]:
    whens = [
        (spendable < amount, literal(amount, BigInteger)) for amount in sorted(set(thresholds))
    ]
    return case(*whens, else_=null()) if whens else null()


def _told(connection: Connection, row: Row[Any], now_us: int, ids: Callable[[], str]) -> int:
    """Remember where an account is now; return 1 if that is worth an event, else 0."""
    if row.known is None:
        connection.execute(insert(schema.low_balance).values(account_id=row.id, told=row.below))
    else:
        connection.execute(
            update(schema.low_balance).where(_LOW.account_id == row.id).values(told=row.below)
        )
    fell = row.below is not None and (row.told is None or row.below < row.told)
    # One that never had so much did not fall below it.
    if not fell or (row.known is None and row.ever < row.below):
        return 0
    payload = {"threshold": format_credits(row.below), "available": format_credits(row.spendable)}
    connection.execute(
        insert(schema.event).values(
            id=event_id(EventType.CREDITS_LOW, row.id, ids()),
            type=EventType.CREDITS_LOW.value,
            account_id=row.id,
            payload=json.dumps(payload),
            created_us=now_us,
        )
    )
    return 1
