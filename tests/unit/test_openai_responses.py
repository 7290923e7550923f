"""What the hub reads of a request to Responses, what it sends on, and what it makes of answers."""

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.errors import HubError, InvalidRequest, RateLimited, UpstreamError
from aigne_hub.domain.objects import Followed, Made
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import size_of
from aigne_hub.domain.usage import TOKENS_MAX, Usage
from aigne_hub.gateway.dialects.responses.compaction import OpenAICompaction
from aigne_hub.gateway.dialects.responses.create import OpenAIInputTokens, OpenAIResponses
from aigne_hub.providers.usage import OPENAI

DIALECT = OpenAIResponses()
RATES = RateCard.of("r", {"input": 1_000, "output": 10_000, "search": 10_000_000})
CONTEXT = 131_072
FUNCTION = {"type": "function", "name": "f", "parameters": {"type": "object"}}
TOLD = {"input_tokens": 4, "output_tokens": 2, "total_tokens": 6}


def body(**members: Any) -> bytes:
    return json.dumps({"model": "openai/m", "input": "say hello", **members}).encode()


def answer(**members: Any) -> bytes:
    value = {"id": "resp_1", "object": "response", "status": "completed", "error": None}
    return json.dumps({**value, "output": [], "usage": TOLD, **members}).encode()


def test_a_request_is_peeked_into():
    ask = DIALECT.ask(body(stream=True, max_output_tokens=50, store=None, tools=[FUNCTION]))
    assert (ask.model, ask.stream, ask.output_limit) == ("openai/m", True, 50)
    assert (ask.shows_usage, ask.stores, ask.follows, ask.size) == (True, True, None, None)
    ask = DIALECT.ask(body(store=False))
    assert (ask.stream, ask.output_limit, ask.stores) == (False, None, False)


@pytest.mark.parametrize(
    ("members", "follows"),
    [
        (
            {"previous_response_id": "resp_0"},
            Followed("response", "resp_0", "previous_response_id"),
        ),
        ({"prompt": {"id": "pmpt_1"}}, None),
        ({"tools": [FUNCTION, {"type": "web_search"}]}, None),
        ({"tools": [{"type": "mcp", "server_url": "https://example.com"}]}, None),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, None),
    ],
    ids=str,
)
def test_what_cannot_be_seen_is_held_for_as_a_whole_context(
    members: dict[str, Any], follows: Followed | None
):
    ask = DIALECT.ask(body(**members))
    assert ask.follows == follows
    assert ask.size is not None
    assert ask.size.tokens_bound == TOKENS_MAX
    seen = DIALECT.ask(body(tools=[FUNCTION, {"type": "custom", "name": "g"}], prompt=None))
    assert seen.size is None


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"background": True}, "background"),
        ({"conversation": "conv_1"}, "conversation"),
        ({"conversation": {"id": "conv_1"}}, "conversation"),
        ({"max_output_tokens": 0}, "max_output_tokens"),
        ({"max_output_tokens": 10**8}, "max_output_tokens"),
        ({"max_output_tokens": "many"}, "max_output_tokens"),
        ({"model": 1}, "model"),
        ({"stream": "yes"}, "stream"),
        ({"tools": ["f"]}, "tools[0]"),
        ({"previous_response_id": 7}, "previous_response_id"),
    ],
    ids=str,
)
def test_what_cannot_be_served_is_refused_by_name(members: dict[str, Any], param: str):
    with pytest.raises(InvalidRequest) as refused:
        DIALECT.ask(body(**members))
    assert refused.value.param == param


@pytest.mark.parametrize(
    "hostile",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"\xff\xfe",
        b"\xef\xbb\xbf{}",
        b'{"model":"m","input":"\xed\xa0\x80"',
        b'{"model":' + b"[" * 100_000,
        b'{"input":' + b'{"a":' * 100_000,
        b'{"model":"m","input":"x","tools":' + b"[" * 100_000,
    ],
    ids=range(10),
)
def test_hostile_bodies_are_the_callers_mistake(hostile: bytes):
    with pytest.raises(InvalidRequest):
        DIALECT.ask(hostile)


@given(st.binary(max_size=200) | st.text(max_size=200).map(str.encode))
def test_any_body_is_read_or_refused(sent: bytes):
    with contextlib.suppress(InvalidRequest):
        DIALECT.ask(sent)


def test_only_the_name_and_a_lowered_limit_are_changed():
    sent = body(tools=[FUNCTION], new_member=[1e3], store=False)
    ask = DIALECT.ask(sent)
    assert DIALECT.outgoing(ask, "m", "max_tokens", None) == sent.replace(b"openai/m", b"m")
    lowered = json.loads(DIALECT.outgoing(ask, "m", "max_tokens", 70))
    assert lowered == {**json.loads(sent), "model": "m", "max_output_tokens": 70}
    null = DIALECT.ask(body(max_output_tokens=None))
    assert b"null" not in DIALECT.outgoing(null, "m", "max_tokens", 70)


@pytest.mark.parametrize(
    "twice",
    [
        '"max_output_tokens":9000,"max_output_tokens":20',
        '"previous_response_id":"resp_2","previous_response_id":"resp_1"',
        '"background":true,"background":false',
        '"store":true,"store":false',
        '"tools":[{"type":"web_search"}],"tools":[]',
    ],
)
def test_a_member_that_stands_twice_is_sent_as_it_was_read(twice: str):
    sent = f'{{"model":"openai/m","input":"x",{twice}}}'.encode()
    name = twice.split('"')[1]
    outgoing = DIALECT.outgoing(DIALECT.ask(sent), "m", "max_tokens", None)
    assert outgoing.count(f'"{name}"'.encode()) == 1
    assert json.loads(outgoing)[name] == json.loads(sent)[name]


