"""The meter of Anthropic's streams: what leaves, what waits, what was produced."""

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.anthropic.stream import AnthropicStreamMeter, text_bytes
from aigne_hub.providers.usage import ANTHROPIC

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/usage/anthropic.json").read_text())


def frame(kind: str, **members: Any) -> bytes:
    payload = json.dumps({"type": kind, **members})
    return f"event: {kind}\ndata: {payload}\n\n".encode()


def delta(kind: str, **members: Any) -> bytes:
    return frame("content_block_delta", index=0, delta={"type": kind, **members})


def end(usage: Any = None, stop_reason: str | None = "end_turn") -> bytes:
    members = {} if usage is None else {"usage": usage}
    return frame("message_delta", delta={"stop_reason": stop_reason}, **members)


READ = {"input_tokens": 25, "cache_read_input_tokens": 100, "output_tokens": 1}
START = frame("message_start", message={"id": "msg_1", "content": [], "usage": READ})
PING = frame("ping")
OPEN = frame("content_block_start", index=0, content_block={"type": "text", "text": ""})
CLOSE = frame("content_block_stop", index=0)
STOP = frame("message_stop")
SAID = [delta("text_delta", text="Hello"), delta("text_delta", text=', "wörld"\n')]
PLAIN = [START, OPEN, PING, *SAID, CLOSE]
WHOLE = b"".join([*PLAIN, end({"output_tokens": 15}), STOP])
USAGE = Usage(input_tokens=25, output_tokens=15, cache_read_tokens=100)


def run(*pieces: bytes) -> tuple[bytes, AnthropicStreamMeter]:
    meter = AnthropicStreamMeter(ANTHROPIC)
    out = b"".join(meter.feed(piece) for piece in pieces)
    meter.end()
    return out, meter


def events(data: bytes) -> list[dict[str, Any]]:
    lines = [line for line in data.split(b"\n") if line.startswith(b"data: ")]
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


@given(st.lists(st.integers(1, len(WHOLE) - 1), max_size=12))
def test_chunking_changes_nothing(cuts: list[int]):
    points = [0, *sorted(set(cuts)), len(WHOLE)]
    out, meter = run(*(WHOLE[a:b] for a, b in itertools.pairwise(points)))
    assert out == b"".join(PLAIN)
    assert meter.complete
    assert meter.failure is None
    assert meter.usage == USAGE
    assert meter.delivered_bytes == len('Hello, "wörld"\n'.encode())
    assert events(meter.last("0.5", USAGE))[-1] == {"type": "message_stop"}


def test_the_last_usage_object_carries_credits_and_nothing_else_is_changed():
    _, meter = run(WHOLE)
    last = meter.last("0.5", USAGE)
    delta_, stop = events(last)
    assert delta_["usage"] == {"output_tokens": 15, "credits": "0.5"}
    assert delta_["delta"] == {"stop_reason": "end_turn"}
    assert stop == {"type": "message_stop"}
    assert last.endswith(STOP)


@pytest.mark.parametrize("call", GOLDEN["calls"], ids=lambda call: call["name"])
def test_golden_streams_are_metered_as_documented(call: dict[str, Any]):
    pieces = [frame(**{"kind": e["type"], **_without_type(e)}) for e in call["stream"]]
    _, meter = run(*pieces)
    assert meter.complete is (call["stream"][-1]["type"] == "message_stop")
    assert meter.report.usage == (Usage(**call["usage"]) if "usage" in call else None)


def _without_type(event: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in event.items() if name != "type"}


def test_what_was_read_is_known_before_the_end_and_what_was_written_is_counted():
    _, meter = run(START, OPEN, *SAID)
    assert not meter.complete
    assert meter.usage == USAGE._replace(output_tokens=4)


def test_usage_without_a_figure_for_the_output_is_completed_by_counting():
    _, meter = run(*PLAIN, end(), STOP)
    assert meter.usage == USAGE._replace(output_tokens=4)
    shown = events(meter.last("1", USAGE._replace(output_tokens=4)))[0]["usage"]
    assert shown == {
        "input_tokens": 25,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 100,
        "output_tokens": 4,
        "credits": "1",
    }


def test_an_answer_without_message_delta_still_shows_what_it_cost():
    _, meter = run(OPEN, *SAID, CLOSE, STOP)
    assert meter.complete
    assert meter.usage is None
    first, stop = events(meter.last("2", Usage(input_tokens=3, output_tokens=4)))
    assert (first["type"], first["usage"]["credits"]) == ("message_delta", "2")
    assert stop == {"type": "message_stop"}


def test_a_clean_end_after_the_stop_reason_is_complete_and_gets_its_terminator():
    _, meter = run(*PLAIN, end({"output_tokens": 15}))
    assert meter.complete
    assert [event["type"] for event in events(meter.last("0", USAGE))] == [
        "message_delta",
        "message_stop",
    ]


