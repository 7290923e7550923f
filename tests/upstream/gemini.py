"""Google's generate, stream, count and embed, as https://ai.google.dev/api described them in
November 2026: the model and the method in the path, usage in every frame."""

import asyncio
import json
import re
from typing import Any
from urllib.parse import unquote

from tests.upstream.answers import BadRequestError
from tests.upstream.connection import Connection, Request, chunk, head
from tests.upstream.record import Record
from tests.upstream.scenarios import Scenario
from tests.upstream.schema import instance

STREAM = "streamGenerateContent"
METHODS = {"generateContent", STREAM, "countTokens", "embedContent", "batchEmbedContents"}
SIGNATURE = "c2lnbmVk" * 8
MAX_SILENCE_S = 600.0
JSON_TYPE = "application/json; charset=UTF-8"
STATUSES = {
    400: "INVALID_ARGUMENT",
    401: "UNAUTHENTICATED",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
}
Json = dict[str, Any]


def is_call(path: str) -> bool:
    return (
        path.startswith(("/v1beta/models/", "/v1/models/")) and path.rpartition(":")[2] in METHODS
    )


def called(path: str) -> tuple[str, str]:
    """Return the model and the method of a call."""
    name, _, method = unquote(path).partition("/models/")[2].rpartition(":")
    return name, method


def error(status: int, message: str) -> Json:
    name = STATUSES.get(status, "INTERNAL")
    return {"error": {"code": status, "message": message, "status": name}}


def event(payload: Json) -> bytes:
    return b"data: %b\r\n\r\n" % json.dumps(payload).encode()


async def serve(
    request: Request, body: Json, scenario: Scenario, record: Record, connection: Connection
) -> None:
    """Answer a call that was let in."""
    if scenario.bad_key:
        await connection.reply(400, _dump(_bad_key()), JSON_TYPE)
        return
    model, method = called(request.path)
    if scenario.error_in_200 or (scenario.error_after is not None and not record.stream):
        await connection.reply(200, _dump(error(503, "Overloaded")), JSON_TYPE)
    elif method == "countTokens":
        inner = body.get("generateContentRequest", body)
        _require_name(inner, model)
        await connection.reply(200, _dump({"totalTokens": prompt_words(inner)}), JSON_TYPE)
    elif method == "embedContent":
        answer: Json = {"embedding": {"values": [0.5, -0.5]}}
        if scenario.usage:
            answer["usageMetadata"] = {"promptTokenCount": _words_in(body["content"])}
        await connection.reply(200, _dump(answer), JSON_TYPE)
    elif method == "batchEmbedContents":
        for one in body["requests"]:
            _require_name({"model": None, **one}, model)
        embeddings = [{"values": [0.5, -0.5]} for _ in body["requests"]]
        await connection.reply(200, _dump({"embeddings": embeddings}), JSON_TYPE)
    elif record.stream:
        if "alt=sse" not in request.target:
            raise BadRequestError("this upstream streams events only", "alt")
        await _stream(body, scenario, record, connection)
    else:
        await _whole(body, scenario, record, connection)


def _require_name(value: Json, model: str) -> None:
    named = value.get("model", f"models/{model}")
    if named != f"models/{model}":
        raise BadRequestError(f"model {named} is not the one in the path", "model")


def _bad_key() -> Json:
    refused = error(400, "API key not valid. Please pass a valid API key.")
    kind = "type.googleapis.com/google.rpc.ErrorInfo"
    refused["error"]["details"] = [{"@type": kind, "reason": "API_KEY_INVALID"}]
    return refused


