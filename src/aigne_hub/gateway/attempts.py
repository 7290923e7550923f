"""Trying candidates until one answers: failover before the first byte, never after.

Each try after the first is taken out of the model's retry budget, so that a failure of all
is not multiplied; an upstream that was asked and may have worked without answering is a
cost of the operator's, never of the caller's.
"""

import asyncio
from collections.abc import Coroutine, Iterator
from typing import Any, Final

from aigne_hub.domain.errors import (
    HubError,
    Overloaded,
    RateLimited,
    UpstreamRefusal,
)
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.operations import Attempt, Reason
from aigne_hub.domain.retry_budget import backoff_s
from aigne_hub.gateway.attempt import (
    SHUTTING_DOWN,
    Limit,
    Result,
    Streaming,
    Waiting,
    Whole,
    attempt,
)
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Ask, Dialect
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.plane import Plane
from aigne_hub.gateway.router import Ways
from aigne_hub.gateway.translate import translated
from aigne_hub.usage.tracker import CallTracker

# After these the upstream may have done the work, and charges for it.
_MAY_HAVE_WORKED = frozenset({Fault.TIMED_OUT, Fault.BROKEN})
# What another try of the same upstream may mend, a moment later.
_PASSING = frozenset({Fault.UNREACHABLE, Fault.BROKEN, Fault.OVERLOADED})

# Looking a member up in its class costs more in Python 3.11 than comparing it.
_CHOSEN = Reason.CHOSEN
ANSWERS: Final = (Whole, Streaming)
# What no other candidate would mend.
FINAL: Final = (ClientGone, UpstreamRefusal, Overloaded)


