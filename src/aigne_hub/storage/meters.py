"""Meters: what may be metered, by the name its events carry."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, or_, select, update

from aigne_hub.billing.credits import METER
from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import lists, schema
from aigne_hub.storage.changes import Changes

# The meter of the hub's own calls, as AIGNE's programs look for it.
OWN_EVENT_NAME = "agent-hub-ai-meter"
OWN_UNIT = "AIGNE Hub Credits"

_METER = schema.meter.c


@dataclass(frozen=True, slots=True)
class Meter:
    id: str
    event_name: str
    name: str
    unit: str
    description: str
    active: bool
    metadata: Mapping[str, Any]
    created_us: int
    updated_us: int


def create(
    change: Changes,
    *,
    event_name: str,
    name: str,
    unit: str,
    description: str = "",
    metadata: Mapping[str, Any] | None = None,
) -> Meter:
    """Make a meter. Raises Conflict when its event name is taken."""
    if _found(change.connection, event_name) is not None:
        raise Conflict(f"There is a meter for {event_name[:80]!r} already.")
    now = change.clock.now_us()
    made = Meter(
        id=change.ids(),
        event_name=event_name,
        name=name,
        unit=unit,
        description=description,
        active=True,
        metadata=dict(metadata or {}),
        created_us=now,
        updated_us=now,
    )
    change.connection.execute(
        insert(schema.meter).values(
            id=made.id,
            event_name=event_name,
            name=name,
            unit=unit,
            description=description,
            metadata=json.dumps(made.metadata),
            created_us=now,
            updated_us=now,
        )
    )
    change.audit("meter.create", made.id, {"event_name": event_name})
    return made


def find(connection: Connection, name: str) -> Meter:
    """Return the meter with this id or event name. Raises NotFound."""
    found = _found(connection, name)
    if found is None:
        raise NotFound(f"There is no meter {name[:80]!r}.")
    return found


def change_meter(
    change: Changes, meter: Meter, values: Mapping[str, Any], *, active: bool | None = None
) -> Meter:
    """Give a meter other values of `name`, `unit`, `description` and `metadata`."""
    stored = dict(values)
    if "metadata" in stored:
        stored["metadata"] = json.dumps(stored["metadata"])
    if active is not None:
        stored["status"] = "active" if active else "inactive"
    change.connection.execute(
        update(schema.meter)
        .where(_METER.id == meter.id)
        .values(updated_us=change.clock.now_us(), **stored)
    )
    change.audit("meter.update", meter.id, {"changed": sorted(stored)})
    return find(change.connection, meter.id)


def listed(
    connection: Connection, *, event_name: str | None, search: str | None, offset: int, limit: int
) -> tuple[int, list[Meter]]:
    """Return how many meters match and a page of them, newest first."""
    query = select(schema.meter)
    if event_name is not None:
        query = query.where(_METER.event_name == event_name)
    if search:
        query = query.where(
            or_(
                _METER.event_name.icontains(search, autoescape=True),
                _METER.name.icontains(search, autoescape=True),
            )
        )
    count, rows = lists.paged(connection, query, _METER.id.desc(), offset=offset, limit=limit)
    return count, [_meter(row) for row in rows]


def by_id(connection: Connection) -> dict[str, Meter]:
    """Return every meter by its id; there are few."""
    return {row.id: _meter(row) for row in connection.execute(select(schema.meter))}


def ensure_own(change: Changes) -> None:
    """Make the meter of the hub's own calls unless there is one."""
    if _found(change.connection, OWN_EVENT_NAME) is None:
        create(change, event_name=OWN_EVENT_NAME, name=METER, unit=OWN_UNIT, description=METER)


def _found(connection: Connection, name: str) -> Meter | None:
    row = lists.named(connection, schema.meter, "event_name", name)
    return None if row is None else _meter(row)


def _meter(row: Row[Any]) -> Meter:
    return Meter(
        id=row.id,
        event_name=row.event_name,
        name=row.name,
        unit=row.unit,
        description=row.description,
        active=row.status == "active",
        metadata=json.loads(row.metadata),
        created_us=row.created_us,
        updated_us=row.updated_us,
    )
