"""Finding calls that no living process will close."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any

from sqlalchemy import Engine, insert, or_, select, update

from aigne_hub.storage import schema
from aigne_hub.storage.catalogue import card_of
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.liveness import Liveness
from aigne_hub.usage.cleanup import StaleCall

# Calls closed in one go; the rest are found by the next round.
ROUND_MAX = 10_000
# A call of this very process that nobody works on is closed after this long.
FORGOTTEN_AFTER_US = 60 * 1_000_000


class Orphans:
    """usage.cleanup.StaleCalls over the database and who lives on it."""

    def __init__(
        self,
        engine: Engine,
        liveness: Liveness,
        process_id: str,
        *,
        open_here: Callable[[], Collection[str]],
        now_us: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._liveness = liveness
        self._process_id = process_id
        self._open_here = open_here
        self._now_us = now_us

    async def stale_calls(self) -> list[StaleCall]:
        """Return the calls that nobody will close.

        They are those of dead processes, those of this one that it has lost sight of, and
        those whose hold has expired.
        """
        now, here = self._now_us(), set(self._open_here())
        return [
            _stale(row, now)
            for row in await asyncio.to_thread(self._orphaned, now)
            if row.process_id != self._process_id
            or (row.id not in here and row.started_us <= now - FORGOTTEN_AFTER_US)
        ]

    def _orphaned(self, now: int) -> Sequence[Any]:
        """Return open calls of dead processes and of this one, and those held too long."""
        call, hold, rate = schema.model_call.c, schema.hold.c, schema.rate.c
        claim = schema.idempotency_key.c
        processing = call.status == "processing"
        with reading(self._engine) as connection:
            owners = set(
                connection.execute(select(call.process_id).where(processing).distinct()).scalars()
            )
        gone = {*self._liveness.dead(owners - {self._process_id}), self._process_id}
        with reading(self._engine) as connection:
            return connection.execute(
                select(
                    call.id,
                    call.account_id,
                    call.type,
                    call.model,
                    call.started_us,
                    call.input_counted,
                    call.delivered_tokens,
                    call.process_id,
                    call.counters,
                    call.tokens_reserved,
                    hold.amount,
                    hold.expires_us,
                    claim.call_id.label("claimed"),
                    rate.id.label("rate_id"),
                    rate.amounts,
                    rate.cost,
                )
                .join_from(schema.model_call, schema.hold, hold.call_id == call.id, isouter=True)
                .join(schema.rate, rate.id == call.rate_id, isouter=True)
                .join(schema.idempotency_key, claim.call_id == call.id, isouter=True)
                .where(processing, or_(call.process_id.in_(gone), hold.expires_us <= now))
                # Oldest first: what an earlier call releases pays for what a later one delivered.
                .order_by(call.id)
                .limit(ROUND_MAX)
            ).all()


def _stale(row: Any, now: int) -> StaleCall:
    return StaleCall(
        call_id=row.id,
        account_id=row.account_id,
        type=row.type,
        model=row.model,
        started_us=row.started_us,
        input_counted=row.input_counted,
        delivered_tokens=row.delivered_tokens or 0,
        held=row.amount,
        rates=card_of(row.rate_id, row.amounts),
        cost=card_of(row.rate_id, row.cost),
        counters=tuple(row.counters.split("\n")) if row.counters else (),
        tokens_reserved=row.tokens_reserved,
        claimed=row.claimed is not None,
        hold_expired=row.expires_us is not None and row.expires_us <= now,
    )


def register(engine: Engine, process_id: str, *, host: str, pid: int, now_us: int) -> None:
    with writing(engine) as connection:
        row = {"id": process_id, "host": host, "pid": pid, "started_us": now_us}
        connection.execute(insert(schema.process).values(row))


def deregister(engine: Engine, process_id: str, now_us: int) -> None:
    with writing(engine) as connection:
        ended = update(schema.process).where(schema.process.c.id == process_id)
        connection.execute(ended.values(ended_us=now_us))
