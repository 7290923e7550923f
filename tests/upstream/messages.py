"""Anthropic's Messages: answers, the sequence of their events, and what may break them.

As https://platform.claude.com/docs/en/api/messages and its page on streaming described them in
November 2026.
"""

import asyncio
import json
import re
from collections.abc import Iterator
from typing import Any

from tests.upstream.answers import BadRequestError
from tests.upstream.connection import Connection, Request, chunk, head
from tests.upstream.record import Record
from tests.upstream.scenarios import Scenario
from tests.upstream.schema import instance

PATH = "/v1/messages"
COUNT_PATH = "/v1/messages/count_tokens"
OLD, NEW = "2023-06-01", "2026-10-21"
# What the newer version of the API refuses.
SAMPLING = ("temperature", "top_p", "top_k")
SIGNATURE = "c2lnbmVk" * 8
MAX_SILENCE_S = 600.0
JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
ERROR_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    422: "invalid_request_error",
    429: "rate_limit_error",
    504: "timeout_error",
    529: "overloaded_error",
}
Json = dict[str, Any]


def error(status: int, message: str) -> Json:
    kind = ERROR_TYPES.get(status, "api_error")
    return {"type": "error", "error": {"type": kind, "message": message}, "request_id": "req_1"}


def event(payload: Json) -> bytes:
    data = json.dumps(payload, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (payload["type"].encode(), data)


async def serve(
    request: Request, body: Json, scenario: Scenario, record: Record, connection: Connection
) -> None:
    """Answer a request that was let in."""
    _require(request, body)
    headers = {"request-id": f"req_{record.number}"}
    if request.path == COUNT_PATH:
        payload = _dump({"input_tokens": prompt_words(body)})
        await connection.reply(200, payload, JSON_TYPE, headers)
    elif record.stream:
        await _stream(body, scenario, record, connection, headers)
    else:
        await _whole(body, scenario, record, connection, headers)


def _require(request: Request, body: Json) -> None:
    version = request.headers.get("anthropic-version")
    if version is None:
        raise BadRequestError("anthropic-version: header is required", "anthropic-version")
    if version not in {OLD, NEW}:
        raise BadRequestError(f"anthropic-version: {version} is not a version", "anthropic-version")
    if request.path == PATH and not isinstance(body.get("max_tokens"), int):
        raise BadRequestError("max_tokens: Field required", "max_tokens")
    if version == NEW and any(name in body for name in SAMPLING):
        raise BadRequestError("sampling parameters are not supported", "temperature")


async def _whole(
    body: Json, scenario: Scenario, record: Record, connection: Connection, headers: dict[str, str]
) -> None:
    blocks, stop = content(body, scenario)
    produced = sum(len(pieces) for _, pieces in blocks)
    answer = {**_message(body, record), "stop_reason": stop, "stop_sequence": None}
    answer["content"] = [_finished(block, pieces) for block, pieces in blocks]
    counted = usage(body, scenario, produced)
    if counted is not None:
        answer["usage"] = counted
    payload = _dump(answer)
    record.tokens_sent = produced
    if scenario.delay_ms:
        await connection.pause(scenario.delay_ms / 1000)
    if scenario.bad_json:
        payload = payload[: len(payload) // 2]
    if scenario.breaks_after is None:
        await connection.reply(200, payload, JSON_TYPE, headers)
        return
    opening = head(200, JSON_TYPE, {"content-length": str(len(payload)), **headers})
    await connection.send(opening + payload[: len(payload) // 2])
    await _break(scenario, connection)


async def _stream(
    body: Json, scenario: Scenario, record: Record, connection: Connection, headers: dict[str, str]
) -> None:
    blocks, stop = content(body, scenario)
    opening = head(200, SSE_TYPE, {"transfer-encoding": "chunked", **headers})
    await connection.send(opening + chunk(event(_start(body, scenario, record))))
    pings = b"".join(event({"type": "ping"}) for _ in range(scenario.pings))
    for payload in _block_events(blocks):
        data = event(payload)
        if payload["type"] == "content_block_delta":
            if record.chunks_sent == scenario.breaks_after:
                break
            # The loop turns once for each chunk, so that each is a write of its own.
            await asyncio.sleep(0)
            if scenario.delay_ms:
                await connection.pause(scenario.delay_ms / 1000)
            if scenario.bad_json and not record.chunks_sent:
                data = data[: len(data) // 2] + b"\n\n"
            record.chunks_sent += 1
            record.tokens_sent += 1
        elif payload["type"] == "content_block_start":
            data, pings = data + pings, b""
        await connection.send(chunk(data))
    if scenario.breaks_after is not None:
        await _break(scenario, connection)
        return
    end: Json = {"type": "message_delta", "delta": {"stop_reason": stop, "stop_sequence": None}}
    counted = usage(body, scenario, record.chunks_sent)
    if counted is not None:
        end["usage"] = {name: n for name, n in counted.items() if name != "service_tier"}
    if scenario.hang or not scenario.done:
        await connection.send(chunk(event(end)))
        await (connection.pause(MAX_SILENCE_S) if scenario.hang else connection.finish())
        return
    closing = event(end), event({"type": "message_stop"})
    await connection.send(b"".join(map(chunk, closing)) + b"0\r\n\r\n")


async def _break(scenario: Scenario, connection: Connection) -> None:
    if scenario.cut_after is not None:
        await connection.reset()
    elif scenario.fin_after is not None:
        await connection.finish()
    elif scenario.stall_after is not None:
        await connection.pause(MAX_SILENCE_S)
    else:
        await connection.send(chunk(event(error(529, "Overloaded"))) + b"0\r\n\r\n")


Block = tuple[Json, tuple[Json, ...]]


def content(body: Json, scenario: Scenario) -> tuple[list[Block], str]:
    """Return the blocks of an answer as their first state and deltas, and the stop reason."""
    blocks: list[Block] = []
    if scenario.thinking_words:
        words = [f"t{number} " for number in range(scenario.thinking_words)]
        deltas: list[Json] = [{"type": "thinking_delta", "thinking": word} for word in words]
        deltas.append({"type": "signature_delta", "signature": SIGNATURE})
        blocks.append(({"type": "thinking", "thinking": "", "signature": ""}, tuple(deltas)))
    said = scenario.words if scenario.output_tokens is None else scenario.output_tokens
    tools = _chosen_tools(body, scenario) if said is None else []
    if tools and not _answers_a_tool(body):
        return blocks + [_tool_use(tool, number) for number, tool in enumerate(tools)], "tool_use"
    words = _words(body, scenario)
    limit = body["max_tokens"] if scenario.output_tokens is None else len(words)
    texts: tuple[Json, ...] = tuple({"type": "text_delta", "text": word} for word in words[:limit])
    blocks.append(({"type": "text", "text": ""}, texts))
    return blocks, "end_turn" if len(words) <= limit else "max_tokens"


def _words(body: Json, scenario: Scenario) -> list[str]:
    count = scenario.words if scenario.output_tokens is None else scenario.output_tokens
    if count is not None:
        return [f"w{number} " for number in range(count)]
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is not None:
        return re.findall(r"\s*\S+", json.dumps(instance(wanted["schema"])))
    spoken = [_text_of(one.get("content")) for one in body["messages"] if one["role"] == "user"]
    # What a tool answered stands in a message of the user's without a text.
    words = next((text.split() for text in reversed(spoken) if text), [])
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _chosen_tools(body: Json, scenario: Scenario) -> list[Json]:
    tools = [tool for tool in body.get("tools") or [] if "input_schema" in tool]
    choice = body.get("tool_choice") or {"type": "auto"}
    if choice["type"] == "none":
        return []
    if choice["type"] == "tool":
        return [tool for tool in tools if tool["name"] == choice["name"]]
    return tools if scenario.parallel else tools[:1]


def _tool_use(tool: Json, number: int) -> Block:
    text = json.dumps(instance(tool["input_schema"]))
    pieces = ["", *(text[start : start + 5] for start in range(0, len(text), 5))]
    deltas: list[Json] = [{"type": "input_json_delta", "partial_json": piece} for piece in pieces]
    block = {"type": "tool_use", "id": f"toolu_{number}", "name": tool["name"], "input": {}}
    return block, tuple(deltas)


def _answers_a_tool(body: Json) -> bool:
    last = body["messages"][-1].get("content")
    return isinstance(last, list) and any(part.get("type") == "tool_result" for part in last)


def _finished(block: Json, deltas: tuple[Json, ...]) -> Json:
    """Return a block with all of its deltas in it."""
    whole = dict(block)
    if block["type"] == "tool_use":
        whole["input"] = json.loads("".join(delta["partial_json"] for delta in deltas))
        return whole
    for delta in deltas:
        name = delta["type"].removesuffix("_delta")
        whole[name] += delta[name]
    return whole


def _block_events(blocks: list[Block]) -> Iterator[Json]:
    for index, (block, deltas) in enumerate(blocks):
        yield {"type": "content_block_start", "index": index, "content_block": block}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}


def _start(body: Json, scenario: Scenario, record: Record) -> Json:
    message = {**_message(body, record), "content": [], "stop_reason": None, "stop_sequence": None}
    counted = usage(body, scenario, 1)
    if counted is not None:
        message["usage"] = {**counted, "output_tokens": min(counted["output_tokens"], 1)}
    return {"type": "message_start", "message": message}


def _message(body: Json, record: Record) -> Json:
    model = body["model"]
    return {"id": f"msg_{record.number}", "type": "message", "role": "assistant", "model": model}


def usage(body: Json, scenario: Scenario, produced: int) -> Json | None:
    """Return the usage object, None when the scenario reports none: caches are beside the input."""
    if not scenario.usage:
        return None
    written, hour = scenario.written_tokens, scenario.written_1h_tokens
    prompt = prompt_words(body) if scenario.input_tokens is None else scenario.input_tokens
    counted: Json = {
        "input_tokens": prompt,
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": scenario.cached_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": written - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": produced if scenario.output_tokens is None else scenario.output_tokens,
        "service_tier": "standard",
    }
    if scenario.reasoning_tokens:
        counted["output_tokens_details"] = {"thinking_tokens": scenario.reasoning_tokens}
    if scenario.searches:
        counted["server_tool_use"] = {"web_search_requests": scenario.searches}
    if scenario.new_tokens is not None:
        counted["dream_tokens"] = scenario.new_tokens
    return counted


def prompt_words(body: Json) -> int:
    texts = [_text_of(body.get("system"))]
    texts += [_text_of(message.get("content")) for message in body["messages"]]
    return sum(len(text.split()) for text in texts)


def _text_of(content_: Any) -> str:
    if isinstance(content_, list):
        return " ".join(part["text"] for part in content_ if part.get("type") == "text")
    return content_ if isinstance(content_, str) else ""


def _dump(payload: Any) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
