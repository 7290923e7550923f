"""The official `anthropic` package against a real hub in front of a real upstream process."""

import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream
from tests.upstream.messages import NEW, OLD

RATES = {
    "input": "1000",
    "output": "2000",
    "cache_read": "100",
    "cache_write": "1250",
    "cache_write_1h": "2000",
    "search": "0.01",
}
MODELS = [
    "claude-sonnet-4-5",
    "claude-cached:30+written:20:5+searches:2",
    "claude-thinking:3",
    "claude-parallel",
    "claude-nousage",
    "claude-401",
    "claude-400",
    "claude-404",
    "claude-413",
    "claude-422",
    "claude-429",
    "claude-500",
    "claude-529",
    "claude-529+slow:1",
    "claude-529+slow:2",
    "claude-error200",
    "claude-badjson",
    "claude-html502",
    "claude-errorevent",
    "claude-slow:5+errorevent:3",
    "claude-slow:5+cut:3",
    "claude-slow:5+fin:3",
    "claude-slow:50+long:400",
]
SAID = [{"role": "user", "content": "say hello to me"}]
TOOL: Any = {
    "name": "get_weather",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    models = [{"model": f"anthropic/{name}", "type": "chat", "rates": RATES} for name in MODELS]
    models.append({"model": "openai/gpt-4o-mini", "type": "chat", "rates": RATES})
    models.append({"model": "openai/text", "type": "embedding", "rates": {"input": "1"}})
    config = {
        "providers": [
            {
                "name": "anthropic",
                "base_url": upstream.origin,
                "credentials": [{"name": "main", "api_key": "sk-ant-good"}],
            },
            {
                "name": "openai",
                "base_url": upstream.base_url,
                "credentials": [{"name": "main", "api_key": "sk-good"}],
            },
        ],
        "models": models,
        "aliases": {
            "smart": {"model": "anthropic/claude-sonnet-4-5"},
            "anywhere": {
                "model": "anthropic/claude-529+slow:1",
                "fallbacks": ["openai/gpt-4o-mini"],
            },
            "steady": {
                "model": "anthropic/claude-529+slow:2",
                "fallbacks": ["openai/text", "anthropic/claude-sonnet-4-5"],
            },
        },
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("anthropic"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=hub.address, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: Anthropic, model: str = "claude-sonnet-4-5", **more: Any) -> Any:
    name = model if "/" in model else f"anthropic/{model}"
    return client.messages.create(**{"model": name, "max_tokens": 100, "messages": SAID, **more})


def calls(log: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Leave out how the hub looks whether a key that was refused works again."""
    return [record for record in log if record["method"] == "POST"]


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


def test_a_message_is_answered_recorded_and_charged_to_the_token(
    client: Anthropic, hub: HubProcess
):
    raw = client.messages.with_raw_response.create(
        model="anthropic/claude-sonnet-4-5", max_tokens=100, messages=SAID
    )
    answer = raw.parse()
    assert answer.content[0].text == "say hello to me"
    assert answer.stop_reason == "end_turn"
    call = last_call(hub)
    assert call["id"] == raw.headers["x-aigne-hub-call-id"]
    assert answer._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]
    assert raw.headers["x-aigne-hub-model"] == "anthropic/claude-sonnet-4-5"
    assert (call["status"], call["outcome"], call["type"]) == ("success", "completed", "chat")
    assert (call["input_tokens"], call["output_tokens"]) == (4, 4)
    assert call["credits"] == raw.headers["x-aigne-hub-credits"] == "0.012"
    assert call["usage_source"] == "provider"


def test_caches_and_searches_are_charged_at_their_own_prices(client: Anthropic, hub: HubProcess):
    for stream in (False, True):
        answer = ask(client, "claude-cached:30+written:20:5+searches:2", stream=stream)
        usage = list(answer)[-2].usage if stream else answer.usage
        assert usage.cache_read_input_tokens == 30
        call = last_call(hub)
        assert (call["cache_read_tokens"], call["cache_write_tokens"]) == (30, 20)
        # 4 in, 4 out, 30 read, 15 written for minutes and 5 for an hour, and two searches.
        assert call["credits"] == "0.06375"
        assert not stream or usage.model_extra["credits"] == call["credits"]


def test_a_stream_is_the_providers_with_credits_at_its_end(client: Anthropic, hub: HubProcess):
    with client.messages.stream(
        model="anthropic/claude-sonnet-4-5", max_tokens=100, messages=SAID
    ) as stream:
        assert "".join(stream.text_stream) == "say hello to me"
        final = stream.get_final_message()
    call = last_call(hub)
    assert final.stop_reason == "end_turn"
    assert (final.usage.input_tokens, final.usage.output_tokens) == (4, 4)
    assert (call["input_tokens"], call["output_tokens"], call["credits"]) == (4, 4, "0.012")
    kinds = [event.type for event in ask(client, stream=True)]
    assert kinds[:2] == ["message_start", "content_block_start"]
    assert kinds[-3:] == ["content_block_stop", "message_delta", "message_stop"]


def test_usage_is_counted_when_the_upstream_sends_none(client: Anthropic, hub: HubProcess):
    events = list(ask(client, "claude-nousage", stream=True))
    (end,) = [event for event in events if event.type == "message_delta"]
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["output_tokens"]) == ("counted", 4, 4)
    assert end.usage.output_tokens == 4
    assert end.usage.model_extra["credits"] == call["credits"]


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls_pass_whole(client: Anthropic, stream: bool):
    tools = [TOOL, {**TOOL, "name": "get_time"}]
    members: Any = {"model": "anthropic/claude-parallel", "max_tokens": 100, "messages": SAID}
    if stream:
        with client.messages.stream(**members, tools=tools) as streamed:
            answer = streamed.get_final_message()
    else:
        answer = client.messages.create(**members, tools=tools)
    assert answer.stop_reason == "tool_use"
    assert [block.name for block in answer.content] == ["get_weather", "get_time"]
    assert [block.input for block in answer.content] == [{"city": "text"}] * 2
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": "sun"}
        for block in answer.content
    ]
    turn = [*SAID, {"role": "assistant", "content": answer.content}]
    answer = ask(
        client,
        messages=[*turn, {"role": "user", "content": [*results, *_text("so?")]}],
        tools=tools,
    )
    assert answer.content[0].text == "so?"


def _text(words: str) -> list[dict[str, str]]:
    return [{"type": "text", "text": words}]


@pytest.mark.parametrize("stream", [False, True])
def test_thinking_comes_with_its_signature(client: Anthropic, hub: HubProcess, stream: bool):
    members: Any = {"model": "anthropic/claude-thinking:3", "max_tokens": 100, "messages": SAID}
    if stream:
        with client.messages.stream(**members) as streamed:
            answer = streamed.get_final_message()
    else:
        answer = client.messages.create(**members)
    thought, said = answer.content
    assert (thought.thinking, said.text) == ("t0 t1 t2 ", "say hello to me")
    assert thought.signature
    assert last_call(hub)["outcome"] == "completed"


def test_headers_and_unknown_members_reach_the_provider_unchanged(
    client: Anthropic, hub: HubProcess, upstream: FakeUpstream
):
    upstream.reset()
    body = (
        b'{"model":"anthropic/claude-sonnet-4-5","max_tokens":5,"new_member" : [1e3],'
        b'"temperature":0.5,"messages":[{"role":"user","content":"hi"}]}'
    )
    request = urllib.request.Request(
        f"{hub.address}/v1/messages?beta=true",
        body,
        {
            "x-api-key": hub.key,
            "content-type": "application/json",
            "anthropic-beta": "context-management-2025-06-27,other-2026-01-01",
            "x-claude-code-session-id": "session",
        },
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["content"][0]["text"] == "hi"
    (record,) = upstream.log()
    headers = record["headers"]
    assert headers["anthropic-beta"] == "context-management-2025-06-27,other-2026-01-01"
    assert headers["anthropic-version"] == OLD
    assert headers["x-api-key"] == "sk-ant-good"
    assert "authorization" not in headers
    assert "x-claude-code-session-id" not in headers
    assert record["body_bytes"] == len(body) - len("anthropic/")
    ask(client)
    assert upstream.log()[-1]["headers"]["anthropic-version"] == NEW


def test_what_the_newer_version_refuses_is_refused_by_the_provider(client: Anthropic):
    with pytest.raises(anthropic.BadRequestError, match="sampling parameters"):
        ask(client, extra_body={"temperature": 0.5})


def test_counting_tokens_is_recorded_and_free(client: Anthropic, hub: HubProcess):
    before = hub.balance()
    counted = client.messages.count_tokens(
        model="smart", system="be kind", messages=SAID, tools=[TOOL]
    )
    assert counted.input_tokens == 6
    call = last_call(hub)
    assert (call["outcome"], call["credits"], call["held"]) == ("completed", "0", "0")
    assert (call["input_tokens"], call["output_tokens"]) == (0, 0)
    assert hub.balance() == before
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    with Anthropic(base_url=hub.address, api_key=key, max_retries=0) as penniless:
        assert penniless.messages.count_tokens(model="smart", messages=SAID).input_tokens == 4
        with pytest.raises(anthropic.APIStatusError) as refused:
            ask(penniless)
    error = refused.value.body["error"]
    assert (refused.value.status_code, error["type"]) == (402, "NOT_ENOUGH")
    assert error["code"] == "insufficient_credits"
    assert error["link"] in error["message"]
    assert error["timestamp"]


@pytest.mark.parametrize(
    ("model", "error", "kind", "code"),
    [
        ("unknown/model", anthropic.NotFoundError, "not_found_error", "not_found"),
        ("claude-400", anthropic.BadRequestError, "invalid_request_error", "invalid_request"),
        ("claude-404", anthropic.NotFoundError, "not_found_error", "not_found"),
        ("claude-413", anthropic.RequestTooLargeError, "request_too_large", "payload_too_large"),
        (
            "claude-422",
            anthropic.UnprocessableEntityError,
            "invalid_request_error",
            "invalid_request",
        ),
        ("claude-429", anthropic.RateLimitError, "rate_limit_error", "rate_limited"),
        ("claude-401", anthropic.InternalServerError, "api_error", "upstream_error"),
        ("claude-500", anthropic.InternalServerError, "api_error", "upstream_error"),
        ("claude-529", anthropic.InternalServerError, "overloaded_error", "upstream_error"),
        ("claude-error200", anthropic.InternalServerError, "overloaded_error", "upstream_error"),
        ("claude-html502", anthropic.InternalServerError, "api_error", "upstream_error"),
        ("openai/text", anthropic.BadRequestError, "invalid_request_error", "invalid_request"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_sdks_own_classes_in_anthropics_shape(
    client: Anthropic,
    model: str,
    error: type[anthropic.APIStatusError],
    kind: str,
    code: str,
    stream: bool,
):
    with pytest.raises(error) as raised:
        ask(client, model, stream=stream)
    body = raised.value.body
    if stream and model == "claude-error200":  # it comes as no event, so that none says its type
        kind = "api_error"
    assert (body["type"], body["error"]["type"], body["error"]["code"]) == ("error", kind, code)
    assert body["request_id"] == raised.value.request_id


def test_a_model_of_another_language_names_its_path(client: Anthropic, hub: HubProcess):
    with pytest.raises(anthropic.BadRequestError, match="this path serves chat models"):
        ask(client, "openai/text")
    request = urllib.request.Request(
        f"{hub.base_url}/completions",
        json.dumps({"model": "smart", "prompt": "hello"}).encode(),
        {"authorization": f"Bearer {hub.key}"},
    )
    with pytest.raises(urllib.error.HTTPError) as refused:
        urllib.request.urlopen(request)
    with refused.value as answer:
        error = json.load(answer)["error"]
    assert (answer.status, error["code"]) == (400, "invalid_request")
    assert "POST /v1/messages" in error["message"]
    assert last_call(hub)["outcome"] == "rejected"


def test_a_wrong_key_is_an_authentication_error(hub: HubProcess):
    with (
        Anthropic(base_url=hub.address, api_key="blocklet-wrong", max_retries=0) as client,
        pytest.raises(anthropic.AuthenticationError) as raised,
    ):
        ask(client)
    assert raised.value.body["error"]["type"] == "authentication_error"


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("claude-slow:5+errorevent:3", "overloaded_error"),
        ("claude-slow:5+cut:3", "api_error"),
        ("claude-slow:5+fin:3", "api_error"),
    ],
)
def test_a_stream_that_breaks_is_an_error_and_costs_what_was_delivered(
    client: Anthropic, hub: HubProcess, model: str, kind: str
):
    text = ""
    with pytest.raises(anthropic.APIStatusError) as raised:  # noqa: PT012 - it comes while reading
        for event in ask(client, model, stream=True):
            if event.type == "content_block_delta":
                text += event.delta.text
            assert event.type != "message_stop"
    assert text == "say hello to"
    error = raised.value.body["error"]
    assert (error["type"], error["code"]) == (kind, "upstream_error")
    call = last_call(hub)
    assert (call["status"], call["outcome"]) == ("failed", "upstream_failed")
    assert (call["usage_source"], call["output_tokens"]) == ("counted", 3)


def test_a_stream_that_fails_before_its_content_is_an_error_and_free(
    client: Anthropic, hub: HubProcess
):
    with pytest.raises(anthropic.InternalServerError) as raised:
        ask(client, "claude-errorevent", stream=True)
    assert raised.value.body["error"]["type"] == "overloaded_error"
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")


def test_a_caller_who_leaves_pays_what_was_read_and_produced(
    client: Anthropic, hub: HubProcess, upstream: FakeUpstream
):
    upstream.reset()
    stream = ask(client, "claude-slow:50+long:400", stream=True, max_tokens=1_000)
    for event in stream:
        if event.type == "content_block_delta" and event.delta.text == "w5 ":
            break
    stream.close()
    upstream.log_when(lambda log: any(record["client_gone"] for record in calls(log)))
    until(lambda: last_call(hub)["status"] != "processing")
    call = last_call(hub)
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert (call["usage_source"], call["input_tokens"]) == ("provider", 4)
    assert 4 <= call["output_tokens"] < 40


def test_the_sdk_retries_what_it_may(hub: HubProcess, upstream: FakeUpstream):
    upstream.reset()
    with (
        Anthropic(base_url=hub.address, api_key=hub.key, max_retries=1) as client,
        pytest.raises(anthropic.InternalServerError),
    ):
        ask(client, "claude-529")
    assert [record["model"] for record in calls(upstream.log())] == ["claude-529"] * 2


@pytest.mark.parametrize("stream", [False, True])
def test_an_overloaded_model_is_replaced_by_one_that_the_format_reaches(
    client: Anthropic, hub: HubProcess, stream: bool
):
    answer = client.messages.create(model="steady", max_tokens=9, messages=SAID, stream=stream)
    assert not stream or list(answer)
    call = hub.cli("calls", "show", last_call(hub)["id"])
    assert (call["outcome"], call["model"]) == ("completed", "anthropic/claude-sonnet-4-5")
    assert [attempt["status"] for attempt in call["attempts"]] == [529, 200]


@pytest.mark.parametrize("stream", [False, True])
def test_an_overloaded_model_is_replaced_by_one_of_another_format(
    client: Anthropic, hub: HubProcess, stream: bool
):
    members: Any = {"model": "anywhere", "max_tokens": 9, "messages": SAID}
    if stream:
        with client.messages.stream(**members) as streamed:
            answer = streamed.get_final_message()
    else:
        answer = client.messages.create(**members)
    assert (answer.content[0].text, answer.model) == ("say hello to me", "anywhere")
    call = hub.cli("calls", "show", last_call(hub)["id"])
    assert (call["outcome"], call["model"]) == ("completed", "openai/gpt-4o-mini")
    assert [attempt["status"] for attempt in call["attempts"]] == [529, 200]
    assert call["credits"] == "0.012"


def test_models_are_listed_in_anthropics_shape(client: Anthropic):
    listed = client.models.list()
    ids = [model.id for model in listed.data]
    assert not listed.has_more
    assert (listed.first_id, listed.last_id) == (ids[0], ids[-1])
    assert "anthropic/claude-sonnet-4-5" in ids
    assert [model.id for model in client.models.list(limit=5)] == ids
    page = client.models.list(limit=3, after_id=ids[1])
    assert [model.id for model in page.data] == ids[2:5]
    assert page.has_more
    page = client.models.list(limit=3, before_id=ids[4])
    assert [model.id for model in page.data] == ids[1:4]
    model = client.models.retrieve("anthropic/claude-sonnet-4-5")
    assert (model.type, model.lifecycle) == ("model", "active")
    assert model.max_tokens
    assert model.model_extra["pricing"]["cache_write_1h"] == "2000"
    with pytest.raises(anthropic.NotFoundError):
        client.models.retrieve("anthropic/none")
    with pytest.raises(anthropic.BadRequestError):
        client.models.list(after_id="anthropic/none")


def test_the_books_add_up(hub: HubProcess):
    hub.verified()
