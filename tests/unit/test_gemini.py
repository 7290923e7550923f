"""Gemini's dialect without I/O: what is read from a request, and what goes upstream."""

import json
from typing import Any

import pytest

from aigne_hub.domain.errors import InsufficientCredits, InvalidRequest, RateLimited, UpstreamError
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import MEDIA_TOKENS
from aigne_hub.gateway.dialects.gemini.body import NAMED_TOKENS
from aigne_hub.gateway.dialects.gemini.called import Called
from aigne_hub.gateway.dialects.gemini.generate import (
    GeminiCountTokens,
    GeminiEmbed,
    GeminiGenerate,
)
from aigne_hub.gateway.paths import called
from aigne_hub.providers.usage import GEMINI

GENERATE = GeminiGenerate(Called("v1beta", "google/flash", "generateContent"))
STREAM = GeminiGenerate(Called("v1beta", "google/flash", "streamGenerateContent", streams=True))
COUNT = GeminiCountTokens(Called("v1", "google/flash", "countTokens"))
EMBED = GeminiEmbed(Called("v1", "google/flash", "batchEmbedContents"))
RATES = RateCard.of("rate", {"input": 1, "output": 2})


def body(**members: Any) -> bytes:
    return json.dumps({"contents": [{"parts": [{"text": "hi"}]}], **members}).encode()


def sent(text: bytes, limit: int | None = None) -> Any:
    ask = GENERATE.ask(text)
    return GENERATE.outgoing(ask, "flash", "", limit)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/v1/models/a:generateContent", ("v1", "a", "generateContent")),
        ("/v1beta/models/google/a:7b:countTokens", ("v1beta", "google/a:7b", "countTokens")),
        ("/v1beta/models/models/a:embedContent", ("v1beta", "a", "embedContent")),
        ("/v1beta/models/:generateContent", None),
        ("/v1beta/models/a:predict", None),
        ("/v1beta/models/a", None),
        ("/v2/models/a:generateContent", None),
        ("/v1/files/a:generateContent", None),
        ("/v1/chat/completions", None),
    ],
)
def test_a_path_names_version_model_and_method(path: str, expected: tuple[str, str, str] | None):
    found = called(path)
    assert (found and found[:3]) == expected


def test_a_stream_is_events_or_a_list():
    streams = called("/v1/models/a:streamGenerateContent", b"key=k&alt=sse")
    assert streams is not None
    asked = GeminiGenerate(streams).ask(body())
    assert (asked.stream, asked.head) == (True, None)
    other = called("/v1/models/a:streamGenerateContent", b"alt=json")
    assert other is not None
    asked = GeminiGenerate(other).ask(body())
    assert asked.stream
    assert asked.stream_type == "application/json; charset=utf-8"


@pytest.mark.parametrize("snake", [False, True])
def test_limits_are_read_in_both_spellings(snake: bool):
    config = {"maxOutputTokens": 7, "candidateCount": 2}
    if snake:
        text = body(generation_config={"max_output_tokens": 7, "candidate_count": 2})
    else:
        text = body(generationConfig=config)
    ask = GENERATE.ask(text)
    assert (ask.model, ask.output_limit, ask.n, ask.stream) == ("google/flash", 7, 2, False)
    assert sent(text) == text
    quote = GENERATE.quote(ask, RATES, input_tokens=10, output_max=100)
    assert (quote.tokens_wanted, quote.tokens_min) == (7, 7)
    assert STREAM.ask(text).stream


@pytest.mark.parametrize(
    "config",
    [
        {"generationConfig": None},
        {"generationConfig": {"maxOutputTokens": None, "candidateCount": 0}},
        {"generationConfig": {"maxOutputTokens": 0}},
        {},
    ],
)
def test_without_a_limit_the_models_own_is_held_and_may_be_lowered(config: dict[str, Any]):
    ask = GENERATE.ask(body(**config))
    assert (ask.output_limit, ask.n) == (None, 1)
    quote = GENERATE.quote(ask, RATES, input_tokens=10, output_max=100)
    assert (quote.tokens_wanted, quote.tokens_min) == (100, 1)
    lowered = json.loads(sent(body(**config), 42))
    assert lowered["generationConfig"]["maxOutputTokens"] == 42
    assert lowered["contents"] == [{"parts": [{"text": "hi"}]}]


def test_a_lowered_limit_keeps_the_rest_of_its_object():
    lowered = json.loads(sent(body(generation_config={"temperature": 0.5}), 42))
    assert lowered["generation_config"] == {"temperature": 0.5, "maxOutputTokens": 42}
    assert "generationConfig" not in lowered


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"[]",
        b'{"contents":',
        b'"words"',
        b"[" * 100_000,
        body(generationConfig=[]),
        body(generationConfig={"maxOutputTokens": -1}),
        body(generationConfig={"maxOutputTokens": "many"}),
        body(generationConfig={"maxOutputTokens": 10**9}),
        body(generationConfig={"candidateCount": 1_000}),
        body(generationConfig={"maxOutputTokens": 1, "max_output_tokens": 9}),
        body(generationConfig={}, generation_config={"maxOutputTokens": 9}),
    ],
)
def test_what_makes_no_sense_is_the_callers_mistake(text: bytes):
    with pytest.raises(InvalidRequest):
        GENERATE.ask(text)


@pytest.mark.parametrize(
    "text",
    [
        b'{"generationConfig":{"maxOutputTokens":9000},"generationConfig":{"maxOutputTokens":5}}',
        b'{"generationConfig":{"maxOutputTokens":9000,"maxOutputTokens":5}}',
        b'{"generationConfig":{"maxOutputTokens":9000,"max\\u004futputTokens":5}}',
        b'{"generationConfig":{"maxOutputTokens":9000},"generation\\u0043onfig":{"maxOutputTokens":5}}',
    ],
)
def test_hub_and_provider_read_the_same_of_two_members(text: bytes):
    assert GENERATE.ask(text).output_limit == 5
    out = sent(text)
    assert json.loads(out) == {"generationConfig": {"maxOutputTokens": 5}}
    assert out.count(b"maxOutputTokens") == 1


