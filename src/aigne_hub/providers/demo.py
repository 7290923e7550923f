"""The built-in provider `demo`: answers at once, without a vendor, for free.

`demo/echo` says back the last user message; `demo/embed` returns vectors that depend on the
text alone; `demo/image` draws a small PNG. Usage is counted in words.
"""

import base64
import hashlib
import struct
import zlib

import orjson

from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    InferenceRequest,
    Part,
    Text,
    TextDelta,
)
from aigne_hub.domain.usage import Report, Usage

DIMENSIONS = 64
IMAGE_SIDE = 64


def echo(request: InferenceRequest) -> list[InferenceEvent]:
    """Answer `echo: <last user message>`, one event a word, within the output limit."""
    spoken = [message for message in request.messages if message.role == "user"]
    last = _text(spoken[-1].content) if spoken else ""
    words = ["echo:", *last.split()]
    limit = request.max_output_tokens
    kept = words if limit is None else words[:limit]
    prompt = sum(len(_text(message.content).split()) for message in request.messages)
    events: list[InferenceEvent] = [
        TextDelta(word if index == 0 else f" {word}") for index, word in enumerate(kept)
    ]
    reason: FinishReason = "stop" if len(kept) == len(words) else "length"
    usage = Usage(input_tokens=prompt, output_tokens=len(kept))
    events.append(Finish(reason, Report(usage)))
    return events


def embed(texts: list[str], *, as_base64: bool, model: str) -> bytes:
    """Return an OpenAI embeddings answer: unit-scale vectors derived from SHA-256."""
    data = []
    for index, text in enumerate(texts):
        vector = _vector(text)
        encoded = base64.b64encode(struct.pack(f"<{DIMENSIONS}f", *vector)).decode()
        data.append(
            {
                "object": "embedding",
                "index": index,
                "embedding": encoded if as_base64 else vector,
            }
        )
    words = sum(len(text.split()) for text in texts)
    usage = {"prompt_tokens": words, "total_tokens": words}
    return orjson.dumps({"object": "list", "data": data, "model": model, "usage": usage})


def image(prompt: str, count: int, created: int) -> bytes:
    """Return an OpenAI images answer with PNGs whose colours depend on the prompt."""
    data = [{"b64_json": base64.b64encode(_png(f"{prompt}{i}")).decode()} for i in range(count)]
    return orjson.dumps({"created": created, "data": data})


def _text(content: tuple[Part, ...]) -> str:
    return "".join(part.text for part in content if isinstance(part, Text))


def _vector(text: str) -> list[float]:
    seed = hashlib.shake_256(text.encode()).digest(DIMENSIONS * 2)
    numbers = struct.unpack(f"<{DIMENSIONS}h", seed)
    length = sum(number * number for number in numbers) ** 0.5 or 1.0
    return [number / length for number in numbers]


def _png(prompt: str) -> bytes:
    """Draw a diagonal gradient between two colours (PNG, RFC 2083, 8-bit RGB)."""
    seed = hashlib.sha256(prompt.encode()).digest()
    rows = bytearray()
    for y in range(IMAGE_SIDE):
        rows.append(0)
        for x in range(IMAGE_SIDE):
            share = (x + y) / (2 * IMAGE_SIDE - 2)
            rows += bytes(
                int(a + (b - a) * share) for a, b in zip(seed[:3], seed[3:6], strict=True)
            )
    header = struct.pack(">IIBBBBB", IMAGE_SIDE, IMAGE_SIDE, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
