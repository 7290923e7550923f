"""The bodies of OpenAI's answers, from a request's body and its scenario alone."""

import array
import base64
import hashlib
import json
import math
import re
import struct
import sys
import zlib
from dataclasses import dataclass
from typing import Any

from tests.upstream.lies import LIES
from tests.upstream.scenarios import Scenario
from tests.upstream.schema import instance

CREATED = 1_767_225_600  # answers are deterministic, their time too: 2026-01-01T00:00:00Z
FINGERPRINT = "fp_upstream"
DEFAULT_DIMENSIONS = 1536
MAX_DIMENSIONS = 8192
MAX_CHOICES = 16
CATALOGUE = ("gpt-4o-mini", "gpt-image-1", "text-embedding-3-small", "gpt-3.5-turbo-instruct")
Json = dict[str, Any]


class BadRequestError(ValueError):
    """The request lacks what OpenAI demands; `param` names the field."""

    def __init__(self, message: str, param: str) -> None:
        super().__init__(message)
        self.param = param


@dataclass(frozen=True, slots=True)
class Text:
    """What the model says: words to stream, or a tool call's arguments in pieces."""

    pieces: tuple[str, ...]
    finish_reason: str
    tool: str | None = None

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


def chat_text(body: Json, scenario: Scenario) -> Text:
    """Return the answer: a tool call, structured output, or an echo of the last user message."""
    if scenario.output_tokens is not None:
        return Text(_filler(scenario.output_tokens), "stop")
    if scenario.words is not None:
        return _limited(_filler(scenario.words), body)
    messages = _messages(body)
    tool = _chosen_tool(body)
    if tool is not None and messages[-1].get("role") != "tool":
        arguments = json.dumps(instance(tool.get("parameters") or {"type": "object"}))
        return Text(_pieces(arguments), "tool_calls", str(tool["name"]))
    spoken = [_text_of(message) for message in messages if message.get("role") == "user"]
    echo = spoken[-1] if spoken else ""
    wanted = body.get("response_format") or {}
    if wanted.get("type") == "json_schema":
        echo = json.dumps(instance(wanted["json_schema"].get("schema") or {"type": "object"}))
    elif wanted.get("type") == "json_object":
        echo = json.dumps({"echo": echo})
    return _limited(_pieces(echo), body)


def completion_text(body: Json, scenario: Scenario) -> Text:
    """Return the legacy completion: an echo of the prompt."""
    if scenario.output_tokens is not None:
        return Text(_filler(scenario.output_tokens), "stop")
    if scenario.words is not None:
        return _limited(_filler(scenario.words), body)
    prompt = body.get("prompt", "")
    return _limited(_pieces(prompt if isinstance(prompt, str) else " ".join(_inputs(prompt))), body)


def prompt_words(body: Json) -> int:
    """Return the prompt's size: whitespace-separated words, or token ids where they are given."""
    if "messages" in body:
        return sum(len(_text_of(message).split()) for message in _messages(body))
    given = body.get("prompt", body.get("input", ""))
    if isinstance(given, str):
        return len(given.split())
    return sum(len(item.split()) for item in _inputs(given))


def choices(body: Json) -> int:
    count = body.get("n") or 1
    if not isinstance(count, int) or not 1 <= count <= MAX_CHOICES:
        raise BadRequestError(f"n must be 1 to {MAX_CHOICES}", "n")
    return count


def usage(body: Json, scenario: Scenario, produced: int) -> Any:
    """Return the usage object, or None when the scenario reports none."""
    if not scenario.usage:
        return None
    if scenario.lie is not None:
        return LIES[scenario.lie]
    prompt = prompt_words(body) if scenario.input_tokens is None else scenario.input_tokens
    completion = produced if scenario.output_tokens is None else scenario.output_tokens
    reasoning = scenario.reasoning_tokens + scenario.reasoning_beside
    reported: Json = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion + scenario.reasoning_beside,
        "prompt_tokens_details": {"cached_tokens": scenario.cached_tokens, "audio_tokens": 0},
        "completion_tokens_details": {"reasoning_tokens": reasoning, "audio_tokens": 0},
    }
    if scenario.new_tokens is not None:
        reported["dream_tokens"] = scenario.new_tokens
    return reported


def chat_message(text: Text) -> Json:
    """Return a unary answer's `message`."""
    message: Json = {"role": "assistant", "content": text.whole, "refusal": None}
    if text.tool is not None:
        function = {"name": text.tool, "arguments": text.whole}
        message["content"] = None
        message["tool_calls"] = [{"id": "call_1", "type": "function", "function": function}]
    return message


def chat_deltas(text: Text) -> tuple[Json, list[Json]]:
    """Return the opening delta of a stream and its content deltas."""
    if text.tool is None:
        opening: Json = {"role": "assistant", "content": "", "refusal": None}
        return opening, [{"content": piece} for piece in text.pieces]
    call = {"index": 0, "id": "call_1", "type": "function"}
    call["function"] = {"name": text.tool, "arguments": ""}
    deltas = [
        {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]} for piece in text.pieces
    ]
    return {"role": "assistant", "content": None, "tool_calls": [call]}, deltas


