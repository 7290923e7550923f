"""Google's package against models of other formats, and OpenAI's against models at Google.

The upstreams are scripted: what they are sent and what they answer is told to the byte.
"""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from google import genai
from google.genai import errors, types
from pydantic import BaseModel
from tests.contract.scripted import SSE_TYPE, Answer, Scripted, scripted
from tests.hub import HubProcess

RATES = {"input": "1000", "output": "2000", "cache_read": "100"}
SIGNATURE = "c2lnbmVkIGJ5IEdvb2dsZQ=="
MODELS = ("openai/gpt-5", "google/gemini-3-flash")
EMBEDDING_MODELS = ("openai/text-embedding-3-small", "google/gemini-embedding-001")
LOOK = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


@pytest.fixture(scope="module")
def provider() -> Iterator[Scripted]:
    with scripted() as running:
        yield running


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, provider: Scripted) -> Iterator[HubProcess]:
    config = {
        "providers": [
            {
                "name": name,
                "base_url": provider.url,
                "credentials": [{"name": "main", "api_key": "good-key"}],
            }
            for name in ("openai", "google")
        ],
        "models": [
            *({"model": name, "type": "chat", "rates": RATES} for name in MODELS),
            *(
                {"model": name, "type": "embedding", "rates": {"input": "1000"}}
                for name in EMBEDDING_MODELS
            ),
            {"model": "demo/echo", "type": "chat", "rates": {"input": "0", "output": "0"}},
        ],
        "aliases": {"smart": {"model": "openai/gpt-5"}},
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("translated"), config) as running:
        running.grant("1000000")
        yield running


@pytest.fixture
def gemini(hub: HubProcess) -> Iterator[genai.Client]:
    options = types.HttpOptions(base_url=hub.address)
    with genai.Client(api_key=hub.key, http_options=options) as client:
        yield client


@pytest.fixture
def chat(hub: HubProcess) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(api_key=hub.key, base_url=hub.base_url, max_retries=0) as client:
        yield client


def says(provider: Scripted, value: object, status: int = 200) -> None:
    provider.seen.clear()
    provider.answer = Answer((json.dumps(value).encode(),), status)


def streams(provider: Scripted, *values: object, done: bool = False) -> None:
    """Answer events, one of them cut in two."""
    provider.seen.clear()
    frames = [b"data: %b\n\n" % json.dumps(value).encode() for value in values]
    frames[0:1] = [frames[0][:9], frames[0][9:]]
    if done:
        frames.append(b"data: [DONE]\n\n")
    provider.answer = Answer(tuple(frames), content_type=SSE_TYPE)


def last_call(hub: HubProcess) -> dict[str, Any]:
    return hub.calls(limit=1)[0]


# -- Google's package, a provider that speaks OpenAI's format -----------------------------------

USAGE = {
    "prompt_tokens": 9,
    "completion_tokens": 8,
    "total_tokens": 17,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 5},
}
# 5 in, 4 from the cache, 8 out of which 5 are thoughts.
CREDITS = "0.0214"


def completion(reason: str = "stop", **message: Any) -> dict[str, Any]:
    said = {"role": "assistant", "content": None, **message}
    return {
        "id": "x",
        "object": "chat.completion",
        "created": 1,
        "model": "gpt-5",
        "choices": [{"index": 0, "message": said, "finish_reason": reason}],
        "usage": USAGE,
    }


def piece(reason: str | None = None, **delta: Any) -> dict[str, Any]:
    choice = {"index": 0, "delta": delta, "finish_reason": reason}
    return {"object": "chat.completion.chunk", "choices": [choice]}


