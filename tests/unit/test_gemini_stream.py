"""Gemini's stream meter over every way a network may cut what passes."""

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.gemini.stream import GeminiStreamMeter, frames_text
from aigne_hub.providers.usage import GEMINI

COUNTED = Usage(input_tokens=4, output_tokens=2)


def frame(*parts: Any, stop: str | None = None, made: int | None = 1, index: int = 0) -> bytes:
    candidate: dict[str, Any] = {"content": {"parts": list(parts), "role": "model"}}
    if index:
        candidate["index"] = index
    if stop is not None:
        candidate["finishReason"] = stop
    event: dict[str, Any] = {"candidates": [candidate]}
    if made is not None:
        event["usageMetadata"] = usage(made)
    return data(event)


def usage(made: int) -> dict[str, int]:
    return {"promptTokenCount": 5, "candidatesTokenCount": made, "totalTokenCount": 5 + made}


def data(event: Any) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(event).encode()


def text(words: str) -> dict[str, str]:
    return {"text": words}


CALL = {"functionCall": {"name": "f", "args": {"text": "xyz"}}, "thoughtSignature": "c2ln"}
FRAMES = (
    frame(text("héllo \n"), made=1),
    frame({"text": 'say "finishReason"', "thought": True}, made=2),
    frame(CALL, made=3),
    frame(text("end"), stop="STOP", made=7),
)
PRODUCED = len("héllo \n".encode()) + len('say "finishReason"') + len('{"text":"xyz"}') + 3


def fed(meter: GeminiStreamMeter, pieces: list[bytes]) -> bytes:
    out = b"".join(meter.feed(piece) for piece in pieces)
    meter.end()
    return out


@given(st.lists(st.integers(0, sum(map(len, FRAMES))), max_size=6))
def test_a_stream_passes_unchanged_however_it_is_cut(cuts: list[int]):
    stream = b"".join(FRAMES)
    points = [0, *sorted(cuts), len(stream)]
    meter = GeminiStreamMeter(GEMINI)
    out = fed(meter, [stream[a:b] for a, b in pairwise(points)])
    assert out == b"".join(FRAMES[:-1])
    assert meter.complete
    assert meter.begun
    assert meter.failure is None
    assert meter.delivered_bytes == PRODUCED == frames_text(stream)
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (5, 7)
    last = json.loads(meter.last("0.5", COUNTED)[6:])
    expected = json.loads(FRAMES[-1][6:])
    expected["usageMetadata"]["credits"] = "0.5"
    assert last == expected


def test_usage_so_far_is_at_least_what_was_produced():
    meter = GeminiStreamMeter(GEMINI)
    meter.feed(frame(text("a" * 400), made=2))
    assert meter.usage is not None
    assert (meter.usage.input_tokens, meter.usage.output_tokens) == (5, 100)
    meter.feed(frame(text("b"), made=300))
    assert meter.usage.output_tokens == 300


def test_the_searches_of_an_earlier_event_count():
    meter = GeminiStreamMeter(GEMINI)
    found = {"index": 0, "groundingMetadata": {"webSearchQueries": ["a", "b"]}}
    fed(meter, [data({"candidates": [found]}), FRAMES[-1]])
    assert meter.usage is not None
    assert (meter.usage.searches, meter.usage.output_tokens) == (2, 7)


@pytest.mark.parametrize("made", [None, 0])
def test_an_end_without_usage_gets_what_was_counted(made: int | None):
    meter = GeminiStreamMeter(GEMINI)
    end = frame(text("x"), stop="STOP", made=None)
    fed(meter, [end if made is None else data({**json.loads(end[6:]), "usageMetadata": {}})])
    assert meter.complete
    assert meter.usage is None
    shown = json.loads(meter.last("1", COUNTED)[6:])["usageMetadata"]
    assert shown == {
        "promptTokenCount": 4,
        "candidatesTokenCount": 2,
        "totalTokenCount": 6,
        "credits": "1",
    }


def test_an_end_that_is_none_lets_what_follows_through():
    meter = GeminiStreamMeter(GEMINI)
    ends = [frame(text(word), stop="STOP", made=n) for n, word in enumerate("abc", 1)]
    assert [meter.feed(end) for end in ends] == [b"", ends[0], ends[1]]
    meter.end()
    assert meter.complete
    assert json.loads(meter.last("1", COUNTED)[6:])["usageMetadata"]["candidatesTokenCount"] == 3


