"""Tries beyond the first: limits in time, the same upstream again, two side by side."""

import asyncio
from dataclasses import replace

import pytest
from tests.attempting import (
    GOOD,
    Answer,
    Exchange,
    Plane,
    Settings,
    candidates,
    failure,
    refusal,
    tracked,
    tried,
)

from aigne_hub.domain.errors import (
    NoUpstream,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
    UpstreamTimeout,
)
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.latencies import SAMPLES_MIN, Latencies
from aigne_hub.domain.operations import Reason
from aigne_hub.domain.retry_budget import RETRIES_MIN, RetryBudget
from aigne_hub.domain.routing import Policy, Rules
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.exchange import ClientGone
from aigne_hub.gateway.hedging import OUTRUN, HedgedTries
from aigne_hub.gateway.line import Group, Line
from aigne_hub.transport import ConnectFailed

USUAL_US = 2_000


def good(*delays_s: float | None) -> list[Candidate]:
    """Return candidates that answer well after so long, None for never."""
    found = candidates(*(Answer(pieces=[GOOD]) for _ in delays_s))
    for candidate, delay_s in zip(found, delays_s, strict=True):
        candidate.upstream.delay_s = delay_s
    return found


def plane(**rules: int | None) -> Plane:
    return Plane(Settings(replace(Rules(), **rules)))


def line(found: list[Candidate], budget: RetryBudget | None = None) -> Line:
    """Return a line whose answers took two milliseconds so far."""
    made = Line([Group(found)], Policy.ORDER, budget or RetryBudget(0))
    for _ in range(SAMPLES_MIN):
        made.latencies.observe(USUAL_US)
    return made


HEDGED = plane(hedge_percentile=95)


def test_few_latencies_say_nothing_and_many_what_most_did_not_exceed():
    latencies = Latencies()
    for number in range(1, SAMPLES_MIN):
        latencies.observe(number)
    assert latencies.percentile(50) is None
    for number in range(SAMPLES_MIN, 101):
        latencies.observe(number)
    assert [latencies.percentile(percent) for percent in (50, 95, 99)] == [51, 96, 100]


def test_a_second_candidate_is_asked_when_the_first_is_slow_and_the_first_is_stopped():
    found, call = good(None, 0), tracked()
    ways = line(found)
    won = tried(found, call=call, plane=HEDGED, line=ways, kind=HedgedTries)
    assert won.candidate is found[1]
    assert found[0].upstream.stopped
    assert [(one.credential, one.reason, one.error) for one in call.attempts] == [
        ("key0", Reason.CHOSEN, OUTRUN),
        ("key1", Reason.HEDGE, None),
    ]
    assert call.attempts[0].cost == 1
    assert call.rates is found[1].model.rates
    assert [one.load.outstanding for one in found] == [0, 1]


def test_the_first_wins_when_it_answers_before_the_second():
    found, call = good(0.05, None), tracked()
    won = tried(found, call=call, plane=HEDGED, line=line(found), kind=HedgedTries)
    assert won.candidate is found[0]
    assert found[1].upstream.stopped
    assert [(one.credential, one.error) for one in call.attempts] == [
        ("key1", OUTRUN),
        ("key0", None),
    ]
    assert [one.load.outstanding for one in found] == [1, 0]


def test_a_quick_answer_asks_nobody_else():
    found, call = good(0, 0), tracked()
    assert tried(found, call=call, plane=HEDGED, line=line(found), kind=HedgedTries)
    assert len(call.attempts) == 1
    assert found[1].upstream.bodies == []


def test_without_samples_nobody_else_is_asked():
    found, call = good(0.02, 0), tracked()
    assert tried(found, call=call, plane=HEDGED, kind=HedgedTries).candidate is found[0]
    assert found[1].upstream.bodies == []


def test_when_both_fail_the_third_is_asked():
    found = candidates(refusal(500), refusal(503), Answer(pieces=[GOOD]))
    found[0].upstream.delay_s = 0.03
    call = tracked()
    won = tried(found, call=call, plane=HEDGED, line=line(found), kind=HedgedTries)
    assert won.candidate is found[2]
    assert sorted(one.credential for one in call.attempts) == ["key0", "key1", "key2"]
    assert [one.load.outstanding for one in found] == [0, 0, 1]


def test_who_had_failed_by_itself_when_the_other_answered_has_that_on_record():
    found, call = good(0.03, 0.03), tracked()
    found[0].upstream.outcome = refusal(401)
    world = plane(hedge_percentile=95)

    class Together(HedgedTries):
        async def _winner(self, ways, legs):
            await asyncio.wait({leg.task for leg in legs})
            return await super()._winner(ways, legs[::-1])

    won = tried(found, call=call, plane=world, line=line(found), kind=Together)
    assert won.candidate is found[1]
    assert [one.status for one in call.attempts] == [401, 200]
    assert call.attempts[0].error != OUTRUN
    assert found[0].targets.credential.is_barred
    assert [one.load.outstanding for one in found] == [0, 1]


