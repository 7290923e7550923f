"""Tracking a call from its first commit to its last: what was delivered, and what is durable.

The rule that makes a crash harmless: the first content is journaled before it leaves, and
from then on the journal holds at least half of what was delivered and everything that is
older than a quarter of a second.
"""

import asyncio
from collections.abc import Mapping
from typing import Protocol

from aigne_hub.domain.calls import NOTHING, Outcome, chargeable
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.idempotency import ANSWER_BYTES_MAX, Answer
from aigne_hub.domain.operations import Attempt, Open, Progress, Settle, Settled
from aigne_hub.domain.pricing import BLOCK, RateCard
from aigne_hub.domain.quotes import STREAM_STEP_TOKENS
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.ports import Clock, Journal
from aigne_hub.usage.model_statuses import ModelStatuses

# How often delivered content that no batch has carried yet is journaled.
SWEEP_S = 0.1
# Looking a member up in its class costs more in Python 3.11 than comparing it.
_COMPLETED, _CUT_OFF = Outcome.COMPLETED, Outcome.CUT_OFF


class Observer(Protocol):
    """Told what became of calls: telemetry."""

    def closed(self, opened: Open, settle: Settle, settled: Settled) -> None: ...

    def refused(self, opened: Open, code: str) -> None: ...

    def doubted(self, settle: Settle, report: Report) -> None:
        """Take note of a provider's report that was refused or not wholly understood."""
        ...


class Unobserved:
    """An observer that looks away."""

    def closed(self, opened: Open, settle: Settle, settled: Settled) -> None:
        pass

    def refused(self, opened: Open, code: str) -> None:
        pass

    def doubted(self, settle: Settle, report: Report) -> None:
        pass


