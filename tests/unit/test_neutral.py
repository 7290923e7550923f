"""OpenAI chat to and from the neutral form, and the demo provider behind it."""

import base64
import json
import struct
import zlib

import orjson
import pytest

from aigne_hub.clock import SystemClock
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Finish,
    Part,
    ReasoningDelta,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.openai_neutral import ChatEncoder, decode_chat
from aigne_hub.gateway.translate import DemoUpstream

USAGE = Usage(input_tokens=5, output_tokens=3, cache_read_tokens=2, reasoning_tokens=1)
EVENTS = [
    ReasoningDelta("hm"),
    TextDelta("Hel"),
    TextDelta("lo"),
    ToolCallDelta(0, "", id="c1", name="look"),
    ToolCallDelta(0, '{"a":'),
    ToolCallDelta(0, "1}"),
    Finish("tool_calls", USAGE),
]


def encoder(*, shows_usage: bool = True) -> ChatEncoder:
    return ChatEncoder(answer_id="x", model="m", created=1, shows_usage=shows_usage)


def payloads(frames: list[bytes]) -> list[dict]:
    assert frames[-1] == b"data: [DONE]\n\n"
    return [json.loads(frame[6:]) for frame in frames[:-1]]


def test_a_request_keeps_all_it_says():
    request = decode_chat(
        orjson.dumps(
            {
                "model": "m",
                "messages": [
                    {"role": "developer", "content": "be brief"},
                    {
                        "role": "user",
                        "content": [
                            {"type": "text", "text": "see"},
                            {"type": "image_url", "image_url": {"url": "https://x/y.png"}},
                        ],
                    },
                    {
                        "role": "assistant",
                        "content": None,
                        "tool_calls": [
                            {"id": "c", "function": {"name": "look", "arguments": "{}"}}
                        ],
                    },
                    {"role": "tool", "tool_call_id": "c", "content": "seen"},
                ],
                "max_tokens": 7,
                "stop": "end",
                "temperature": 0.5,
                "stream": True,
                "seed": 4,
            }
        )
    )
    system, user, assistant, tool = request.messages
    assert (system.role, system.parts) == ("system", (Part("text", text="be brief"),))
    assert user.parts[1] == Part("image", url="https://x/y.png")
    assert assistant.tool_calls == (ToolCall("c", "look", "{}"),)
    assert (tool.role, tool.tool_call_id) == ("tool", "c")
    assert (request.max_output_tokens, request.stop, request.stream) == (7, ("end",), True)
    assert request.extra == {"seed": 4}


@pytest.mark.parametrize(
    "message",
    [
        "text",
        {"content": "no role"},
        {"role": "king", "content": "x"},
        {"role": "user", "content": [{"type": "hologram"}]},
    ],
)
def test_a_message_that_is_not_understood_is_refused(message: object):
    with pytest.raises(InvalidRequest):
        decode_chat(orjson.dumps({"model": "m", "messages": [message]}))


def test_a_stream_folds_into_the_whole_answer():
    chunks = payloads(encoder().stream(EVENTS))
    deltas = [chunk["choices"][0]["delta"] for chunk in chunks if chunk["choices"]]
    assert "".join(delta.get("content") or "" for delta in deltas) == "Hello"
    assert "".join(delta.get("reasoning_content", "") for delta in deltas) == "hm"
    calls = [delta["tool_calls"][0] for delta in deltas if "tool_calls" in delta]
    assert calls[0]["id"] == "c1"
    assert "".join(call["function"]["arguments"] for call in calls) == '{"a":1}'
    whole = json.loads(encoder().whole(EVENTS))
    message = whole["choices"][0]["message"]
    assert message["content"] == "Hello"
    assert message["tool_calls"][0]["function"] == {"name": "look", "arguments": '{"a":1}'}
    assert whole["choices"][0]["finish_reason"] == "tool_calls"
    assert whole["usage"] == chunks[-1]["usage"]
    assert whole["usage"]["prompt_tokens"] == 7
    assert whole["usage"]["prompt_tokens_details"] == {"cached_tokens": 2}


def test_usage_is_streamed_to_those_who_ask_only():
    assert all(chunk["choices"] for chunk in payloads(encoder(shows_usage=False).stream(EVENTS)))


@pytest.fixture
def demo() -> DemoUpstream:
    return DemoUpstream(SystemClock(), lambda: "id")


async def test_the_echo_keeps_to_the_output_limit(demo: DemoUpstream):
    body = {"model": "echo", "messages": [{"role": "user", "content": "one two three"}]}
    whole = json.loads(await (await demo.send("chat/completions", orjson.dumps(body))).read())
    assert whole["choices"][0]["message"]["content"] == "echo: one two three"
    assert whole["usage"]["completion_tokens"] == 4
    cut = orjson.dumps({**body, "max_tokens": 2})
    limited = json.loads(await (await demo.send("chat/completions", cut)).read())
    assert limited["choices"][0]["finish_reason"] == "length"
    assert limited["usage"]["completion_tokens"] == 2


async def test_vectors_depend_on_the_text_alone(demo: DemoUpstream):
    async def vectors(**more) -> list:
        body = orjson.dumps({"model": "embed", **more})
        answer = await demo.send("embeddings", body)
        assert answer.header(b"content-type") == b"application/json"
        return [item["embedding"] for item in json.loads(await answer.read())["data"]]

    a, b = await vectors(input=["same", "other"])
    assert await vectors(input="same") == [a]
    assert a != b
    (packed,) = await vectors(input="same", encoding_format="base64")
    raw = base64.b64decode(packed)
    assert struct.unpack(f"<{len(raw) // 4}f", raw) == pytest.approx(a, abs=1e-6)
    assert len(await vectors(input=[1, 2, 3])) == 1
    assert len(await vectors(input=[[1, 2], [3]])) == 2


async def test_a_picture_is_a_valid_png(demo: DemoUpstream):
    body = orjson.dumps({"model": "image", "prompt": "a tree", "n": 2})
    answer = json.loads(await (await demo.send("images/generations", body)).read())
    first, second = (base64.b64decode(item["b64_json"]) for item in answer["data"])
    assert first != second
    assert first.startswith(b"\x89PNG\r\n\x1a\n")
    start = first.index(b"IDAT")
    (length,) = struct.unpack(">I", first[start - 4 : start])
    pixels = zlib.decompress(first[start + 4 : start + 4 + length])
    assert len(pixels) == 64 * (1 + 64 * 3)


async def test_what_the_demo_does_not_offer_is_refused(demo: DemoUpstream):
    with pytest.raises(InvalidRequest, match="does not offer"):
        await demo.send("audio/speech", b"{}")


async def test_a_closed_answer_has_nothing_left(demo: DemoUpstream):
    body = orjson.dumps({"model": "echo", "messages": [], "stream": True})
    answer = await demo.send("chat/completions", body)
    assert await answer.chunk() is not None
    answer.close()
    assert await answer.chunk() is None
