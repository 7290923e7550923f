"""Asking a second candidate when the first takes unusually long: one wins, one is charged for.

The other one is stopped; what its provider may charge for it is a cost of the operator's.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.operations import Attempt, Reason
from aigne_hub.gateway.attempt import Result, Streaming, Whole
from aigne_hub.gateway.attempts import ANSWERS, FINAL, Tries
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.router import Ways

OUTRUN = "Another upstream answered sooner."


class Leg:
    """One of two attempts for one exchange: it can be stopped while the other goes on."""

    def __init__(self, exchange: Exchange, candidate: Candidate) -> None:
        self._exchange = exchange
        self.candidate = candidate
        self.is_dropped = False
        self.on_disconnect: Callable[[], Any] | None = None
        self.task: asyncio.Task[tuple[Attempt, Result]]

    @property
    def disconnected(self) -> bool:
        return self.is_dropped or self._exchange.disconnected

    @property
    def interrupted(self) -> bool:
        return self._exchange.interrupted

    def lines(self, names: tuple[bytes, ...]) -> bytes:
        return self._exchange.lines(names)

    def wake(self) -> None:
        """Have a wait see that the answer may not be wanted any more."""
        if self.on_disconnect is not None:
            self.on_disconnect()

    def drop(self) -> None:
        self.is_dropped = True
        self.wake()


class HedgedTries(Tries):
    """Tries of which the first two may run side by side."""

    async def first_answer(self, ways: Ways) -> Whole | Streaming:
        """Return the first good answer, as Tries does."""
        candidates = iter(ways)
        legs: list[Leg] = []

        def wake() -> None:
            for leg in legs:
                leg.wake()

        self.exchange.on_disconnect = wake
        try:
            first = next(candidates)
            legs.append(self._leg(ways, first, self.reason(first)))
            await self._wait(ways, legs[0])
            if not legs[0].task.done() and self.may_go_on(ways):
                second = next(candidates, None)
                if second is not None:
                    reason = self.reason(second)
                    is_probe = reason is Reason.PROBE
                    legs.append(self._leg(ways, second, reason if is_probe else Reason.HEDGE))
            found = await self._winner(ways, legs)
        finally:
            self.exchange.on_disconnect = None
            for leg in legs:
                leg.drop()
        return found or await self.search(ways, candidates)

    def _leg(self, ways: Ways, candidate: Candidate, reason: Reason) -> Leg:
        leg = Leg(self.exchange, candidate)
        asking = self.ask(leg, ways, candidate, reason)
        leg.task = asyncio.get_running_loop().create_task(asking)
        return leg

    async def _wait(self, ways: Ways, leg: Leg) -> None:
        """Wait as long as an answer usually takes; for ever when that is not known."""
        percentile = self.plane.settings.routing.hedge_percentile
        usual_us = None if percentile is None else ways.latencies.percentile(percentile)
        await asyncio.wait({leg.task}, timeout=None if usual_us is None else usual_us / 1e6)

    async def _winner(self, ways: Ways, legs: list[Leg]) -> Whole | Streaming | None:
        """Return the first good answer of the legs, None when all failed."""
        pending = list(legs)
        while pending:
            tasks = {leg.task for leg in pending}
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            ended = next(leg for leg in pending if leg.task.done())
            pending.remove(ended)
            record, result = ended.task.result()
            if isinstance(result, (*ANSWERS, *FINAL)):
                for other in pending:
                    await self._outrun(ways, other)
                pending.clear()
            if isinstance(result, ANSWERS):
                ways.latencies.observe(record.duration_us)
            found = self.noted(ways, ended.candidate, record, result)
            if found is not None:
                return found
        return None

    async def _outrun(self, ways: Ways, leg: Leg) -> None:
        """Stop a leg that lost, and put it on record with what its provider may charge."""
        leg.drop()
        record, result = await leg.task
        if isinstance(result, HubError) and not isinstance(result, FINAL):
            # It had failed by itself, which counts against it.
            self.noted(ways, leg.candidate, record, result)
            return
        card = leg.candidate.model.cost
        cost = self.cost(leg.candidate, None)
        if isinstance(result, Streaming):
            result.answer.close()
        elif isinstance(result, Whole) and result.usage is not None and card is not None:
            cost = card.cost(result.usage)
        self.call.attempts.append(record._replace(error=OUTRUN, cost=cost))
        if not ways.is_single:
            leg.candidate.load.outstanding -= 1
