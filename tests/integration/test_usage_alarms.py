"""Alarms about usage in the outbox, on both databases."""

import json

from sqlalchemy import select

from aigne_hub.domain.usage import UsageAlarm
from aigne_hub.storage import schema, usage_alarms
from aigne_hub.storage.engine import reading

UNKNOWN = UsageAlarm("openai", "openai/m", "call1", 5, field="dream_tokens")
REFUSED = UsageAlarm("openai", "openai/m", "call1", 5, reason="prompt_tokens is negative")


def events(hub):
    event = schema.event.c
    with reading(hub.engine) as connection:
        rows = connection.execute(
            select(event.type, event.payload, event.created_us, event.account_id).order_by(
                event.type
            )
        )
        return [(row.type, json.loads(row.payload), row.created_us, row.account_id) for row in rows]


def test_an_alarm_is_an_event_for_the_operator(hub):
    usage_alarms.record(hub.engine, [UNKNOWN, REFUSED])
    found = {"provider": "openai", "model": "openai/m", "call_id": "call1"}
    reason = "prompt_tokens is negative"
    assert events(hub) == [
        ("usage.refused", {**found, "reason": reason}, 5, None),
        ("usage.unknown_field", {**found, "field": "dream_tokens"}, 5, None),
    ]


def test_what_another_process_has_noted_stays_as_it_was(hub):
    usage_alarms.record(hub.engine, [UNKNOWN, REFUSED])
    later = UNKNOWN._replace(call_id="call2", at_us=99)
    again = REFUSED._replace(call_id="call2", at_us=99)
    usage_alarms.record(hub.engine, [later, again, later])
    assert [event[2] for event in events(hub)] == [5, 5]


def test_each_field_and_each_day_is_news(hub):
    day = REFUSED._replace(at_us=usage_alarms.DAY_US)
    other = UNKNOWN._replace(field="sleep_tokens")
    elsewhere = UNKNOWN._replace(provider="groq")
    usage_alarms.record(hub.engine, [UNKNOWN, REFUSED, day, other, elsewhere])
    assert len(events(hub)) == 5