async def _whole(body: Json, scenario: Scenario, record: Record, connection: Connection) -> None:
    parts, stop = content(body, scenario)
    record.tokens_sent = len(parts)
    payload = _dump(_event(body, scenario, record, _joined(parts), stop, len(parts)))
    if scenario.delay_ms:
        await connection.pause(scenario.delay_ms / 1000)
    if scenario.bad_json:
        payload = payload[: len(payload) // 2]
    if scenario.breaks_after is None:
        await connection.reply(200, payload, JSON_TYPE)
        return
    opening = head(200, JSON_TYPE, {"content-length": str(len(payload))})
    await connection.send(opening + payload[: len(payload) // 2])
    await _break(scenario, connection)


async def _stream(body: Json, scenario: Scenario, record: Record, connection: Connection) -> None:
    parts, stop = content(body, scenario)
    await connection.send(head(200, "text/event-stream", {"transfer-encoding": "chunked"}))
    for number, part in enumerate(parts[:-1]):
        if number == scenario.breaks_after:
            break
        # The loop turns once for each chunk, so that each is a write of its own.
        await asyncio.sleep(0)
        if scenario.delay_ms:
            await connection.pause(scenario.delay_ms / 1000)
        record.chunks_sent += 1
        record.tokens_sent += 1
        await connection.send(
            chunk(event(_event(body, scenario, record, [part], None, number + 1)))
        )
    if scenario.breaks_after is not None:
        await _break(scenario, connection)
        return
    last = event(_event(body, scenario, record, parts[-1:], stop, len(parts)))
    await connection.send(chunk(last.rstrip() if scenario.bare else last))
    if scenario.hang:
        await connection.pause(MAX_SILENCE_S)
    await connection.send(b"0\r\n\r\n")


async def _break(scenario: Scenario, connection: Connection) -> None:
    if scenario.cut_after is not None:
        await connection.reset()
    elif scenario.fin_after is not None:
        await connection.finish()
    elif scenario.stall_after is not None:
        await connection.pause(MAX_SILENCE_S)
    else:
        await connection.send(chunk(event(error(503, "Overloaded"))) + b"0\r\n\r\n")


def content(body: Json, scenario: Scenario) -> tuple[list[Json], str | None]:
    """Return the parts of an answer, none for a blocked prompt, and why it stopped."""
    if scenario.blocked:
        return [], None
    parts: list[Json] = [
        {"text": f"t{number} ", "thought": True} for number in range(scenario.thinking_words)
    ]
    tools = [
        one for tool in body.get("tools") or [] for one in tool.get("functionDeclarations", [])
    ]
    if tools and not _answers_a_call(body):
        for tool in tools if scenario.parallel else tools[:1]:
            # Google reads both spellings of a name, and its own package sends this one.
            names = ("parametersJsonSchema", "parameters_json_schema", "parameters")
            schema = next((tool[name] for name in names if name in tool), {})
            args = instance(_lowered(schema))
            call: Json = {"functionCall": {"name": tool["name"], "args": args}}
            parts.append(
                {**call, "thoughtSignature": SIGNATURE} if scenario.thinking_words else call
            )
        return parts, "STOP"
    words = _words(body, scenario)
    config = body.get("generationConfig") or {}
    limit = config.get("maxOutputTokens", len(words))
    parts += [{"text": word} for word in words[:limit]]
    if scenario.thinking_words:
        parts[-1] = {**parts[-1], "thoughtSignature": SIGNATURE}
    if scenario.unsafe:
        return parts, "SAFETY"
    return parts, "STOP" if len(words) <= limit else "MAX_TOKENS"


def _event(
    body: Json, scenario: Scenario, record: Record, parts: list[Json], stop: str | None, made: int
) -> Json:
    """Return an answer or a frame: usage is what has been produced so far."""
    if scenario.blocked:
        answer: Json = {"promptFeedback": {"blockReason": "SAFETY"}}
        made = 0
    else:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if stop is not None:
            candidate["finishReason"] = stop
            if scenario.searches:
                queries = [f"q{number}" for number in range(scenario.searches)]
                candidate["groundingMetadata"] = {"webSearchQueries": queries}
        answer = {"candidates": [candidate]}
    answer |= {"modelVersion": record.model, "responseId": f"r{record.number}"}
    if scenario.usage:
        answer["usageMetadata"] = usage(body, scenario, made)
    return answer


def usage(body: Json, scenario: Scenario, made: int) -> Json:
    prompt = prompt_words(body) if scenario.input_tokens is None else scenario.input_tokens
    thoughts = min(scenario.thinking_words, made)
    counted: Json = {"promptTokenCount": prompt + scenario.cached_tokens}
    if scenario.cached_tokens:
        counted["cachedContentTokenCount"] = scenario.cached_tokens
    if made - thoughts:
        counted["candidatesTokenCount"] = made - thoughts
    if thoughts:
        counted["thoughtsTokenCount"] = thoughts
    counted["totalTokenCount"] = prompt + scenario.cached_tokens + made
    return counted


def prompt_words(body: Json) -> int:
    system = body.get("systemInstruction")
    turns = [*([system] if system else []), *(body.get("contents") or [])]
    return sum(map(_words_in, turns))


def _words_in(turn: Json) -> int:
    return len(_text_of(turn).split())


def _text_of(turn: Json) -> str:
    return " ".join(part["text"] for part in turn.get("parts") or [] if "text" in part)


def _words(body: Json, scenario: Scenario) -> list[str]:
    count = scenario.words if scenario.output_tokens is None else scenario.output_tokens
    if count is not None:
        return [f"w{number} " for number in range(count)]
    config = body.get("generationConfig") or {}
    wanted = config.get("responseJsonSchema") or config.get("responseSchema")
    if wanted is not None:
        return re.findall(r"\s*\S+", json.dumps(instance(_lowered(wanted))))
    spoken = [_text_of(turn) for turn in body["contents"] if turn.get("role", "user") == "user"]
    # What a tool answered stands in a turn of the user's without a text.
    words = next((text.split() for text in reversed(spoken) if text), [])
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _answers_a_call(body: Json) -> bool:
    return any("functionResponse" in part for part in body["contents"][-1]["parts"])


def _joined(parts: list[Json]) -> list[Json]:
    """Return the parts of a whole answer: neighbours of one kind are one."""
    joined: list[Json] = []
    for part in parts:
        before = joined[-1] if joined else {}
        if "text" in part and "text" in before and before.get("thought") == part.get("thought"):
            joined[-1] = {**before, **part, "text": before["text"] + part["text"]}
        else:
            joined.append(part)
    return joined


def _lowered(schema: Any) -> Any:
    """Return a schema with JSON Schema's names of types: Google's own are in capitals."""
    if isinstance(schema, dict):
        return {
            name: value.lower() if name == "type" and isinstance(value, str) else _lowered(value)
            for name, value in schema.items()
        }
    return [_lowered(one) for one in schema] if isinstance(schema, list) else schema


def _dump(payload: Any) -> bytes:
    return json.dumps(payload, indent=2).encode()
