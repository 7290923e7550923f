"""The official `anthropic` package against models of OpenAI's format, through a real hub."""

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anthropic
import pytest
from anthropic import Anthropic
from tests.hub import HubProcess
from tests.patience import until
from tests.scripted import ScriptedUpstream, events, whole

RATES = {"input": "1000", "output": "2000", "cache_read": "100", "reasoning": "3000"}
MODEL = "openai/gpt-5"
SAID = [{"role": "user", "content": "say hello to me"}]
SCHEMA: Any = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"name": "get_weather", "input_schema": SCHEMA}
PIXEL = "aGVsbG8="
USAGE = {
    "prompt_tokens": 30,
    "completion_tokens": 8,
    "total_tokens": 38,
    "prompt_tokens_details": {"cached_tokens": 10},
    "completion_tokens_details": {"reasoning_tokens": 2},
}
# 20 in, 10 from the cache, 6 out and 2 thought.
CHARGE = "0.039"


@pytest.fixture(scope="module")
def provider() -> Iterator[ScriptedUpstream]:
    with ScriptedUpstream() as upstream:
        yield upstream


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, provider: ScriptedUpstream
) -> Iterator[HubProcess]:
    config = {
        "providers": [
            {
                "name": "openai",
                "base_url": provider.base_url,
                "credentials": [{"name": "main", "api_key": "sk-good"}],
            },
            {"name": "demo"},
        ],
        "models": [
            {"model": MODEL, "type": "chat", "rates": RATES},
            {"model": "demo/echo", "type": "chat", "rates": {"input": "0", "output": "0"}},
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("translated"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[Anthropic]:
    with Anthropic(base_url=hub.address, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: Anthropic, *, stream: bool = False, **more: Any) -> Any:
    members: Any = {"model": MODEL, "max_tokens": 100, "messages": SAID, **more}
    if not stream:
        return client.messages.create(**members)
    with client.messages.stream(**members) as answer:
        return answer.get_final_message()


def said(message: dict[str, Any], *, stream: bool, reason: str = "stop") -> Any:
    """Return an answer of OpenAI's that says this, whole or in pieces."""
    head = {"id": "c", "created": 1, "model": "gpt-5"}
    if not stream:
        choice = {"index": 0, "message": {"role": "assistant", **message}}
        return whole({**head, "choices": [{**choice, "finish_reason": reason}], "usage": USAGE})
    deltas: list[dict[str, Any]] = []
    for name, value in message.items():
        if name == "tool_calls":
            for index, call in enumerate(value):
                function = call["function"]
                opened = {"name": function["name"], "arguments": ""}
                deltas.append({name: [{**call, "index": index, "function": opened}]})
                deltas += [
                    {name: [{"index": index, "function": {"arguments": piece}}]}
                    for piece in (function["arguments"][:4], function["arguments"][4:])
                ]
        else:
            deltas += [{name: piece} for piece in (value[:3], value[3:])]
    chunks: list[Any] = [
        {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
        for delta in deltas
    ]
    chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
    return events([*chunks, {**head, "choices": [], "usage": USAGE}], done=True)


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_charged_by_the_providers_own_usage(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream, stream: bool
):
    provider.say(said({"reasoning_content": "hmm so", "content": "hello you"}, stream=stream))
    answer = ask(
        client,
        stream=stream,
        system="be kind",
        stop_sequences=["END"],
        thinking={"type": "enabled", "budget_tokens": 2000},
        max_tokens=3000,
    )
    thought, text = answer.content
    assert (thought.thinking, text.text, answer.stop_reason) == ("hmm so", "hello you", "end_turn")
    usage = answer.usage
    assert (usage.input_tokens, usage.cache_read_input_tokens) == (20, 10)
    assert (usage.output_tokens, usage.output_tokens_details.thinking_tokens) == (8, 2)
    call = last_call(hub)
    assert (call["credits"], call["usage_source"]) == (CHARGE, "provider")
    assert (answer.id, answer.model) == (f"msg_{call['id']}", MODEL)
    (asked,) = provider.asked
    assert asked.path == "/v1/chat/completions"
    assert asked.headers["authorization"] == "Bearer sk-good"
    assert asked.body["messages"] == [{"role": "system", "content": "be kind"}, *SAID]
    assert (asked.body["max_completion_tokens"], asked.body["stop"]) == (3000, ["END"])
    assert asked.body["reasoning_effort"] == "low"


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools_run_over_turns(client: Anthropic, provider: ScriptedUpstream, stream: bool):
    calls = [
        {
            "id": f"call_{city}",
            "type": "function",
            "function": {"name": "get_weather", "arguments": json.dumps({"city": city})},
        }
        for city in ("Oslo", "Rome")
    ]
    provider.say(
        said({"content": "I look", "tool_calls": calls}, stream=stream, reason="tool_calls"),
        said({"content": "rain, sun"}, stream=stream),
    )
    answer = ask(client, stream=stream, tools=[TOOL], tool_choice={"type": "any"})
    text, *uses = answer.content
    assert (text.text, answer.stop_reason) == ("I look", "tool_use")
    assert [use.input for use in uses] == [{"city": "Oslo"}, {"city": "Rome"}]
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": uses[0].id, "content": "rain"},
        {
            "type": "tool_result",
            "tool_use_id": uses[1].id,
            "content": [{"type": "text", "text": "sun"}],
        },
        {"type": "text", "text": "so?"},
    ]
    turns = [
        *SAID,
        {"role": "assistant", "content": answer.content},
        {"role": "user", "content": results},
    ]
    final = ask(client, stream=stream, tools=[TOOL], messages=turns)
    assert final.content[0].text == "rain, sun"
    first, second = provider.asked
    assert first.body["tool_choice"] == "required"
    assert first.body["tools"][0]["function"] == {"name": "get_weather", "parameters": SCHEMA}
    told = second.body["messages"]
    assert [one["role"] for one in told] == ["user", "assistant", "tool", "tool", "user"]
    assert [json.loads(one["function"]["arguments"]) for one in told[1]["tool_calls"]] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]
    assert [(one["tool_call_id"], one["content"]) for one in told[2:4]] == [
        ("call_Oslo", "rain"),
        ("call_Rome", "sun"),
    ]


def test_schemas_and_pictures_are_carried_and_hints_are_noted(
    client: Anthropic, provider: ScriptedUpstream
):
    provider.say(said({"content": '{"city":"Oslo"}'}, stream=False))
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "text", "text": "where?"}, {"type": "image", "source": source}]
    raw = client.messages.with_raw_response.create(
        model=MODEL,
        max_tokens=100,
        messages=[{"role": "user", "content": content}],  # type: ignore[typeddict-item] # a value
        output_config={"format": {"type": "json_schema", "schema": SCHEMA}},
        extra_body={"context_management": {"edits": []}},
    )
    assert raw.parse().content[0].text == '{"city":"Oslo"}'
    assert raw.headers["x-aigne-hub-not-carried"] == "context_management"
    (asked,) = provider.asked
    wanted = asked.body["response_format"]["json_schema"]
    assert (wanted["schema"], wanted["strict"]) == (SCHEMA, True)
    picture = asked.body["messages"][0]["content"][1]["image_url"]["url"]
    assert picture == f"data:image/png;base64,{PIXEL}"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, anthropic.BadRequestError, "that is too long"),
        (429, anthropic.RateLimitError, "too fast"),
        (500, anthropic.InternalServerError, "answered 500"),
    ],
)
def test_the_upstreams_errors_are_anthropics_and_free(
    client: Anthropic,
    hub: HubProcess,
    provider: ScriptedUpstream,
    status: int,
    error: type[anthropic.APIStatusError],
    words: str,
    stream: bool,
):
    refusal = {"error": {"message": words, "type": "x"}}
    provider.say(whole(refusal, status, retry_after="7"))
    with pytest.raises(error, match=words) as raised:
        ask(client, stream=stream)
    assert raised.value.body["type"] == "error"
    assert status != 429 or raised.value.response.headers["retry-after"] == "7"
    assert last_call(hub)["credits"] == "0"


