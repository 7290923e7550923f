"""The official `openai` package's Responses against a real hub and a real upstream process."""

import itertools
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai import OpenAI
from openai.types.responses import Response, ResponseErrorEvent, ResponseStreamEvent
from pydantic import BaseModel, TypeAdapter
from tests.caller import Reply, post
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "1000", "output": "2000", "cache_read": "100", "search": "0.01"}
MODELS = [
    "gpt-4o-mini",
    "gpt-cached:30+searches:2",
    "gpt-thinking:3",
    "gpt-parallel",
    "gpt-nousage",
    "gpt-blocked",
    "gpt-400",
    "gpt-401",
    "gpt-404",
    "gpt-429",
    "gpt-500",
    "gpt-error200",
    "gpt-badjson",
    "gpt-html502",
    "gpt-errorevent",
    "gpt-errorevent+slow:1",
    "gpt-slow:5+errorevent:3",
    "gpt-slow:5+cut:3",
    "gpt-slow:5+nodone",
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
    def credentials(*names: str) -> list[dict[str, Any]]:
        return [{"name": name, "api_key": f"sk-{name}"} for name in names]

    models = [{"model": f"openai/{name}", "type": "chat", "rates": RATES} for name in MODELS]
    models.append({"model": "other/gpt-4o-mini", "type": "chat", "rates": RATES})
    config = {
        "providers": [
            {
                "name": "openai",
                "base_url": upstream.base_url,
                "credentials": credentials("one", "two", "three"),
            },
            {
                "name": "other",
                "kind": "openai",
                "base_url": upstream.base_url,
                "credentials": credentials("other"),
            },
        ],
        "models": models,
        "aliases": {
            "fast": {"model": "openai/gpt-4o-mini"},
            "steady": {
                "model": "openai/gpt-errorevent+slow:1",
                "fallbacks": ["openai/gpt-4o-mini"],
            },
        },
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("responses"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


def ask(client: OpenAI, model: str = "gpt-4o-mini", **more: Any) -> Any:
    name = model if "/" in model or "-" not in model else f"openai/{model}"
    return client.responses.create(**{"model": name, "input": SAID, **more})


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


def test_a_response_is_answered_recorded_and_charged_to_the_token(client: OpenAI, hub: HubProcess):
    raw = client.responses.with_raw_response.create(
        model="openai/gpt-4o-mini", input=SAID, instructions="be kind"
    )
    answer = raw.parse()
    assert answer.output_text == SAID
    assert answer.status == "completed"
    call = last_call(hub)
    assert call["id"] == raw.headers["x-aigne-hub-call-id"]
    assert raw.headers["x-aigne-hub-model"] == "openai/gpt-4o-mini"
    assert (call["status"], call["outcome"], call["type"]) == ("success", "completed", "chat")
    assert (call["input_tokens"], call["output_tokens"]) == (6, 4)
    assert call["credits"] == raw.headers["x-aigne-hub-credits"] == "0.014"
    assert call["usage_source"] == "provider"


def test_caches_and_searches_are_charged_at_their_own_prices(client: OpenAI, hub: HubProcess):
    for stream in (False, True):
        answer = ask(client, "gpt-cached:30+searches:2", stream=stream)
        usage = list(answer)[-1].response.usage if stream else answer.usage
        assert usage.input_tokens_details.cached_tokens == 30
        call = last_call(hub)
        assert (call["input_tokens"], call["cache_read_tokens"]) == (4, 30)
        # 4 in, 4 out, 30 read, and two searches that the output shows.
        assert call["credits"] == "0.035"
        assert not stream or usage.model_extra["credits"] == call["credits"]


def test_a_stream_is_the_providers_with_credits_at_its_end(client: OpenAI, hub: HubProcess):
    with client.responses.stream(model="fast", input=SAID) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_response()
    assert final.output_text == SAID
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds.count("response.output_text.delta") == 4
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    events = list(ask(client, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    call = last_call(hub)
    usage = events[-1].response.usage
    assert (usage.input_tokens, usage.output_tokens) == (4, 4)
    assert (call["input_tokens"], call["output_tokens"], call["credits"]) == (4, 4, "0.012")
    assert usage.model_extra["credits"] == call["credits"]


@pytest.mark.parametrize("stream", [False, True])
def test_usage_is_counted_when_the_upstream_sends_none(
    client: OpenAI, hub: HubProcess, stream: bool
):
    answer = ask(client, "gpt-nousage", stream=stream)
    usage = list(answer)[-1].response.usage if stream else None
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["output_tokens"]) == ("counted", 4, 4)
    assert usage is None or usage.output_tokens == 4
    assert usage is None or usage.model_extra["credits"] == call["credits"]


@pytest.mark.parametrize("stream", [False, True])
def test_parallel_tool_calls_and_their_results_pass_whole(client: OpenAI, stream: bool):
    tools = [TOOL, {**TOOL, "name": "get_time"}]
    answer = ask(client, "gpt-parallel", tools=tools, stream=stream)
    if stream:
        answer = list(answer)[-1].response
    assert [item.name for item in answer.output] == ["get_weather", "get_time"]
    assert [json.loads(item.arguments) for item in answer.output] == [{"city": "text"}] * 2
    results = [
        {"type": "function_call_output", "call_id": item.call_id, "output": "it is sunny"}
        for item in answer.output
    ]
    turn = [{"role": "user", "content": SAID}, *answer.output, *results]
    assert ask(client, "gpt-parallel", tools=tools, input=turn).output_text == "it is sunny"


def test_reasoning_and_structured_output_pass_whole(client: OpenAI):
    class Place(BaseModel):
        city: str

    answer = client.responses.parse(model="openai/gpt-4o-mini", input=SAID, text_format=Place)
    assert answer.output_parsed == Place(city="text")
    thought, said = ask(client, "gpt-thinking:3").output
    assert thought.summary[0].text == "t0 t1 t2 "
    assert thought.encrypted_content
    again = ask(client, input=[{"role": "user", "content": SAID}, thought, said])
    assert again.output_text == SAID


def test_an_answer_that_reaches_its_limit_is_incomplete_and_charged(
    client: OpenAI, hub: HubProcess
):
    for stream in (False, True):
        answer = ask(client, "gpt-long:40", max_output_tokens=20, stream=stream)
        if stream:
            *_, last = answer
            assert last.type == "response.incomplete"
            answer = last.response
        assert answer.status == "incomplete"
        call = last_call(hub)
        assert (call["outcome"], call["output_tokens"]) == ("completed", 20)


def test_what_a_request_says_reaches_the_provider_unchanged(
    hub: HubProcess, upstream: FakeUpstream
):
    upstream.reset()
    body = b'{"model":"openai/gpt-4o-mini","new_member" : [1e3],"store":false,"input":"hi"}'
    request = urllib.request.Request(
        f"{hub.base_url}/responses", body, {"authorization": f"Bearer {hub.key}"}
    )
    with urllib.request.urlopen(request) as answer:
        assert json.load(answer)["store"] is False
    (record,) = upstream.log()
    assert record["body_bytes"] == len(body) - len("openai/")
    assert record["headers"]["authorization"] in {
        "Bearer sk-one",
        "Bearer sk-two",
        "Bearer sk-three",
    }


# -- stored responses ---------------------------------------------------------------------


def test_stored_responses_stay_with_the_credential_that_made_them(
    client: OpenAI, hub: HubProcess, upstream: FakeUpstream
):
    made = [ask(client, stream=stream) for stream in (False, False, False, True, True, True)]
    ids = [one.id if hasattr(one, "id") else list(one)[-1].response.id for one in made]
    calls = hub.calls(limit=6)
    assert {call["credential"] for call in calls} == {"one", "two", "three"}
    upstream.reset()
    for identifier in ids:
        assert client.responses.retrieve(identifier).output_text == SAID
        items = client.responses.input_items.list(identifier, limit=5, include=[])
        assert items.data[0].content[0].text == SAID
        answer = ask(client, previous_response_id=identifier)
        assert answer.previous_response_id == identifier
    assert {record["status"] for record in upstream.log()} == {200}
    assert upstream.log()[1]["path"].endswith("/input_items")
    went = [call["credential"] for call in reversed(hub.calls(limit=6))]
    assert went == [call["credential"] for call in reversed(calls)]
    with pytest.raises(openai.BadRequestError, match="Only responses in the background"):
        client.responses.cancel(ids[0])
    client.responses.delete(ids[0])
    with pytest.raises(openai.NotFoundError, match="Response with id"):
        client.responses.retrieve(ids[0])


def test_requests_about_stored_responses_are_no_calls(client: OpenAI, hub: HubProcess):
    identifier = ask(client).id
    before, balance = last_call(hub)["id"], hub.balance()
    raw = client.responses.with_raw_response.retrieve(identifier)
    assert raw.headers["x-aigne-hub-credits"] == "0"
    assert raw.headers["x-aigne-hub-model"] == "openai/gpt-4o-mini"
    assert last_call(hub)["id"] == before
    assert hub.balance() == balance


def test_what_is_not_stored_or_not_the_callers_is_not_found(client: OpenAI, hub: HubProcess):
    mine, unstored = ask(client).id, ask(client, store=False).id
    other = hub.cli("users", "create", "--email", "other@example.com")
    key = hub.cli("keys", "create", "--user", other["id"])["key"]
    hub.cli("credits", "grant", "--user", other["id"], "--amount", "1000")
    with OpenAI(base_url=hub.base_url, api_key=key, max_retries=0) as stranger:
        pairs = [(client, unstored), (client, "resp_0"), (stranger, mine)]
        for caller, identifier in pairs:
            asks: list[Any] = [
                lambda c=caller, i=identifier: c.responses.retrieve(i),
                lambda c=caller, i=identifier: c.responses.delete(i),
                lambda c=caller, i=identifier: c.responses.cancel(i),
                lambda c=caller, i=identifier: c.responses.input_items.list(i),
                lambda c=caller, i=identifier: ask(c, previous_response_id=i),
            ]
            for refused in asks:
                with pytest.raises(openai.NotFoundError, match="knows no stored response") as error:
                    refused()
                assert error.value.body["code"] == "not_found"
    call = last_call(hub)
    assert (call["outcome"], call["model"]) == ("rejected", "openai/gpt-4o-mini")
    assert client.responses.retrieve(mine).id == mine


def test_a_response_goes_on_with_its_own_provider_only(client: OpenAI):
    identifier = ask(client).id
    with pytest.raises(openai.BadRequestError, match="is kept by openai") as refused:
        ask(client, "other/gpt-4o-mini", previous_response_id=identifier)
    assert refused.value.param == "previous_response_id"
    assert ask(client, "gpt-thinking:3", previous_response_id=identifier).id


def test_a_response_that_goes_on_holds_for_the_whole_context(client: OpenAI, hub: HubProcess):
    identifier = ask(client).id
    seen = ask(client, max_output_tokens=16, stream=True)
    list(seen)
    held = float(last_call(hub)["held"])
    list(ask(client, previous_response_id=identifier, max_output_tokens=16, stream=True))
    assert float(last_call(hub)["held"]) > held + 130


# -- refusals and failures ----------------------------------------------------------------


def test_counting_input_is_recorded_and_free(client: OpenAI, hub: HubProcess):
    counted = client.responses.input_tokens.count(model="fast", input=SAID, instructions="be kind")
    assert counted.input_tokens == 6
    call = last_call(hub)
    assert (call["outcome"], call["credits"], call["held"]) == ("completed", "0", "0")
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    with OpenAI(base_url=hub.base_url, api_key=key, max_retries=0) as penniless:
        assert penniless.responses.input_tokens.count(model="fast", input=SAID).input_tokens == 4
        for stream in (False, True):
            with pytest.raises(openai.APIStatusError) as refused:
                ask(penniless, stream=stream)
            assert refused.value.status_code == 402
            error = refused.value.body
            assert (error["type"], error["code"]) == ("NOT_ENOUGH", "insufficient_credits")
            assert error["link"] in error["message"]


def test_a_conversation_is_compacted_and_charged(client: OpenAI, hub: HubProcess):
    identifier = ask(client).id
    compacted = client.responses.compact(model="openai/gpt-4o-mini", input=SAID)
    assert compacted.output[-1].type == "compaction"
    call = last_call(hub)
    assert (call["input_tokens"], call["output_tokens"], call["credits"]) == (4, 5, "0.014")
    assert float(call["held"]) > 32
    client.responses.compact(
        model="openai/gpt-4o-mini", input=SAID, previous_response_id=identifier
    )
    assert float(last_call(hub)["held"]) > 32 + 130
    with pytest.raises(openai.NotFoundError, match="knows no stored response"):
        client.responses.retrieve(compacted.id)


@pytest.mark.parametrize(
    ("model", "error", "code"),
    [
        ("unknown/model", openai.NotFoundError, "not_found"),
        ("gpt-400", openai.BadRequestError, "invalid_request"),
        ("gpt-404", openai.NotFoundError, "not_found"),
        ("gpt-429", openai.RateLimitError, "rate_limited"),
        ("gpt-401", openai.InternalServerError, "upstream_error"),
        ("gpt-500", openai.InternalServerError, "upstream_error"),
        ("gpt-error200", openai.InternalServerError, "upstream_error"),
        ("gpt-html502", openai.InternalServerError, "upstream_error"),
        ("gpt-errorevent", openai.InternalServerError, "upstream_error"),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
def test_errors_are_the_sdks_own_classes(
    client: OpenAI,
    hub: HubProcess,
    model: str,
    error: type[openai.APIStatusError],
    code: str,
    stream: bool,
):
    with pytest.raises(error) as raised:
        ask(client, model, stream=stream)
    assert raised.value.code == code
    assert last_call(hub)["credits"] == "0"


@pytest.mark.parametrize("model", ["gpt-badjson", "gpt-blocked"])
def test_a_whole_answer_that_is_none_is_an_error(client: OpenAI, hub: HubProcess, model: str):
    with pytest.raises(openai.InternalServerError) as raised:
        ask(client, model)
    assert raised.value.code == "upstream_error"
    call = last_call(hub)
    assert (call["outcome"], call["credits"], call["attempts"]) == ("upstream_failed", "0", 3)


def test_a_stream_that_fails_before_its_content_goes_to_the_next(client: OpenAI, hub: HubProcess):
    # What an agent is told is long, and every attempt begins by repeating it.
    events = list(ask(client, "steady", stream=True, instructions="be kind " * 15_000))
    assert events[-1].response.output_text == SAID
    call = last_call(hub)
    assert call["model"] == "openai/gpt-4o-mini"
    # Those of three keys that an earlier test's 401 did not bar, and the one that answered.
    assert 2 <= call["attempts"] <= 4


@pytest.mark.parametrize("model", MODELS[-4:-1])
def test_a_stream_that_breaks_is_an_error_and_costs_what_was_delivered(
    client: OpenAI, hub: HubProcess, model: str
):
    events = []
    with pytest.raises(openai.APIError) as raised:  # noqa: PT012 - it comes while reading
        for event in ask(client, model, stream=True):
            events.append(event)  # noqa: PERF402 - what came before the error is looked at
    said = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(said)[:12] == "say hello to"
    assert not any(event.type == "response.completed" for event in events)
    assert raised.value.code == "upstream_error"
    call = last_call(hub)
    assert (call["status"], call["outcome"]) == ("failed", "upstream_failed")
    assert (call["usage_source"], call["output_tokens"]) == ("counted", -(-len("".join(said)) // 4))


@pytest.mark.parametrize(
    "model",
    ["gpt-4o-mini", "gpt-cached:30+searches:2", "gpt-thinking:3", "gpt-parallel", "gpt-nousage"],
)
def test_every_event_is_one_of_the_sdks_own_types(hub: HubProcess, model: str):
    tools = [TOOL, {**TOOL, "name": "get_time"}] if model == "gpt-parallel" else []
    reply = streamed(hub, model, tools=tools)
    known = TypeAdapter(ResponseStreamEvent)
    for event in reply.events:
        assert known.validate_python(event).type == event["type"]
    last = Response.model_validate(reply.events[-1]["response"])
    assert last.usage.total_tokens == last.usage.input_tokens + last.usage.output_tokens


def test_the_error_event_is_numbered_behind_the_providers(hub: HubProcess):
    reply = streamed(hub, "gpt-slow:5+errorevent:3")
    numbers = [event["sequence_number"] for event in reply.events]
    assert all(later == earlier + 1 for earlier, later in itertools.pairwise(numbers))
    error = ResponseErrorEvent.model_validate(reply.events[-1])
    assert (error.type, error.code) == ("error", "upstream_error")
    assert reply.body.count(b"event: error\n") == 1


def streamed(hub: HubProcess, model: str, **members: Any) -> Reply:
    body = {"model": f"openai/{model}", "input": SAID, "stream": True, **members}
    return post(hub, "/v1/responses", json.dumps(body).encode())


@pytest.mark.parametrize(
    ("members", "words"),
    [
        ({"background": True}, "in the background"),
        ({"conversation": "conv_1"}, "keeps no conversations"),
        ({"max_output_tokens": 0}, "output limit"),
        ({"input": None}, "Missing required parameter"),
    ],
)
def test_what_cannot_be_served_is_refused_with_its_name(
    client: OpenAI, members: dict[str, Any], words: str
):
    with pytest.raises(openai.BadRequestError, match=words) as refused:
        ask(client, extra_body=members)
    assert refused.value.param in members