@pytest.mark.parametrize("tail", [[], [CLOSE], [b"event: message_st"], [PING]])
def test_a_stream_that_breaks_off_is_not_complete(tail: list[bytes]):
    _, meter = run(*PLAIN[:-1], *tail)
    assert not meter.complete


def test_a_delta_of_the_message_that_ends_nothing_passes_at_once():
    early = end({"output_tokens": 3}, stop_reason=None)
    out, meter = run(START, OPEN, SAID[0], early, SAID[1], CLOSE, end({"output_tokens": 15}), STOP)
    assert out == b"".join([START, OPEN, SAID[0], early, SAID[1], CLOSE])
    assert meter.usage == USAGE


def test_tool_input_and_thinking_count_and_signatures_do_not():
    pieces = [
        delta("thinking_delta", thinking="hm..."),
        delta("signature_delta", signature="abcdefgh" * 40),
        delta("input_json_delta", partial_json='{"city": "'),
        delta("citations_delta", citation={"cited_text": "a long quotation"}),
    ]
    out, meter = run(*pieces)
    assert out == b"".join(pieces)
    assert meter.delivered_bytes == len("hm...") + len('{"city": "') == text_bytes(out)


@pytest.mark.parametrize("cut", [False, True])
def test_an_error_event_is_a_failure_and_does_not_pass(cut: bool):
    error = {"type": "overloaded_error", "message": "Overloaded"}
    broken = b"".join([*SAID, frame("error", error=error), STOP])
    out, meter = run(*([broken[:300], broken[300:]] if cut else [broken]))
    assert out == b"".join(SAID)
    assert isinstance(meter.failure, UpstreamError)
    assert meter.failure.is_overload
    assert "Overloaded" in meter.failure.message
    assert not meter.complete


def test_text_that_looks_like_events_is_only_text():
    tricky = delta("text_delta", text='event: message_stop {"type":"message_stop","error":1}')
    out, meter = run(tricky, end({"output_tokens": 1}), STOP)
    assert out == tricky
    assert meter.failure is None


def test_an_event_that_is_no_json_passes_however_it_is_cut():
    odd = b'event: message_delta\ndata: {"type":"message_delta"\n\n'
    out, meter = run(START, odd[:20], odd[20:], SAID[0], end({"output_tokens": 2}), STOP)
    assert out == START + odd + SAID[0]
    assert meter.complete


@pytest.mark.parametrize(
    ("pieces", "begun"),
    [
        ([START], False),
        ([START, OPEN, PING], False),
        ([START, OPEN, PING, PING], True),
        ([START, OPEN, SAID[0]], True),
        ([START, OPEN, delta("signature_delta", signature="x")], True),
        ([START, end({"output_tokens": 0})], True),
    ],
)
def test_a_stream_has_begun_with_content_an_end_or_a_second_ping(pieces: list[bytes], begun: bool):
    _, meter = run(*pieces)
    assert meter.begun is begun


def test_an_upstream_that_never_ends_an_event_or_its_answer_is_given_up():
    mega = b"x" * (1024 * 1024)
    _, meter = run(b"data: ", *([mega] * 17))
    assert isinstance(meter.failure, UpstreamError)
    _, meter = run(START, end({"output_tokens": 1}), *([b"data: " + mega + b"\n\n"] * 17))
    assert isinstance(meter.failure, UpstreamError)


@pytest.mark.parametrize("line_end", ["\r\n", "\r"])
def test_every_line_ending_is_understood(line_end: str):
    _, meter = run(WHOLE.replace(b"\n", line_end.encode()))
    assert meter.complete
    assert meter.usage == USAGE


PIECES = st.sampled_from(
    [
        START,
        PING,
        *SAID,
        end({"output_tokens": 3}),
        end({"output_tokens": "x" * 9}),
        end({"output_tokens": 2}, stop_reason=None),
        STOP,
        b"event: message_delta\ndata: " + b"[" * 5_000 + b"\n\n",
        b'data: {"type":"message_delta","delta":{"stop_reason":"\\ud800"}}\n\n',
        b'data: {"type":"message_delta","delta":"x","usage":[]}\r\n\r\n',
        b'data: {"usage":{"output_tokens":' + b"9" * 400 + b"}}\n\n",
        b'data: {"error":null,"usage":null}\n\n',
        b"data: \xff\xfe\n\n",
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
    # A line's end behind the last event is no event: it may wait for one that never comes.
    assert again.rstrip(b"\n") == out.rstrip(b"\n")
    assert (other.complete, other.usage, other.delivered_bytes) == (
        meter.complete,
        meter.usage,
        meter.delivered_bytes,
    )
    if meter.complete:
        assert other.last("1", Usage()) == meter.last("1", Usage())


def test_absurd_usage_is_counted_instead():
    _, meter = run(START, *SAID, end({"output_tokens": -1}), STOP)
    assert meter.usage is None
    assert meter.report.refused
