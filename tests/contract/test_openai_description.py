"""What the hub says in OpenAI's formats keeps to OpenAI's own description of them."""

import http.client
import json
from collections.abc import Iterator
from typing import Any

import pytest
from tests import bodies, replies
from tests.caller import Reply, post
from tests.contract.scripted import JSON_TYPE, SSE_TYPE, Answer, Scripted, scripted
from tests.contract.shapes import SHAPES
from tests.contract.test_providers import FIXTURES
from tests.contract.test_translations import WIRES
from tests.contract.wires import running
from tests.hub import HubProcess
from tests.openai_description import unknown, violations

Json = dict[str, Any]
# Every member that is ours, or that OpenAI's description has forgotten, by where it stands.
OURS = {
    "chat": {
        "usage.credits",
        # DeepSeek's and OpenRouter's words for thoughts, and Google's for what seals a call.
        "choices[].message.reasoning_content",
        "choices[].message.reasoning_details",
        "choices[].message.images",
        "choices[].message.tool_calls[].extra_content",
    },
    "chunk": {
        "usage.credits",
        "obfuscation",  # this and the next are OpenAI's own
        "choices[].delta.annotations",
        "choices[].delta.reasoning_content",
        "choices[].delta.reasoning_details",
        "choices[].delta.images",
        "choices[].delta.tool_calls[].extra_content",
    },
    "models": {
        f"data[].{name}"
        for name in (
            *("type", "context_tokens", "max_output_tokens", "pricing"),
            *("modalities", "features", "status"),
        )
    },
    "error": set(),
    "response": {"usage.credits", "store"},  # `store` is OpenAI's own
    "event": {"response.usage.credits", "response.store", "error"},  # the SDKs raise for `error`,
}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: Scripted) -> Iterator[HubProcess]:
    with running(tmp_path_factory.mktemp("description"), upstream) as hub:
        yield hub


def whole(value: Json) -> Answer:
    return Answer((json.dumps(value).encode(),), content_type=JSON_TYPE)


def stream(events: list[Json], *, named: bool = False, done: bool = False) -> Answer:
    pieces = []
    for event in events:
        head = f"event: {event['type']}\n" if named else ""
        pieces.append(f"{head}data: {json.dumps(event)}\n\n".encode())
    return Answer((*pieces, *([b"data: [DONE]\n\n"] if done else [])), content_type=SSE_TYPE)


# Without the fingerprint: it may be null, which the description has forgotten.
NATIVE = SHAPES["openai"]({**FIXTURES["openai"], "answer": {"service_tier": "default"}})
# What each wire answers, whole and streamed: text, calls of tools, and all there is.
SAID: dict[str, list[tuple[Answer, Answer]]] = {
    "openai": [
        (NATIVE.answer(stream=False, calls=calls), NATIVE.answer(stream=True, calls=calls))
        for calls in (False, True)
    ],
    "anthropic": [(whole(replies.MESSAGE), stream(replies.MESSAGE_EVENTS, named=True))],
    "google": [(whole(replies.GENERATED), stream(replies.GENERATED_EVENTS))],
}
SAID["plain"] = SAID["openai"]
THINKS = {"tools": bodies.CHAT["tools"], "reasoning_effort": "low"}