def embeddings(body: Json, scenario: Scenario) -> Json:
    """Return an embeddings list; float32 little-endian in base64 where the request says so."""
    if not body.get("input"):
        raise BadRequestError("'input' must be text, texts, token ids or lists of them", "input")
    dimensions = body.get("dimensions") or DEFAULT_DIMENSIONS
    if not isinstance(dimensions, int) or not 1 <= dimensions <= MAX_DIMENSIONS:
        raise BadRequestError(f"dimensions must be 1 to {MAX_DIMENSIONS}", "dimensions")
    packed = body.get("encoding_format") == "base64"
    vectors = [_vector(item, dimensions) for item in _inputs(body["input"])]
    data = [
        {"object": "embedding", "index": index, "embedding": _base64(v) if packed else v}
        for index, v in enumerate(vectors)
    ]
    answer: Json = {"object": "list", "data": data, "model": body["model"]}
    counted = usage(body, scenario, 0)
    if counted is not None:
        answer["usage"] = {key: counted[key] for key in ("prompt_tokens", "total_tokens")}
    return answer


def images(body: Json, scenario: Scenario) -> Json:
    """Return `n` small PNG images; gpt-image models report token usage, as here."""
    if not isinstance(body.get("prompt"), str):
        raise BadRequestError("'prompt' must be a string", "prompt")
    colour = hashlib.sha256(body["prompt"].encode()).digest()[:3]
    image = {"b64_json": base64.b64encode(_png(colour)).decode()}
    answer: Json = {"created": CREATED, "data": [image] * choices(body)}
    counted = usage(body, scenario, choices(body))
    if counted is not None:
        answer["usage"] = {
            "input_tokens": counted["prompt_tokens"],
            "output_tokens": counted["completion_tokens"],
            "total_tokens": counted["total_tokens"],
            "input_tokens_details": {"text_tokens": counted["prompt_tokens"], "image_tokens": 0},
        }
    return answer


def model(name: str) -> Json:
    return {"id": name, "object": "model", "created": CREATED, "owned_by": "upstream"}


def _messages(body: Json) -> list[Json]:
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages:
        raise BadRequestError("'messages' must be a list that is not empty", "messages")
    return messages


def _text_of(message: Json) -> str:
    content = message.get("content")
    if isinstance(content, list):
        return " ".join(str(part["text"]) for part in content if part.get("type") == "text")
    return content if isinstance(content, str) else ""


def _chosen_tool(body: Json) -> Json | None:
    choice = body.get("tool_choice", "auto")
    functions: list[Json] = [tool["function"] for tool in body.get("tools") or []]
    if choice == "none" or not functions:
        return None
    if isinstance(choice, dict):
        functions = [item for item in functions if item["name"] == choice["function"]["name"]]
        if not functions:
            raise BadRequestError("'tool_choice' names no tool of the request", "tool_choice")
    return functions[0]


def _inputs(given: Any) -> list[str]:
    """Return one text per input; token ids become their numbers as words."""
    if isinstance(given, str):
        return [given]
    if not isinstance(given, list):
        raise BadRequestError("the input must be a string or a list", "input")
    if given and all(isinstance(item, int) for item in given):
        return [" ".join(map(str, given))]
    return [item if isinstance(item, str) else " ".join(map(str, item)) for item in given]


def _limited(pieces: tuple[str, ...], body: Json) -> Text:
    limit = body.get("max_completion_tokens") or body.get("max_tokens")
    if isinstance(limit, int) and limit < len(pieces):
        return Text(pieces[:limit], "length")
    return Text(pieces, "stop")


def _pieces(text: str) -> tuple[str, ...]:
    """Return `text` cut before each word, so that the pieces join to it again."""
    return tuple(re.findall(r"\s*\S+(?:\s+$)?", text))


def _filler(words: int) -> tuple[str, ...]:
    return tuple(f"w{number} " for number in range(words))


def _vector(text: str, dimensions: int) -> list[float]:
    raw = hashlib.shake_128(text.encode()).digest(2 * dimensions)
    values = struct.unpack(f"<{dimensions}h", raw)
    length = math.sqrt(sum(value * value for value in values)) or 1.0
    return [value / length for value in values]


def _base64(vector: list[float]) -> str:
    packed = array.array("f", vector)
    if sys.byteorder == "big":
        packed.byteswap()
    return base64.b64encode(packed.tobytes()).decode()


def _png(colour: bytes) -> bytes:
    """Return an 8 by 8 image of one colour (PNG, 8 bits a channel, no filter)."""
    rows = b"".join(b"\x00" + colour * 8 for _ in range(8))
    parts = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 8, 8, 2, 0, 0, 0)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in parts
    )