def test_an_answer_of_another_format_is_googles(
    gemini: genai.Client, hub: HubProcess, provider: Scripted
):
    says(provider, completion(content="hello", reasoning_content="hm"))
    answer = gemini.models.generate_content(
        model="smart",
        contents=[types.Part.from_bytes(data=b"\x89PNG", mime_type="image/png"), "what?"],
        config=types.GenerateContentConfig(
            system_instruction="be brief",
            max_output_tokens=100,
            top_k=7,
            thinking_config=types.ThinkingConfig(thinking_level="LOW", include_thoughts=True),
        ),
    )
    thought, said = answer.candidates[0].content.parts
    assert (thought.text, thought.thought, said.text) == ("hm", True, "hello")
    assert answer.candidates[0].finish_reason is types.FinishReason.STOP
    usage = answer.usage_metadata
    assert (usage.prompt_token_count, usage.cached_content_token_count) == (9, 4)
    assert (usage.candidates_token_count, usage.thoughts_token_count) == (3, 5)
    assert answer.sdk_http_response.headers["x-aigne-hub-not-carried"] == "top_k"
    (seen,) = provider.seen
    assert seen.path.endswith("/chat/completions")
    assert seen.json == {
        "model": "gpt-5",
        "messages": [
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,iVBORw=="}},
                    {"type": "text", "text": "what?"},
                ],
            },
        ],
        "max_completion_tokens": 100,
        "reasoning_effort": "low",
    }
    call = last_call(hub)
    assert (call["model"], call["usage_source"]) == ("openai/gpt-5", "provider")
    assert (call["input_tokens"], call["output_tokens"], call["credits"]) == (5, 8, CREDITS)


def test_a_stream_of_another_format_is_googles(
    gemini: genai.Client, hub: HubProcess, provider: Scripted
):
    streams(
        provider,
        piece(role="assistant", content=""),
        piece(reasoning_content="hm"),
        piece(content="Hel"),
        piece(content="lo"),
        piece("stop"),
        {"object": "chat.completion.chunk", "choices": [], "usage": USAGE},
        done=True,
    )
    frames = list(gemini.models.generate_content_stream(model="smart", contents="hi"))
    # Nobody asked to see the thoughts.
    assert [frame.text for frame in frames] == ["Hel", "lo", ""]
    assert frames[-1].candidates[0].finish_reason is types.FinishReason.STOP
    assert frames[-1].usage_metadata.thoughts_token_count == 5
    assert provider.seen[0].json["stream"] is True
    call = last_call(hub)
    assert (call["status"], call["credits"]) == ("success", CREDITS)


def test_a_stream_of_another_format_is_a_list_as_well(hub: HubProcess, provider: Scripted):
    streams(provider, piece(content="Hel"), piece(content="lo"), piece("stop"), done=True)
    body = json.dumps({"contents": [{"parts": [{"text": "hi"}]}]}).encode()
    target = f"{hub.address}/v1beta/models/smart:streamGenerateContent"
    asked = urllib.request.Request(target, body, {"x-goog-api-key": hub.key})
    with urllib.request.urlopen(asked, timeout=60) as raw:
        elements = json.load(raw)
    texts = [one["candidates"][0]["content"]["parts"][0]["text"] for one in elements]
    assert "".join(texts) == "Hello"
    assert elements[-1]["usageMetadata"]["credits"] == last_call(hub)["credits"]


def test_functions_are_called_in_parallel_and_answered(gemini: genai.Client, provider: Scripted):
    def call(index: int, arguments: str, **more: Any) -> dict[str, Any]:
        function = {"arguments": arguments, **({"name": "look"} if more else {})}
        return piece(tool_calls=[{"index": index, "function": function, **more}])

    streams(
        provider,
        call(0, '{"city":', id="a", type="function"),
        call(1, '{"city":', id="b", type="function"),
        call(0, '"Oslo"}'),
        call(1, '"Rome"}'),
        piece("tool_calls"),
        done=True,
    )
    tool = types.Tool(
        function_declarations=[
            types.FunctionDeclaration(
                name="look",
                description="looks",
                parameters=types.Schema(
                    type="OBJECT",
                    properties={"city": types.Schema(type="STRING", nullable=True)},
                    required=["city"],
                ),
            )
        ]
    )
    config = types.GenerateContentConfig(
        tools=[tool],
        tool_config=types.ToolConfig(
            function_calling_config=types.FunctionCallingConfig(
                mode="ANY", allowed_function_names=["look"]
            )
        ),
    )
    talk = gemini.chats.create(model="smart", config=config)
    calls = [
        called
        for frame in talk.send_message_stream("where?")
        for called in frame.function_calls or []
    ]
    assert [(one.id, one.args) for one in calls] == [
        ("a", {"city": "Oslo"}),
        ("b", {"city": "Rome"}),
    ]
    sent = provider.seen[0].json
    assert sent["tool_choice"] == {"type": "function", "function": {"name": "look"}}
    assert sent["tools"][0]["function"]["parameters"] == {
        "type": "object",
        "properties": {"city": {"type": ["string", "null"]}},
        "required": ["city"],
    }
    says(provider, completion(content="done"))
    results = [
        types.Part.from_function_response(name="look", response={"output": weather})
        for weather in ("rain", "sun")
    ]
    assert talk.send_message([*results, types.Part(text="and?")]).text == "done"
    messages = provider.seen[0].json["messages"]
    assert [message["role"] for message in messages] == [
        *("user", "assistant", "tool", "tool", "user")
    ]
    assert [one["id"] for one in messages[1]["tool_calls"]] == ["a", "b"]
    assert [(one["tool_call_id"], one["content"]) for one in messages[2:4]] == [
        ("a", "rain"),
        ("b", "sun"),
    ]


