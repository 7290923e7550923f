"""Calls that ended are counted together, and come to what counting each would come to."""

from bisect import bisect_left

import pytest
from tests.unit.test_usage_alarms import settle

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.operations import Open, Settled
from aigne_hub.domain.usage import Usage
from aigne_hub.telemetry import (
    DURATION_BUCKETS_S,
    ENDED_MAX,
    CallLog,
    CallObserver,
    Counters,
    UsageAlarms,
)

OPENED = Open("call", "user", "did", "did", "key", "chat", "m", None, False, 1, "request", 0)
LONG_US = 301_000_000


@pytest.fixture
def counters() -> Counters:
    return Counters()


@pytest.fixture
def observer(counters: Counters) -> CallObserver:
    return CallObserver(counters, CallLog(None), UsageAlarms(counters))


@pytest.mark.parametrize("calls", [1, ENDED_MAX - 1, ENDED_MAX, 2 * ENDED_MAX + 3])
def test_what_is_scraped_is_exact(counters: Counters, observer: CallObserver, calls: int):
    bounds_us = [round(bound * 1e6) for bound in DURATION_BUCKETS_S]
    # At each bound, and on both sides of it.
    edges = [edge + side for edge in bounds_us for side in (-1, 0, 1)] + [LONG_US]
    durations = [edges[number % len(edges)] for number in range(calls)]
    for number, duration_us in enumerate(durations):
        entry = settle()
        entry.duration_us = duration_us
        if number % 2:
            entry.ttfb_us = duration_us // 2
            entry.usage = Usage(7, 3, 2, 1, reasoning_tokens=3)
        if number % 3 == 2:
            entry.outcome = Outcome.CLIENT_CANCELLED
        observer.closed(OPENED, entry, Settled(10, number % 2))
        assert len(counters.tallies["chat", "openai"].ended) < ENDED_MAX
    tally = counters.counted()["chat", "openai"]
    with_usage = calls // 2
    assert tally.input_tokens == 7 * with_usage
    assert tally.output_tokens == 3 * with_usage
    assert tally.cache_read_tokens == 2 * with_usage
    assert tally.cache_write_tokens == with_usage
    assert tally.written_off_nano == with_usage
    assert tally.charged_nano == 10 * calls - with_usage
    cancelled = calls // 3
    expected = {"completed": calls - cancelled} | (
        {"client_cancelled": cancelled} if cancelled else {}
    )
    assert tally.outcomes == expected
    assert tally.duration.counts == counted(durations)
    assert tally.duration.sum == sum(durations) / 1e6
    first = [duration_us // 2 for duration_us in durations[1::2]]
    assert tally.first_byte.counts == counted(first)
    assert counters.counted()["chat", "openai"].outcomes == expected  # nothing counts twice


def counted(durations_us: list[int]) -> list[int]:
    """Count one by one."""
    counts = [0] * (len(DURATION_BUCKETS_S) + 1)
    for duration_us in durations_us:
        counts[bisect_left(DURATION_BUCKETS_S, duration_us / 1e6)] += 1
    return counts


def test_types_and_providers_are_counted_apart(counters: Counters, observer: CallObserver):
    observer.closed(OPENED, settle(), Settled(1, 0))
    observer.closed(OPENED, settle("groq"), Settled(2, 0))
    observer.refused(OPENED, "forbidden")
    charged = {key: tally.charged_nano for key, tally in counters.counted().items()}
    assert charged == {("chat", "openai"): 1, ("chat", "groq"): 2, ("chat", "-"): 0}
    assert counters.tallies["chat", "-"].outcomes == {"rejected": 1}


def test_a_call_is_one_line_of_the_log(counters: Counters):
    written: list[bytes] = []
    log = CallLog(written.append)
    observer = CallObserver(counters, log, UsageAlarms(counters))
    log.flush()
    assert written == []
    entry = settle()
    entry.usage, entry.duration_us = Usage(7, 3), 12_345
    observer.closed(OPENED, entry, Settled(10, 0))
    observer.refused(OPENED, "forbidden")
    log.flush()
    assert b"".join(written) == (
        b'{"event":"call","call_id":"call","request_id":"request","outcome":"completed",'
        b'"model":"openai/m","provider":"openai","credential":"main","user_did":"did",'
        b'"input_tokens":7,"output_tokens":3,"duration_ms":12.345,"attempts":0,"error":null}\n'
        b'{"event":"call","call_id":"call","request_id":"request","outcome":"rejected",'
        b'"model":"m","user_did":"did","error":"forbidden"}\n'
    )
    log.flush()
    assert len(written) == 1
