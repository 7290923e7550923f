"""The test upstream speaks OpenAI's wire: OpenAI's own SDK reads its answers."""

import base64
import json
import socket
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from tests.upstream.client import FakeUpstream

MODEL = "gpt-4o-mini"
HELLO = [{"role": "system", "content": "be brief"}, {"role": "user", "content": "say hello twice"}]
WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "parameters": {
            "type": "object",
            "properties": {
                "city": {"type": "string"},
                "unit": {"enum": ["celsius", "kelvin"]},
                "days": {"$ref": "#/$defs/days"},
            },
            "$defs": {"days": {"type": "array", "minItems": 2, "items": {"type": "integer"}}},
        },
    },
}


@pytest.fixture(scope="module")
def process() -> Iterator[FakeUpstream]:
    with FakeUpstream() as upstream:
        yield upstream


@pytest.fixture
def upstream(process: FakeUpstream) -> FakeUpstream:
    process.reset()
    return process


@pytest.fixture
def sdk(upstream: FakeUpstream) -> Iterator[OpenAI]:
    with OpenAI(base_url=upstream.base_url, api_key="sk-test", max_retries=0, timeout=60) as client:
        yield client


def test_chat_echoes_the_last_user_message_and_counts_words(sdk, upstream):
    answer = sdk.chat.completions.create(model=MODEL, messages=HELLO)
    assert answer.choices[0].message.content == "say hello twice"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens == 5
    assert answer.usage.completion_tokens == 3
    assert answer.usage.total_tokens == 8
    (record,) = upstream.log()
    assert (record["path"], record["key"], record["model"], record["status"]) == (
        "/v1/chat/completions",
        "sk-test",
        MODEL,
        200,
    )
    assert record["tokens_sent"] == 3
    assert record["body"]["messages"] == HELLO


def test_max_tokens_ends_the_answer_with_length(sdk):
    answer = sdk.chat.completions.create(model=MODEL, messages=HELLO, max_tokens=2, n=2)
    assert [choice.message.content for choice in answer.choices] == ["say hello"] * 2
    assert answer.choices[1].finish_reason == "length"
    assert answer.usage.completion_tokens == 4


