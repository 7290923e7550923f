"""The demo provider, answering at once."""

import base64
import json
import struct
import zlib

import orjson
import pytest

from aigne_hub.clock import SystemClock
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.local import DemoUpstream


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
