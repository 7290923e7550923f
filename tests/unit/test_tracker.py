"""The tracker: what leaves is journaled, what is promised is paid for, and who is open."""

import asyncio
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.journals import Clock, HeldBackJournal

from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import InsufficientCredits, InvalidRequest, UpstreamError
from aigne_hub.domain.operations import Attempt, Open, Reason, Settle
from aigne_hub.domain.pricing import BLOCK, RateCard
from aigne_hub.domain.quotes import STREAM_STEP_TOKENS, quote_tokens
from aigne_hub.domain.usage import Usage
from aigne_hub.usage.tracker import CallTracker, Tracker

RATES = RateCard.of("rate", {"input": 1_000_000, "output": 2_000_003})
TRIED = Attempt("openai", "main", 200, None, 0, 0, "openai/m", Reason.CHOSEN, None)


def opened(**more) -> Open:
    values = {
        "call_id": "call",
        "account_id": "account",
        "user_did": "did",
        "app_did": "did",
        "key_id": "key",
        "type": "chat",
        "model": "openai/m",
        "rate_id": None,
        "stream": True,
        "input_counted": 10,
        "request_id": "request",
        "started_us": 0,
    }
    return Open(**{**values, **more})


async def started(
    journal: HeldBackJournal, rates: RateCard | None = None, n: int = 1
) -> tuple[Tracker, CallTracker]:
    quote = None
    if rates is not None:
        quote = quote_tokens(
            rates, input_tokens=10, output_limit=10_000, stream=True, explicit=False, n=n
        )
    tracker = Tracker(journal, Clock())
    return tracker, await tracker.start(opened(quote=quote), rates, n)


async def settled(journal: HeldBackJournal, call: CallTracker, outcome: Outcome, **more) -> Settle:
    closing = asyncio.create_task(call.close(outcome, model="openai/m", **more))
    await asyncio.sleep(0)
    journal.commit()
    await closing
    entry = journal.committed[-1]
    assert isinstance(entry, Settle)
    return entry


# -- what leaves is durable ------------------------------------------------------------------

ACTIONS = st.lists(
    st.one_of(st.integers(1, 9), st.integers(1, 50), st.sampled_from(["sweep", "commit"])),
    min_size=4,
    max_size=40,
)


@settings(max_examples=400)
@given(ACTIONS, st.lists(st.booleans(), max_size=40))
def test_at_least_half_of_what_left_is_durable_and_all_of_it_after_a_sweep(actions, unheard):
    """The journal commits at any moment, and the sweep comes by at any moment.

    A number is that much more content. After an action others get a turn, unless `unheard`.
    """

    async def story() -> None:
        journal = HeldBackJournal()
        tracker, call = await started(journal)
        left = asked = 0
        leaving: asyncio.Task[None] | None = None

        async def leave(tokens: int) -> None:
            nonlocal left
            assert await call.deliver(tokens)
            left = tokens

        for action, quietly in itertools.zip_longest(actions, unheard[: len(actions)]):
            if action == "sweep":
                tracker.sweep()
            elif action == "commit":
                journal.commit()
            elif leaving is None or leaving.done():
                asked += action
                leaving = asyncio.create_task(leave(asked))
            if not quietly:
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            assert left <= 2 * journal.durable
        for _ in range(3):
            tracker.sweep()
            await asyncio.sleep(0)
            journal.commit()
            await asyncio.sleep(0)
        assert left == asked == journal.durable
        if leaving is not None:
            await leaving

    asyncio.run(story())


async def test_the_first_content_waits_for_its_commit():
    journal = HeldBackJournal()
    _, call = await started(journal)
    leaving = asyncio.create_task(call.deliver(1))
    await asyncio.sleep(0)
    assert not leaving.done()
    journal.commit()
    assert await leaving
    assert journal.durable == 1


async def test_content_without_text_waits_for_nothing():
    journal = HeldBackJournal()
    _, call = await started(journal)
    assert await call.deliver(0)
    assert journal.queue == []


async def test_a_sweep_never_takes_back_what_is_durable():
    journal = HeldBackJournal()
    tracker, call = await started(journal)
    for tokens in (8, 10):
        leaving = asyncio.create_task(call.deliver(tokens))
        await asyncio.sleep(0)
        journal.commit()
        await leaving
    assert tracker.behind == {call}
    leaving = asyncio.create_task(call.deliver(25))
    tracker.sweep()
    await asyncio.sleep(0)
    journal.commit()
    assert await leaving
    assert journal.durable == 25


