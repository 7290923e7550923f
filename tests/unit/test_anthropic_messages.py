"""The Anthropic dialect: what is read of a request, what is sent on, and how it fails."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain import errors
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import MEDIA_TOKENS, size_of
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicCountTokens, AnthropicMessages
from aigne_hub.providers.usage import ANTHROPIC

GOLDEN = json.loads((Path(__file__).parents[1] / "golden/usage/anthropic.json").read_text())
MESSAGES, COUNT = AnthropicMessages(), AnthropicCountTokens()
SPOKEN = [{"role": "user", "content": "hello"}]


def body(**members: Any) -> bytes:
    return json.dumps({"model": "c", "max_tokens": 10, "messages": SPOKEN, **members}).encode()


def test_a_request_is_peeked_into():
    ask = MESSAGES.ask(body(stream=True, metadata={"max_tokens_": 1}))
    assert (ask.model, ask.stream, ask.output_limit, ask.n) == ("c", True, 10, 1)


@pytest.mark.parametrize(
    "broken",
    [
        b"{",
        b"[]",
        b"null",
        json.dumps({"model": "c", "messages": SPOKEN}).encode(),
        json.dumps({"model": "c", "max_tokens": 1}).encode(),
        json.dumps({"max_tokens": 1, "messages": SPOKEN}).encode(),
        body(max_tokens=-1),
        body(max_tokens=1.5),
        body(max_tokens=10**9),
        body(model=7),
        body(stream="yes"),
        b"[" * 100_000,
    ],
    ids=lambda value: value[:40].decode(),
)
def test_a_malformed_request_is_the_callers_mistake(broken: bytes):
    with pytest.raises(errors.InvalidRequest):
        MESSAGES.ask(broken)


def test_the_model_is_all_that_is_changed():
    sent = b'{"model":"anthropic/c","max_tokens":10,"new_field" : 1e3,"messages":[]}'
    ask = MESSAGES.ask(sent)
    out = MESSAGES.outgoing(ask, "c", "max_tokens", None)
    assert out == sent.replace(b"anthropic/c", b"c")


def test_a_schema_with_a_member_called_model_is_passed_byte_for_byte():
    tool = b'{"name":"t","input_schema":{"properties":{"model":{"type":"string"}}}}'
    sent = b'{"model":"a/c" ,"max_tokens":1,"messages":[],"tools":[%b],"x":1.0}' % tool
    ask = MESSAGES.ask(sent)
    assert MESSAGES.outgoing(ask, "c", "max_tokens", None) == sent.replace(b"a/c", b"c", 1)


def test_of_two_models_or_limits_the_upstream_gets_the_one_that_was_priced():
    sent = b'{"model":"a/c","max_tokens":1,"messages":[],"max_tokens":7,"model":"a/c"}'
    ask = MESSAGES.ask(sent)
    out = MESSAGES.outgoing(ask, "c", "max_tokens", None)
    assert ask.output_limit == 7
    assert out.count(b'"model"') == out.count(b'"max_tokens"') == 1
    assert (json.loads(out)["model"], json.loads(out)["max_tokens"]) == ("c", 7)


WHOLE = [call for call in GOLDEN["calls"] if "whole" in call]


@pytest.mark.parametrize("call", WHOLE, ids=lambda call: call["name"])
def test_golden_answers_are_charged_as_documented(call: dict[str, Any]):
    whole = json.dumps(call["whole"]).encode()
    assert MESSAGES.usage(MESSAGES.ask(body()), whole, ANTHROPIC).usage == Usage(**call["usage"])


@pytest.mark.parametrize(
    "answer",
    [b"", b"{", b"[]", b'{"type":"error","error":{"type":"api_error","message":"no"}}'],
)
def test_an_answer_that_is_none_is_the_upstreams_failure(answer: bytes):
    for dialect in (MESSAGES, COUNT):
        with pytest.raises(errors.UpstreamError):
            dialect.usage(dialect.ask(body()), answer, ANTHROPIC)


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"input_tokens":"7"}', b'{"input_tokens":-7}', b'{"input_tokens":null}']
)
def test_a_count_that_is_none_is_the_upstreams_failure(answer: bytes):
    with pytest.raises(errors.UpstreamError):
        COUNT.usage(COUNT.ask(body()), answer, ANTHROPIC)


def test_the_text_of_a_whole_answer_without_usage_is_counted():
    content = [
        {"type": "thinking", "thinking": "hm", "signature": "x" * 99},
        {"type": "text", "text": "wörld"},
        {"type": "tool_use", "id": "t", "name": "n", "input": {"a": 1}},
        {"type": "web_search_tool_result", "content": [{"title": "found elsewhere"}]},
    ]
    whole = json.dumps({"type": "message", "content": content}).encode()
    assert MESSAGES.output_of(whole) == len("hm") + len("wörld".encode()) + len('{"a":1}')
    assert MESSAGES.usage(MESSAGES.ask(body()), whole, ANTHROPIC).usage is None


CARD = RateCard.of(
    "card",
    {"input": 10, "output": 50, "cache_read": 1, "cache_write": 12, "cache_write_1h": 20},
)


def test_the_worst_case_is_that_all_of_the_prompt_goes_into_the_dearest_cache():
    ask = MESSAGES.ask(body(max_tokens=7))
    quote = MESSAGES.quote(ask, CARD, input_tokens=100, output_max=999)
    assert (quote.tokens_wanted, quote.tokens_min) == (7, 7)
    dearest = Usage(input_tokens=0, cache_write_tokens=100, cache_write_1h_tokens=100)
    assert quote.amount(0) >= CARD.cost(dearest)
    assert quote.amount(7) >= CARD.cost(dearest._replace(output_tokens=7))


def test_counting_holds_and_costs_nothing():
    ask = COUNT.ask(json.dumps({"model": "c", "messages": SPOKEN}).encode())
    quote = COUNT.quote(ask, CARD, input_tokens=1_000, output_max=10)
    assert quote.amount(quote.tokens_wanted) == 0
    used = COUNT.usage(ask, b'{"input_tokens":1000}', ANTHROPIC).usage
    assert used is not None
    assert CARD.cost(used) == CARD.cost(COUNT.counted(ask, 9, 9)) == 0


def test_pictures_are_bounded_by_what_one_can_cost_and_not_by_their_base64():
    picture = {"type": "base64", "media_type": "image/png", "data": "A" * 400_000}
    part = {"type": "image", "source": picture}
    bound = size_of(body(messages=[{"role": "user", "content": [part]}])).tokens_bound
    assert MEDIA_TOKENS <= bound < MEDIA_TOKENS + 1_000


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (errors.InvalidRequest("m"), "invalid_request_error"),
        (errors.UnpricedModel("m"), "invalid_request_error"),
        (errors.Unauthenticated("m"), "authentication_error"),
        (errors.InsufficientCredits("m", link="http://pay"), "NOT_ENOUGH"),
        (errors.Forbidden("m"), "permission_error"),
        (errors.NotFound("m"), "not_found_error"),
        (errors.Conflict("m"), "conflict_error"),
        (errors.PayloadTooLarge("m"), "request_too_large"),
        (errors.IdempotencyMismatch("m"), "invalid_request_error"),
        (errors.RateLimited("m"), "rate_limit_error"),
        (errors.UpstreamError("m"), "api_error"),
        (errors.UpstreamError("m", is_overload=True), "overloaded_error"),
        (errors.NoUpstream("m"), "api_error"),
        (errors.Overloaded("m"), "overloaded_error"),
        (errors.UpstreamTimeout("m"), "timeout_error"),
        (errors.UpstreamRefusal(422, "m"), "invalid_request_error"),
        (errors.HubError("m"), "api_error"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, Exception) else value,
)
def test_an_error_is_anthropics_object_with_the_stable_code(error: errors.HubError, kind: str):
    value = json.loads(MESSAGES.error(error, 1_000, "req"))
    assert (value["type"], value["request_id"]) == ("error", "req")
    assert (value["error"]["type"], value["error"]["code"]) == (kind, error.code)
    assert value["error"]["message"].startswith("m")
    event, data = MESSAGES.error_event(error, 1_000).split(b"\n")[:2]
    assert event == b"event: error"
    assert json.loads(data.removeprefix(b"data: "))["error"] == value["error"]


def test_a_402_says_where_credit_is_bought():
    error = errors.InsufficientCredits("Too little.", link="http://pay", affordable_tokens=3)
    value = json.loads(MESSAGES.error(error, 1_000, "req"))["error"]
    assert (value["link"], value["timestamp"], value["affordable_tokens"]) == (
        "http://pay",
        1_000,
        3,
    )
    assert "http://pay" in value["message"]


AMOUNT = st.one_of(st.none(), st.integers(-1, 50), st.just(10**9), st.just("7"), st.just(1.5))
PARTS = st.dictionaries(
    st.sampled_from(["ephemeral_5m_input_tokens", "ephemeral_1h_input_tokens", "new_tokens"]),
    AMOUNT,
)


@given(
    st.fixed_dictionaries(
        {"input_tokens": AMOUNT, "output_tokens": AMOUNT},
        optional={
            "cache_creation_input_tokens": AMOUNT,
            "cache_read_input_tokens": AMOUNT,
            "cache_creation": st.one_of(st.none(), PARTS),
            "output_tokens_details": st.dictionaries(st.just("thinking_tokens"), AMOUNT),
            "server_tool_use": st.dictionaries(st.just("web_search_requests"), AMOUNT),
            "service_tier": st.sampled_from([None, "standard", "batch", "Standard", 7]),
            "inference_geo": st.sampled_from([None, "global", "us", "", "not_available"]),
            "speed": st.sampled_from([None, "standard", "fast"]),
            "iterations": st.lists(st.just({"type": "compaction", "input_tokens": 3})),
            "new_field": AMOUNT,
        },
    )
)
def test_the_quick_way_reads_what_the_table_reads(usage: dict[str, Any]):
    answer = json.dumps({"type": "message", "usage": usage}).encode()
    assert MESSAGES.usage(MESSAGES.ask(body()), answer, ANTHROPIC) == ANTHROPIC.read(
        {"usage": usage}
    )
