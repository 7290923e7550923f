"""Charging what programs meter: one event, one charge, however often it is reported.

The part of an event that the account cannot pay is not posted, so no balance falls below its
overdraft limit and nothing is written off. It stays pending on the event, and is taken from
the credit the account gets next: by the grant itself, and by `collect_due` when a hold was
released or a grant became effective.
"""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, exists, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from aigne_hub.domain.errors import Conflict
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.transfers import Transfer
from aigne_hub.storage import accounts, schema

IDENTIFIER_MAX = 255
# Pending events that one transaction takes from an account, so that calls never wait long.
COLLECT_MAX = 1_000
# Accounts that one run of `collect_due` looks at.
COLLECT_ACCOUNTS = 100

_EVENT = schema.metered_event.c
_TRANSFER = schema.transfer.c


@dataclass(frozen=True, slots=True)
class Usage:
    """What a program reports. `value` is nano-credits, `timestamp` Unix seconds."""

    identifier: str
    meter_id: str
    account_id: str
    value: int
    timestamp: int
    created_by: str
    subscription_id: str | None = None
    metadata: Mapping[str, Any] | None = None
    source_data: object = None


def record(connection: Connection, now_us: int, ids: Callable[[], str], usage: Usage) -> str:
    """Charge reported usage and return the id of its event.

    The same identifier again changes nothing and returns the same id. Raises Conflict when
    it came with another meter, customer, value or subscription, or is a call's, and NotFound
    when there is no such account. The meter exists.
    """
    if _is_of_a_call(connection, usage.identifier):
        raise Conflict(f"{usage.identifier[:80]!r} identifies a call of this hub.")
    # The account before anything that refers to it, or two reporters could block each other.
    account = accounts.load(connection, usage.account_id, lock=True)
    event_id = ids()
    try:
        with connection.begin_nested():
            connection.execute(insert(schema.metered_event).values(_row(event_id, usage, now_us)))
    except IntegrityError:
        return _same(connection, usage)
    transfers = account.advance(now_us)
    transfers += collect(connection, account, now_us)
    accounts.save(connection, account, transfers)
    return event_id


def collect(connection: Connection, account: Account, now_us: int) -> list[Transfer]:
    """Take what is pending from a locked account, oldest first; its caller saves the account."""
    transfers: list[Transfer] = []
    if account.available <= 0:
        return transfers
    pending = connection.execute(
        select(_EVENT.id, _EVENT.identifier, _EVENT.value, _EVENT.pending)
        .where(_EVENT.account_id == account.id, _EVENT.pending > 0)
        .order_by(_EVENT.id)
        .limit(COLLECT_MAX)
    ).all()
    for event in pending:
        if account.available <= 0:
            break
        operation = operation_of(event.identifier)
        # Nothing is taken of most events before; then they have no transfer yet.
        begun = event.pending < event.value
        taken = account.meter(
            operation,
            event.pending,
            now_us,
            seq=_transfers_of(connection, account.id, operation) if begun else 0,
        )
        amount = sum(transfer.amount for transfer in taken)
        connection.execute(
            update(schema.metered_event)
            .where(_EVENT.id == event.id)
            .values(pending=event.pending - amount)
        )
        transfers += taken
    return transfers


def collect_due(connection: Connection, now_us: int) -> int:
    """Take what is pending from accounts that can pay by now; return how many transfers.

    Run it again until it returns 0.
    """
    table = schema.account.c
    owing = exists().where(_EVENT.account_id == table.id, _EVENT.pending > 0)
    able = connection.execute(
        select(table.id)
        .where(table.balance - table.held + table.overdraft > 0, owing)
        .order_by(table.id)
        .limit(COLLECT_ACCOUNTS)
    ).scalars()
    posted = 0
    for account_id in able.all():
        account = accounts.load(connection, account_id, lock=True)
        transfers = account.advance(now_us)
        transfers += collect(connection, account, now_us)
        accounts.save(connection, account, transfers)
        posted += len(transfers)
    return posted


def pending_of(connection: Connection, account_id: str) -> int:
    """Return how much an account was metered beyond what it could pay."""
    total = connection.execute(
        select(func.coalesce(func.sum(_EVENT.pending), 0)).where(
            _EVENT.account_id == account_id, _EVENT.pending > 0
        )
    ).scalar_one()
    return int(total)


def operation_of(identifier: str) -> str:
    """Return the ledger operation that charges an event."""
    return f"meter/{identifier}"


def _is_of_a_call(connection: Connection, identifier: str) -> bool:
    table = schema.meter_event.c
    row = connection.execute(select(table.call_id).where(table.call_id == identifier)).first()
    return row is not None


def _row(event_id: str, usage: Usage, now_us: int) -> dict[str, object]:
    source = usage.source_data
    return {
        "id": event_id,
        "identifier": usage.identifier,
        "meter_id": usage.meter_id,
        "account_id": usage.account_id,
        "value": usage.value,
        "pending": usage.value,
        "timestamp": usage.timestamp,
        "subscription_id": usage.subscription_id,
        "metadata": json.dumps(usage.metadata or {}),
        "source_data": None if source is None else json.dumps(source),
        "created_by": usage.created_by,
        "created_us": now_us,
    }


def _same(connection: Connection, usage: Usage) -> str:
    event = connection.execute(
        select(schema.metered_event).where(_EVENT.identifier == usage.identifier)
    ).one()
    if _payload(event) != _payload(usage):
        raise Conflict(
            f"The meter event {usage.identifier[:80]!r} was reported before with another payload."
        )
    event_id: str = event.id
    return event_id


def _payload(event: Row[Any] | Usage) -> tuple[object, ...]:
    return event.meter_id, event.account_id, event.value, event.subscription_id


def _transfers_of(connection: Connection, account_id: str, operation: str) -> int:
    count: int = connection.execute(
        select(func.count())
        .select_from(schema.transfer)
        .where(_TRANSFER.account_id == account_id, _TRANSFER.operation_id == operation)
    ).scalar_one()
    return count