class Weather(BaseModel):
    city: str
    degrees: int


def test_a_schema_is_kept_to_strictly_where_that_can_be(gemini: genai.Client, provider: Scripted):
    says(provider, completion(content='{"city":"Oslo","degrees":3}'))
    config = types.GenerateContentConfig(
        response_mime_type="application/json", response_schema=Weather
    )
    answer = gemini.models.generate_content(model="smart", contents="weather", config=config)
    assert answer.parsed == Weather(city="Oslo", degrees=3)
    wanted = provider.seen[0].json["response_format"]["json_schema"]
    assert (wanted["name"], wanted["strict"]) == ("Weather", True)
    assert wanted["schema"]["additionalProperties"] is False
    assert wanted["schema"]["properties"]["degrees"]["type"] == "integer"


@pytest.mark.parametrize(
    ("status", "name"), [(400, "INVALID_ARGUMENT"), (429, "RESOURCE_EXHAUSTED"), (500, "INTERNAL")]
)
def test_errors_have_googles_shape(
    gemini: genai.Client, provider: Scripted, status: int, name: str
):
    says(provider, {"error": {"message": "too hot", "type": "x"}}, status)
    with pytest.raises(errors.APIError) as raised:
        gemini.models.generate_content(model="smart", contents="hi")
    assert raised.value.details["error"]["status"] == name


def test_what_is_only_at_google_is_refused_by_name(gemini: genai.Client, provider: Scripted):
    provider.seen.clear()
    config = types.GenerateContentConfig(cached_content="cachedContents/x")
    with pytest.raises(errors.ClientError, match="cachedContent"):
        gemini.models.generate_content(model="smart", contents="hi", config=config)
    assert not provider.seen


def test_who_cannot_pay_learns_it_in_googles_shape(hub: HubProcess, provider: Scripted):
    provider.seen.clear()
    poor = hub.cli("users", "create", "--email", "poor@example.com")
    key = hub.cli("keys", "create", "--user", poor["id"])["key"]
    options = types.HttpOptions(base_url=hub.address)
    with (
        genai.Client(api_key=key, http_options=options) as client,
        pytest.raises(errors.ClientError) as raised,
    ):
        client.models.generate_content(model="smart", contents="hi")
    assert raised.value.details["error"]["type"] == "NOT_ENOUGH"
    assert not provider.seen


def test_tokens_are_estimated_for_free(gemini: genai.Client, hub: HubProcess, provider: Scripted):
    provider.seen.clear()
    picture = types.Part.from_bytes(data=b"x" * 999, mime_type="image/png")
    counted = gemini.models.count_tokens(model="smart", contents=[picture, "eight by"])
    assert counted.total_tokens == 2
    assert not provider.seen
    call = last_call(hub)
    assert (call["outcome"], call["input_tokens"], call["credits"]) == ("completed", 0, "0")


def test_the_built_in_model_speaks_googles_format(gemini: genai.Client):
    assert gemini.models.generate_content(model="demo/echo", contents="a b").text == "echo: a b"
    frames = gemini.models.generate_content_stream(model="demo/echo", contents="a b")
    assert "".join(frame.text for frame in frames) == "echo: a b"


