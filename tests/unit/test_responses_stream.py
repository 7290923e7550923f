"""The meter of OpenAI's Responses: what leaves, what waits, what was produced, what was left."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import RateLimited, UpstreamError
from aigne_hub.domain.objects import Made
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.responses.stream import OpenAIResponsesMeter, text_bytes
from aigne_hub.providers.usage import OPENAI

_GOLDEN = json.loads((Path(__file__).parents[1] / "golden/usage/openai-responses.json").read_text())
STREAMS = [call for call in _GOLDEN["calls"] if "stream" in call]
TOLD = {
    "input_tokens": 36,
    "input_tokens_details": {"cached_tokens": 6, "cache_write_tokens": 0},
    "output_tokens": 9,
    "output_tokens_details": {"reasoning_tokens": 4},
    "total_tokens": 45,
}
USAGE = Usage(input_tokens=30, output_tokens=9, cache_read_tokens=6, reasoning_tokens=4)


def frame(kind: str, number: int = 0, **members: Any) -> bytes:
    payload = json.dumps({"type": kind, "sequence_number": number, **members})
    return f"event: {kind}\ndata: {payload}\n\n".encode()


def response(**members: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "error": None, "usage": None, **members}


def item(kind: str, number: int, **members: Any) -> bytes:
    return frame(f"response.{kind}", number, item_id="msg_1", output_index=0, **members)


SAID = [
    item("output_text.delta", 4, delta="Hello", content_index=0, obfuscation="xyz"),
    item("output_text.delta", 5, delta=', "wörld"\n', content_index=0),
]
OPENING = [
    frame("response.created", 0, response=response(status="in_progress")),
    frame("response.in_progress", 1, response=response(status="in_progress")),
]
STARTED = [
    item("output_item.added", 2, item={"type": "message", "content": [], "role": "assistant"}),
    item("content_part.added", 3, part={"type": "output_text", "text": ""}),
]
CLOSING = [
    item("output_text.done", 6, text='Hello, "wörld"\n'),
    item("content_part.done", 7, part={"type": "output_text", "text": 'Hello, "wörld"\n'}),
    item("output_item.done", 8, item={"type": "message", "error": None}),
    frame("response.something.new", 9, delta={"text": "not text"}),
]
PLAIN = [*OPENING, *STARTED, *SAID, *CLOSING]


def end(kind: str = "response.completed", **members: Any) -> bytes:
    said = [{"type": "message", "content": [{"type": "output_text", "text": 'Hello, "wörld"\n'}]}]
    whole = response(**{"output": said, "usage": TOLD, **members})
    return frame(kind, 10, response=whole)


WHOLE = b"".join([*PLAIN, end()])


def run(*pieces: bytes, stores: bool = True) -> tuple[bytes, OpenAIResponsesMeter]:
    meter = OpenAIResponsesMeter(OPENAI, Ask(b"", "m", stores=stores))
    out = b"".join(meter.feed(piece) for piece in pieces)
    meter.end()
    return out, meter


def last_of(meter: OpenAIResponsesMeter, charge: str = "0.5", counted: Usage = USAGE) -> Any:
    event, data, *rest = meter.last(charge, counted).split(b"\n")
    assert rest == [b"", b""]
    payload = json.loads(data.removeprefix(b"data: "))
    assert event == f"event: {payload['type']}".encode()
    return payload


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=12))
def test_chunking_changes_nothing(cuts: list[int]):
    points = [0, *sorted(set(cuts)), len(WHOLE)]
    out, meter = run(*(WHOLE[a:b] for a, b in itertools.pairwise(points)))
    assert out == b"".join(PLAIN)
    assert meter.complete
    assert meter.failure is None
    assert meter.usage == USAGE
    assert meter.delivered_bytes == len('Hello, "wörld"\n'.encode())
    assert last_of(meter)["response"]["usage"] == {**TOLD, "credits": "0.5"}


def test_only_credits_are_put_into_the_last_event():
    odd = end(metadata={"usage": "1e400"}, big=10**30, extra=[1.10, "\ud83d\ude00"])
    odd = odd.replace(b'"object": "response"', b'"object" :\t"response"')
    _, meter = run(*PLAIN, odd)
    assert meter.last("0.5", USAGE).replace(b'"credits":"0.5",', b"") == odd


@pytest.mark.parametrize(
    "usage",
    [None, {}, {**TOLD, "credits": "9"}, "absent"],
    ids=["null", "empty", "an upstream's credits", "absent"],
)
def test_usage_in_the_last_event_is_completed_where_the_upstream_sent_none(usage: Any):
    last = end(usage=usage)
    if usage == "absent":
        last = last.replace(b'"usage": "absent", ', b"").replace(b', "usage": "absent"', b"")
    _, meter = run(*PLAIN, last)
    shown = last_of(meter, "0.5", Usage(input_tokens=7, output_tokens=4))["response"]["usage"]
    if usage:
        assert usage == "absent" or shown == {**TOLD, "credits": "0.5"}
    if not usage or usage == "absent":
        assert meter.usage is None
        assert (shown["input_tokens"], shown["output_tokens"], shown["total_tokens"]) == (7, 4, 11)
        assert shown["credits"] == "0.5"


def test_usage_that_stands_twice_is_found():
    twice = end(tools=[{"parameters": {"properties": {"usage": TOLD}}}])
    _, meter = run(*PLAIN, twice)
    last = last_of(meter)["response"]
    assert last["usage"] == {**TOLD, "credits": "0.5"}
    assert last["tools"][0]["parameters"]["properties"]["usage"] == TOLD


def test_an_event_of_several_lines_is_read_and_written_as_one():
    broken = end().replace(b', "object"', b',\ndata: "object"')
    out, meter = run(*PLAIN, broken)
    assert out == b"".join(PLAIN)
    assert meter.usage == USAGE
    assert last_of(meter)["response"]["usage"]["credits"] == "0.5"


def test_an_incomplete_response_is_an_answer():
    out, meter = run(*PLAIN, end("response.incomplete", status="incomplete"), b"data: [DONE]\n\n")
    assert out == b"".join(PLAIN)
    assert meter.complete
    assert last_of(meter)["type"] == "response.incomplete"


@pytest.mark.parametrize(
    ("last", "words"),
    [
        (end("response.failed", error={"code": "server_error", "message": "Sorry"}), "Sorry"),
        (end("response.failed"), "without saying why"),
        (end("response.cancelled"), "without saying why"),
        (frame("error", 10, code="server_error", message="Sorry", param=None), "Sorry"),
        (frame("error", 10, error={"type": "server_error", "message": "Sorry"}), "Sorry"),
        (b'data: {"error": {"message": "Sorry"}}\n\n', "Sorry"),
        (b'data: {"type":"response.failed","response":[]}\n\n', "cannot be read"),
    ],
)
def test_a_failure_in_the_stream_ends_it_and_never_leaves(last: bytes, words: str):
    out, meter = run(*PLAIN, last, end())
    assert out == b"".join(PLAIN)
    assert isinstance(meter.failure, UpstreamError)
    assert words in meter.failure.message
    assert not meter.complete
    assert meter._ask.made is None


def test_overload_and_limits_are_told_apart():
    _, meter = run(end("response.failed", error={"code": "rate_limit_exceeded", "message": "x"}))
    assert isinstance(meter.failure, RateLimited)
    _, meter = run(frame("error", error={"code": "server_is_overloaded", "message": "x"}))
    assert isinstance(meter.failure, UpstreamError)
    assert meter.failure.is_overload


@pytest.mark.parametrize(
    ("pieces", "begun"),
    [
        ([], False),
        (OPENING, False),
        ([*OPENING, b": keep-alive\n\n", b"event: ping\ndata: {}\n\n"], False),
        ([frame("response.queued", response=response(metadata={"delta": "x"}))], False),
        ([*OPENING, STARTED[0]], True),
        ([SAID[0]], True),
        ([end()], True),
    ],
)
def test_a_stream_has_begun_with_its_first_item_or_its_end(pieces: list[bytes], begun: bool):
    out, meter = run(*pieces)
    assert meter.begun is begun
    assert meter.complete or out == b"".join(pieces)
    assert meter.delivered_bytes == (5 if pieces == [SAID[0]] else 0)


def test_a_stream_without_an_end_of_its_own_is_not_complete():
    out, meter = run(*PLAIN, b"data: [DONE]\n\n")
    assert out == b"".join(PLAIN)
    assert not meter.complete


@pytest.mark.parametrize("call", STREAMS, ids=lambda call: call["name"])
def test_golden_streams_are_metered_as_documented(call: dict[str, Any]):
    pieces = [
        f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
        for event in call["stream"]
    ]
    _, meter = run(*pieces)
    ended = call["stream"][-1]["type"] in {"response.completed", "response.incomplete"}
    assert meter.complete is ended
    assert (meter.failure is None) is ended
    if ended:
        assert meter.usage == (Usage(**call["usage"]) if "usage" in call else None)


def test_searches_are_taken_by_what_is_shown_when_they_are_not_reported():
    found = [
        {"type": "web_search_call", "action": {"type": "search", "query": "x"}},
        {"type": "web_search_call", "action": {"type": "open_page", "url": "x"}},
        {"type": "web_search_call"},
    ]
    _, meter = run(end(output=found))
    assert meter.usage == USAGE._replace(searches=2)
    _, meter = run(end(output=found, tool_usage={"web_search": {"num_requests": 5}}))
    assert meter.usage == USAGE._replace(searches=5)
    _, meter = run(end(output=found, tool_usage={"web_search": {"num_requests": 0}}))
    assert meter.usage == USAGE


def test_items_without_deltas_are_counted_at_the_end():
    output = [
        {"type": "reasoning", "summary": [{"type": "summary_text", "text": "abc"}]},
        {"type": "function_call", "name": "f", "arguments": '{"a":1}'},
        {"type": "message", "content": [{"type": "output_text", "text": "wör"}, "odd", {}]},
        "odd",
    ]
    _, meter = run(*OPENING, end(usage=None, output=output))
    assert meter.delivered_bytes == 3 + 7 + 4


def test_every_delta_counts_and_nothing_that_repeats_them():
    kinds = (
        "function_call_arguments",
        "custom_tool_call_input",
        "reasoning_summary_text",
        "reasoning_text",
        "refusal",
        "mcp_call_arguments",
        "code_interpreter_call_code",
    )
    deltas = b"".join(item(f"{kind}.delta", 3, delta="a\\u00e9") for kind in kinds)
    repeats = b"".join(
        item(f"{kind}.done", 4, text="a", arguments="a", input="a") for kind in kinds
    )
    assert text_bytes(deltas + repeats) == len(kinds) * len(b"a\\u00e9")


@pytest.mark.parametrize(
    ("members", "stores", "made"),
    [
        ({}, True, Made("response", "resp_1")),
        ({}, False, None),
        ({"store": False}, True, None),
        ({"store": True}, True, Made("response", "resp_1")),
        ({"id": "../x"}, True, None),
        ({"id": None}, True, None),
    ],
)
def test_what_is_left_at_the_provider_is_known_at_the_end(
    members: dict[str, Any], stores: bool, made: Made | None
):
    _, meter = run(*PLAIN, stores=stores)
    assert meter._ask.made is None
    _, meter = run(*PLAIN, end(**members), stores=stores)
    assert meter._ask.made == made


def test_the_next_number_goes_on_from_what_was_read():
    _, meter = run()
    assert meter.next_number == 0
    _, meter = run(*PLAIN)
    assert meter.next_number == 10
    _, meter = run(*OPENING)
    assert meter.next_number == 2


def test_what_looks_like_an_end_within_a_string_is_only_text():
    tricky = item("output_text.delta", 4, delta='{"type":"response.completed","response":{}}')
    same = item("output_text.delta", 5, delta="response")
    out, meter = run(tricky, same, item("output_text.delta", 6, delta="error"), end())
    assert out == tricky + same + item("output_text.delta", 6, delta="error")
    assert meter.failure is None
    assert meter.complete


def test_an_upstream_that_never_ends_an_event_is_given_up():
    mega = b"x" * (1024 * 1024)
    _, meter = run(b"data: ", *([mega] * 17))
    assert isinstance(meter.failure, UpstreamError)


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_every_line_ending_is_understood(line_end: str):
    _, meter = run(WHOLE.replace(b"\n", line_end.encode()))
    assert meter.complete
    assert meter.usage == USAGE
    assert b'"credits":"0.5"' in meter.last("0.5", USAGE)


PIECES = st.sampled_from(
    [
        *OPENING,
        *SAID,
        end(),
        end(usage={"input_tokens": "x", "output_tokens": -1}),
        end(usage=[]),
        frame("response.failed", response=response(error="words")),
        frame("error", message="\ud800"),
        frame("error", code={"a": 1}, message=["odd"]),
        b'event: error\ndata: {"error":null,"response":null}\n\n',
        b'data: {"type":"response.completed","response":null}\n\n',
        b'data: {"type":"response.completed"}\n\n',
        b'data: {"type":"response.completed","response":{"usage":{"a":' + b"9" * 400 + b"}}}\n\n",
        b'data: {"type":"response.completed","response":{"id":"\\ud800","usage":{}}}\r\n\r\n',
        b'data: {"type":"response.completed","response":' + b"[" * 5_000 + b"\n\n",
        b'data: {"type":{"a":1},"response":1}\n\n',
        b"data: [DONE]\n\n",
        b'data: "response"\n\n',
        b'data: \xff\xfe "response"\n\n',
        b": comment\r\r",
        b"\n\n\n",
    ]
)


@given(st.lists(PIECES, max_size=8), st.lists(st.integers(1, 2_000), max_size=6))
def test_whatever_comes_fares_alike_however_it_is_cut(pieces: list[bytes], cuts: list[int]):
    whole = b"".join(pieces)
    points = [0, *sorted({cut for cut in cuts if cut < len(whole)}), len(whole)]
    out, meter = run(whole)
    again, other = run(*(whole[a:b] for a, b in itertools.pairwise(points)))
    # The blank line of an event that has not ended may stay behind.
    assert again.rstrip(b"\r\n") == out.rstrip(b"\r\n")
    assert (other.complete, other.usage, other.delivered_bytes, other._ask.made) == (
        meter.complete,
        meter.usage,
        meter.delivered_bytes,
        meter._ask.made,
    )
    if meter.complete:
        assert other.last("1", Usage()) == meter.last("1", Usage())
