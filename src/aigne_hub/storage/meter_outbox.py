"""Meter events of calls on their way to Payment Kit: which wait, and what came of them.

Used by one process at a time (`storage.liveness`). An event waits until its delivery is
recorded, so it is offered again after a crash: at least once, under the same identifier.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Engine, delete, func, insert, or_, select, update

from aigne_hub.domain.events import RETRY_DELAYS_S
from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.engine import reading, writing

ERROR_MAX = 300
_SECOND_US = 1_000_000

_EVENT = schema.meter_event.c
_DELIVERY = schema.meter_delivery.c


@dataclass(frozen=True, slots=True)
class Waiting:
    """A call that was paid for: `value` nano-credits, by the user of `did`, at `timestamp`."""

    call_id: str
    did: str
    value: int
    timestamp: int


class MeterOutbox:
    """The database's part of delivering. Every method waits for it: call it in a thread."""

    def __init__(self, engine: Engine, clock: Clock) -> None:
        self._engine = engine
        self._clock = clock

    def due(self, limit: int) -> list[Waiting]:
        """Return the oldest events to deliver now."""
        hold, user = schema.hold.c, schema.user.c
        with reading(self._engine) as connection:
            rows = connection.execute(
                select(_EVENT.call_id, user.did, hold.captured, _EVENT.created_us)
                .join_from(schema.meter_event, schema.hold, hold.call_id == _EVENT.call_id)
                .join(schema.user, user.id == _EVENT.account_id)
                .outerjoin(schema.meter_delivery, _DELIVERY.call_id == _EVENT.call_id)
                .where(_waits(), or_(_DELIVERY.due_us.is_(None), _DELIVERY.due_us <= self._now()))
                .order_by(_EVENT.call_id)
                .limit(limit)
            ).all()
        return [
            Waiting(row.call_id, row.did, row.captured or 0, row.created_us // _SECOND_US)
            for row in rows
        ]

    def waiting(self) -> int:
        """Return how many events wait, those that were refused included."""
        with reading(self._engine) as connection:
            count: int = connection.execute(
                select(func.count()).select_from(schema.meter_event).where(_waits())
            ).scalar_one()
        return count

    def delivered(self, call_ids: Sequence[str]) -> None:
        """Note that events were taken; noting it again changes nothing."""
        with writing(self._engine) as connection:
            connection.execute(
                update(schema.meter_event)
                .where(_EVENT.call_id.in_(call_ids), _waits())
                .values(delivered_us=self._now())
            )
            connection.execute(delete(schema.meter_delivery).where(_DELIVERY.call_id.in_(call_ids)))

    def refused(self, call_id: str, error: str) -> int:
        """Note that an event was not taken; return how often by now.

        It is offered again after 5 seconds, then less and less often, at last once a day.
        """
        with writing(self._engine) as connection:
            known = connection.execute(
                select(_DELIVERY.attempts).where(_DELIVERY.call_id == call_id)
            ).scalar_one_or_none()
            attempts = (known or 0) + 1
            delay_s = RETRY_DELAYS_S[min(attempts, len(RETRY_DELAYS_S)) - 1]
            values = {
                "attempts": attempts,
                "due_us": self._now() + delay_s * _SECOND_US,
                "error": error[:ERROR_MAX],
            }
            if known is None:
                connection.execute(insert(schema.meter_delivery).values(call_id=call_id, **values))
            else:
                connection.execute(
                    update(schema.meter_delivery)
                    .where(_DELIVERY.call_id == call_id)
                    .values(**values)
                )
        return attempts

    def _now(self) -> int:
        return self._clock.now_us()


def _waits() -> ColumnElement[bool]:
    return _EVENT.delivered_us.is_(None)
