"""The official `google-genai` package against a real hub in front of a real upstream process."""

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

RATES = {"input": "1000", "output": "2000", "cache_read": "100", "search": "0.01"}
MODELS = [
    "gemini-flash",
    "gemini-cached:30+searches:2",
    "gemini-thinking:3",
    "gemini-thinking:2+parallel",
    "gemini-nousage",
    "gemini-blocked",
    "gemini-unsafe",
    "gemini-badkey",
    "gemini-bare",
    "gemini-401",
    "gemini-400",
    "gemini-404",
    "gemini-429",
    "gemini-500",
    "gemini-error200",
    "gemini-badjson",
    "gemini-errorevent",
    "gemini-slow:5+errorevent:3",
    "gemini-slow:5+cut:3",
    "gemini-slow:5+fin:3",
    "gemini-slow:50+long:400",
]
SAID = "say hello to me"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    models = [{"model": f"google/{name}", "type": "chat", "rates": RATES} for name in MODELS]
    models.append(
        {"model": "google/gemini-embedding-001", "type": "embedding", "rates": {"input": "1000"}}
    )
    models.append({"model": "openai/gpt-4o-mini", "type": "chat", "rates": RATES})
    config = {
        "providers": [
            {
                "name": "google",
                "base_url": upstream.origin,
                "credentials": [{"name": "main", "api_key": "AIza-good"}],
            },
            {
                "name": "openai",
                "base_url": upstream.base_url,
                "credentials": [{"name": "main", "api_key": "sk-good"}],
            },
        ],
        "models": models,
        "aliases": {"smart": {"model": "google/gemini-flash"}},
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("gemini"), config) as running:
        running.grant("1000000")
        yield running


def client_of(hub: HubProcess, key: str, version: str = "v1beta") -> genai.Client:
    options = types.HttpOptions(base_url=hub.address, api_version=version)
    return genai.Client(api_key=key, http_options=options)


@pytest.fixture
def client(hub: HubProcess) -> Iterator[genai.Client]:
    with client_of(hub, hub.key) as made:
        yield made


def ask(client: genai.Client, model: str = "gemini-flash", **config: Any) -> Any:
    name = model if "/" in model else f"google/{model}"
    limits = types.GenerateContentConfig(**{"max_output_tokens": 100, **config})
    return client.models.generate_content(model=name, contents=SAID, config=limits)


def stream(client: genai.Client, model: str = "gemini-flash", **config: Any) -> Any:
    name = model if "/" in model else f"google/{model}"
    limits = types.GenerateContentConfig(**{"max_output_tokens": 1_000, **config})
    return client.models.generate_content_stream(model=name, contents=SAID, config=limits)


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


def post(hub: HubProcess, target: str, body: bytes, **headers: str) -> Any:
    return urllib.request.urlopen(
        urllib.request.Request(f"{hub.address}{target}", body, headers), timeout=60
    )


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_an_answer_is_recorded_and_charged_to_the_token(
    hub: HubProcess, upstream: FakeUpstream, version: str
):
    upstream.reset()
    with client_of(hub, hub.key, version) as client:
        answer = ask(client)
    assert answer.text == SAID
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    call = last_call(hub)
    headers = answer.sdk_http_response.headers
    assert call["id"] == headers["x-aigne-hub-call-id"]
    assert headers["x-aigne-hub-model"] == "google/gemini-flash"
    assert (call["status"], call["outcome"], call["type"]) == ("success", "completed", "chat")
    assert (call["input_tokens"], call["output_tokens"]) == (4, 4)
    assert call["credits"] == headers["x-aigne-hub-credits"] == "0.012"
    assert call["usage_source"] == "provider"
    (record,) = upstream.log()
    assert record["path"] == f"/{version}/models/gemini-flash:generateContent"
    assert record["headers"]["x-goog-api-key"] == "AIza-good"
    assert "authorization" not in record["headers"]


