"""Trying candidates: what goes on to the next, which error wins, what is put on record."""

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.attempting import (
    EVENT,
    GOOD,
    RATES,
    SECRET,
    Answer,
    Exchange,
    Upstream,
    candidates,
    failure,
    refusal,
    tracked,
    tried,
)

from aigne_hub.domain.errors import (
    NoUpstream,
    Overloaded,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
    UpstreamTimeout,
)
from aigne_hub.gateway.attempt import Streaming, Whole
from aigne_hub.gateway.exchange import ClientGone
from aigne_hub.gateway.patience import RETRY_AFTER_MAX_S
from aigne_hub.transport import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    TransportError,
)


def test_a_400_about_the_hubs_own_account_is_no_fault_of_the_callers():
    told = "Your credit balance is too low to access the Anthropic API. Please go to Plans."
    won = tried(candidates(refusal(400, told), Answer(pieces=[GOOD])))
    assert won.candidate.credential == "key1"
    error = failure(refusal(400, told))
    assert (error.code, error.status) == ("upstream_error", 502)
    assert "Plans" not in error.message


def test_the_first_good_answer_wins_and_the_rest_is_left_alone():
    found = candidates(Answer(pieces=[GOOD]), Answer(pieces=[GOOD]))
    call = tracked()
    won = tried(found, call=call)
    assert isinstance(won, Whole)
    assert won.candidate is found[0]
    assert found[1].upstream.bodies == []
    assert [one.error for one in call.attempts] == [None]


GOES_ON = [
    ConnectFailed("refused"),
    ConnectTimeout("late"),
    FirstByteTimeout("late"),
    ProtocolError("strange"),
    *(refusal(status) for status in (401, 402, 403, 408, 409, 429, 500, 502, 503, 504, 529)),
    Answer(200, [b"not json"]),
    Answer(200, [b'{"error": {"message": "no"}}']),
    Answer(200, [b"{", IdleTimeout("silent")]),
    Answer(204),
    Answer(302, headers={b"location": b"http://elsewhere"}),
]


@pytest.mark.parametrize("outcome", GOES_ON, ids=repr)
def test_a_failure_before_the_first_byte_goes_on_to_the_next(outcome: Answer | Exception):
    call = tracked()
    found = candidates(outcome, Answer(pieces=[GOOD]))
    won = tried(found, call=call)
    assert won.candidate is found[1]
    assert [one.error is None for one in call.attempts] == [False, True]
    assert [one.credential for one in call.attempts] == ["key0", "key1"]
    assert call.rates == RATES[1]


@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_the_callers_own_fault_stops_the_search(status: int):
    call = tracked()
    error = failure(refusal(status, "too long", param="messages"), Answer(pieces=[GOOD]), call=call)
    assert isinstance(error, UpstreamRefusal)
    assert (error.status, error.message, error.param) == (status, "too long", "messages")
    assert len(call.attempts) == 1


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ([refusal(429), refusal(500)], RateLimited),
        ([refusal(500), refusal(429), refusal(401)], RateLimited),
        ([refusal(500), FirstByteTimeout("late")], UpstreamTimeout),
        ([refusal(500), IdleTimeout("late")], UpstreamTimeout),
        ([refusal(500), TotalTimeout("late")], UpstreamTimeout),
        ([refusal(500), ConnectTimeout("late")], UpstreamTimeout),
        ([refusal(500), ConnectFailed("refused")], NoUpstream),
        ([ConnectFailed("refused"), refusal(500)], UpstreamError),
        ([refusal(504)], UpstreamTimeout),
        ([refusal(401)], UpstreamError),
        ([TransportError("broken")], UpstreamError),
    ],
)
def test_when_none_answers_a_429_wins_else_the_last_word(outcomes, expected):
    assert type(failure(*outcomes)) is expected


@given(st.binary(max_size=12))
def test_retry_after_is_bounded_whatever_the_upstream_says(value: bytes):
    answer = refusal(429)
    answer.headers[b"retry-after"] = value
    error = failure(answer)
    assert isinstance(error, RateLimited)
    assert 1 <= error.retry_after_s <= RETRY_AFTER_MAX_S


def google(status: int, **detail: Any) -> Answer:
    error = {"code": status, "message": "No.", "status": "S", "details": [3, detail]}
    return Answer(status, [json.dumps({"error": error}).encode()])


def test_googles_400_about_the_hubs_own_key_is_no_mistake_of_the_callers():
    assert isinstance(failure(google(400, reason="API_KEY_INVALID")), UpstreamError)
    found = candidates(google(400, reason="API_KEY_INVALID"), Answer(pieces=[GOOD]))
    assert tried(found).candidate is found[1]
    other = failure(google(400, reason="BAD_THING"))
    assert isinstance(other, UpstreamRefusal)
    assert other.recorded == "The upstream answered 400 (bad_thing)."