async def test_a_sweep_journals_nothing_that_is_durable_already():
    journal = HeldBackJournal()
    tracker, call = await started(journal)
    for tokens in (8, 10, 25):
        leaving = asyncio.create_task(call.deliver(tokens))
        await asyncio.sleep(0)
        journal.commit()
        assert await leaving
    assert (tracker.behind, journal.durable) == ({call}, 25)
    tracker.sweep()
    await asyncio.sleep(0)
    assert journal.queue == []
    assert await call.deliver(26)
    assert tracker.behind == {call}
    tracker.sweep()
    await asyncio.sleep(0)
    journal.commit()
    assert journal.durable == 26


async def test_a_sweep_that_cannot_write_harms_nobody():
    journal = HeldBackJournal()
    tracker, call = await started(journal)
    call.delivered = 5
    tracker.behind.add(call)
    journal.refusing = RuntimeError("poison")
    tracker.sweep()
    await asyncio.sleep(0)
    journal.commit()
    await asyncio.sleep(0)
    assert call.durable == 0


# -- what leaves is paid for -----------------------------------------------------------------


@given(
    credit=st.integers(0, 12_000_000),
    price=st.integers(0, 3_000_000),
    n=st.integers(1, 3),
    steps=st.lists(st.integers(1, 900), max_size=12),
)
def test_what_may_leave_is_held_for_and_a_stop_means_that_nothing_is_left(credit, price, n, steps):
    rates = RateCard.of("rate", {"input": 1_000_000, "output": price})

    async def story() -> None:
        journal = HeldBackJournal(credit=credit * 1000)
        try:
            _, call = await started(journal, rates, n)
        except InsufficientCredits:
            return
        total = 0
        for step in steps:
            total += step
            leaving = asyncio.create_task(call.deliver(total))
            await asyncio.sleep(0)
            journal.commit()
            if not await leaving:
                assert journal.credit == 0
                assert total > call.tokens_held
                break
            assert call.held * BLOCK >= 10 * rates.base.input + total * price
        assert call.held + journal.credit == credit * 1000

    asyncio.run(story())


