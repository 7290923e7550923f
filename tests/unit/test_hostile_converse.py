"""Answers that Bedrock's Converse should not give: an error of the upstream's, or an answer."""

from collections.abc import Callable, Iterable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.contract import aws
from tests.hostile import ANY_JSON, dumped, nested, put, spoilt, spoilt_often
from tests.unit.test_hostile_answers import REQUEST, unwrapped, written

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import Finish, InferenceEvent
from aigne_hub.providers.languages import converse
from aigne_hub.providers.usage import CONVERSE

METADATA = {
    "usage": {
        "inputTokens": 3,
        "outputTokens": 5,
        "totalTokens": 9,
        "cacheReadInputTokens": 1,
        "cacheDetails": [{"ttl": "5m", "inputTokens": 0}],
    },
    "serviceTier": {"type": "default"},
    "metrics": {"latencyMs": 5},
}
WHOLE: dict[str, Any] = {
    "output": {
        "message": {
            "role": "assistant",
            "content": [
                {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "c2ln"}}},
                {"reasoningContent": {"redactedContent": "aGlk"}},
                {"text": "Hello"},
                {"citationsContent": {"content": [{"text": "there"}], "citations": [{}]}},
                {"image": {"format": "png", "source": {"bytes": "aGk="}}},
                {"toolUse": {"toolUseId": "t1", "name": "look", "input": {"city": "Oslo"}}},
            ],
        }
    },
    "stopReason": "tool_use",
    **METADATA,
}
EVENTS: list[Any] = [
    {"messageStart": {"role": "assistant"}},
    {"contentBlockDelta": {"contentBlockIndex": 0, "delta": {"reasoningContent": {"text": "a"}}}},
    {
        "contentBlockDelta": {
            "contentBlockIndex": 0,
            "delta": {"reasoningContent": {"signature": "c2ln"}},
        }
    },
    {"contentBlockStop": {"contentBlockIndex": 0}},
    {"contentBlockDelta": {"contentBlockIndex": 1, "delta": {"text": "Hello"}}},
    {
        "contentBlockStart": {
            "contentBlockIndex": 2,
            "start": {"toolUse": {"toolUseId": "t1", "name": "look"}},
        }
    },
    {"contentBlockDelta": {"contentBlockIndex": 2, "delta": {"toolUse": {"input": "{}"}}}},
    {"contentBlockStop": {"contentBlockIndex": 2}},
    {"messageStop": {"stopReason": "tool_use"}},
    {"metadata": METADATA},
]
STREAM = b"".join(aws.event(name, value) for one in EVENTS for name, value in one.items())


def whole(body: bytes) -> bool:
    """Translate a whole answer; return whether it was one."""
    try:
        events = unwrapped(converse.reader(REQUEST, CONVERSE).whole(body))
        written(events, set())
    except UpstreamError:
        return False
    assert isinstance(events[-1], Finish)
    return True


def streamed(data: bytes) -> bool:
    """Translate a stream; return whether it was an answer."""
    reader = converse.reader(REQUEST, CONVERSE)
    events: list[InferenceEvent] = []
    try:
        events += reader.feed(data)
        events += reader.end()
        written(unwrapped(events), set())
    except UpstreamError:
        return False
    assert sum(isinstance(event, Finish) for event in events) <= 1
    return bool(events) and isinstance(events[-1], Finish)


def binary(events: object) -> bytes:
    """Return events as messages, whatever they hold."""
    listed = events if isinstance(events, list) else [events]
    return b"".join(
        aws.message({":event-type": str(name)[:50], ":message-type": "event"}, dumped(value))
        for one in listed
        if isinstance(one, dict)
        for name, value in one.items()
    )


def faults(bodies: Iterable[tuple[str, Any]], read: Callable[[Any], object]) -> list[str]:
    found = []
    for done, body in bodies:
        try:
            read(body)
        except Exception as error:  # noqa: BLE001 - all of them are told at once
            found.append(f"{done}: {error!r}"[:300])
    return found


def test_good_answers_are_told():
    assert whole(dumped(WHOLE))
    assert streamed(STREAM)
    assert streamed(binary(EVENTS))


def test_answers_with_any_member_spoilt_are_told_or_an_error():
    assert faults(spoilt(WHOLE), lambda body: whole(dumped(body))) == []
    assert faults(spoilt(EVENTS), lambda events: streamed(binary(events))) == []


@settings(max_examples=60)
@given(data=st.data())
def test_answers_with_several_members_spoilt_are_told_or_an_error(data: st.DataObject):
    whole(dumped(data.draw(spoilt_often(WHOLE) | ANY_JSON)))
    streamed(binary(data.draw(spoilt_often(EVENTS) | ANY_JSON)))


@settings(max_examples=60)
@given(data=st.data())
def test_bytes_of_any_kind_are_an_error(data: st.DataObject):
    at, on = sorted(data.draw(st.tuples(*[st.integers(0, len(STREAM))] * 2)))
    streamed(STREAM[:at] + data.draw(st.binary(max_size=8)) + STREAM[on:])


def test_arguments_nested_without_end_are_an_error():
    at = ("output", "message", "content", 5, "toolUse", "input", "city")
    with pytest.raises(UpstreamError, match="nested too deeply"):
        converse.reader(REQUEST, CONVERSE).whole(dumped(put(WHOLE, at, nested(300))))
