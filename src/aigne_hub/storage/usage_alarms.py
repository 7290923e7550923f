"""What was strange in providers' reports of usage, put into the outbox of events once each."""

import json
from typing import Any

from sqlalchemy import Engine, insert, select

from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.usage import UsageAlarm
from aigne_hub.storage import schema
from aigne_hub.storage.engine import writing

DAY_US = 86_400_000_000

_EVENT = schema.event.c


def record(engine: Engine, alarms: list[UsageAlarm]) -> None:
    """Note alarms as events; one that any process has noted before stays as it was.

    A field is news once for each provider; a refused report once for each provider and day.
    """
    rows = {row["id"]: row for row in map(_row, reversed(alarms))}
    with writing(engine) as connection:
        # Whoever else notes an alarm waits here until this one is seen.
        connection.execute(select(schema.hub_state.c.version).with_for_update())
        known = set(connection.execute(select(_EVENT.id).where(_EVENT.id.in_(rows))).scalars())
        new = [row for name, row in rows.items() if name not in known]
        if new:
            connection.execute(insert(schema.event), new)


def _row(alarm: UsageAlarm) -> dict[str, Any]:
    found = {"provider": alarm.provider, "model": alarm.model, "call_id": alarm.call_id}
    if alarm.field is not None:
        kind, what, told = EventType.USAGE_UNKNOWN_FIELD, alarm.field, {"field": alarm.field}
    else:
        kind, what = EventType.USAGE_REFUSED, str(alarm.at_us // DAY_US)
        told = {"reason": str(alarm.reason)}
    return {
        "id": event_id(kind, alarm.provider, what),
        "type": kind.value,
        "account_id": None,
        "payload": json.dumps({**found, **told}),
        "created_us": alarm.at_us,
    }
