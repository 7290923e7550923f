"""The official `openai` package against a real hub in front of a real upstream process."""

import base64
import json
import time
from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, assert_prompt
from tests.upstream.client import FakeUpstream

MODELS = [
    "gpt-4o-mini",
    "gpt-cached:3",
    "gpt-nousage",
    "gpt-401",
    "gpt-400",
    "gpt-404",
    "gpt-422",
    "gpt-429",
    "gpt-500",
    "gpt-error200",
    "gpt-badjson",
    "gpt-html502",
    "gpt-errorevent",
    "gpt-cut:3",
    "gpt-fin:3",
    "gpt-long:30",
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("sdk")
    config = config_for(upstream, models=MODELS, billing={"enabled": True})
    config["aliases"] = {"fast": {"model": "openai/gpt-4o-mini"}}
    with HubProcess(folder, config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: OpenAI, model: str, **more):
    messages = [{"role": "user", "content": "say hello to me"}]
    return client.chat.completions.create(model=model, messages=messages, **more)


def last_call(hub: HubProcess) -> dict:
    return hub.calls(limit=1)[0]


def test_chat_is_answered_recorded_and_charged_to_the_token(client: OpenAI, hub: HubProcess):
    raw = client.chat.completions.with_raw_response.create(
        model="openai/gpt-4o-mini", messages=[{"role": "user", "content": "say hello to me"}]
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    usage = answer.usage
    call = last_call(hub)
    assert call["id"] == raw.headers["x-aigne-hub-call-id"]
    assert raw.headers["x-aigne-hub-model"] == "openai/gpt-4o-mini"
    assert (call["status"], call["outcome"]) == ("success", "completed")
    assert (call["input_tokens"], call["output_tokens"]) == (
        usage.prompt_tokens,
        usage.completion_tokens,
    )
    expected = usage.prompt_tokens * 0.001 + usage.completion_tokens * 0.002
    assert float(call["credits"]) == pytest.approx(expected)
    assert raw.headers["x-aigne-hub-credits"] == call["credits"]
    assert call["usage_source"] == "provider"
    timings = raw.headers["server-timing"]
    assert all(name in timings for name in ("auth", "open", "upstream", "settle", "total"))


def test_an_alias_and_a_bare_name_reach_the_same_model(client: OpenAI):
    assert ask(client, "fast").choices[0].message.content
    assert ask(client, "gpt-4o-mini").choices[0].message.content


def test_a_stream_without_include_usage_has_no_usage_chunk(client: OpenAI, hub: HubProcess):
    chunks = list(ask(client, "openai/gpt-4o-mini", stream=True))
    assert all(chunk.choices for chunk in chunks)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks)
    call = last_call(hub)
    assert call["usage_source"] == "provider"
    assert call["output_tokens"] > 0


def test_a_stream_with_include_usage_ends_with_usage_and_credits(client: OpenAI, hub: HubProcess):
    chunks = list(
        ask(client, "openai/gpt-4o-mini", stream=True, stream_options={"include_usage": True})
    )
    usage = chunks[-1].usage
    assert not chunks[-1].choices
    call = last_call(hub)
    assert usage.model_extra["credits"] == call["credits"]
    assert usage.completion_tokens == call["output_tokens"]


def test_usage_is_counted_when_the_upstream_sends_none(client: OpenAI, hub: HubProcess):
    chunks = list(
        ask(client, "openai/gpt-nousage", stream=True, stream_options={"include_usage": True})
    )
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    call = last_call(hub)
    assert call["usage_source"] == "counted"
    assert call["output_tokens"] == -(-len(text.encode()) // 4)
    assert chunks[-1].usage.model_extra["credits"] == call["credits"]


def test_cached_tokens_are_charged_in_their_own_bucket(client: OpenAI, hub: HubProcess):
    usage = ask(client, "openai/gpt-cached:3").usage
    call = last_call(hub)
    assert call["cache_read_tokens"] == 3
    assert call["input_tokens"] == usage.prompt_tokens - 3


TOOL = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


@pytest.mark.parametrize("stream", [False, True])
def test_tool_calls_pass_whole(client: OpenAI, stream: bool):
    answer = ask(client, "openai/gpt-4o-mini", tools=[TOOL], stream=stream)
    if stream:
        parts = [c.choices[0].delta.tool_calls for c in answer if c.choices]
        arguments = "".join(p[0].function.arguments or "" for p in parts if p)
    else:
        arguments = answer.choices[0].message.tool_calls[0].function.arguments
    assert "city" in json.loads(arguments)


class Person(BaseModel):
    name: str
    age: int


def test_structured_output_is_parsed(client: OpenAI):
    answer = client.chat.completions.parse(
        model="openai/gpt-4o-mini",
        messages=[{"role": "user", "content": "who?"}],
        response_format=Person,
    )
    assert isinstance(answer.choices[0].message.parsed, Person)


def test_embeddings_use_the_sdks_base64_default(client: OpenAI, hub: HubProcess):
    answer = client.embeddings.create(model="openai/text-embedding-3-small", input=["a b", "c"])
    assert len(answer.data) == 2
    assert all(isinstance(value, float) for value in answer.data[0].embedding)
    assert last_call(hub)["input_tokens"] == answer.usage.prompt_tokens


def test_images_are_charged_by_the_picture(client: OpenAI, hub: HubProcess):
    answer = client.images.generate(model="openai/gpt-image-1", prompt="a tree", n=2)
    assert base64.b64decode(answer.data[0].b64_json).startswith(b"\x89PNG")
    call = last_call(hub)
    assert call["units"] == 2
    assert call["credits"] == "0.08"


def test_legacy_completions(client: OpenAI):
    answer = client.completions.create(model="openai/gpt-4o-mini", prompt="one two")
    assert answer.choices[0].text
    streamed = client.completions.create(model="openai/gpt-4o-mini", prompt="one", stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed if chunk.choices)


def test_models_are_listed_by_full_reference(client: OpenAI):
    listed = {model.id for model in client.models.list()}
    assert "openai/gpt-4o-mini" in listed
    assert client.models.retrieve("openai/gpt-4o-mini").id == "openai/gpt-4o-mini"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("openai/none")


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("openai/unknown", openai.NotFoundError, "not_found"),
        ("openai/gpt-400", openai.BadRequestError, "invalid_request"),
        ("openai/gpt-404", openai.NotFoundError, "not_found"),
        ("openai/gpt-422", openai.UnprocessableEntityError, "invalid_request"),
        ("openai/gpt-429", openai.RateLimitError, "rate_limited"),
        ("openai/gpt-500", openai.InternalServerError, "upstream_error"),
        ("openai/gpt-401", openai.InternalServerError, "upstream_error"),
        ("openai/gpt-error200", openai.InternalServerError, "upstream_error"),
        ("openai/gpt-html502", openai.InternalServerError, "upstream_error"),
        ("openai/text-embedding-3-small", openai.BadRequestError, "invalid_request"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_sdks_own_classes_and_cost_nothing(
    client: OpenAI, hub: HubProcess, model: str, error: type, code: str, stream: bool
):
    with pytest.raises(error) as raised:
        list(ask(client, model, stream=stream))
    assert raised.value.code == code
    call = last_call(hub)
    assert call["credits"] == "0"
    assert call["status"] == "failed"
    assert call["error"]["code"] == code


def test_an_answer_that_is_not_json_is_an_upstream_error(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "openai/gpt-badjson")
    assert raised.value.code == "upstream_error"
    assert last_call(hub)["credits"] == "0"


def test_a_broken_event_reaches_the_client_as_the_upstream_sent_it(client: OpenAI):
    with pytest.raises(ValueError, match="Unterminated"):
        list(ask(client, "openai/gpt-badjson", stream=True))


def test_a_wrong_key_is_an_authentication_error(hub: HubProcess):
    for key in ("blocklet-nonsense", "sk-whatever", "blocklet-" + "1" * 49, hub.key + "x"):
        with OpenAI(base_url=hub.base_url, api_key=key, max_retries=0) as stranger:
            with pytest.raises(openai.AuthenticationError) as raised:
                ask(stranger, "openai/gpt-4o-mini")
            assert raised.value.code == "unauthenticated"
            assert key not in str(raised.value)


def test_a_key_for_some_models_is_refused_the_others(hub: HubProcess):
    made = hub.cli("keys", "create", "--user", hub.user, "--model", "openai/gpt-4o*")
    with OpenAI(base_url=hub.base_url, api_key=made["key"], max_retries=0) as limited:
        assert ask(limited, "openai/gpt-4o-mini").choices
        with pytest.raises(openai.PermissionDeniedError) as raised:
            ask(limited, "openai/gpt-long:30")
        assert raised.value.code == "forbidden"
        assert [model.id for model in limited.models.list()] == ["openai/gpt-4o-mini"]


def test_a_revoked_key_stops_within_a_second(hub: HubProcess):
    def attempt() -> float:
        """Return how long after its revocation a key was last good for a call."""
        made = hub.cli("keys", "create", "--user", hub.user)
        with OpenAI(base_url=hub.base_url, api_key=made["key"], max_retries=0) as short_lived:
            assert ask(short_lived, "openai/gpt-4o-mini").choices
            hub.cli("keys", "revoke", made["id"])
            revoked = served = time.monotonic()
            while time.monotonic() < revoked + PATIENCE_S:
                began = time.monotonic()
                try:
                    ask(short_lived, "openai/gpt-4o-mini")
                except openai.AuthenticationError:
                    return served - revoked
                served = began
        raise AssertionError("the key still works")

    assert_prompt(attempt, 1.0)


@pytest.mark.parametrize("model", ["openai/gpt-cut:3", "openai/gpt-fin:3"])
def test_a_stream_cut_by_the_upstream_is_an_error_never_a_clean_end(
    client: OpenAI, hub: HubProcess, model: str
):
    seen = []
    answer = (chunk.choices[0].delta.content or "" for chunk in ask(client, model, stream=True))
    with pytest.raises(openai.APIError) as raised:
        seen.extend(answer)
    assert raised.value.code == "upstream_error"
    call = last_call(hub)
    assert (call["outcome"], call["usage_source"]) == ("upstream_failed", "counted")
    assert call["output_tokens"] == -(-len("".join(seen).encode()) // 4)
    assert float(call["credits"]) > 0


def test_an_error_as_first_event_is_no_stream(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, "openai/gpt-errorevent", stream=True)
    assert raised.value.status_code == 502
    assert last_call(hub)["credits"] == "0"


def test_the_books_are_in_order(hub: HubProcess):
    assert hub.balance()["held"] == "0"
    hub.verified()