def sent(hub: HubProcess, path: str, **body: Any) -> Reply:
    reply = post(hub, path, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    return reply


def described(name: str, value: Any, ours: set[str]) -> None:
    assert violations(name, value) == []
    assert unknown(name, value) <= ours


@pytest.mark.parametrize("wire", SAID)
def test_chat_completions(hub: HubProcess, upstream: Scripted, wire: str):
    asked = {"model": f"{wire}/m", "messages": [{"role": "user", "content": "Hi"}], **THINKS}
    for answer, streamed in SAID[wire]:
        upstream.answer = answer
        reply = sent(hub, "/v1/chat/completions", **asked)
        described("CreateChatCompletionResponse", reply.json, OURS["chat"])
        upstream.answer = streamed
        options = {"stream": True, "stream_options": {"include_usage": True}}
        reply = sent(hub, "/v1/chat/completions", **asked, **options)
        assert reply.done
        assert reply.events[-1]["usage"]["credits"]
        for event in reply.events:
            described("CreateChatCompletionStreamResponse", event, OURS["chunk"])


@pytest.mark.parametrize("wire", SAID)
def test_responses(hub: HubProcess, upstream: Scripted, wire: str):
    asked = {
        "model": f"{wire}/m",
        "input": "Hi",
        "tools": bodies.RESPONSES["tools"][:2],
        "reasoning": {"effort": "low", "summary": "auto"},
    }
    answers = SAID[wire]
    if wire == "openai":
        answers = [(whole(replies.RESPONSE_TOLD), stream(replies.RESPONSE_TOLD_EVENTS, named=True))]
    for answer, streamed in answers:
        upstream.answer = answer
        described("Response", sent(hub, "/v1/responses", **asked).json, OURS["response"])
        upstream.answer = streamed
        reply = sent(hub, "/v1/responses", **asked, stream=True)
        assert reply.events[-1]["type"] == "response.completed"
        for event in reply.events:
            # Null until the end in OpenAI's own answers; its description has forgotten that.
            if event.get("response", {}).get("usage", ...) is None:
                del event["response"]["usage"]
            described("ResponseStreamEvent", event, OURS["event"])


def test_completions(hub: HubProcess, upstream: Scripted):
    upstream.answer = whole(replies.COMPLETION)
    asked = {"model": "openai/m", "prompt": "Hi"}
    described("CreateCompletionResponse", sent(hub, "/v1/completions", **asked).json, OURS["chat"])
    upstream.answer = stream(replies.COMPLETION_EVENTS, done=True)
    for event in sent(hub, "/v1/completions", **asked, stream=True).events:
        broken = {one.partition(":")[0] for one in violations("CreateCompletionResponse", event)}
        # OpenAI's chunks have both, and its description of a whole answer is that of a chunk.
        assert broken <= {"$.usage", "$.choices[0].finish_reason"}


@pytest.mark.parametrize("wire", ["openai", "google"])
def test_embeddings(hub: HubProcess, upstream: Scripted, wire: str):
    made = {"embeddings": [{"values": [0.5, 1]}], "usageMetadata": {"promptTokenCount": 9}}
    upstream.answer = whole(made if wire == "google" else replies.VECTORS)
    reply = sent(hub, "/v1/embeddings", model=f"{wire}/embeds", input=["hi"])
    described("CreateEmbeddingResponse", reply.json, set())


def test_pictures(hub: HubProcess, upstream: Scripted):
    upstream.answer = whole(replies.IMAGES)
    asked = {"model": "openai/draws", "prompt": "a cat"}
    described("ImagesResponse", sent(hub, "/v1/images/generations", **asked).json, set())
    upstream.answer = stream(replies.IMAGE_EVENTS, named=True)
    reply = sent(hub, "/v1/images/generations", **asked, stream=True, partial_images=1)
    assert len(reply.events) == len(replies.IMAGE_EVENTS)
    for event in reply.events:
        described("ImageGenStreamEvent", event, {"usage.credits"})


def test_moderations(hub: HubProcess, upstream: Scripted):
    upstream.answer = whole(replies.MODERATION)
    reply = sent(hub, "/v1/moderations", model="openai/moderates", input="hi")
    described("CreateModerationResponse", reply.json, set())


def test_speech(hub: HubProcess, upstream: Scripted):
    upstream.answer = stream(replies.SPEECH_EVENTS, named=True)
    asked = {"model": "openai/speaks", "input": "hi", "voice": "alloy", "stream_format": "sse"}
    for event in sent(hub, "/v1/audio/speech", **asked).events:
        described("CreateSpeechResponseStreamEvent", event, {"usage.credits"})


def test_transcripts(hub: HubProcess, upstream: Scripted):
    parts = {"model": "openai/hears", "stream": "true"}
    form = b"".join(
        f'--x\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'.encode()
        for name, value in parts.items()
    )
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.mp3"\r\n\r\n'
    form += file + b"s" * 8_000 + b"\r\n--x--\r\n"
    kind = {"Content-Type": "multipart/form-data; boundary=x"}
    upstream.answer = stream(replies.TRANSCRIPT_EVENTS, named=True)
    reply = post(hub, "/v1/audio/transcriptions", form, headers=kind)
    assert len(reply.events) == len(replies.TRANSCRIPT_EVENTS)
    for event in reply.events:
        described("CreateTranscriptionResponseStreamEvent", event, {"usage.credits"})
    upstream.answer = whole(replies.TRANSCRIPT)
    reply = post(hub, "/v1/audio/transcriptions", form.replace(b"true", b"false"), headers=kind)
    described("CreateTranscriptionResponseJson", reply.json, set())


def test_models(hub: HubProcess):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.request("GET", "/v1/models", headers={"Authorization": f"Bearer {hub.key}"})
    listed = json.loads(connection.getresponse().read())
    connection.close()
    assert listed["data"]
    described("ListModelsResponse", listed, OURS["models"])


@pytest.mark.parametrize("wire", SAID)
def test_errors(hub: HubProcess, upstream: Scripted, wire: str):
    refusal = {"error": {"message": "no", "type": "x", "code": 400, "status": "INVALID_ARGUMENT"}}
    upstream.answer = Answer((json.dumps(refusal).encode(),), 400)
    for path, body in (
        ("/v1/chat/completions", {"messages": [{"role": "user", "content": "Hi"}]}),
        ("/v1/responses", {"input": "Hi"}),
        ("/v1/chat/completions", {"messages": 5}),
    ):
        reply = post(hub, path, json.dumps({"model": f"{wire}/m", **body}).encode())
        assert reply.status == 400
        described("ErrorResponse", reply.json, OURS["error"])


@pytest.mark.parametrize("wire", WIRES)
def test_errors_in_mid_stream(hub: HubProcess, upstream: Scripted, wire: str):
    said = WIRES[wire]
    upstream.answer = said.broken(said.begun_events)
    asked: Json = {"messages": [{"role": "user", "content": "Hi"}], "stream": True}
    reply = post(hub, "/v1/chat/completions", json.dumps({"model": f"{wire}/m", **asked}).encode())
    described("ErrorResponse", reply.events[-1] if reply.streamed else reply.json, OURS["error"])
    asked = {"input": "Hi", "stream": True}
    reply = post(hub, "/v1/responses", json.dumps({"model": f"{wire}/m", **asked}).encode())
    if reply.streamed:
        described("ResponseStreamEvent", reply.events[-1], OURS["event"])
    else:
        described("ErrorResponse", reply.json, OURS["error"])


# -- what is sent ----------------------------------------------------------------------------

# What compatible servers read beside OpenAI's members.
SENT: set[str] = {"messages[].tool_calls[].extra_content"}
CALLERS: dict[str, tuple[str, Json, str]] = {
    "responses": ("/v1/responses", bodies.RESPONSES, "plain/m"),
    "anthropic": ("/v1/messages", bodies.ANTHROPIC, "openai/m"),
    "gemini": ("/v1beta/models/openai/m:streamGenerateContent?alt=sse", bodies.GEMINI, "openai/m"),
    "aigne": ("/api/v2/chat", bodies.AIGNE, "openai/m"),
}


def named(value: Any, model: str) -> Any:
    """Return a body whose model has another name."""
    if isinstance(value, dict):
        return {
            name: model if (name, inner) == ("model", "m") else named(inner, model)
            for name, inner in value.items()
        }
    return [named(one, model) for one in value] if isinstance(value, list) else value


@pytest.mark.parametrize("caller", CALLERS)
def test_what_is_sent_for_callers_of_other_formats(
    hub: HubProcess, upstream: Scripted, caller: str
):
    path, body, model = CALLERS[caller]
    upstream.answer = NATIVE.answer(stream=True)
    upstream.seen.clear()
    reply = post(hub, path, json.dumps(named(body, model)).encode())
    assert reply.status == 200, reply.body
    (seen,) = upstream.seen
    assert seen.path.endswith("/v1/chat/completions")
    described("CreateChatCompletionRequest", seen.json, SENT)


@pytest.mark.parametrize("method", ["embedContent", "batchEmbedContents"])
def test_what_is_sent_for_vectors(hub: HubProcess, upstream: Scripted, method: str):
    upstream.answer = whole(replies.VECTORS)
    upstream.seen.clear()
    one: Json = {"content": {"parts": [{"text": "hi"}]}, "outputDimensionality": 2}
    body = {"requests": [{"model": "models/openai/embeds", **one}]} if "batch" in method else one
    path = f"/v1beta/models/openai/embeds:{method}"
    reply = post(hub, path, json.dumps(body).encode())
    assert reply.status == 200, reply.body
    (seen,) = upstream.seen
    described("CreateEmbeddingRequest", seen.json, SENT)


def test_the_description_finds_what_is_wrong():
    good = json.loads(NATIVE.answer(stream=False).pieces[0])
    assert violations("CreateChatCompletionResponse", good) == []
    assert violations("CreateChatCompletionResponse", {**good, "created": "today"})
    assert unknown("CreateChatCompletionResponse", {**good, "made_up": 1}) == {"made_up"}
    request = {"model": "m", "messages": [{"role": "king", "content": "x"}]}
    assert violations("CreateChatCompletionRequest", request)