def test_a_stream_is_the_providers_with_credits_at_its_end(client: genai.Client, hub: HubProcess):
    frames = list(stream(client))
    assert "".join(frame.text for frame in frames) == SAID
    assert frames[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert frames[-1].usage_metadata.total_token_count == 8
    call = last_call(hub)
    assert (call["input_tokens"], call["output_tokens"], call["credits"]) == (4, 4, "0.012")
    body = json.dumps({"contents": [{"parts": [{"text": SAID}]}]}).encode()
    target = f"/v1beta/models/smart:streamGenerateContent?alt=sse&key={hub.key}"
    with post(hub, target, body) as raw:
        assert raw.headers["content-type"].startswith("text/event-stream")
        *before, last = [json.loads(line[5:]) for line in raw if line.startswith(b"data:")]
    assert all("credits" not in frame["usageMetadata"] for frame in before)
    assert last["usageMetadata"]["credits"] == last_call(hub)["credits"] == "0.012"


def test_caches_and_searches_are_charged_at_their_own_prices(client: genai.Client, hub: HubProcess):
    for answer in (ask(client, "gemini-cached:30+searches:2"),):
        assert answer.usage_metadata.cached_content_token_count == 30
        call = last_call(hub)
        # 4 in, 4 out, 30 read and two searches.
        assert (call["cache_read_tokens"], call["credits"]) == (30, "0.035")
    list(stream(client, "gemini-cached:30+searches:2"))
    assert last_call(hub)["credits"] == "0.035"


def test_usage_is_counted_when_the_upstream_sends_none(client: genai.Client, hub: HubProcess):
    frames = list(stream(client, "gemini-nousage"))
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["output_tokens"]) == ("counted", 4, 4)
    assert frames[-1].usage_metadata.candidates_token_count == 4


@pytest.mark.parametrize("streams", [False, True])
def test_parallel_calls_of_functions_pass_whole(
    client: genai.Client, hub: HubProcess, streams: bool
):
    schema = {"type": "object", "properties": {"city": {"type": "string"}}}
    tool = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(name=name, parameters_json_schema=schema)
            for name in ("get_weather", "get_time")
        ]
    )
    model = "gemini-thinking:2+parallel"
    if streams:
        parts = [
            part
            for frame in stream(client, model, tools=[tool])
            for part in frame.candidates[0].content.parts
        ]
    else:
        parts = ask(client, model, tools=[tool]).candidates[0].content.parts
    calls = [part for part in parts if part.function_call]
    assert [part.function_call.name for part in calls] == ["get_weather", "get_time"]
    assert [part.function_call.args for part in calls] == [{"city": "text"}] * 2
    assert all(part.thought_signature for part in calls)
    assert last_call(hub)["output_tokens"] == 4
    turns = [
        types.UserContent(SAID),
        types.ModelContent(parts),
        types.UserContent(
            [
                *(
                    types.Part.from_function_response(
                        name=part.function_call.name, response={"result": "sun"}
                    )
                    for part in calls
                ),
                types.Part.from_text(text="so?"),
            ]
        ),
    ]
    answer = client.models.generate_content(
        model=f"google/{model}", contents=turns, config=types.GenerateContentConfig(tools=[tool])
    )
    assert answer.text == "so?"


def test_thoughts_come_with_their_signature(client: genai.Client, hub: HubProcess):
    thought, said = ask(client, "gemini-thinking:3").candidates[0].content.parts
    assert (thought.thought, thought.text, said.text) == (True, "t0 t1 t2 ", SAID)
    assert said.thought_signature
    assert last_call(hub)["output_tokens"] == 7


class Weather(BaseModel):
    city: str
    degrees: int


def test_pictures_and_schemas_reach_the_provider_as_they_are(
    client: genai.Client, upstream: FakeUpstream
):
    upstream.reset()
    picture = types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png")
    config = types.GenerateContentConfig(
        system_instruction="be brief",
        response_mime_type="application/json",
        response_schema=Weather,
        thinking_config=types.ThinkingConfig(thinking_budget=5),
    )
    client.models.generate_content(model="smart", contents=[picture, "what?"], config=config)
    (record,) = upstream.log()
    sent = record["body"]
    data = sent["contents"][0]["parts"][0]["inlineData"]
    # Google reads both spellings of a name, and its package sends both.
    assert data == {"data": "iVBORw==", "mime_type": "image/png"}
    assert sent["systemInstruction"]["parts"] == [{"text": "be brief"}]
    assert set(sent["generationConfig"]["responseSchema"]["properties"]) == {"city", "degrees"}
    assert "maxOutputTokens" not in sent["generationConfig"]


@pytest.mark.filterwarnings("ignore:Inheritance class:DeprecationWarning")
def test_the_asynchronous_client_is_served_as_well(client: genai.Client):
    async def streamed() -> str:
        frames = await client.aio.models.generate_content_stream(model="smart", contents=SAID)
        return "".join([frame.text async for frame in frames])

    async def whole() -> str:
        async with client.aio as opened:
            answer = await opened.models.generate_content(model="smart", contents=SAID)
            return f"{answer.text}, {await streamed()}"

    assert asyncio.run(whole()) == f"{SAID}, {SAID}"


def test_a_chat_goes_on(client: genai.Client):
    chat = client.chats.create(model="google/gemini-flash")
    assert chat.send_message("one two").text == "one two"
    assert chat.send_message("three").text == "three"
    assert [turn.role for turn in chat.get_history()] == ["user", "model"] * 2