@pytest.mark.parametrize(
    ("delay", "seconds"),
    [("34s", 34), ("34.074824224s", 35), ("0s", 1), ("9999999s", 3600), ("soon", 1), (3, 1)],
)
def test_googles_patience_stands_in_the_error(delay: Any, seconds: int):
    error = failure(google(429, retryDelay=delay))
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds


def test_retry_after_is_passed_on():
    answer = refusal(429)
    answer.headers[b"retry-after"] = b"17"
    error = failure(answer)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == 17


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({b"retry-after-ms": b"1500"}, 2),
        ({b"retry-after-ms": b"1500", b"retry-after": b"9"}, 9),
        ({b"retry-after-ms": b"soon"}, 1),
        (
            {
                b"retry-after": b"Wed, 21 Oct 2026 07:28:30 GMT",
                b"date": b"Wed, 21 Oct 2026 07:28:00 GMT",
            },
            30,
        ),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:30 GMT"}, 1),
        (
            {
                b"retry-after": b"Wed, 21 Oct 2026 07:28:00 GMT",
                b"date": b"Wed, 21 Oct 2026 07:29:00 GMT",
            },
            1,
        ),
        ({b"retry-after": b"Wed, 21 Oct 2026 07:28:00 -0000", b"date": b"soon"}, 1),
    ],
)
def test_patience_in_milliseconds_and_until_a_date_is_passed_on(headers, seconds: int):
    answer = refusal(429)
    answer.headers |= headers
    error = failure(answer)
    assert isinstance(error, RateLimited)
    assert error.retry_after_s == seconds


@pytest.mark.parametrize("status", [401, 402, 403])
def test_the_hubs_own_account_is_never_the_callers_trouble(status: int):
    error = failure(refusal(status, "Insufficient Balance"))
    assert type(error) is UpstreamError
    assert error.status == 502
    assert "Balance" not in error.message


# What vendors answer to a model that they do not have, or a member that they do not know: the
# shapes of their documents and of reports, November 2026.
@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        # https://platform.openai.com/docs/guides/error-codes
        (404, {"error": {"message": "The model `x` does not exist", "type": "invalid_request_error",
                         "param": None, "code": "model_not_found"}},
         "The model `x` does not exist"),
        # https://docs.mistral.ai/api and github.com/dnakov/anon-kode/issues/53
        (400, {"object": "error", "message": "Invalid model: x", "type": "invalid_model",
               "param": None, "code": "1500"}, "Invalid model: x"),
        (422, {"object": "error", "message": {"detail": [{"loc": ["body", "n"]}]}},
         '{"detail":[{"loc":["body","n"]}]}'),
        # https://docs.cohere.com/reference/errors
        (404, {"message": "model 'x' not found"}, "model 'x' not found"),
        # https://docs.x.ai/docs/api-reference
        (404, {"code": "not_found", "error": "The model x does not exist"},
         "The model x does not exist"),
        # https://docs.ollama.com/api/errors
        (404, {"error": "model 'x' not found"}, "model 'x' not found"),
        # https://openrouter.ai/docs/api/reference/errors-and-debugging
        (400, {"error": {"code": 400, "message": "x is not a valid model ID"}},
         "x is not a valid model ID"),
        # FastAPI, behind many local servers
        (404, {"detail": "Not Found"}, "Not Found"),
        (422, {"detail": [{"loc": ["body"], "msg": "m"}]}, '[{"loc":["body"],"msg":"m"}]'),
        # https://docs.aws.amazon.com/bedrock/latest/APIReference/CommonErrors.html
        (400, {"message": "The provided model identifier is invalid."},
         "The provided model identifier is invalid."),
    ],
)  # fmt: skip
def test_every_vendors_words_about_a_mistake_are_kept(status: int, body: Any, said: str):
    error = failure(Answer(status, [json.dumps(body).encode()]))
    assert isinstance(error, UpstreamRefusal)
    assert error.message == said


@pytest.mark.parametrize("body", [b"<html><h1>502 Bad Gateway</h1></html>", b"", b'{"error":{}}'])
def test_a_proxys_page_is_not_shown(body: bytes):
    error = failure(Answer(502, [body]))
    assert type(error) is UpstreamError
    assert error.message == "The upstream answered 502."
    assert failure(Answer(404, [body])).message == "The upstream answered 404."


# -- whose words are shown, and whose are kept ----------------------------------------------


@pytest.mark.parametrize("status", [400, 429])
def test_an_upstreams_words_reach_the_caller_without_keys_and_the_record_not_at_all(status: int):
    call = tracked()
    said = f"Bad header Bearer {SECRET} or sk-abcdef0123456789XYZ in 'my secret prompt'"
    error = failure(refusal(status, said, code="invalid_thing"), call=call)
    assert "my secret prompt" in error.message
    assert SECRET not in error.message
    assert "sk-abcdef" not in error.message
    for kept in (error.recorded, call.attempts[0].error):
        assert "invalid_thing" in kept
        assert "prompt" not in kept


