"""The official `openai` package against models of Anthropic's format, through a real hub."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from tests.hub import HubProcess
from tests.patience import until
from tests.scripted import ScriptedUpstream, events, whole

RATES = {
    "input": "1000",
    "output": "2000",
    "cache_read": "100",
    "cache_write": "1250",
    "cache_write_1h": "2000",
    "reasoning": "3000",
}
MODEL = "anthropic/claude-sonnet-4-6"
OUTPUT_MAX = 900
SAID: Any = [{"role": "system", "content": "be kind"}, {"role": "user", "content": "hello"}]
SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}},
    "required": ["city"],
    "additionalProperties": False,
}
TOOL: Any = {"type": "function", "function": {"name": "get_weather", "parameters": SCHEMA}}
USAGE = {
    "input_tokens": 20,
    "cache_creation_input_tokens": 7,
    "cache_read_input_tokens": 10,
    "cache_creation": {"ephemeral_5m_input_tokens": 4, "ephemeral_1h_input_tokens": 3},
    "output_tokens": 8,
    "output_tokens_details": {"thinking_tokens": 2},
}
# 20 in, 10 from the cache, 4 into it for minutes, 3 for an hour, 6 out and 2 thought.
CHARGE = "0.05"


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
                "name": "anthropic",
                "base_url": provider.origin,
                "credentials": [{"name": "main", "api_key": "sk-ant-good"}],
            }
        ],
        "models": [
            {"model": MODEL, "type": "chat", "rates": RATES, "max_output_tokens": OUTPUT_MAX}
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("claude"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: OpenAI, *, stream: bool = False, **more: Any) -> Any:
    members: Any = {"model": MODEL, "messages": SAID, **more}
    if not stream:
        return client.chat.completions.create(**members)
    members["stream_options"] = {"include_usage": True}
    with client.chat.completions.stream(**members) as answer:
        for _ in answer:
            pass
        return answer.get_final_completion()


def said(blocks: list[dict[str, Any]], *, stream: bool, reason: str = "end_turn") -> Any:
    """Return an answer of Anthropic's of these blocks, whole or as events."""
    message = {"id": "msg_x", "type": "message", "role": "assistant", "model": "m"}
    if not stream:
        return whole({**message, "content": blocks, "stop_reason": reason, "usage": USAGE})
    told: list[dict[str, Any]] = [
        {"type": "message_start", "message": {**message, "usage": {**USAGE, "output_tokens": 1}}},
        {"type": "ping"},
    ]
    for index, block in enumerate(blocks):
        start = {**block}
        deltas = []
        for name, kind in (("text", "text"), ("thinking", "thinking"), ("signature", "signature")):
            if name in block:
                start[name] = ""
                deltas.append({"type": f"{kind}_delta", name: block[name]})
        if "input" in block:
            start["input"] = {}
            text = json.dumps(block["input"])
            deltas += [
                {"type": "input_json_delta", "partial_json": piece}
                for piece in (text[:5], text[5:])
            ]
        told.append({"type": "content_block_start", "index": index, "content_block": start})
        told += [
            {"type": "content_block_delta", "index": index, "delta": delta} for delta in deltas
        ]
        told.append({"type": "content_block_stop", "index": index})
    told += [
        {"type": "message_delta", "delta": {"stop_reason": reason}, "usage": USAGE},
        {"type": "message_stop"},
    ]
    return events(told)


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_is_charged_by_the_providers_own_usage(
    client: OpenAI, hub: HubProcess, provider: ScriptedUpstream, stream: bool
):
    provider.say(said([{"type": "text", "text": "hello you"}], stream=stream))
    answer = ask(client, stream=stream, temperature=0.5, top_p=0.25, stop=["END"])
    (choice,) = answer.choices
    assert (choice.message.content, choice.finish_reason) == ("hello you", "stop")
    assert answer.model == MODEL
    usage = answer.usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (37, 8, 45)
    assert usage.prompt_tokens_details.cached_tokens == 10
    assert usage.completion_tokens_details.reasoning_tokens == 2
    call = last_call(hub)
    assert (call["credits"], call["usage_source"]) == (CHARGE, "provider")
    (asked,) = provider.asked
    assert asked.path == "/v1/messages"
    assert asked.headers["x-api-key"] == "sk-ant-good"
    assert asked.headers["anthropic-version"] == "2023-06-01"
    assert asked.body["system"] == [{"type": "text", "text": "be kind"}]
    assert asked.body["messages"] == [
        {"role": "user", "content": [{"type": "text", "text": "hello"}]}
    ]
    assert (asked.body["max_tokens"], asked.body["stop_sequences"]) == (OUTPUT_MAX, ["END"])
    assert asked.body["temperature"] == 0.5
    assert "top_p" not in asked.body


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tools_run_over_turns_and_thoughts_come_back_verbatim(
    client: OpenAI, provider: ScriptedUpstream, stream: bool
):
    thought = {"type": "thinking", "thinking": "hmm", "signature": "sig+/=="}
    uses = [
        {"type": "tool_use", "id": f"toolu_{city}", "name": "get_weather", "input": {"city": city}}
        for city in ("Oslo", "Rome")
    ]
    provider.say(
        said(
            [thought, {"type": "text", "text": "I look"}, *uses], stream=stream, reason="tool_use"
        ),
        said([{"type": "text", "text": "rain, sun"}], stream=stream),
    )
    answer = ask(client, stream=stream, tools=[TOOL], reasoning_effort="high")
    message = answer.choices[0].message
    assert answer.choices[0].finish_reason == "tool_calls"
    assert message.content == "I look"
    assert message.model_extra["reasoning_content"] == "hmm"
    arguments = [json.loads(call.function.arguments) for call in message.tool_calls]
    assert arguments == [{"city": "Oslo"}, {"city": "Rome"}]
    said_before = message.model_dump(exclude_none=True)
    for call in said_before["tool_calls"]:
        call["function"].pop("parsed_arguments", None)
    turns = [
        *SAID,
        said_before,
        {"role": "tool", "tool_call_id": message.tool_calls[0].id, "content": "rain"},
        {"role": "tool", "tool_call_id": message.tool_calls[1].id, "content": "sun"},
    ]
    final = ask(client, stream=stream, tools=[TOOL], messages=turns, reasoning_effort="high")
    assert final.choices[0].message.content == "rain, sun"
    first, second = provider.asked
    assert first.body["tools"] == [{"name": "get_weather", "input_schema": SCHEMA}]
    assert first.body["thinking"] == {"type": "adaptive"}
    assert first.body["output_config"] == {"effort": "high"}
    _, before, results = second.body["messages"]
    assert before["content"][0] == thought
    assert before["content"][1:] == [{"type": "text", "text": "I look"}, *uses]
    assert [(one["tool_use_id"], one["content"][0]["text"]) for one in results["content"]] == [
        ("toolu_Oslo", "rain"),
        ("toolu_Rome", "sun"),
    ]


