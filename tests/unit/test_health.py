"""When a target is barred, for how long, who probes it, and how its share comes back."""

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import (
    CONSECUTIVE_MAX,
    COOL_DOWN_MAX_S,
    RAMP_US,
    WINDOW_CALLS_MIN,
    WINDOW_US,
    Health,
    Standing,
    bar_us,
)
from aigne_hub.domain.load import FADES_IN_US, Load
from aigne_hub.domain.retry_budget import RETRIES_MIN, RetryBudget, backoff_s
from aigne_hub.domain.retry_budget import WINDOW_US as BUDGET_US
from aigne_hub.gateway.health import Board

SECOND = 1_000_000
NOW = 1_000_000 * SECOND
# What a target's own errors are, as opposed to a refusal or a limit on its rate.
OUTLIERS = [Fault.BROKEN, Fault.TIMED_OUT, Fault.OVERLOADED, Fault.UNREACHABLE]


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.us = NOW

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


def fail(health: Health, times: int = 1, fault: Fault = Fault.BROKEN, now: int = NOW) -> None:
    for _ in range(times):
        health.failed(fault, now, 0.5, is_probe=False)


@pytest.mark.parametrize("fault", OUTLIERS)
def test_five_errors_in_a_row_bar_a_target_and_four_do_not(fault: Fault):
    health = Health("t")
    fail(health, CONSECUTIVE_MAX - 1, fault)
    assert not health.is_barred
    fail(health, 1, fault)
    assert health.is_barred
    assert health.standing.fault is fault


def test_a_success_between_errors_starts_the_count_anew():
    health = Health("t")
    for _ in range(3):
        fail(health, CONSECUTIVE_MAX - 1)
        health.successes += 1
        assert not health.succeeded(NOW, NOW)
    assert not health.is_barred


def test_half_of_twenty_calls_bars_a_target_that_never_fails_five_times_in_a_row():
    health = Health("t")
    for number in range(WINDOW_CALLS_MIN + 2):
        if number % 2:
            fail(health)
        else:
            health.successes += 1
            health.succeeded(NOW, NOW)
    assert health.is_barred


def test_errors_of_an_earlier_window_do_not_count():
    health = Health("t")
    now = NOW
    for _ in range(40):
        fail(health, now=now)
        health.successes += 1
        health.succeeded(now, now)
        now += WINDOW_US
    assert not health.is_barred


@pytest.mark.parametrize("fault", [Fault.THROTTLED, Fault.REFUSED, Fault.EXHAUSTED])
def test_what_an_upstream_says_itself_bars_at_once(fault: Fault):
    health = Health("t")
    fail(health, 1, fault)
    assert health.is_barred


def test_a_region_says_nothing_of_a_credential():
    health = Health("t")
    fail(health, 100, Fault.REGION)
    assert health.is_calm(NOW)


@given(st.sampled_from(Fault), st.integers(0, 50), st.floats(0, 1, exclude_max=True))
def test_a_bar_grows_and_a_probe_is_due_within_half_a_minute_of_an_error(fault, bars, draw):
    length = bar_us(fault, bars, draw, 0)
    assert length > SECOND // 2
    assert bar_us(fault, bars + 1, draw, 0) >= length
    limit = 30 if fault in OUTLIERS else 50
    assert length <= limit * SECOND


@given(st.integers(-(10**9), 10**9), st.floats(0, 1, exclude_max=True))
def test_an_upstreams_patience_is_kept_to_and_bounded(asked, draw):
    length = bar_us(Fault.THROTTLED, 0, draw, asked)
    assert min(max(asked, 1), COOL_DOWN_MAX_S) * SECOND <= length <= 1.2 * COOL_DOWN_MAX_S * SECOND


def test_calls_that_were_under_way_do_not_make_a_bar_longer():
    health = Health("t")
    fail(health, CONSECUTIVE_MAX)
    standing = health.standing
    fail(health, 95, now=NOW + 1)
    assert health.standing == standing


