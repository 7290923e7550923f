"""The ledger's invariants looked at every hour, by one process of all, while the hub serves."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, Engine, insert, select, update

from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.instants import format_instant
from aigne_hub.ports import Clock
from aigne_hub.storage import jobs, schema
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.verify import Check, verify

EVERY_US = 3600 * 1_000_000
# A large ledger takes its time; nobody else begins meanwhile.
LASTS_US = EVERY_US // 2
JOB = "ledger verify"
_DAY_CHARS = len("2026-01-31")


@dataclass(frozen=True, slots=True)
class State:
    """When the invariants were looked at last, and how many were broken; None for never."""

    last_us: int | None
    broken: int | None

    def due(self, now_us: int) -> bool:
        return self.last_us is None or self.last_us <= now_us - EVERY_US


def state(engine: Engine) -> State:
    table = schema.job.c
    with reading(engine) as connection:
        row = connection.execute(
            select(table.last_run_us, table.found).where(table.name == JOB)
        ).one_or_none()
    return State(None, None) if row is None else State(row.last_run_us, row.found)


def inspect(engine: Engine, clock: Clock, holder: str) -> list[Check] | None:
    """Check every invariant and return those that are broken; None when it is not one's turn.

    Each broken one is an event once a day.
    """
    with jobs.lease(engine, clock, JOB, holder, EVERY_US, LASTS_US) as mine:
        if not mine:
            return None
        with reading(engine) as connection:
            broken = [check for check in verify(connection) if not check.ok]
        with writing(engine) as connection:
            table = schema.job
            connection.execute(update(table).where(table.c.name == JOB).values(found=len(broken)))
            for check in broken:
                _tell(connection, check, clock.now_us())
    return broken


def _tell(connection: Connection, check: Check, now_us: int) -> None:
    event = schema.event
    day = format_instant(now_us)[:_DAY_CHARS]
    name = event_id(EventType.LEDGER_VIOLATION, check.name, day)
    if connection.execute(select(event.c.id).where(event.c.id == name)).first() is None:
        connection.execute(
            insert(event).values(
                id=name,
                type=EventType.LEDGER_VIOLATION.value,
                payload=json.dumps({"check": check.name, "detail": check.detail}),
                created_us=now_us,
            )
        )