def test_texts_are_embedded_by_a_provider_of_another_format(
    gemini: genai.Client, hub: HubProcess, provider: Scripted
):
    data = [{"index": at, "embedding": [0.5, at]} for at in range(2)]
    says(provider, {"data": data, "usage": {"prompt_tokens": 3, "total_tokens": 3}})
    answer = gemini.models.embed_content(
        model="openai/text-embedding-3-small",
        contents=["one two", "three"],
        config=types.EmbedContentConfig(output_dimensionality=2, task_type="CLUSTERING"),
    )
    assert [one.values for one in answer.embeddings] == [[0.5, 0], [0.5, 1]]
    assert answer.sdk_http_response.headers["x-aigne-hub-not-carried"] == "taskType"
    assert provider.seen[0].json == {
        "model": "text-embedding-3-small",
        "input": ["one two", "three"],
        "dimensions": 2,
    }
    call = last_call(hub)
    assert (call["usage_source"], call["input_tokens"], call["credits"]) == ("provider", 3, "0.003")


# -- OpenAI's package, a provider that speaks Gemini's format -----------------------------------

METADATA = {
    "promptTokenCount": 9,
    "cachedContentTokenCount": 4,
    "candidatesTokenCount": 3,
    "thoughtsTokenCount": 5,
    "totalTokenCount": 17,
}


def generated(*parts: object, finish: str | None = "STOP", **more: Any) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": list(parts)}, "index": 0}
    if finish:
        candidate["finishReason"] = finish
    return {"candidates": [candidate], "usageMetadata": METADATA, **more}


def test_a_chat_is_answered_by_a_model_at_google(
    chat: openai.OpenAI, hub: HubProcess, provider: Scripted
):
    says(provider, generated({"text": "hm", "thought": True}, {"text": "hello"}))
    raw = chat.chat.completions.with_raw_response.create(
        model="google/gemini-3-flash",
        messages=[
            {"role": "system", "content": "be brief"},
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "what?"},
                    {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}},
                ],
            },
        ],
        max_completion_tokens=100,
        reasoning_effort="low",
        prompt_cache_key="k",
    )
    answer = raw.parse()
    message = answer.choices[0].message
    assert (message.content, message.reasoning_content) == ("hello", "hm")
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage.prompt_tokens_details.cached_tokens == 4
    assert answer.usage.completion_tokens_details.reasoning_tokens == 5
    assert raw.headers["x-aigne-hub-not-carried"] == "cache_key"
    (seen,) = provider.seen
    assert seen.path == "/v1beta/models/gemini-3-flash:generateContent"
    assert seen.headers["x-goog-api-key"] == "good-key"
    assert seen.json == {
        "contents": [
            {
                "role": "user",
                "parts": [
                    {"text": "what?"},
                    {"inlineData": {"mimeType": "image/png", "data": "aGk="}},
                ],
            }
        ],
        "systemInstruction": {"parts": [{"text": "be brief"}]},
        "generationConfig": {
            "maxOutputTokens": 100,
            "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "low"},
        },
    }
    call = last_call(hub)
    assert (call["usage_source"], call["output_tokens"]) == ("provider", 8)
    assert call["credits"] == CREDITS


