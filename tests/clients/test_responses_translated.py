"""The official `openai` package's Responses on models whose providers only know chats."""

import json
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "1000", "output": "2000", "cache_read": "100"}
MODELS = [
    "gpt-4o-mini",
    "gpt-cached:3",
    "gpt-reasoning:3",
    "gpt-nousage",
    "gpt-400",
    "gpt-429",
    "gpt-error200",
    "gpt-slow:5+errorevent:3",
    "gpt-slow:5+cut:3",
    "gpt-long:40",
]
SAID = "say hello to me"
TOOL: Any = {
    "type": "function",
    "name": "get_weather",
    "strict": False,
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
}


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = {
        "providers": [
            {
                "name": "plain",
                "kind": "openai-compatible",
                "base_url": upstream.base_url,
                "credentials": [{"name": "main", "api_key": "sk-main"}],
            },
            {"name": "demo"},
        ],
        "models": [
            {"model": f"{name}", "type": "chat", "rates": RATES}
            for name in (*(f"plain/{model}" for model in MODELS), "demo/echo")
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("translated"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: OpenAI, model: str = "gpt-4o-mini", **more: Any) -> Any:
    name = model if "/" in model else f"plain/{model}"
    return client.responses.create(**{"model": name, "input": SAID, "store": False, **more})


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


@pytest.mark.parametrize("stream", [False, True])
def test_it_is_answered_recorded_and_charged_to_the_token(
    client: OpenAI, hub: HubProcess, stream: bool
):
    answer = ask(client, "gpt-cached:3", instructions="be kind", stream=stream)
    if stream:
        events = list(answer)
        assert [event.sequence_number for event in events] == list(range(len(events)))
        answer = events[-1].response
        assert answer.usage.model_extra["credits"] == last_call(hub)["credits"]
    assert (answer.output_text, answer.status) == (SAID, "completed")
    assert answer.usage.input_tokens_details.cached_tokens == 3
    call = last_call(hub)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    assert (call["input_tokens"], call["cache_read_tokens"]) == (3, 3)
    # 3 in, 4 out and 3 read.
    assert call["credits"] == "0.0113"


def test_the_built_in_provider_answers_in_every_format(client: OpenAI):
    assert ask(client, "demo/echo").output_text == f"echo: {SAID}"


def test_tools_and_their_results_make_a_conversation(client: OpenAI):
    answer = list(ask(client, tools=[TOOL], stream=True))[-1].response
    (call,) = answer.output
    assert (call.name, json.loads(call.arguments)) == ("get_weather", {"city": "text"})
    result = {"type": "function_call_output", "call_id": call.call_id, "output": "it is sunny"}
    turn = [{"role": "user", "content": SAID}, call, result]
    assert ask(client, tools=[TOOL], input=turn).output_text == SAID


def test_a_tool_that_takes_plain_text_gets_it(client: OpenAI, upstream: FakeUpstream):
    tool: Any = {"type": "custom", "name": "run", "description": "runs a line"}
    for stream in (False, True):
        answer = ask(client, tools=[tool], stream=stream)
        if stream:
            answer = list(answer)[-1].response
        (call,) = answer.output
        assert (call.type, call.name, call.input) == ("custom_tool_call", "run", "text")
    result = {"type": "custom_tool_call_output", "call_id": call.call_id, "output": "done"}
    turn = [{"role": "user", "content": SAID}, call, result]
    assert ask(client, tools=[tool], input=turn).output_text == SAID


def test_structured_output_and_pictures_are_carried(client: OpenAI):
    class Place(BaseModel):
        city: str

    answer = client.responses.parse(model="plain/gpt-4o-mini", input=SAID, text_format=Place)
    assert answer.output_parsed == Place(city="text")
    picture = {"type": "input_image", "image_url": "data:image/png;base64,aGk="}
    turn = [{"role": "user", "content": [{"type": "input_text", "text": SAID}, picture]}]
    assert ask(client, input=turn).output_text == SAID


def test_thought_is_charged(client: OpenAI, hub: HubProcess):
    answer = ask(client, "gpt-reasoning:3", reasoning={"effort": "low"})
    assert last_call(hub)["output_tokens"] == answer.usage.output_tokens
    assert answer.usage.output_tokens_details.reasoning_tokens == 3


def test_what_the_provider_is_not_told_is_named(client: OpenAI):
    raw = client.responses.with_raw_response.create(
        model="plain/gpt-4o-mini", input=SAID, metadata={"a": "b"}, tools=[{"type": "web_search"}]
    )
    assert raw.headers["x-aigne-hub-not-carried"] == "store, metadata, hosted_tools"
    identifier = raw.parse().id
    with pytest.raises(openai.NotFoundError):
        client.responses.retrieve(identifier)


def test_what_cannot_be_carried_is_refused_and_free(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.BadRequestError, match="code_interpreter") as refused:
        ask(client, tools=[{"type": "code_interpreter", "container": {"type": "auto"}}])
    assert refused.value.param == "tools[0].type"
    call = last_call(hub)
    assert (call["status"], call["outcome"], call["credits"]) == ("failed", "rejected", "0")
    with pytest.raises(openai.NotFoundError):
        ask(client, previous_response_id="resp_1")


@pytest.mark.parametrize(
    ("model", "error"),
    [
        ("gpt-400", openai.BadRequestError),
        ("gpt-429", openai.RateLimitError),
        ("gpt-error200", openai.InternalServerError),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_failures_of_the_provider_are_told_and_free(
    client: OpenAI, hub: HubProcess, model: str, error: type[Exception], stream: bool
):
    with pytest.raises(error):
        ask(client, model, stream=stream)
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")


@pytest.mark.parametrize("model", ["gpt-slow:5+errorevent:3", "gpt-slow:5+cut:3"])
def test_a_stream_that_breaks_ends_with_an_error_and_is_charged(
    client: OpenAI, hub: HubProcess, model: str
):
    kinds = []
    with pytest.raises(openai.APIError):
        kinds += [event.type for event in ask(client, model, stream=True)]
    call = last_call(hub)
    assert (call["outcome"], call["usage_source"]) == ("upstream_failed", "counted")
    assert (call["input_tokens"], call["output_tokens"]) == (4, 3)


def test_a_limit_ends_an_answer_incomplete(client: OpenAI, hub: HubProcess):
    answer = ask(client, "gpt-long:40", max_output_tokens=20)
    assert (answer.status, answer.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert last_call(hub)["output_tokens"] == 20


def test_usage_is_counted_when_the_provider_sends_none(client: OpenAI, hub: HubProcess):
    events = list(ask(client, "gpt-nousage", stream=True))
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["output_tokens"]) == ("counted", 4, 4)
    assert events[-1].response.usage.model_extra["credits"] == call["credits"]