class CallTracker:
    """One open call of a known account.

    `rates` is the price it was admitted at, None when billing is off; `cost` what the provider
    that serves charges, None when unknown. `tokens_held` is how
    many counted output tokens the hold pays for. The task that starts a call works on it:
    when that ends without closing the call, recovery does.
    """

    __slots__ = (
        "_free",
        "_journal",
        "_kept_bytes",
        "_rate_id",
        "_started_us",
        "_tracker",
        "attempts",
        "cost",
        "counters",
        "delivered",
        "durable",
        "held",
        "is_behind",
        "kept",
        "n",
        "opened",
        "rates",
        "replay",
        "task",
        "tokens_held",
        "tokens_reserved",
        "ttfb_us",
    )

    def __init__(self, tracker: "Tracker", opened: Open, rates: RateCard | None, n: int) -> None:
        self._tracker = tracker
        self._journal = tracker.journal
        self._started_us = tracker.clock.monotonic_us()
        self.task: asyncio.Task[None] | None = None
        self.opened = opened
        self._rate_id: str | None = None
        self.rates = rates
        self.n = n
        self.held = 0
        self.tokens_held = 0
        self.cost: RateCard | None = None
        self.counters: tuple[str, ...] = ()
        self.tokens_reserved = 0
        # What leaves, for as long as an idempotency key may have it repeated.
        self.kept: list[bytes] | None = [] if opened.claim is not None else None
        self._kept_bytes = 0
        self.replay: str | None = None
        self.delivered = 0
        self.durable = 0
        # Up to how many tokens need no commit: what is held pays for them, and half are durable.
        self._free = 0
        self.is_behind = False
        self.attempts: list[Attempt] = []
        self.ttfb_us: int | None = None

    def sent(self) -> None:
        self._journal.sent(self.opened.call_id)

    def served_at(self, rates: RateCard | None, cost: RateCard | None = None) -> None:
        """Take the price and cost of the model that serves, which a fallback has of its own."""
        self.cost = cost
        if self.rates is not None and rates is not None:
            self.rates = rates
            if rates.id != self.opened.rate_id:
                self._rate_id = rates.id

    def at(self, monotonic_us: int) -> int:
        """Return the time of day when the monotonic clock read this, in microseconds since 1970."""
        return self.opened.started_us + monotonic_us - self._started_us

    def elapsed_us(self) -> int:
        return self._tracker.clock.monotonic_us() - self._started_us

    def passes(self, tokens: int) -> bool:
        """Tell whether content up to `tokens` in all may leave without waiting for a commit."""
        if tokens > self._free:
            return False
        self.delivered = tokens
        if tokens > self.durable and not self.is_behind:
            self.is_behind = True
            self._tracker.behind.add(self)
        return True

    async def deliver(self, tokens: int) -> bool:
        """Make sure that content up to `tokens` in all may leave now.

        Returns False when the account's credits have run out: nothing more may leave.
        """
        if self.passes(tokens):
            return True
        self.delivered = tokens
        if self.rates is not None and tokens > self.tokens_held:
            return await self._extend(tokens)
        await self._record(tokens, 0)
        return True

    async def _extend(self, tokens: int) -> bool:
        """Hold another step, or what is left, before `tokens` leave."""
        rates = self.rates
        assert rates is not None
        price = rates.output_worst
        more = -(-(max(tokens - self.tokens_held, 0) + STREAM_STEP_TOKENS) * price // BLOCK)
        added = await self._record(tokens, more)
        if added == more:
            self.tokens_held = tokens + STREAM_STEP_TOKENS
        elif price:
            self.tokens_held += added * BLOCK // price
        self._set_free()
        return tokens <= self.tokens_held

    async def catch_up(self) -> None:
        """Journal all that was delivered by now.

        Read when the entry is queued, not when the sweep came by: an entry with less, behind
        one with more, would take back what is durable.
        """
        if self.delivered > self.durable:
            await self._record(self.delivered, 0)

    async def _record(self, tokens: int, extend_by: int) -> int:
        opened = self.opened
        added = await self._journal.progress(
            Progress(
                opened.call_id,
                opened.account_id,
                tokens,
                extend_by,
                self._rate_id,
                self.counters if extend_by else (),
            )
        )
        self.held += added
        self.durable = max(self.durable, tokens)
        self._set_free()
        return added

    def _set_free(self) -> None:
        free = 2 * self.durable
        self._free = free if self.rates is None else min(free, self.tokens_held)

    async def close(
        self,
        outcome: Outcome,
        *,
        model: str,
        reported: Usage | None = None,
        counted: Usage | None = None,
        error: HubError | None = None,
    ) -> Settled:
        """Log usage and deduct credits: steps 8 and 9, in one commit."""
        closing = self.closing(
            outcome, model=model, reported=reported, counted=counted, error=error
        )
        return await self.settle(closing)

    def closing(
        self,
        outcome: Outcome,
        *,
        model: str,
        reported: Usage | None = None,
        counted: Usage | None = None,
        error: HubError | None = None,
    ) -> Settle:
        """Return the entry that closes this call, with what it is charged.

        A call that no upstream was asked to answer costs nothing.
        """
        opened, attempts, rates = self.opened, self.attempts, self.rates
        tracker = self._tracker
        tracker.behind.discard(self)
        usage, source = NOTHING
        if counted is not None and attempts:
            usage, source = chargeable(
                outcome, reported=reported, counted=counted, delivered=self.delivered > 0
            )
        charge, cost = 0, None
        if usage is not None:
            if rates is not None:
                charge = self.held if outcome is _CUT_OFF else rates.cost(usage)
            if self.cost is not None:
                cost = self.cost.cost(usage)
        provider = credential = None
        if attempts:
            last = attempts[-1]
            provider, credential = last.provider, last.credential
            if cost is not None and (error is not None or len(attempts) > 1):
                attempts[-1] = last._replace(cost=cost)
        return Settle(
            # By position: names would cost as much as all the rest.
            opened.call_id,
            opened.account_id,
            outcome,
            self.held,
            charge,
            usage,
            source,
            provider,
            credential,
            tracker.clock.now_us(),
            tracker.clock.monotonic_us() - self._started_us,
            self.ttfb_us,
            rates is not None,
            model,
            None if error is None else error.code,
            None if error is None else error.recorded,
            self._rate_id,
            attempts,
            cost,
            self.counters,
            self.tokens_reserved,
            opened.claim is not None,
        )

    def keep(self, data: bytes) -> None:
        """Keep what leaves for a repetition, unless it grows too large for that."""
        if self.kept is None:
            return
        self.kept.append(data)
        self._kept_bytes += len(data)
        if self._kept_bytes > ANSWER_BYTES_MAX:
            self.kept = None

    def answer(self, content_type: str, model: str, last: bytes) -> Answer | None:
        """Return the whole answer, `last` at its end; None when it cannot be repeated."""
        self.keep(last)
        if self.kept is None:
            return None
        return Answer(200, content_type, model, b"".join(self.kept))

    async def settle(self, closing: Settle, report: Report = NO_REPORT) -> Settled:
        """Commit the entry that closes this call; `report` is what its provider said of usage."""
        tracker = self._tracker
        end = self._journal.void if closing.usage is None else self._journal.settle
        try:
            settled = await end(closing)
        finally:
            tracker.forget(self)
        if closing.outcome is not _COMPLETED or closing.model not in tracker.statuses.answering:
            tracker.statuses.note(closing)
        observer = tracker.observer
        observer.closed(self.opened, closing, settled)
        if not report.is_clear:
            observer.doubted(closing, report)
        return settled

    def price(self, usage: Usage) -> int:
        """Return what a usage costs here, in nano-credits: nothing when billing is off."""
        return 0 if self.rates is None else self.rates.cost(usage)


class Tracker:
    """All open calls of this process; sweeps up what their streams delivered."""

    def __init__(self, journal: Journal, clock: Clock) -> None:
        self.journal = journal
        self.clock = clock
        self.observer: Observer = Unobserved()
        self.statuses = ModelStatuses()
        self.behind: set[CallTracker] = set()
        self._open: dict[str, CallTracker] = {}
        self._sweeping: set[asyncio.Task[None]] = set()

    @property
    def open(self) -> Mapping[str, CallTracker]:
        """The calls that somebody works on, by id, until their settlement is committed."""
        for call in list(self._open.values()):
            if call.task is not None and call.task.done():
                self.forget(call)
        return self._open

    async def start(
        self,
        opened: Open,
        rates: RateCard | None,
        n: int = 1,
        task: asyncio.Task[None] | None = None,
    ) -> CallTracker:
        """Start call tracking: steps 3, 4 and 5 in one commit; `task` works on the call.

        Raises the refusal that `opened` carries, or the journal's. A call whose idempotency
        key was answered before is not opened: its `replay` names the one that answered.
        """
        call = CallTracker(self, opened, rates, n)
        try:
            admission = await self.journal.open(opened)
            if opened.refusal is not None:
                raise opened.refusal
        except HubError as refusal:
            self.observer.refused(opened, refusal.code)
            raise
        if admission.replay is not None:
            call.replay = admission.replay
            return call
        call.held = admission.held
        call.tokens_held = admission.tokens * n
        call.counters = admission.counters
        call.tokens_reserved = admission.tokens_reserved
        call.task = task
        self._open[opened.call_id] = call
        return call

    def forget(self, call: CallTracker) -> None:
        self._open.pop(call.opened.call_id, None)
        self.behind.discard(call)

    def sweep(self) -> None:
        """Journal what was delivered since; called every SWEEP_S from the loop."""
        if not self.behind:
            return
        loop = asyncio.get_running_loop()
        behind, self.behind = self.behind, set()
        for call in behind:
            call.is_behind = False
            task = loop.create_task(call.catch_up())
            self._sweeping.add(task)
            task.add_done_callback(self._swept)

    def _swept(self, task: asyncio.Task[None]) -> None:
        self._sweeping.discard(task)
        if not task.cancelled():
            task.exception()