def test_what_is_blocked_is_an_answer(client: genai.Client, hub: HubProcess):
    (frame,) = stream(client, "gemini-blocked")
    for answer in (ask(client, "gemini-blocked"), frame):
        assert answer.prompt_feedback.block_reason is types.BlockedReason.SAFETY
    call = last_call(hub)
    assert (call["outcome"], call["input_tokens"], call["output_tokens"]) == ("completed", 4, 0)
    assert ask(client, "gemini-unsafe").candidates[0].finish_reason is types.FinishReason.SAFETY
    *_, last = stream(client, "gemini-unsafe")
    assert last.candidates[0].finish_reason is types.FinishReason.SAFETY
    assert last_call(hub)["outcome"] == "completed"


def test_a_stream_without_the_last_blank_line_is_whole(client: genai.Client, hub: HubProcess):
    assert "".join(frame.text for frame in stream(client, "gemini-bare")) == SAID
    assert last_call(hub)["outcome"] == "completed"


def test_counting_tokens_is_recorded_and_free(client: genai.Client, hub: HubProcess):
    before = hub.balance()
    assert client.models.count_tokens(model="smart", contents=SAID).total_tokens == 4
    call = last_call(hub)
    assert (call["outcome"], call["credits"], call["held"]) == ("completed", "0", "0")
    assert hub.balance() == before
    inner = {"model": "models/smart", "contents": [{"parts": [{"text": "one two"}]}]}
    body = json.dumps({"generateContentRequest": inner}).encode()
    target = "/v1beta/models/google%2Fgemini-flash:countTokens"
    with post(hub, target, body, authorization=f"Bearer {hub.key}") as raw:
        assert json.load(raw) == {"totalTokens": 2}


def test_embeddings_are_charged(client: genai.Client, hub: HubProcess):
    answer = client.models.embed_content(
        model="models/google/gemini-embedding-001", contents=["one two three", "four"]
    )
    assert [len(one.values) for one in answer.embeddings] == [2, 2]
    call = last_call(hub)
    assert (call["outcome"], call["type"]) == ("completed", "embedding")
    assert (call["usage_source"], call["input_tokens"]) == ("counted", 5)
    body = json.dumps({"content": {"parts": [{"text": "one two"}]}}).encode()
    target = "/v1beta/models/google/gemini-embedding-001:embedContent"
    with post(hub, target, body, **{"x-goog-api-key": hub.key}) as raw:
        assert json.load(raw)["embedding"]["values"] == [0.5, -0.5]
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["credits"]) == ("provider", 2, "0.002")


@pytest.mark.parametrize(
    ("model", "status", "name", "code"),
    [
        ("unknown/model", 404, "NOT_FOUND", "not_found"),
        ("gemini-400", 400, "INVALID_ARGUMENT", "invalid_request"),
        ("gemini-404", 404, "NOT_FOUND", "not_found"),
        ("gemini-429", 429, "RESOURCE_EXHAUSTED", "rate_limited"),
        ("gemini-401", 502, "INTERNAL", "upstream_error"),
        ("gemini-badkey", 502, "INTERNAL", "upstream_error"),
        ("gemini-500", 502, "INTERNAL", "upstream_error"),
        ("gemini-error200", 502, "INTERNAL", "upstream_error"),
    ],
)
@pytest.mark.parametrize("streams", [False, True])
def test_errors_are_the_sdks_own_classes_in_googles_shape(
    client: genai.Client, model: str, status: int, name: str, code: str, streams: bool
):
    with pytest.raises(errors.APIError) as raised:
        list(stream(client, model)) if streams else ask(client, model)
    assert isinstance(raised.value, errors.ClientError if status < 500 else errors.ServerError)
    assert (raised.value.code, raised.value.status) == (status, name)
    assert raised.value.details["error"]["details"][0]["reason"] == code


def test_a_wrong_key_is_unauthenticated(hub: HubProcess):
    with client_of(hub, "blocklet-wrong") as client, pytest.raises(errors.ClientError) as raised:
        ask(client)
    assert (raised.value.code, raised.value.status) == (401, "UNAUTHENTICATED")


def test_who_cannot_pay_is_told_where_to_buy(hub: HubProcess, upstream: FakeUpstream):
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    with client_of(hub, key) as client:
        assert client.models.count_tokens(model="smart", contents=SAID).total_tokens == 4
        with pytest.raises(errors.ClientError) as raised:
            ask(client)
        error = raised.value.details["error"]
        assert (error["code"], error["type"]) == (402, "NOT_ENOUGH")
        assert error["link"] in error["message"]
        assert error["timestamp"]
        # Without a limit of its own a call gets the one that can be paid for.
        upstream.reset()
        hub.cli("credits", "grant", "--user", poor["id"], "--amount", "0.5")
        answer = client.models.generate_content(model="smart", contents=SAID)
        assert answer.text == SAID
        (record,) = upstream.log()
        assert 4 < record["body"]["generationConfig"]["maxOutputTokens"] < 250