def test_a_failed_probe_makes_the_bar_longer_and_a_success_ends_it():
    health = Health("t")
    fail(health, CONSECUTIVE_MAX)
    first = health.standing.until_us - NOW
    later = health.standing.until_us
    health.permit(later + SECOND)
    assert health.may_probe(later)
    health.take_permit()
    assert not health.may_probe(later)
    assert health.failed(Fault.TIMED_OUT, later, 0.5, is_probe=True)
    assert health.standing.until_us - later == 2 * first
    assert health.standing.fault is Fault.TIMED_OUT
    assert health.succeeded(health.standing.until_us, health.standing.until_us)
    assert not health.is_barred


def test_a_success_that_began_before_the_bar_does_not_end_it():
    health = Health("t")
    fail(health, CONSECUTIVE_MAX)
    assert not health.succeeded(NOW - 1, NOW + 1)
    assert health.is_barred


def test_the_weight_comes_back_little_by_little():
    health = Health("t")
    assert health.percent(NOW) == 100
    fail(health, CONSECUTIVE_MAX)
    assert health.percent(NOW) == 0
    health.restore(NOW + 1)
    shares = [health.percent(NOW + 1 + RAMP_US * tenth // 10) for tenth in range(11)]
    assert shares[0] == 10
    assert shares == sorted(shares)
    assert shares[-1] == 100


def test_a_target_that_worked_for_long_begins_with_the_shortest_bar():
    health = Health("t")
    fail(health, CONSECUTIVE_MAX)
    first = health.standing.until_us - NOW
    health.restore(NOW + SECOND)
    fail(health, CONSECUTIVE_MAX, now=NOW + 2 * SECOND)
    assert health.standing.until_us - (NOW + 2 * SECOND) == 2 * first
    health.restore(NOW + 3 * SECOND)
    fail(health, CONSECUTIVE_MAX, now=NOW + 100 * SECOND)
    assert health.standing.until_us - (NOW + 100 * SECOND) == first


def test_what_another_process_knows_is_taken_over_when_it_is_newer():
    health = Health("t")
    assert health.learn(Standing("t", Fault.REFUSED, NOW + SECOND, 1, NOW))
    assert health.is_barred
    assert not health.learn(Standing("t", None, 0, 0, NOW - 1))
    assert health.learn(Standing("t", None, 0, 1, NOW + 1))
    assert not health.is_barred


@given(st.integers(1, 3000))
def test_retries_are_a_fifth_of_the_calls_or_ten(calls):
    budget = RetryBudget(0)
    granted = 0
    for _ in range(calls):
        budget.calls += 1
        granted += budget.take(0)
    assert granted == min(calls, max(RETRIES_MIN, calls * 20 // 100))
    assert budget.denied == calls - granted


@given(
    events=st.lists(
        st.tuples(st.integers(0, 60), st.integers(0, 15), st.integers(0, 8)), max_size=9
    )
)
def test_what_is_left_of_a_budget_is_what_it_then_gives(
    events: list[tuple[int, int, int]],
) -> None:
    budget, now = RetryBudget(0), 0
    for calls, seconds, asked in events:
        budget.calls += calls
        now += seconds * 1_000_000
        for _ in range(asked):
            budget.take(now)
    room = budget.room(now)
    assert budget.room(now) == room
    granted = 0
    while budget.take(now):
        granted += 1
    assert granted == room.left


def test_over_windows_of_failures_retries_stay_a_fifth():
    budget = RetryBudget(0)
    granted, calls = 0, 5_000
    for call in range(calls):
        budget.calls += 1
        granted += budget.take(call * BUDGET_US // 500)
    assert calls // 6 < granted <= calls * 21 // 100


def test_calls_that_went_well_before_count_for_a_while():
    budget = RetryBudget(0)
    budget.calls += 1_000
    granted = sum(budget.take(BUDGET_US) for _ in range(1_000))
    assert granted == 200
    budget.calls += 10
    assert sum(budget.take(2 * BUDGET_US) for _ in range(1_000)) == RETRIES_MIN


def test_calls_of_long_ago_do_not_count():
    budget = RetryBudget(0)
    budget.calls += 1_000
    assert sum(budget.take(100 * BUDGET_US) for _ in range(1_000)) == RETRIES_MIN


@given(st.integers(1, 40), st.floats(0, 1, exclude_max=True))
def test_a_wait_before_the_same_upstream_is_asked_again_is_short(tries, draw):
    assert 0 <= backoff_s(tries, draw) <= 5


def test_a_latency_follows_a_rise_at_once_and_a_fall_slowly():
    load = Load()
    load.observe(100, 0)
    assert load.latency_us == 100
    load.observe(1_000, 1)
    assert load.latency_us == 1_000
    load.observe(100, 2)
    assert load.latency_us > 900
    load.observe(100, FADES_IN_US * 10)
    assert load.latency_us < 110
    load.outstanding = 3
    assert load.cost == load.latency_us * 4


def board() -> tuple[Board, Clock]:
    clock = Clock()
    return Board(clock, lambda: 0.5), clock


def test_a_fault_bars_what_it_is_of():
    made, _ = board()
    here = made.targets("p", "c", "m")
    made.failed(here, Fault.REFUSED, is_probe=False)
    other_model, other_key = made.targets("p", "c", "n"), made.targets("p", "d", "m")
    assert (here.is_barred, other_model.is_barred, other_key.is_barred) == (True, True, False)
    for _ in range(CONSECUTIVE_MAX):
        made.failed(other_key, Fault.UNREACHABLE, is_probe=False)
    assert made.targets("p", "e", "n").is_barred
    assert not made.targets("q", "c", "m").is_barred
    assert made.faults == {("p", Fault.REFUSED): 1, ("p", Fault.UNREACHABLE): CONSECUTIVE_MAX}


def test_a_board_tells_others_once_what_changed():
    one, clock = board()
    two, _ = board()
    here = one.targets("p", "c", "m")
    one.failed(here, Fault.THROTTLED, is_probe=False, retry_after_s=3)
    told = one.taken()
    assert [standing.target for standing in told] == ["p:c:m"]
    assert one.taken() == []
    two.learn(told)
    assert two.targets("p", "c", "m").is_barred
    assert two.taken() == []
    clock.us += 4 * SECOND
    assert [standing.target for standing in one.due()] == ["p:c:m"]
    one.permit("p:c:m", clock.us + SECOND)
    assert one.due() == []
    assert here.take_permit(clock.us)
    assert not here.take_permit(clock.us)
    one.succeeded(here, clock.us)
    assert not here.is_barred
    two.learn(one.taken())
    assert not two.targets("p", "c", "m").is_barred


def test_a_board_is_calm_again_when_all_has_its_weight_back():
    made, clock = board()
    here = made.targets("p", "c", "m")
    made.failed(here, Fault.BROKEN, is_probe=False)
    assert made.troubled
    made.succeeded(here, clock.us)
    assert not made.troubled
    made.failed(here, Fault.THROTTLED, is_probe=False)
    clock.us += 2 * SECOND
    made.succeeded(here, clock.us)
    made.settle()
    assert made.troubled
    clock.us += RAMP_US
    made.settle()
    assert not made.troubled


def test_a_provider_that_is_configured_anew_is_let_in():
    made, _ = board()
    for credential in "cd":
        made.failed(made.targets("p", credential, "m"), Fault.REFUSED, is_probe=False)
    made.failed(made.targets("pq", "c", "m"), Fault.REFUSED, is_probe=False)
    made.taken()
    made.forget("p")
    barred = Counter(standing.fault for standing in made.standings())
    assert barred == {None: 2, Fault.REFUSED: 1}
    assert len(made.taken()) == 2