def test_an_error_in_mid_stream_is_anthropics_event(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream
):
    piece = {"choices": [{"index": 0, "delta": {"content": "hello"}}]}
    provider.say(events([piece, {"error": {"message": "too hot"}}]))
    with pytest.raises(anthropic.APIStatusError, match="too hot"):
        ask(client, stream=True)
    assert last_call(hub)["outcome"] == "upstream_failed"


@pytest.mark.parametrize("ending", [b"", b"data: {\n\n", b"data: [DONE]\n\n"])
def test_a_stream_without_a_reason_to_end_is_broken(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream, ending: bytes
):
    begun = events([{"choices": [{"index": 0, "delta": {"content": "hello"}}]}])
    provider.say(replace(begun, pieces=(*begun.pieces, ending) if ending else begun.pieces))
    with pytest.raises(anthropic.APIStatusError) as raised:
        ask(client, stream=True)
    assert raised.value.body["error"]["code"] == "upstream_error"
    call = last_call(hub)
    assert (call["outcome"], call["usage_source"]) == ("upstream_failed", "counted")


@pytest.mark.parametrize("body", [{}, {"choices": []}, {"error": {"message": "no"}}])
def test_a_whole_answer_that_is_none_is_free(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream, body: dict[str, Any]
):
    provider.say(whole(body))
    with pytest.raises(anthropic.InternalServerError):
        ask(client)
    assert last_call(hub)["credits"] == "0"


