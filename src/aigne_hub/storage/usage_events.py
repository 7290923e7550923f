"""What was metered, whoever did: the hub's own calls, and what programs reported.

Both are told as events of meters, newest first by id: ids of both are time-ordered.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from heapq import merge
from itertools import islice
from typing import Any

from sqlalchemy import Connection, Select, and_, func, or_, select

from aigne_hub.storage import lists, schema

_CALL = schema.meter_event.c
_EVENT = schema.metered_event.c
_SECOND_US = 1_000_000


@dataclass(frozen=True, slots=True)
class UsageEvent:
    """One metered event. Amounts are nano-credits, `timestamp` Unix seconds.

    `consumed` was charged to the account; `pending` is still to be. `meter_id` is None for a
    call of the hub, whose `id` and `identifier` are the call's id.
    """

    id: str
    identifier: str
    meter_id: str | None
    account_id: str
    value: int
    consumed: int
    pending: int
    timestamp: int
    created_us: int
    subscription_id: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)
    source_data: object = None
    created_by: str | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which events: of one account, of calls or one meter, used from `start` to `end` (seconds).

    `meter_id` None with `calls` means every meter. `search` is a part of an identifier.
    """

    account_id: str | None = None
    meter_id: str | None = None
    calls: bool = True
    start: int | None = None
    end: int | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Bucket:
    """The events of one interval, which begins at `start` (Unix seconds)."""

    start: int
    count: int
    value: int


def page(
    connection: Connection, wanted: Filter, *, offset: int, limit: int
) -> tuple[int, list[UsageEvent]]:
    """Return how many events match, and those from `offset` on, newest first."""
    count = 0
    sources = []
    if wanted.calls:
        calls = _calls(wanted)
        count += lists.counted(connection, calls)
        newest = calls.order_by(_CALL.call_id.desc()).limit(offset + limit)
        sources.append([_of_call(row) for row in connection.execute(newest)])
    programs = _programs(wanted)
    count += lists.counted(connection, programs)
    newest = programs.order_by(_EVENT.id.desc()).limit(offset + limit)
    sources.append([_of_program(row) for row in connection.execute(newest)])
    merged = merge(*sources, key=lambda event: event.id, reverse=True)
    return count, list(islice(merged, offset, offset + limit))


def find(connection: Connection, event_id: str) -> UsageEvent | None:
    """Return the event with this id."""
    programs = _programs(Filter()).where(_EVENT.id == event_id)
    row = connection.execute(programs).one_or_none()
    if row is not None:
        return _of_program(row)
    row = connection.execute(_calls(Filter()).where(_CALL.call_id == event_id)).one_or_none()
    return None if row is None else _of_call(row)


def buckets(connection: Connection, wanted: Filter, seconds: int) -> list[Bucket]:
    """Return the events that match by intervals of `seconds`, empty ones left out, in order."""
    found: dict[int, Bucket] = {}
    of_programs = _programs(wanted).subquery()
    queries = [
        select(
            (of_programs.c.timestamp // seconds).label("bucket"),
            func.count().label("count"),
            func.sum(of_programs.c.value).label("value"),
        ).group_by("bucket")
    ]
    if wanted.calls:
        of_calls = _calls(wanted).subquery()
        queries.append(
            select(
                (of_calls.c.created_us // (seconds * _SECOND_US)).label("bucket"),
                func.count().label("count"),
                func.sum(of_calls.c.value).label("value"),
            ).group_by("bucket")
        )
    for query in queries:
        for row in connection.execute(query):
            start = int(row.bucket) * seconds
            known = found.get(start, Bucket(start, 0, 0))
            # A row has a method called count.
            found[start] = Bucket(start, known.count + row[1], known.value + int(row.value))
    return [found[start] for start in sorted(found)]


def _calls(wanted: Filter) -> Select[Any]:
    """Select the meter events of calls that cost something."""
    hold = schema.hold.c
    query = (
        select(schema.meter_event, hold.captured)
        .join_from(schema.meter_event, schema.hold, hold.call_id == _CALL.call_id)
        .where(_CALL.value > 0)
    )
    if wanted.account_id is not None:
        # The account leads the key of its transfers, which are never deleted; the meter's
        # outbox has no such index, for it is written with every call.
        first = schema.transfer.c
        query = query.join(
            schema.transfer,
            and_(first.operation_id == _CALL.call_id, first.seq == 0),
        ).where(first.account_id == wanted.account_id)
    if wanted.start is not None:
        query = query.where(_CALL.created_us >= wanted.start * _SECOND_US)
    if wanted.end is not None:
        query = query.where(_CALL.created_us < (wanted.end + 1) * _SECOND_US)
    if wanted.search:
        query = query.where(_CALL.call_id == wanted.search)
    return query


def _programs(wanted: Filter) -> Select[Any]:
    query = select(schema.metered_event)
    if wanted.account_id is not None:
        query = query.where(_EVENT.account_id == wanted.account_id)
    if wanted.meter_id is not None:
        query = query.where(_EVENT.meter_id == wanted.meter_id)
    if wanted.start is not None:
        query = query.where(_EVENT.timestamp >= wanted.start)
    if wanted.end is not None:
        query = query.where(_EVENT.timestamp <= wanted.end)
    if wanted.search:
        query = query.where(
            or_(
                _EVENT.id == wanted.search,
                _EVENT.identifier.icontains(wanted.search, autoescape=True),
            )
        )
    return query


def _of_call(row: Any) -> UsageEvent:
    return UsageEvent(
        id=row.call_id,
        identifier=row.call_id,
        meter_id=None,
        account_id=row.account_id,
        value=row.value,
        consumed=row.captured or 0,
        pending=0,
        timestamp=row.created_us // _SECOND_US,
        created_us=row.created_us,
    )


def _of_program(row: Any) -> UsageEvent:
    return UsageEvent(
        id=row.id,
        identifier=row.identifier,
        meter_id=row.meter_id,
        account_id=row.account_id,
        value=row.value,
        consumed=row.value - row.pending,
        pending=row.pending,
        timestamp=row.timestamp,
        created_us=row.created_us,
        subscription_id=row.subscription_id,
        metadata=json.loads(row.metadata),
        source_data=None if row.source_data is None else json.loads(row.source_data),
        created_by=row.created_by,
    )
