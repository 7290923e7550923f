"""What is strange in providers' reports is counted each time and said once."""

import pytest

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.operations import Settle
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.telemetry import ALARMS_MAX, DAY_US, Counters, UsageAlarms


def settle(provider: str = "openai", ended_us: int = 5) -> Settle:
    return Settle(
        call_id="call",
        account_id="user",
        outcome=Outcome.COMPLETED,
        held=0,
        charge=0,
        usage=None,
        usage_source=None,
        provider=provider,
        credential="main",
        ended_us=ended_us,
        duration_us=1,
        ttfb_us=None,
        billed=True,
        model="openai/m",
    )


@pytest.fixture
def counters() -> Counters:
    return Counters()


def test_a_field_is_said_once_a_provider_and_counted_each_time(counters: Counters, caplog):
    alarms = UsageAlarms(counters)
    report = Report(Usage(input_tokens=1), unread=("dream_tokens", "total_tokens"))
    for provider in ("openai", "openai", "groq"):
        alarms.note(settle(provider), report)
    lines = [record.fields for record in caplog.records]
    assert counters.usage_unknown == {"openai": 4, "groq": 2}
    assert [(line["provider"], line["field"]) for line in lines] == [
        ("openai", "dream_tokens"),
        ("openai", "total_tokens"),
        ("groq", "dream_tokens"),
        ("groq", "total_tokens"),
    ]
    assert [(alarm.provider, alarm.field) for alarm in alarms.taken()] == [
        (line["provider"], line["field"]) for line in lines
    ]
    assert alarms.taken() == []


def test_a_refused_report_is_said_once_a_provider_and_day(counters: Counters, caplog):
    alarms = UsageAlarms(counters)
    for ended_us in (5, 6, DAY_US - 1, DAY_US, DAY_US + 1):
        alarms.note(settle(ended_us=ended_us), Report(refused=f"at {ended_us}"))
    lines = [record.fields for record in caplog.records]
    assert counters.usage_refused == {"openai": 5}
    assert [line["reason"] for line in lines] == ["at 5", f"at {DAY_US}"]


def test_a_provider_that_makes_up_names_fills_nothing(counters: Counters, caplog):
    alarms = UsageAlarms(counters)
    for number in range(2 * ALARMS_MAX):
        alarms.note(settle(), Report(unread=(f"field{number}",)))
    lines = [record.fields for record in caplog.records]
    assert len(lines) == len(alarms.taken()) == ALARMS_MAX
    assert counters.usage_unknown == {"openai": 2 * ALARMS_MAX}


def test_what_could_not_be_stored_comes_first_the_next_time(counters: Counters):
    alarms = UsageAlarms(counters)
    alarms.note(settle(), Report(unread=("a",)))
    taken = alarms.taken()
    alarms.note(settle(), Report(unread=("b",)))
    alarms.give_back(taken)
    assert [alarm.field for alarm in alarms.taken()] == ["a", "b"]