async def test_a_hold_is_extended_by_what_is_missing_and_one_step():
    journal = HeldBackJournal(credit=10**12)
    _, call = await started(journal, RATES)
    first = call.held
    leaving = asyncio.create_task(call.deliver(STREAM_STEP_TOKENS + 5))
    await asyncio.sleep(0)
    journal.commit()
    assert await leaving
    assert call.held - first == -(-(5 + STREAM_STEP_TOKENS) * RATES.base.output // BLOCK)
    assert call.tokens_held == 2 * STREAM_STEP_TOKENS + 5


# -- closing ---------------------------------------------------------------------------------


async def test_a_call_is_open_until_its_settlement_is_committed():
    journal = HeldBackJournal()
    tracker, call = await started(journal)
    closing = asyncio.create_task(call.close(Outcome.COMPLETED, model="openai/m"))
    await asyncio.sleep(0)
    assert "call" in tracker.open
    journal.commit()
    await closing
    assert "call" not in tracker.open


async def test_a_call_whose_settlement_is_refused_is_left_to_recovery():
    journal = HeldBackJournal(refusing=RuntimeError("poison"))
    tracker, call = await started(journal)
    closing = asyncio.create_task(call.close(Outcome.COMPLETED, model="openai/m"))
    await asyncio.sleep(0)
    journal.commit()
    with pytest.raises(RuntimeError):
        await closing
    assert "call" not in tracker.open


async def test_a_call_that_its_task_dropped_is_left_to_recovery():
    tracker = Tracker(HeldBackJournal(), Clock())

    async def fail() -> None:
        await tracker.start(opened(), None, task=asyncio.current_task())
        assert "call" in tracker.open
        raise RuntimeError("a mistake in a dialect")

    with pytest.raises(RuntimeError):
        await asyncio.create_task(fail())
    assert tracker.open == {}


async def test_a_refused_call_is_recorded_and_never_open():
    seen = []

    class Watcher:
        def closed(self, *_: object) -> None:
            raise AssertionError

        def refused(self, entry: Open, code: str) -> None:
            seen.append((entry.call_id, code))

    tracker = Tracker(HeldBackJournal(), Clock())
    tracker.observer = Watcher()
    with pytest.raises(InvalidRequest):
        await tracker.start(opened(refusal=InvalidRequest("no")), None)
    quote = quote_tokens(RATES, input_tokens=1, output_limit=1, stream=False, explicit=True, n=1)
    with pytest.raises(InsufficientCredits):
        await tracker.start(opened(quote=quote), RATES)
    assert seen == [("call", "invalid_request"), ("call", "insufficient_credits")]
    assert tracker.open == {}


COUNTED = Usage(input_tokens=10, output_tokens=7)
REPORTED = Usage(input_tokens=12, output_tokens=5)


@pytest.mark.parametrize(
    ("outcome", "reported", "delivered", "usage"),
    [
        (Outcome.COMPLETED, REPORTED, 7, REPORTED),
        (Outcome.COMPLETED, None, 7, COUNTED),
        (Outcome.CLIENT_CANCELLED, REPORTED, 7, REPORTED),
        (Outcome.CLIENT_CANCELLED, None, 0, COUNTED),
        (Outcome.UPSTREAM_FAILED, REPORTED, 7, COUNTED),
        (Outcome.UPSTREAM_FAILED, REPORTED, 0, None),
        (Outcome.UPSTREAM_TIMEOUT, None, 7, COUNTED),
        (Outcome.UPSTREAM_TIMEOUT, None, 0, None),
        (Outcome.INTERRUPTED, None, 7, COUNTED),
        (Outcome.INTERRUPTED, None, 0, None),
    ],
)
async def test_the_charging_table(outcome, reported, delivered, usage):
    journal = HeldBackJournal(credit=10**12)
    _, call = await started(journal, RATES)
    call.attempts.append(TRIED)
    call.delivered = delivered
    entry = await settled(journal, call, outcome, reported=reported, counted=COUNTED)
    assert entry.usage == usage
    assert entry.charge == (0 if usage is None else RATES.cost(usage))
    source = None
    if usage is not None:
        source = UsageSource.PROVIDER if usage is reported else UsageSource.COUNTED
    assert entry.usage_source is source
    assert entry.held == call.held


async def test_what_is_cut_off_costs_its_hold():
    journal = HeldBackJournal(credit=10**12)
    _, call = await started(journal, RATES)
    call.attempts.append(TRIED)
    entry = await settled(journal, call, Outcome.CUT_OFF, counted=COUNTED)
    assert (entry.charge, entry.usage_source) == (call.held, UsageSource.COUNTED)


async def test_a_call_that_went_nowhere_costs_nothing():
    journal = HeldBackJournal(credit=10**12)
    _, call = await started(journal, RATES)
    entry = await settled(journal, call, Outcome.CLIENT_CANCELLED, counted=COUNTED)
    assert (entry.charge, entry.usage) == (0, None)


async def test_a_fallback_is_charged_at_its_own_price():
    dearer = RateCard.of("dearer", {"input": 3_000_000, "output": 9_000_000})
    journal = HeldBackJournal(credit=10**12)
    _, call = await started(journal, RATES)
    call.attempts.append(TRIED)
    call.served_at(dearer)
    entry = await settled(journal, call, Outcome.COMPLETED, reported=REPORTED, counted=COUNTED)
    assert entry.charge == dearer.cost(REPORTED)


async def test_nothing_is_charged_while_billing_is_off():
    journal = HeldBackJournal()
    _, call = await started(journal)
    call.attempts.append(TRIED)
    call.served_at(RATES)
    entry = await settled(journal, call, Outcome.COMPLETED, reported=REPORTED, counted=COUNTED)
    assert (entry.charge, entry.billed, entry.usage) == (0, False, REPORTED)


async def test_a_record_keeps_no_words_of_an_upstream():
    journal = HeldBackJournal()
    _, call = await started(journal)
    error = UpstreamError("they said: your prompt is bad")
    error.recorded = "The upstream answered 400."
    entry = await settled(journal, call, Outcome.UPSTREAM_FAILED, error=error)
    assert (entry.error_code, entry.error_message) == (
        "upstream_error",
        "The upstream answered 400.",
    )