def test_a_chat_streams_from_a_model_at_google(
    chat: openai.OpenAI, hub: HubProcess, provider: Scripted
):
    streams(
        provider,
        generated({"text": "Hel"}, finish=None),
        generated({"text": "lo"}, finish=None),
        generated({"text": ""}, finish="MAX_TOKENS"),
    )
    chunks = list(
        chat.chat.completions.create(
            model="google/gemini-3-flash",
            messages=[{"role": "user", "content": "hi"}],
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    said = [chunk.choices[0] for chunk in chunks if chunk.choices]
    assert "".join(one.delta.content or "" for one in said) == "Hello"
    assert said[-1].finish_reason == "length"
    assert chunks[-1].usage.completion_tokens == 8
    assert provider.seen[0].path == "/v1beta/models/gemini-3-flash:streamGenerateContent?alt=sse"
    assert last_call(hub)["credits"] == CREDITS


@pytest.mark.parametrize("is_stream", [False, True])
def test_signatures_come_back_verbatim_with_the_next_turn(
    chat: openai.OpenAI, provider: Scripted, is_stream: bool
):
    calls = [
        {
            "functionCall": {"id": "a", "name": "look", "args": {"city": "Oslo"}},
            "thoughtSignature": SIGNATURE,
        },
        {"functionCall": {"id": "b", "name": "look", "args": {"city": "Rome"}}},
    ]
    tools: Any = [{"type": "function", "function": {"name": "look", "parameters": LOOK}}]
    talk: list[Any] = [{"role": "user", "content": "where?"}]
    if is_stream:
        streams(provider, generated(*calls, finish=None), generated({"text": ""}))
        with chat.chat.completions.stream(
            model="google/gemini-3-flash", messages=talk, tools=tools
        ) as stream:
            message = stream.get_final_completion().choices[0].message
    else:
        says(provider, generated(*calls))
        answer = chat.chat.completions.create(
            model="google/gemini-3-flash", messages=talk, tools=tools, tool_choice="required"
        )
        assert answer.choices[0].finish_reason == "tool_calls"
        message = answer.choices[0].message
        sent = provider.seen[0].json
        assert sent["toolConfig"] == {"functionCallingConfig": {"mode": "ANY"}}
        assert sent["tools"] == [
            {"functionDeclarations": [{"name": "look", "parametersJsonSchema": LOOK}]}
        ]
    assert [json.loads(one.function.arguments) for one in message.tool_calls] == [
        {"city": "Oslo"},
        {"city": "Rome"},
    ]
    says(provider, generated({"text": "done"}))
    talk.append(message.model_dump(exclude_none=True))
    talk += [
        {"role": "tool", "tool_call_id": one.id, "content": "rain"} for one in message.tool_calls
    ]
    chat.chat.completions.create(model="google/gemini-3-flash", messages=talk, tools=tools)
    contents = provider.seen[0].json["contents"]
    assert contents[1] == {"role": "model", "parts": calls}
    assert contents[2] == {
        "role": "user",
        "parts": [
            {"functionResponse": {"id": known, "name": "look", "response": {"output": "rain"}}}
            for known in ("a", "b")
        ],
    }


def test_a_format_reaches_a_model_at_google(chat: openai.OpenAI, provider: Scripted):
    says(provider, generated({"text": '{"city":"Oslo","degrees":3}'}))
    answer = chat.chat.completions.parse(
        model="google/gemini-3-flash",
        messages=[{"role": "user", "content": "weather"}],
        response_format=Weather,
    )
    assert answer.choices[0].message.parsed == Weather(city="Oslo", degrees=3)
    config = provider.seen[0].json["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert set(config["responseJsonSchema"]["properties"]) == {"city", "degrees"}


def test_a_blocked_prompt_is_a_filtered_answer(chat: openai.OpenAI, provider: Scripted):
    says(provider, {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": METADATA})
    answer = chat.chat.completions.create(
        model="google/gemini-3-flash", messages=[{"role": "user", "content": "hi"}]
    )
    assert answer.choices[0].finish_reason == "content_filter"


def test_an_answer_that_is_none_is_free(chat: openai.OpenAI, hub: HubProcess, provider: Scripted):
    says(provider, generated(finish="MALFORMED_FUNCTION_CALL"))
    with pytest.raises(openai.InternalServerError):
        chat.chat.completions.create(
            model="google/gemini-3-flash", messages=[{"role": "user", "content": "hi"}]
        )
    assert last_call(hub)["credits"] == "0"


def test_texts_are_embedded_at_google(chat: openai.OpenAI, hub: HubProcess, provider: Scripted):
    vectors = [{"values": [0.5, -1]}, {"values": [0.25, 2]}]
    says(provider, {"embeddings": vectors})
    # The package asks for packed vectors, and unpacks them.
    answer = chat.embeddings.create(
        model="google/gemini-embedding-001", input=["one two", "three"], dimensions=2
    )
    assert [one.embedding for one in answer.data] == [[0.5, -1], [0.25, 2]]
    assert provider.seen[0].path == "/v1beta/models/gemini-embedding-001:batchEmbedContents"
    assert [one["outputDimensionality"] for one in provider.seen[0].json["requests"]] == [2, 2]
    call = last_call(hub)
    assert call["usage_source"] == "counted"
    assert call["input_tokens"] == answer.usage.prompt_tokens == 3
    says(provider, {"embeddings": vectors[:1], "usageMetadata": {"promptTokenCount": 9}})
    with pytest.raises(openai.InternalServerError):
        chat.embeddings.create(model="google/gemini-embedding-001", input=["one two", "three"])
    assert last_call(hub)["credits"] == "0"
    with pytest.raises(openai.BadRequestError, match="tokens"):
        chat.embeddings.create(model="google/gemini-embedding-001", input=[1, 2])