def test_a_quote_covers_input_output_and_searches():
    def quote(**members: Any):
        ask = DIALECT.ask(body(**members))
        return DIALECT.quote(ask, RATES, input_tokens=100, output_max=16_384)

    whole = quote()
    assert (whole.tokens_wanted, whole.tokens_min) == (16_384, 16)
    assert quote(max_output_tokens=50)[2:] == (50, 50)
    assert quote(stream=True)[2:] == (1_024, 1)
    assert quote(max_output_tokens=5)[2:] == (5, 5)
    search = quote(tools=[{"type": "web_search"}]).amount(0) - whole.amount(0)
    assert search == 9 * 10_000_000


def test_a_whole_answer_is_read_and_what_it_left_is_noted():
    ask = DIALECT.ask(body())
    report = DIALECT.usage(ask, answer(), OPENAI)
    assert report.usage == Usage(input_tokens=4, output_tokens=2)
    assert ask.made == Made("response", "resp_1")
    ask = DIALECT.ask(body(store=False))
    DIALECT.usage(ask, answer(status="incomplete"), OPENAI)
    assert ask.made is None


@pytest.mark.parametrize(
    ("usage", "bucket"),
    [
        (TOLD, Usage(input_tokens=4, output_tokens=2)),
        ({**TOLD, "total_tokens": 7}, Usage(input_tokens=4, output_tokens=2)),
        ({**TOLD, "dream_tokens": 3}, Usage(input_tokens=4, output_tokens=2)),
        (
            {**TOLD, "input_tokens_details": {"cached_tokens": 1, "cache_write_tokens": 2}},
            Usage(1, 2, 1, 2),
        ),
        ({**TOLD, "input_tokens_details": {"cached_tokens": 9}}, None),
        ({**TOLD, "output_tokens": -2}, None),
        (None, None),
    ],
)
def test_usage_is_believed_when_it_can_be_true(usage: Any, bucket: Usage | None):
    report = DIALECT.usage(DIALECT.ask(body()), answer(usage=usage), OPENAI)
    assert report.usage == bucket
    assert bool(report.unread) is bool(
        usage and ("dream_tokens" in usage or usage["total_tokens"] == 7)
    )


@pytest.mark.parametrize(
    ("broken", "error"),
    [
        (answer(status="failed"), UpstreamError),
        (answer(status="cancelled"), UpstreamError),
        (answer(status="failed", error={"code": "server_error", "message": "x"}), UpstreamError),
        (b'{"error":{"message":"x"}}', UpstreamError),
        (answer()[:40], UpstreamError),
        (b"[" * 100_000, UpstreamError),
        (b"<html>", UpstreamError),
    ],
    ids=range(7),
)
def test_a_200_that_is_no_answer_is_an_error(broken: bytes, error: type[HubError]):
    ask = DIALECT.ask(body())
    with pytest.raises(error):
        DIALECT.usage(ask, broken, OPENAI)
    assert ask.made is None


def test_what_was_written_is_counted_in_whole_answers_and_in_events():
    said = [{"type": "message", "content": [{"type": "output_text", "text": "héllo"}]}]
    assert DIALECT.output_of(answer(output=said)) == 6
    assert DIALECT.output_of(b'data: {"type":"x","delta":"h\\u00e9llo"}\n\n') == 6
    assert DIALECT.output_of(b"{" * 10) == 0
    assert DIALECT.counted(DIALECT.ask(body()), 3, 6) == Usage(input_tokens=3, output_tokens=2)


def test_an_error_event_goes_on_from_the_streams_numbers():
    dialect = OpenAIResponses()
    meter = dialect.meter(dialect.ask(body(stream=True)), OPENAI)
    meter.feed(b'event: x\ndata: {"type":"response.x","sequence_number":41}\n\n')
    event, data, *_ = dialect.error_event(UpstreamError("It broke."), 5).split(b"\n")
    assert event == b"event: error"
    shown = json.loads(data.removeprefix(b"data: "))
    assert (shown["type"], shown["code"]) == ("error", "upstream_error")
    assert (shown["message"], shown["param"], shown["sequence_number"]) == ("It broke.", None, 42)
    assert shown["error"]["code"] == "upstream_error"
    assert json.loads(dialect.error(RateLimited("Slow."), 5, ""))["error"]["code"] == "rate_limited"


def test_a_compaction_is_held_for_whole():
    compaction = OpenAICompaction()
    ask = compaction.ask(body(stream=True, max_output_tokens=5))
    assert (ask.stream, ask.output_limit, ask.stores) == (False, None, False)
    quote = compaction.quote(ask, RATES, input_tokens=100, output_max=16_384)
    assert (quote.tokens_wanted, quote.tokens_min) == (16_384, 16_384)
    with pytest.raises(InvalidRequest):
        compaction.ask(body(conversation="conv_1"))


def test_counting_input_is_free_and_leaves_nothing():
    counting = OpenAIInputTokens()
    ask = counting.ask(body(tools=[{"type": "web_search"}], previous_response_id="resp_1"))
    assert ask.follows is not None
    assert counting.quote(ask, RATES, input_tokens=CONTEXT, output_max=5).amount(5) == 0
    assert counting.usage(ask, b'{"input_tokens":5}', OPENAI).usage == Usage(requests=0)
    assert ask.made is None
    with pytest.raises(UpstreamError):
        counting.usage(ask, b'{"input_tokens":-5}', OPENAI)
    with pytest.raises(UpstreamError):
        counting.usage(ask, b'{"object":"response"}', OPENAI)


def test_the_results_of_tools_are_text_of_the_prompt():
    result = {"type": "function_call_output", "call_id": "call_1", "output": "x" * 400}
    sent = body(input=[{"role": "user", "content": "hello"}, result])
    assert size_of(sent).text_bytes == 405