def test_the_snippet_runs(hub: HubProcess, capsys: pytest.CaptureFixture[str]):
    text = hub.cli("snippet", "google-genai", "--model", "smart")["text"]
    assert "YOUR-KEY" in text
    address = text.partition('"base_url": "')[2].partition('"')[0]
    exec(text.replace("YOUR-KEY", hub.key).replace(address, hub.address), {})
    assert capsys.readouterr().out == "Hello\n"


def test_a_stream_is_a_list_unless_events_are_asked_for(hub: HubProcess):
    sent = json.dumps({"contents": [{"parts": [{"text": SAID}]}]}).encode()
    target = f"/v1beta/models/{{}}:streamGenerateContent?key={hub.key}"
    with post(hub, target.format("smart"), sent) as raw:
        assert raw.headers["content-type"] == "application/json; charset=utf-8"
        elements = json.load(raw)
    texts = [one["candidates"][0]["content"]["parts"][0]["text"] for one in elements]
    assert "".join(texts) == SAID
    assert len(texts) > 1
    assert elements[-1]["usageMetadata"]["credits"] == last_call(hub)["credits"] == "0.012"
    # What fails after it began ends the list, too.
    with post(hub, target.format("gemini-slow:5+errorevent:3"), sent) as raw:
        elements = json.load(raw)
    assert len(elements) == 4
    assert elements[-1]["error"]["details"][0]["reason"] == "upstream_error"
    assert hub.key not in hub.log()


@pytest.mark.parametrize(
    "model", ["gemini-slow:5+errorevent:3", "gemini-slow:5+cut:3", "gemini-slow:5+fin:3"]
)
def test_a_stream_that_breaks_is_an_error_and_costs_what_was_delivered(
    client: genai.Client, hub: HubProcess, model: str
):
    text = ""
    with pytest.raises(errors.ServerError) as raised:  # noqa: PT012 - it comes while reading
        for frame in stream(client, model):
            text += frame.text
            assert frame.candidates[0].finish_reason is None
    assert text == "say hello to"
    assert raised.value.code == 502
    assert raised.value.details["error"]["details"][0]["reason"] == "upstream_error"
    call = last_call(hub)
    assert (call["status"], call["outcome"]) == ("failed", "upstream_failed")
    assert (call["usage_source"], call["output_tokens"]) == ("counted", 3)


def test_a_stream_that_fails_before_its_content_is_free(client: genai.Client, hub: HubProcess):
    with pytest.raises(errors.ServerError):
        list(stream(client, "gemini-errorevent"))
    call = last_call(hub)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")


def test_a_caller_who_leaves_pays_what_was_produced(hub: HubProcess, upstream: FakeUpstream):
    upstream.reset()
    body = json.dumps({"contents": [{"parts": [{"text": SAID}]}]}).encode()
    target = "/v1beta/models/google/gemini-slow:50+long:400:streamGenerateContent?alt=sse"
    with post(hub, target, body, **{"x-goog-api-key": hub.key}) as raw:
        assert b'"w5 "' in next(line for line in raw if b"w5" in line)
    upstream.log_when(lambda log: bool(log) and log[-1]["client_gone"])
    until(lambda: last_call(hub)["status"] != "processing")
    call = last_call(hub)
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert (call["usage_source"], call["input_tokens"]) == ("provider", 4)
    assert 5 <= call["output_tokens"] < 400


def test_models_have_googles_shape(client: genai.Client, hub: HubProcess):
    models = {model.name: model for model in client.models.list(config={"page_size": 5})}
    assert len(models) == len(MODELS) + 2
    flash = models["models/google/gemini-flash"]
    assert "generateContent" in flash.supported_actions
    assert (flash.input_token_limit, flash.output_token_limit) == (1_048_576, 65_536)
    assert models["models/google/gemini-embedding-001"].supported_actions == [
        "embedContent",
        "batchEmbedContents",
    ]
    translated = models["models/openai/gpt-4o-mini"].supported_actions
    assert translated == ["generateContent", "streamGenerateContent", "countTokens"]
    assert client.models.get(model="google/gemini-flash").name == flash.name
    with pytest.raises(errors.ClientError, match="NOT_FOUND"):
        client.models.get(model="google/none")
    for target in (f"/v1/models?key={hub.key}", f"/v1beta/models?key={hub.key}"):
        with urllib.request.urlopen(f"{hub.address}{target}", timeout=60) as raw:
            assert "models" in json.load(raw)
    assert hub.key not in hub.log()
