"""Closing orphans: each once, charged what its journal says, none in the way of another."""

import asyncio

from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.operations import Settled
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage
from aigne_hub.usage.cleanup import CLOSED_AT_ONCE, StaleCall, cleanup_stale_processing_calls

NOW_US = 1_000_000


class Clock:
    def now_us(self) -> int:
        return NOW_US

    def monotonic_us(self) -> int:
        return 0


class Journal:
    """Settles everything but the calls named `poison`; counts what waits at once."""

    def __init__(self, poison: frozenset[str] = frozenset()) -> None:
        self.poison = poison
        self.entries = {}
        self.waiting = self.most_waiting = 0

    async def settle(self, entry):
        self.waiting += 1
        self.most_waiting = max(self.most_waiting, self.waiting)
        await asyncio.sleep(0)
        self.waiting -= 1
        if entry.call_id in self.poison:
            raise RuntimeError("already resolved")
        assert entry.call_id not in self.entries
        self.entries[entry.call_id] = entry
        return Settled(entry.charge, 0)


class Store:
    def __init__(self, calls: list[StaleCall]) -> None:
        self.calls = calls

    async def stale_calls(self):
        return self.calls


RATES = RateCard.of("rate", {"input": 150_001, "output": 600_007, "request": 3})


def stale(call_id: str = "a", **more) -> StaleCall:
    values = {
        "call_id": call_id,
        "account_id": "account",
        "type": "chat",
        "model": "openai/m",
        "started_us": NOW_US - 500,
        "input_counted": 10,
        "delivered_tokens": 4,
        "held": 1_000,
        "rates": RATES,
    }
    return StaleCall(**{**values, **more})


def cleaned(calls: list[StaleCall], journal: Journal) -> int:
    return asyncio.run(cleanup_stale_processing_calls(Store(calls), journal, Clock()))


@given(
    delivered=st.integers(0, 10_000),
    counted=st.integers(0, 10_000),
    held=st.none() | st.integers(0, 10**12),
    started_us=st.integers(0, 2 * NOW_US),
)
def test_a_call_costs_what_its_journal_says_was_delivered(delivered, counted, held, started_us):
    call = stale(
        delivered_tokens=delivered, input_counted=counted, held=held, started_us=started_us
    )
    journal = Journal()
    assert cleaned([call], journal) == 1
    entry = journal.entries["a"]
    assert entry.outcome is Outcome.INTERRUPTED
    assert (entry.held, entry.billed) == (held or 0, held is not None)
    assert entry.duration_us == max(NOW_US - started_us, 0)
    assert entry.error_code == "interrupted"
    if delivered == 0:
        assert (entry.usage, entry.usage_source, entry.charge) == (None, None, 0)
        return
    assert entry.usage == Usage(input_tokens=counted, output_tokens=delivered)
    assert entry.usage_source is UsageSource.COUNTED
    assert entry.charge == (0 if held is None else RATES.cost(entry.usage))


def test_a_call_whose_price_is_not_known_is_free():
    journal = Journal()
    cleaned([stale(rates=None)], journal)
    assert journal.entries["a"].charge == 0


def test_one_that_cannot_be_closed_keeps_no_other_from_being_closed():
    calls = [stale(name) for name in "abc"]
    journal = Journal(poison=frozenset("b"))
    assert cleaned(calls, journal) == 2
    assert journal.entries.keys() == {"a", "c"}


def test_many_are_closed_together_but_not_all_at_once():
    calls = [stale(str(number)) for number in range(2 * CLOSED_AT_ONCE + 7)]
    journal = Journal()
    assert cleaned(calls, journal) == len(calls)
    assert journal.most_waiting == CLOSED_AT_ONCE


def test_nothing_stale_is_nothing_to_do():
    assert cleaned([], Journal()) == 0