def test_schemas_and_pictures_are_carried_and_hints_are_noted(
    client: OpenAI, provider: ScriptedUpstream
):
    provider.say(said([{"type": "text", "text": '{"city":"Oslo"}'}], stream=False))
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGVsbG8="}}
    wanted = {"name": "answer", "schema": SCHEMA, "strict": True}
    raw = client.chat.completions.with_raw_response.create(
        model=MODEL,
        messages=[{"role": "user", "content": [picture]}],  # type: ignore[list-item] # a value
        response_format={"type": "json_schema", "json_schema": wanted},  # type: ignore[typeddict-item] # a value
        seed=7,
    )
    assert raw.parse().choices[0].message.content == '{"city":"Oslo"}'
    assert raw.headers["x-aigne-hub-not-carried"] == "seed"
    (asked,) = provider.asked
    assert asked.body["output_config"]["format"] == {"type": "json_schema", "schema": SCHEMA}
    (block,) = asked.body["messages"][0]["content"]
    assert block["source"] == {"type": "base64", "media_type": "image/png", "data": "aGVsbG8="}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("status", "error", "words"),
    [
        (400, openai.BadRequestError, "that is too long"),
        (429, openai.RateLimitError, "too fast"),
        (529, openai.InternalServerError, "answered 529"),
    ],
)
def test_the_upstreams_errors_are_openais_and_free(
    client: OpenAI,
    hub: HubProcess,
    provider: ScriptedUpstream,
    status: int,
    error: type[openai.APIStatusError],
    words: str,
    stream: bool,
):
    refusal = {"type": "error", "error": {"type": "x", "message": words}}
    provider.say(whole(refusal, status, retry_after="7"))
    with pytest.raises(error, match=words) as raised:
        ask(client, stream=stream)
    assert status != 429 or raised.value.response.headers["retry-after"] == "7"
    assert last_call(hub)["credits"] == "0"


def test_an_error_in_mid_stream_is_openais(
    client: OpenAI, hub: HubProcess, provider: ScriptedUpstream
):
    provider.say(
        events(
            [
                {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}},
                {
                    "type": "content_block_delta",
                    "index": 0,
                    "delta": {"type": "text_delta", "text": "hello"},
                },
                {"type": "error", "error": {"type": "overloaded_error", "message": "too hot"}},
            ]
        )
    )
    with pytest.raises(openai.APIError, match="too hot"):
        ask(client, stream=True)
    assert last_call(hub)["outcome"] == "upstream_failed"


def test_a_caller_who_leaves_pays_for_what_was_written(
    client: OpenAI, hub: HubProcess, provider: ScriptedUpstream
):
    delta = {
        "type": "content_block_delta",
        "index": 0,
        "delta": {"type": "text_delta", "text": "four"},
    }
    start = {"type": "content_block_start", "index": 0, "content_block": {"type": "text"}}
    provider.say(events([start, *[delta] * 5], holds=True))
    with client.chat.completions.create(model=MODEL, messages=SAID, stream=True) as stream:
        assert next(iter(stream)).choices
    until(lambda: last_call(hub)["outcome"] == "client_cancelled")
    call = last_call(hub)
    assert call["usage_source"] == "counted"
    assert call["output_tokens"] > 0
    provider.released.set()
    provider.released.clear()


def test_what_credit_lowers_is_what_is_asked_for(hub: HubProcess, provider: ScriptedUpstream):
    provider.say(said([{"type": "text", "text": "hi"}], stream=False))
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    with OpenAI(base_url=hub.base_url, api_key=key, max_retries=0) as penniless:
        with pytest.raises(openai.APIStatusError) as refused:
            ask(penniless)
        assert refused.value.status_code == 402
        assert not provider.asked
        hub.cli("credits", "grant", "--user", "poor@example.com", "--amount", "1")
        ask(penniless)
    (asked,) = provider.asked
    assert 0 < asked.body["max_tokens"] < OUTPUT_MAX
    # Every token of the limit that was sent is paid for, at the dearest price.
    assert asked.body["max_tokens"] * 0.003 <= 1


def test_the_books_add_up(hub: HubProcess):
    hub.verified()