def test_a_body_is_passed_as_it_is():
    text = b'{ "contents" : [{"parts":[{"text":"the \\"model\\" \\u00e9"}]}], "new" : 1e3 }'
    assert sent(text) is text
    tools = body(tools=[{"functionDeclarations": [{"name": "f", "parameters": {"model": {}}}]}])
    assert sent(tools) is tools


def test_a_model_named_in_the_body_is_the_upstreams():
    assert json.loads(sent(body(model="models/google/flash")))["model"] == "models/flash"
    inner = {"model": "models/google/flash", "contents": [{"model": "kept"}]}
    text = json.dumps({"generateContentRequest": inner}).encode()
    out = json.loads(COUNT.outgoing(COUNT.ask(text), "flash", "", None))
    assert out["generateContentRequest"] == {**inner, "model": "models/flash"}
    text = json.dumps({"requests": [{"model": "models/google/flash"}, {}, 3]}).encode()
    out = json.loads(EMBED.outgoing(EMBED.ask(text), "tunedModels/x", "", None))
    assert out["requests"] == [{"model": "tunedModels/x"}, {}, 3]


def test_media_are_measured_and_not_read_as_text():
    data = "A" * 400_000
    picture = {"inlineData": {"mimeType": "image/png", "data": data}}
    sound = {"inline_data": {"mime_type": "audio/mp3", "data": data}}
    for part, tokens in ((picture, MEDIA_TOKENS), (sound, len(data) // 16)):
        size = GENERATE.ask(body(contents=[{"parts": [part, {"text": "what?"}]}])).size
        assert size is not None
        assert tokens <= size.tokens_bound < tokens + 200
        assert size.text_bytes == len("what?")
    tiny = {"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}
    size = GENERATE.ask(body(contents=[{"parts": [tiny]}])).size
    assert size is not None
    assert size.tokens_bound >= MEDIA_TOKENS
    for named in ({"fileData": {"fileUri": "u"}}, {"file_data": {"file_uri": "u"}}):
        size = GENERATE.ask(body(contents=[{"parts": [named]}])).size
        assert size is not None
        assert size.tokens_bound > NAMED_TOKENS
    for member in (
        {"cachedContent": "cachedContents/x"},
        {"tools": [{"urlContext": {}}]},
        {"tools": [{"file_search": {}}]},
    ):
        size = GENERATE.ask(body(**member)).size
        assert size is not None
        assert size.tokens_bound > NAMED_TOKENS
    assert GENERATE.ask(body()).size is None


def test_a_whole_answers_usage_thoughts_and_searches_are_read():
    answer = {
        "candidates": [{"groundingMetadata": {"webSearchQueries": ["a", "b"]}}],
        "usageMetadata": {
            "promptTokenCount": 10,
            "cachedContentTokenCount": 4,
            "candidatesTokenCount": 3,
            "thoughtsTokenCount": 2,
            "totalTokenCount": 15,
        },
    }
    ask = GENERATE.ask(body())
    usage = GENERATE.usage(ask, json.dumps(answer).encode(), GEMINI).usage
    assert usage is not None
    assert (usage.input_tokens, usage.cache_read_tokens, usage.output_tokens) == (6, 4, 5)
    assert (usage.reasoning_tokens, usage.searches) == (2, 2)
    for wrong in (b"<html>", b"[]", b'{"error":{"code":503}}'):
        with pytest.raises(UpstreamError):
            GENERATE.usage(ask, wrong, GEMINI)
        with pytest.raises(UpstreamError):
            COUNT.usage(ask, wrong, GEMINI)
    with pytest.raises(UpstreamError):
        COUNT.usage(ask, b'{"totalTokens":-1}', GEMINI)


def test_what_a_whole_answer_says_is_counted_without_usage():
    parts = [
        {"text": "é"},
        {"functionCall": {"name": "f", "args": {"a": 1}}},
        {"executableCode": {"language": "PYTHON", "code": "1"}},
    ]
    answer = json.dumps({"candidates": [{"content": {"parts": parts}}, 3]}).encode()
    assert GENERATE.output_of(answer) == 2 + len('{"a":1}') + 1
    for strange in (b"{", b'{"candidates":{}}', b'{"candidates":[{"content":[]}]}'):
        assert GENERATE.output_of(strange) == 0


def test_errors_have_googles_shape():
    error = json.loads(GENERATE.error(InvalidRequest("No.", param="p"), 5, "r"))["error"]
    assert (error["code"], error["status"], error["message"]) == (400, "INVALID_ARGUMENT", "No.")
    (detail,) = error["details"]
    assert (detail["reason"], detail["metadata"]) == ("invalid_request", {"param": "p"})
    poor = InsufficientCredits("Too little.", link="https://pay", affordable_tokens=3)
    error = json.loads(GENERATE.error(poor, 5, "r"))["error"]
    assert (error["code"], error["type"], error["link"]) == (402, "NOT_ENOUGH", "https://pay")
    assert (error["timestamp"], error["affordable_tokens"]) == (5, 3)
    assert "https://pay" in error["message"]
    event = GENERATE.error_event(RateLimited("Slow.", retry_after_s=7), 5)
    assert event.startswith(b"data: ")
    assert event.endswith(b"\r\n\r\n")
    error = json.loads(event[6:])["error"]
    assert (error["code"], error["status"]) == (429, "RESOURCE_EXHAUSTED")
    assert error["details"][1]["retryDelay"] == "7s"
