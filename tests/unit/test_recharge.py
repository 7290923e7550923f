"""When an automatic top-up is due, what a day allows, and what declines do."""

import pytest

from aigne_hub.domain.recharge import DAY_US, FAILURES_MAX, Rule, day_of

HOUR_US = 3_600_000_000
NOW = 1_767_225_600_000_000


def rule(**more):
    agreed = {"enabled": True, "threshold": 100, "credits": 1_000, "attempts_a_day": 3}
    return Rule("a", "stripe", **{**agreed, "amount_a_day": 3_000, **more})


@pytest.mark.parametrize(
    ("agreed", "unheld", "due"),
    [
        ({}, 99, True),
        ({}, 100, False),
        ({}, -5, True),
        ({"enabled": False}, 0, False),
        ({"retry_us": NOW + 1}, 0, False),
        ({"retry_us": NOW}, 0, True),
        ({"threshold": 0}, 0, False),
        ({"threshold": 0}, -1, True),
    ],
)
def test_when_a_top_up_is_due(agreed, unheld, due):
    assert rule(**agreed).due(unheld, NOW) is due


@pytest.mark.parametrize(
    ("attempts", "spent", "refused"),
    [
        (0, 0, None),
        (2, 2_000, None),
        (3, 0, "today's 3 attempts are used up"),
        (1, 2_001, "today's 30.00 USD would be exceeded"),
    ],
)
def test_what_a_day_allows(attempts, spent, refused):
    assert rule().refusal(attempts, spent, 1_000, "usd") == refused


def test_declines_wait_longer_each_time_and_then_give_up():
    after, waits = rule(), []
    while after.enabled:
        after = after.declined("insufficient_funds", NOW, final=False)
        waits.append(after.retry_us and after.retry_us - NOW)
    assert waits == [HOUR_US, 6 * HOUR_US, None]
    assert (after.failures, after.disabled_reason) == (FAILURES_MAX, "insufficient_funds")


def test_a_final_decline_gives_up_at_once():
    after = rule().declined("lost_card", NOW, final=True)
    assert (after.enabled, after.disabled_reason) == (False, "lost_card")


def test_a_success_forgets_what_failed_before():
    after = rule().declined("insufficient_funds", NOW, final=False).succeeded()
    assert (after.failures, after.retry_us, after.enabled) == (0, None, True)


def test_a_day_begins_at_midnight_utc():
    assert day_of(NOW) == day_of(NOW + DAY_US - 1) == NOW
    assert day_of(NOW + DAY_US) == NOW + DAY_US