def test_a_refusal_of_the_request_stops_the_other_one():
    found = candidates(Answer(pieces=[GOOD]), refusal(400))
    found[0].upstream.delay_s = None
    with pytest.raises(UpstreamRefusal):
        tried(found, plane=HEDGED, line=line(found), kind=HedgedTries)
    assert found[0].upstream.stopped
    assert [one.load.outstanding for one in found] == [0, 0]


def test_a_budget_that_is_spent_asks_nobody_else():
    budget = RetryBudget(0)
    for _ in range(RETRIES_MIN):
        assert budget.take(0)
    found = good(0.02, 0)
    ways = line(found, budget)
    assert tried(found, plane=HEDGED, line=ways, kind=HedgedTries).candidate is found[0]
    assert found[1].upstream.bodies == []


def test_a_caller_who_leaves_stops_both():
    found, exchange = good(None, None), Exchange()

    def leave() -> None:
        exchange.disconnected = True
        exchange.on_disconnect()

    class Leaving(HedgedTries):
        async def first_answer(self, ways):
            asyncio.get_running_loop().call_later(0.05, leave)
            return await super().first_answer(ways)

    with pytest.raises(ClientGone):
        tried(found, exchange=exchange, plane=HEDGED, line=line(found), kind=Leaving)
    assert [one.upstream.stopped for one in found] == [True, True]


def test_an_attempt_that_has_another_behind_it_is_bounded():
    found, call = good(None, 0.05), tracked()
    limited = plane(attempt_s=0.02)
    won = tried(found, call=call, plane=limited)
    assert won.candidate is found[1]
    assert found[0].upstream.stopped
    assert call.attempts[0].error == "The upstream took too long: no answer within 0.02 s."


def test_the_last_candidate_has_the_time_that_is_left():
    found = good(None, None)
    with pytest.raises(UpstreamTimeout):
        tried(found, plane=plane(attempt_s=0.01, within_s=0.03))
    assert [one.upstream.stopped for one in found] == [True, True]


def test_no_more_is_tried_than_the_rules_and_the_budget_allow():
    call = tracked()
    error = failure(*(refusal(500) for _ in range(9)), call=call, plane=plane(attempts=3))
    assert len(call.attempts) == 3
    assert error.code == "upstream_error"
    budget = RetryBudget(0)
    found = candidates(*(refusal(500) for _ in range(2)))
    ways = Line([Group(found)], Policy.ORDER, budget)
    for _ in range(RETRIES_MIN + 5):
        with pytest.raises(Exception, match="500"):
            tried(found, line=ways)
    assert len(found[0].upstream.bodies) == RETRIES_MIN + 5
    assert len(found[1].upstream.bodies) == RETRIES_MIN


@pytest.mark.parametrize(
    "outcome", [ConnectFailed("refused"), refusal(503), refusal(500)], ids=repr
)
def test_the_last_one_is_asked_again_as_often_as_the_operator_wants(outcome):
    call = tracked()
    failure(outcome, call=call, plane=plane(retries=2))
    assert [one.reason for one in call.attempts] == [Reason.CHOSEN, Reason.RETRY, Reason.RETRY]


@pytest.mark.parametrize("status", [401, 402, 403, 429])
def test_what_a_moment_does_not_mend_is_not_asked_again(status: int):
    call = tracked()
    failure(refusal(status), call=call, plane=plane(retries=2))
    assert len(call.attempts) == 1


def test_a_failure_costs_the_operator_what_the_upstream_may_have_read():
    call = tracked()
    failure(refusal(500), refusal(429), ConnectFailed("refused"), call=call)
    assert [one.cost for one in call.attempts] == [1, 0, 0]


def test_when_who_is_left_is_limited_the_caller_is_told_when_to_come_back():
    found = candidates(refusal(500), Answer(pieces=[GOOD]))
    world = Plane()
    targets = found[1].targets
    targets.model.bar(Fault.THROTTLED, 0, 0.0, retry_after_s=17)
    only = Line([Group(found)], Policy.ORDER, RetryBudget(0))

    class Passing(Line):
        def __iter__(self):
            return iter(self.candidates[:1])

    with pytest.raises(RateLimited) as raised:
        tried(found, plane=world, line=Passing(only.groups, Policy.ORDER, only.budget))
    assert raised.value.retry_after_s == 17


def test_who_was_asked_and_failed_otherwise_is_not_said_to_be_limited():
    found = candidates(refusal(401))
    found[0].targets.model.bar(Fault.THROTTLED, 0, 0.0, retry_after_s=17)
    with pytest.raises(UpstreamError):
        tried(found, plane=Plane())


def test_nobody_is_asked_for_a_caller_who_left():
    with pytest.raises(ClientGone):
        tried(good(0), exchange=Exchange(disconnected=True))


def test_when_nobody_can_be_reached_that_is_said():
    assert isinstance(failure(ConnectFailed("refused"), ConnectFailed("refused")), NoUpstream)