def test_stream_without_usage_never_mentions_it(sdk, upstream):
    chunks = list(sdk.chat.completions.create(model=MODEL, messages=HELLO, stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == "say hello twice"
    assert chunks[-1].choices[0].finish_reason == "stop"
    assert all("usage" not in chunk.model_fields_set for chunk in chunks)
    assert upstream.log()[0]["chunks_sent"] == 3


def test_stream_with_usage_ends_with_it_and_has_null_before(sdk):
    chunks = list(
        sdk.chat.completions.create(
            model="gpt-tokens:7:40+cached:3",
            messages=HELLO,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert len(chunks) == 1 + 40 + 1 + 1
    assert all(c.usage is None and "usage" in c.model_fields_set for c in chunks[:-1])
    assert chunks[-1].choices == []
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (7, 40)
    assert chunks[-1].usage.prompt_tokens_details.cached_tokens == 3


def test_tool_call_unary_and_streamed_have_the_same_parsable_arguments(sdk):
    asked = {"model": MODEL, "messages": HELLO, "tools": [WEATHER]}
    expected = {"city": "text", "unit": "celsius", "days": [0, 0]}
    answer = sdk.chat.completions.create(**asked)
    assert answer.choices[0].finish_reason == "tool_calls"
    call = answer.choices[0].message.tool_calls[0]
    assert (call.function.name, json.loads(call.function.arguments)) == ("weather", expected)
    with sdk.chat.completions.stream(**asked) as stream:
        final = stream.get_final_completion()
    streamed = final.choices[0].message.tool_calls[0]
    assert json.loads(streamed.function.arguments) == expected
    result = {"role": "tool", "tool_call_id": call.id, "content": "sunny"}
    after = sdk.chat.completions.create(**{**asked, "messages": [*HELLO, result]})
    assert after.choices[0].message.content == "say hello twice"


def test_json_schema_is_satisfied(sdk):
    schema = WEATHER["function"]["parameters"]
    answer = sdk.chat.completions.create(
        model=MODEL,
        messages=HELLO,
        response_format={"type": "json_schema", "json_schema": {"name": "w", "schema": schema}},
    )
    assert set(json.loads(answer.choices[0].message.content)) == {"city", "unit", "days"}


def test_legacy_completions_unary_and_streamed(sdk):
    answer = sdk.completions.create(model="gpt-3.5-turbo-instruct", prompt="one two")
    assert answer.choices[0].text == "one two"
    assert answer.usage.total_tokens == 4
    chunks = list(sdk.completions.create(model=MODEL, prompt=[1, 2, 3], stream=True))
    assert "".join(chunk.choices[0].text for chunk in chunks) == "1 2 3"


def test_embeddings_base64_and_float_are_the_same_vector(sdk, upstream):
    # The SDK asks for base64 by itself and decodes it as little-endian float32.
    packed = sdk.embeddings.create(model="text-embedding-3-small", input=["a b", "c"])
    plain = sdk.embeddings.create(
        model="text-embedding-3-small", input=["a b", "c"], encoding_format="float"
    )
    assert upstream.log()[0]["body"]["encoding_format"] == "base64"
    assert len(packed.data[1].embedding) == 1536
    assert packed.data[0].embedding == pytest.approx(plain.data[0].embedding, rel=1e-6)
    assert packed.data[0].embedding != packed.data[1].embedding
    assert packed.usage.prompt_tokens == 3


def test_embeddings_take_token_arrays_and_dimensions(sdk):
    for given, count in (([5, 6, 7], 1), ([[5, 6], [7]], 2)):
        answer = sdk.embeddings.create(model="text-embedding-3-small", input=given, dimensions=8)
        assert [len(item.embedding) for item in answer.data] == [8] * count
        assert answer.usage.total_tokens == 3


def test_images_are_png(sdk):
    answer = sdk.images.generate(model="gpt-image-1", prompt="a red square", n=2)
    assert len(answer.data) == 2
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG\r\n\x1a\n")
    assert answer.usage.input_tokens == 3


def test_models_are_listed_and_found(sdk):
    assert MODEL in [model.id for model in sdk.models.list()]
    assert sdk.models.retrieve(MODEL).id == MODEL
    with pytest.raises(openai.NotFoundError):
        sdk.models.retrieve("nobody")


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("gpt-400", openai.BadRequestError),
        ("gpt-401", openai.AuthenticationError),
        ("gpt-429", openai.RateLimitError),
        ("gpt-500", openai.InternalServerError),
        ("gpt-html502", openai.InternalServerError),
        ("gpt-cut:1", openai.APIConnectionError),
        ("gpt-fin:1", openai.APIConnectionError),
        ("gpt-tokens:1", openai.BadRequestError),
    ],
)
def test_unary_failures(sdk, model, error):
    with pytest.raises(error) as caught:
        sdk.chat.completions.create(model=model, messages=HELLO)
    if error is openai.RateLimitError:
        assert caught.value.response.headers["retry-after"] == "1"
        assert caught.value.code == "rate_limit_exceeded"


def test_bad_key_and_no_messages_are_refused(sdk):
    with pytest.raises(openai.AuthenticationError) as caught:
        sdk.with_options(api_key="bad-key").chat.completions.create(model=MODEL, messages=HELLO)
    assert caught.value.code == "invalid_api_key"
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.chat.completions.create(model=MODEL, messages=[])
    assert refused.value.param == "messages"


def test_error_event_error_in_200_and_bad_json(sdk):
    with pytest.raises(openai.APIError, match="had an error"):
        list(sdk.chat.completions.create(model="gpt-errorevent", messages=HELLO, stream=True))
    raw = sdk.chat.completions.with_raw_response.create(model="gpt-error200", messages=HELLO)
    assert raw.status_code == 200
    assert json.loads(raw.text)["error"]["type"] == "server_error"
    broken = sdk.chat.completions.with_raw_response.create(model="gpt-badjson", messages=HELLO)
    with pytest.raises(json.JSONDecodeError):
        json.loads(broken.text)
    with pytest.raises(json.JSONDecodeError):
        list(sdk.chat.completions.create(model="gpt-badjson", messages=HELLO, stream=True))


def test_nousage_reports_nothing(sdk):
    answer = sdk.chat.completions.create(model="gpt-nousage", messages=HELLO)
    assert answer.usage is None
    streamed = sdk.chat.completions.create(
        model="gpt-nousage",
        messages=HELLO,
        stream=True,
        stream_options={"include_usage": True},
    )
    assert all(chunk.usage is None and chunk.choices for chunk in streamed)


@pytest.mark.parametrize("model", ["gpt-silent", "gpt-stall:1"])
def test_silence_times_out_and_the_log_notes_who_left(sdk, upstream, model):
    with pytest.raises(openai.APITimeoutError):
        list(
            sdk.with_options(timeout=0.3).chat.completions.create(
                model=model, messages=HELLO, stream=True
            )
        )
    (record,) = upstream.log_when(lambda records: records[0]["client_gone"])
    assert record["client_gone_ms"] > 200


def test_client_that_leaves_a_slow_stream_is_noticed_at_once(sdk, upstream):
    stream = sdk.chat.completions.create(model="gpt-slow:20+long:400", messages=HELLO, stream=True)
    for _, _chunk in zip(range(6), stream, strict=False):
        pass
    stream.close()
    (record,) = upstream.log_when(lambda records: records[0]["client_gone"])
    assert 4 <= record["chunks_sent"] < 400


def test_cut_is_a_reset_and_fin_is_not(upstream):
    for model, reset in (("gpt-cut:3", True), ("gpt-fin:3", False)):
        body = json.dumps({"model": model, "messages": HELLO, "stream": True}).encode()
        head = (
            f"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
            f"content-length: {len(body)}\r\n\r\n"
        )
        with socket.create_connection(("127.0.0.1", upstream.port), 5) as client:
            client.sendall(head.encode() + body)
            received = b""
            try:
                while part := client.recv(65536):
                    received += part
            except ConnectionResetError:
                assert reset
            else:
                assert not reset
        assert received.count(b'"content":"') == 1 + 3  # the role's chunk and three words
        assert upstream.log()[-1]["chunks_sent"] == 3
        assert b"[DONE]" not in received
        assert not received.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("model", ["gpt-hang", "gpt-nodone"])
def test_a_stream_that_lacks_its_end(sdk, upstream, model):
    chunks = []

    def read() -> None:
        stream = sdk.with_options(timeout=0.3).chat.completions.create(
            model=model, messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
        chunks.extend(stream)

    with pytest.raises(openai.APIConnectionError):
        read()
    (record,) = upstream.log_when(lambda records: records[0]["duration_ms"] is not None)
    assert (record["chunks_sent"], record["client_gone"]) == (3, model == "gpt-hang")


def test_chunked_and_pipelined_requests_over_one_connection(upstream):
    body = json.dumps({"model": MODEL, "messages": HELLO}).encode()
    head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
    framed = b"transfer-encoding: chunked\r\n\r\n%x\r\n%b\r\n0\r\n\r\n" % (len(body), body)
    last = b"connection: close\r\ncontent-length: %d\r\n\r\n%b" % (len(body), body)
    with socket.create_connection(("127.0.0.1", upstream.port), 5) as client:
        client.sendall(head + framed + head + last)
        received = b""
        while part := client.recv(65536):
            received += part
    assert received.count(b"HTTP/1.1 200") == 2
    assert received.count(b"say hello twice") == 2
    assert len({record["connection"] for record in upstream.log()}) == 1