def test_usage_behind_the_end_waits_with_it():
    meter = GeminiStreamMeter(GEMINI)
    end = frame(text("a"), stop="STOP", made=None)
    assert fed(meter, [end, data({"usageMetadata": usage(9)})]) == b""
    assert meter.usage is not None
    assert meter.usage.output_tokens == 9
    first, second = meter.last("1", COUNTED).split(b"\r\n\r\n")[:2]
    assert first + b"\r\n\r\n" == end
    assert json.loads(second[6:]) == {"usageMetadata": {**usage(9), "credits": "1"}}


def test_every_candidate_has_to_end():
    ends = [frame(text("a"), stop="STOP"), frame(text("b"), stop="STOP", index=1)]
    meter = GeminiStreamMeter(GEMINI, 2)
    assert fed(meter, [ends[0], frame(text("b"), index=1), ends[1]])
    assert meter.complete
    meter = GeminiStreamMeter(GEMINI, 2)
    fed(meter, [ends[0], frame(text("b"), index=1)])
    assert not meter.complete
    # Of two that were asked for one came: the end has left, and credits follow it.
    meter = GeminiStreamMeter(GEMINI, 2)
    assert fed(meter, [ends[0]]) == ends[0]
    assert meter.complete
    assert "credits" in json.loads(meter.last("1", COUNTED)[6:])["usageMetadata"]


def test_a_blocked_prompt_is_a_whole_answer():
    meter = GeminiStreamMeter(GEMINI)
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": usage(0)}
    assert fed(meter, [data(blocked)]) == b""
    assert meter.complete
    assert meter.begun
    assert json.loads(meter.last("1", COUNTED)[6:])["promptFeedback"] == {"blockReason": "SAFETY"}


@pytest.mark.parametrize(
    "error",
    [
        data({"error": {"code": 503, "message": "Overloaded", "status": "UNAVAILABLE"}}),
        json.dumps({"error": {"message": "Overloaded"}}, indent=2).encode(),
    ],
)
def test_an_error_in_a_stream_is_a_failure(error: bytes):
    meter = GeminiStreamMeter(GEMINI)
    assert fed(meter, [FRAMES[0], error]) == FRAMES[0]
    assert meter.failure is not None
    assert "Overloaded" in meter.failure.message
    assert not meter.complete


@pytest.mark.parametrize("pieces", [[], [FRAMES[0]], [FRAMES[0], b": comment\n\n"], [b"data: {"]])
def test_a_stream_without_an_end_is_not_complete(pieces: list[bytes]):
    meter = GeminiStreamMeter(GEMINI)
    fed(meter, pieces)
    assert not meter.complete


def test_a_last_event_without_its_blank_line_is_read():
    meter = GeminiStreamMeter(GEMINI)
    assert fed(meter, [FRAMES[0], FRAMES[-1].rstrip()]) == FRAMES[0]
    assert meter.complete
    assert json.loads(meter.last("1", COUNTED)[6:])["usageMetadata"]["credits"] == "1"


@pytest.mark.parametrize(
    "strange",
    [
        b"data: [1]\n\n",
        b'data: {"candidates":3}\n\n',
        b'data: {"candidates":[3,{"index":"x","finishReason":"STOP"}]}\n\n',
        b'data: {"candidates":[{"content":{"parts":[3]},"finishReason":null}]}\n\n',
        b'data: {"promptFeedback":{}, "functionCall": [\n\n',
        b'data: {"candidates":[{"content":{"parts":[{"functionCall":3}]}}]}\n\n',
        b'data: {"usageMetadata":{"promptTokenCount":-1}}\n\n',
    ],
)
def test_strange_events_are_content(strange: bytes):
    meter = GeminiStreamMeter(GEMINI)
    assert fed(meter, [strange, FRAMES[0]]) == strange + FRAMES[0]
    assert meter.failure is None
    assert not meter.complete


def test_an_end_that_tells_less_than_before_is_not_believed():
    meter = GeminiStreamMeter(GEMINI)
    fed(meter, [frame(text("a"), made=50), frame(text("b"), stop="STOP", made=0)])
    assert meter.complete
    assert meter.usage is not None
    assert meter.usage.output_tokens == 50


def test_searches_told_after_the_last_usage_count():
    meter = GeminiStreamMeter(GEMINI)
    found = {"finishReason": "STOP", "groundingMetadata": {"webSearchQueries": ["a"]}}
    fed(meter, [FRAMES[0], data({"candidates": [found]})])
    assert meter.usage is not None
    assert (meter.usage.searches, meter.usage.output_tokens) == (1, 1)


def test_what_goes_on_after_the_end_is_bounded():
    meter = GeminiStreamMeter(GEMINI)
    meter.feed(FRAMES[-1])
    more = b": %b\n\n" % (b"x" * 1024 * 1024)
    for _ in range(15):
        meter.feed(more)
    assert meter.failure is None
    assert meter.feed(more) == b""
    assert meter.failure is not None