def test_words_that_only_look_a_little_like_keys_are_left_alone():
    said = "The skateboarding-competition keynotespeakerlist is too long."
    assert failure(refusal(400, said)).message == said


def test_a_short_dummy_credential_mangles_no_words():
    owner = candidates(refusal(400, "an apple"))
    dummy = replace(owner[0], secret="a")
    with pytest.raises(UpstreamRefusal, match="an apple"):
        tried([dummy])


@pytest.mark.parametrize("code", ["my secret prompt", SECRET, 7, None, {"a": 1}, "x" * 100])
def test_only_what_looks_like_a_code_is_recorded_as_one(code: Any):
    assert failure(refusal(400, "no", code=code)).recorded == "The upstream answered 400."


@given(st.binary(max_size=60) | st.recursive(st.none() | st.text(), st.lists).map(json.dumps))
def test_any_error_body_makes_an_error(body: Any):
    data = body if isinstance(body, bytes) else body.encode()
    error = failure(Answer(400, [data]))
    assert error.status == 400
    assert error.message


@pytest.mark.parametrize(
    "shape", ["{}", '"words"', '{"error": "words"}', '{"error": {"message": 1}}']
)
def test_errors_of_other_shapes_are_read_too(shape: str):
    error = failure(Answer(422, [shape.encode()]))
    assert error.message in {"words", "1", "The upstream answered 422."}


def test_a_huge_message_is_cut():
    assert len(failure(refusal(400, "a b " * 100_000)).message) <= 2_000


# -- streams --------------------------------------------------------------------------------


def test_a_stream_is_chosen_at_its_first_content():
    opening = b'data: {"choices":[{"delta":{"role":"assistant","content":""}}]}\n\n'
    answer = Answer(pieces=[opening, EVENT, IdleTimeout("later")])
    won = tried(candidates(answer), stream=True)
    assert isinstance(won, Streaming)
    assert won.first == opening + EVENT
    assert (won.left_bytes, won.meter.delivered_bytes) == (0, 2)
    assert not answer.closed


BEFORE_CONTENT = [
    [],
    [b'data: {"error":{"message":"no"}}\n\n'],
    [b"data: not json"],
    [b": comment\n\n", IdleTimeout("silent")],
    [b'{"error":{"message":"no"}}'],
]


@pytest.mark.parametrize("pieces", BEFORE_CONTENT, ids=repr)
def test_a_stream_that_fails_before_its_first_content_goes_on_to_the_next(pieces: list[Any]):
    answer = Answer(pieces=list(pieces))
    found = candidates(answer, Answer(pieces=[EVENT]))
    won = tried(found, stream=True)
    assert won.candidate is found[1]
    assert answer.closed


def test_an_error_event_is_shown_without_keys_and_kept_without_words():
    said = json.dumps({"error": {"message": f"no {SECRET} for 'my prompt'"}})
    call = tracked()
    error = failure(Answer(pieces=[f"data: {said}\n\n".encode()]), stream=True, call=call)
    assert "my prompt" in error.message
    assert SECRET not in error.message
    assert "my prompt" not in error.recorded
    assert "my prompt" not in call.attempts[0].error


# -- callers that leave, hubs that stop -----------------------------------------------------


def test_a_caller_who_left_before_anything_was_sent_costs_no_try():
    call = tracked()
    found = candidates(Answer(pieces=[GOOD]))
    with pytest.raises(ClientGone):
        tried(found, call=call, exchange=Exchange(disconnected=True))
    assert call.attempts == []
    assert found[0].upstream.bodies == []


def test_a_hub_that_stops_begins_no_try():
    call = tracked()
    error = failure(Answer(pieces=[GOOD]), call=call, exchange=Exchange(interrupted=True))
    assert isinstance(error, Overloaded)
    assert call.attempts == []


def test_a_caller_who_leaves_during_a_try_ends_the_search():
    exchange = Exchange()

    class Leaving(Upstream):
        async def send(self, operation: str, body: bytes, headers: bytes = b"", /) -> Answer:
            exchange.disconnected = True
            return await super().send(operation, body, headers)

    call = tracked()
    found = candidates(ConnectFailed("refused"), Answer(pieces=[GOOD]))
    found[0] = replace(found[0], upstream=Leaving(ConnectFailed("refused")))
    with pytest.raises(ClientGone):
        tried(found, call=call, exchange=exchange)
    assert len(call.attempts) == 1
    assert found[1].upstream.bodies == []
    assert exchange.on_disconnect is None


def test_a_price_is_taken_only_where_there_is_one():
    call = tracked(billed=False)
    tried(candidates(refusal(500), Answer(pieces=[GOOD])), call=call)
    assert call.rates is None