class Tries:
    """The tries of one call. `lowered` is the output limit that credit imposes."""

    __slots__ = (
        "_ask",
        "_attempt_s",
        "_dialect",
        "_errors",
        "_lowered",
        "call",
        "exchange",
        "plane",
    )

    def __init__(
        self,
        plane: Plane,
        exchange: Exchange,
        dialect: Dialect,
        ask: Ask,
        call: CallTracker,
        lowered: int | None,
    ) -> None:
        self.plane = plane
        self.exchange = exchange
        self._dialect = dialect
        self._ask = ask
        self.call = call
        self._lowered = lowered
        self._attempt_s = plane.settings.routing.attempt_s
        self._errors: list[HubError] = []

    def first_answer(self, ways: Ways) -> Coroutine[Any, Any, Whole | Streaming]:
        """Return the first good answer; raises the best error when no candidate gave one.

        Every try is recorded on the call. Raises ClientGone when the caller left meanwhile.
        """
        return self.search(ways, iter(ways))

    async def search(self, ways: Ways, candidates: Iterator[Candidate]) -> Whole | Streaming:
        """Ask those of `ways` that are left, one after the other."""
        exchange, candidate = self.exchange, None
        for candidate in candidates:
            if self._errors and not self.may_go_on(ways):
                raise self._best()
            reason = self.reason(candidate)
            record, result = await self.ask(exchange, ways, candidate, reason)
            found = self.noted(ways, candidate, record, result)
            if found is not None:
                return found
        found = None if candidate is None else await self._again(ways, candidate)
        if found is not None:
            return found
        raise self._limited(ways) or self._best()

    def _best(self) -> HubError:
        """Return the error the caller is told: that it asks too often, where that is one."""
        limited = (error for error in self._errors if isinstance(error, RateLimited))
        return next(limited, self._errors[-1])

    def _limited(self, ways: Ways) -> RateLimited | None:
        """Return when to come back, where candidates were passed over that are limited still."""
        now_us = self.plane.clock.now_us()
        asked = {(one.model, one.credential) for one in self.call.attempts}
        waits = [
            one.targets.throttled_us(now_us)
            for one in ways.candidates
            if (one.model.ref, one.credential) not in asked
        ]
        wait_us = min((wait for wait in waits if wait), default=0)
        if not wait_us or any(isinstance(error, RateLimited) for error in self._errors):
            return None
        return RateLimited(
            "The upstreams that could serve this are limiting requests.",
            retry_after_s=-(-wait_us // 1_000_000),
        )

    async def _again(self, ways: Ways, last: Candidate) -> Whole | Streaming | None:
        """Ask the last candidate again, as often as the operator wants it, a moment later."""
        plane = self.plane
        for tries in range(1, plane.settings.routing.retries + 1):
            if self._errors[-1].fault not in _PASSING or not self.may_go_on(ways):
                return None
            await self._pause(backoff_s(tries, plane.draw()))
            record, result = await self.ask(self.exchange, ways, last, Reason.RETRY)
            found = self.noted(ways, last, record, result)
            if found is not None:
                return found
        return None

    async def _pause(self, seconds: float) -> None:
        """Wait; a caller that leaves ends it."""
        limit = Limit(self.exchange, seconds)
        ended = asyncio.get_running_loop().create_future()
        self.exchange.on_disconnect = lambda: None if ended.done() else ended.set_result(None)
        try:
            await ended
        finally:
            self.exchange.on_disconnect = None
            limit.cancel()

    def may_go_on(self, ways: Ways) -> bool:
        """Tell whether another try may be made: in number, in time, of the model's budget."""
        rules, call = self.plane.settings.routing, self.call
        if len(call.attempts) >= rules.attempts or call.elapsed_us() >= rules.within_s * 1_000_000:
            return False
        return ways.budget.take(self.plane.clock.monotonic_us())

    def reason(self, candidate: Candidate) -> Reason:
        """Return why a candidate is asked now; a permitted probe is this call from here on."""
        if self.plane.board.troubled:
            if self.plane.board.take_permit(candidate.targets):
                return Reason.PROBE
            if candidate.targets.is_barred:
                return Reason.LAST_RESORT
        return Reason.FAILOVER if self._errors else _CHOSEN

    async def ask(
        self, exchange: Waiting, ways: Ways, candidate: Candidate, reason: Reason
    ) -> tuple[Attempt, Result]:
        """Ask one candidate; return what is put on record, and what came of it."""
        dialect, ask, call = self._dialect, self._ask, self.call
        if exchange.disconnected or exchange.interrupted:
            raise ClientGone if exchange.disconnected else Overloaded(SHUTTING_DOWN)
        clock, model, upstream = self.plane.clock, candidate.model, candidate.upstream
        if dialect.language not in candidate.languages:
            upstream = translated(
                dialect, candidate, ask.model, call.opened.call_id, clock.now_us() // 1_000_000
            )
        body = dialect.outgoing(ask, model.name, upstream.limit_field, self._lowered)
        call.sent()
        if not ways.is_single:
            candidate.load.outstanding += 1
        limit = None
        if self._errors or self._attempt_s is not None:
            limit = self._limit(exchange, ways)
        began = clock.monotonic_us()
        status, result = await attempt(exchange, dialect, ask, candidate, upstream, body, limit)
        took = clock.monotonic_us() - began
        if limit is not None:
            limit.cancel()
        error = cost = None
        if isinstance(result, HubError):
            error, cost = result.recorded, self.cost(candidate, result)
        provider, at = model.provider.name, call.at(began)
        record = Attempt(
            provider, candidate.credential, status, error, at, took, model.ref, reason, cost
        )
        return record, result

    def noted(
        self, ways: Ways, candidate: Candidate, record: Attempt, result: Result
    ) -> Whole | Streaming | None:
        """Put a try on record; None when the next one may be made. Raises what ends the call."""
        call = self.call
        call.attempts.append(record)
        if isinstance(result, ANSWERS):
            call.served_at(candidate.model.rates, candidate.model.cost)
            if not ways.is_single:
                candidate.load.observe(record.duration_us, self.plane.clock.monotonic_us())
            if record.reason is not _CHOSEN and record.reason is Reason.PROBE:
                self.plane.board.succeeded(candidate.targets, record.started_us)
            return result
        if not ways.is_single:
            candidate.load.outstanding -= 1
        self._judge(candidate, record.reason, result)
        return None

    def _judge(self, candidate: Candidate, reason: Reason, result: HubError | ClientGone) -> None:
        """Note what a failure says of the candidate; raise what no other one would mend."""
        if isinstance(result, HubError) and result.fault is not None:
            self.plane.board.failed(
                candidate.targets,
                result.fault,
                is_probe=reason is Reason.PROBE,
                retry_after_s=result.patience_s,
            )
        if isinstance(result, FINAL):
            raise result
        self._errors.append(result)

    def _limit(self, exchange: Waiting, ways: Ways) -> Limit | None:
        """Return the bound on the next attempt, None when the upstream's own is the tighter one."""
        tries, seconds = len(self.call.attempts), None
        if tries:
            within_s = self.plane.settings.routing.within_s
            seconds = max(within_s - self.call.elapsed_us() / 1e6, 0)
        if self._attempt_s is not None and tries + 1 < len(ways.candidates):
            seconds = self._attempt_s if seconds is None else min(self._attempt_s, seconds)
        return None if seconds is None else Limit(exchange, seconds)

    def cost(self, candidate: Candidate, error: HubError | None) -> int | None:
        """Return what an upstream charges that failed: the prompt, where it may have read it.

        Without an error it was stopped while it worked.
        """
        if error is not None and error.fault not in _MAY_HAVE_WORKED:
            return 0
        card = candidate.model.cost
        counted = self._dialect.counted(self._ask, self.call.opened.input_counted, 0)
        return None if card is None else card.cost(counted)
