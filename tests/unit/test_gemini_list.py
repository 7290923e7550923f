"""Gemini's stream as a list: elements for events, however those were cut."""

from typing import Any

import orjson
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import GeminiGenerate
from aigne_hub.gateway.dialects.gemini.list_stream import GeminiListMeter
from aigne_hub.gateway.dialects.gemini.stream import GeminiStreamMeter
from aigne_hub.providers.usage import GEMINI

LIST = GeminiGenerate(Called("v1beta", "m", "streamGenerateContent"))
COUNTED = Usage(input_tokens=1, output_tokens=2)


def event(text: str, finish: str | None = None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"parts": [{"text": text}]}}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate]}


EVENTS = [event("a,]"), event("[b\n\n\\"), event("", "STOP")]
STREAM = b": hello\n\n" + b"".join(b"data: %b\r\n\r\n" % orjson.dumps(one) for one in EVENTS)


def passed(meter: GeminiStreamMeter, sizes: list[int]) -> list[bytes]:
    pieces: list[bytes] = []
    at = number = 0
    while at < len(STREAM):
        size = sizes[number % len(sizes)]
        pieces.append(meter.feed(STREAM[at : at + size]))
        at, number = at + size, number + 1
    meter.end()
    return pieces


@given(sizes=st.lists(st.integers(1, 80), min_size=1, max_size=30))
def test_the_elements_are_the_events(sizes: list[int]):
    meter = GeminiListMeter(GEMINI)
    left = b"".join(passed(meter, sizes))
    assert meter.complete
    elements = orjson.loads(left + meter.last("0.5", COUNTED))
    assert elements[:2] == EVENTS[:2]
    assert elements[2].pop("usageMetadata")["credits"] == "0.5"
    assert elements[2:] == EVENTS[2:]
    plain = GeminiStreamMeter(GEMINI)
    passed(plain, sizes)
    assert meter.delivered_bytes == plain.delivered_bytes


def test_elements_are_told_apart_and_measured():
    left = GeminiListMeter(GEMINI).feed(STREAM)
    pieces = [piece + b"\r\n\r\n" for piece in left.split(b"\r\n\r\n")[:-1]]
    assert [LIST.output_of(piece) for piece in pieces] == [3, 5]


def test_an_error_ends_the_list():
    left = GeminiListMeter(GEMINI).feed(STREAM)
    elements = orjson.loads(left + LIST.error_event(UpstreamError("too hot"), 1))
    assert elements[-1]["error"]["message"] == "too hot"


def test_a_list_without_elements_is_one():
    meter = GeminiListMeter(GEMINI)
    assert orjson.loads(meter.last("0", COUNTED))[0]["usageMetadata"]["credits"] == "0"