def test_what_cannot_be_translated_is_refused_before_the_provider_is_asked(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream
):
    provider.say()
    with pytest.raises(anthropic.BadRequestError, match="mcp_servers"):
        ask(client, extra_body={"mcp_servers": [{"url": "https://a.example"}]})
    assert not provider.asked
    assert last_call(hub)["credits"] == "0"


def test_a_caller_who_leaves_pays_for_what_was_written(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream
):
    piece = {"choices": [{"index": 0, "delta": {"content": "four"}}]}
    provider.say(events([piece] * 5, holds=True))
    with client.messages.stream(model=MODEL, max_tokens=100, messages=SAID) as stream:
        words = [next(iter(stream.text_stream)) for _ in range(1)]
    assert words == ["four"]
    until(lambda: last_call(hub)["outcome"] == "client_cancelled")
    call = last_call(hub)
    assert call["usage_source"] == "counted"
    assert call["output_tokens"] > 0
    provider.released.set()
    provider.released.clear()


def test_without_credit_nothing_is_asked(hub: HubProcess, provider: ScriptedUpstream):
    provider.say()
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    with (
        Anthropic(base_url=hub.address, api_key=key, max_retries=0) as penniless,
        pytest.raises(anthropic.APIStatusError) as refused,
    ):
        ask(penniless)
    assert refused.value.status_code == 402
    assert not provider.asked


def test_a_stream_ends_when_the_credit_does(hub: HubProcess, provider: ScriptedUpstream):
    piece = {"choices": [{"index": 0, "delta": {"content": "four"}}]}
    provider.say(events([piece] * 200))
    user = hub.cli("users", "create", "--email", "short@example.com")
    key = hub.cli("keys", "create", "--user", user["id"])["key"]
    hub.cli("credits", "grant", "--user", "short@example.com", "--amount", "0.3")
    with (
        Anthropic(base_url=hub.address, api_key=key, max_retries=0) as client,
        pytest.raises(anthropic.APIStatusError, match="ran out") as raised,
    ):
        ask(client, stream=True, max_tokens=1_000)
    assert raised.value.body["error"]["code"] == "insufficient_credits"
    call = last_call(hub)
    assert call["outcome"] == "cut_off"
    assert 0 < float(call["credits"]) <= 0.3


def test_tokens_are_estimated_for_free_without_asking(
    client: Anthropic, hub: HubProcess, provider: ScriptedUpstream
):
    provider.say()
    before = hub.balance()
    counted = client.messages.count_tokens(model=MODEL, messages=SAID, tools=[TOOL])
    assert counted.input_tokens == 4
    assert counted.model_extra == {"is_estimate": True}
    assert not provider.asked
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("completed", "0")
    assert hub.balance() == before


@pytest.mark.parametrize("stream", [False, True])
def test_the_built_in_provider_is_reached(client: Anthropic, stream: bool):
    answer = ask(client, model="demo/echo", stream=stream)
    assert answer.content[0].text == "echo: say hello to me"
    assert answer.stop_reason == "end_turn"


def test_the_books_add_up(hub: HubProcess):
    hub.verified()
