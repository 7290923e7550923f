"""OpenAI's Responses: answers, the sequence of their events, what is stored, what may break them.

As https://platform.openai.com/docs/api-reference/responses and its page on streaming described
them in November 2026. What is stored belongs to the key that made it.
"""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

from tests.upstream.answers import CREATED, BadRequestError
from tests.upstream.connection import Connection, Request, chunk, head
from tests.upstream.record import Record
from tests.upstream.scenarios import Scenario
from tests.upstream.schema import instance

PATH = "/v1/responses"
COUNT_PATH = "/v1/responses/input_tokens"
COMPACT_PATH = "/v1/responses/compact"
MAX_SILENCE_S = 600.0
JSON_TYPE = "application/json"
SSE_TYPE = "text/event-stream; charset=utf-8"
ENCRYPTED = "c2VhbGVk" * 8
# Names of the events that tell of a piece of each kind of text, and what they call it whole.
TEXTS = {
    "output_text": "text",
    "function_call_arguments": "arguments",
    "reasoning_summary_text": "text",
}
Json = dict[str, Any]
# An output item as it ends, the kind of text in it, and its pieces.
Item = tuple[Json, str, tuple[str, ...]]


def error(message: str, param: str | None = None, code: str | None = None) -> Json:
    kind = "invalid_request_error" if param else "server_error"
    return {"error": {"message": message, "type": kind, "param": param, "code": code}}


class Responses:
    """The endpoint, and what it stored by key and id."""

    def __init__(self) -> None:
        self._stored: dict[tuple[str | None, str], Json] = {}
        self._asked: dict[str, list[Json]] = {}

    async def about(self, request: Request, record: Record, connection: Connection) -> None:
        """Answer a request about a stored response."""
        identifier, _, rest = request.path.removeprefix(f"{PATH}/").partition("/")
        found = self._stored.get((record.key, identifier))
        record.status = 200
        if found is None:
            record.status = 404
            said = error(f"Response with id '{identifier}' not found.", "response_id")
        elif request.method == "DELETE":
            del self._stored[record.key, identifier]
            said = {"id": identifier, "object": "response", "deleted": True}
        elif rest == "input_items":
            items = self._asked[identifier]
            said = {"object": "list", "data": items, "has_more": False}
            said |= {"first_id": items[0]["id"], "last_id": items[-1]["id"]}
        elif rest == "cancel":
            record.status = 400
            said = error("Only responses in the background can be cancelled.", "response_id")
        else:
            said = found
        await connection.reply(record.status, _dump(said), JSON_TYPE)

    async def serve(
        self,
        request: Request,
        body: Json,
        scenario: Scenario,
        record: Record,
        connection: Connection,
    ) -> None:
        """Answer a request that was let in."""
        if request.path == COUNT_PATH:
            count = {"object": "response.input_tokens", "input_tokens": prompt_words(body)}
            await connection.reply(200, _dump(count), JSON_TYPE)
            return
        self._require(body, record)
        if request.path == COMPACT_PATH:
            await connection.reply(200, _dump(_compacted(body, scenario, record)), JSON_TYPE)
            return
        response = _response(body, record)
        items = content(body, scenario)
        limit = body.get("max_output_tokens")
        produced = sum(len(pieces) for _, _, pieces in items)
        cut = isinstance(limit, int) and produced > limit and scenario.output_tokens is None
        if cut:
            items = _cut(items, limit)
            produced = limit
        response["output"] = [_ended(item, number) for number, (item, _, _) in enumerate(items)]
        response["usage"] = usage(body, scenario, produced)
        response["status"] = "incomplete" if cut else "completed"
        if cut:
            response["incomplete_details"] = {"reason": "max_output_tokens"}
        if record.stream:
            await _stream(response, items, scenario, record, connection)
        else:
            await _whole(response, produced, scenario, record, connection)
        if response["store"]:
            self._stored[record.key, response["id"]] = response
            asked = {"type": "message", "role": "user", "status": "completed", "id": "msg_in"}
            said = {"type": "input_text", "text": " ".join(_spoken(body))}
            self._asked[response["id"]] = [{**asked, "content": [said]}]

    def _require(self, body: Json, record: Record) -> None:
        if not body.get("input"):
            raise BadRequestError("Missing required parameter: 'input'.", "input")
        limit = body.get("max_output_tokens")
        if limit is not None and limit < 16:
            raise BadRequestError("'max_output_tokens' must be at least 16.", "max_output_tokens")
        previous = body.get("previous_response_id")
        if previous is not None and (record.key, previous) not in self._stored:
            words = f"Previous response with id '{previous}' not found."
            raise BadRequestError(words, "previous_response_id")


async def _whole(
    response: Json, produced: int, scenario: Scenario, record: Record, connection: Connection
) -> None:
    if scenario.usage is False:
        del response["usage"]
    if scenario.blocked:
        response |= {"status": "failed", "output": [], "error": _said(429, "Slow down.")}
    payload = _dump(response)
    record.tokens_sent = produced
    if scenario.delay_ms:
        await connection.pause(scenario.delay_ms / 1000)
    if scenario.bad_json:
        payload = payload[: len(payload) // 2]
    if scenario.breaks_after is None:
        await connection.reply(200, payload, JSON_TYPE)
        return
    opening = head(200, JSON_TYPE, {"content-length": str(len(payload))})
    await connection.send(opening + payload[: len(payload) // 2])
    await _break(response, scenario, connection, 0)


async def _stream(
    response: Json, items: list[Item], scenario: Scenario, record: Record, connection: Connection
) -> None:
    await connection.send(head(200, SSE_TYPE, {"transfer-encoding": "chunked"}))
    number = 0
    for payload in _events(response, items):
        if payload["type"].endswith(".delta"):
            if record.chunks_sent == scenario.breaks_after:
                break
            # The loop turns once for each chunk, so that each is a write of its own.
            await asyncio.sleep(0)
            if scenario.delay_ms:
                await connection.pause(scenario.delay_ms / 1000)
            record.chunks_sent += 1
            record.tokens_sent += 1
        elif scenario.breaks_after == 0 and payload["type"] == "response.output_item.added":
            break
        await connection.send(chunk(event(payload, number)))
        number += 1
    if scenario.breaks_after is not None:
        await _break(response, scenario, connection, number)
    elif not scenario.done:
        await connection.finish()
    else:
        ended = {"type": f"response.{response['status']}", "response": response}
        await connection.send(chunk(event(ended, number)) + b"0\r\n\r\n")


async def _break(response: Json, scenario: Scenario, connection: Connection, number: int) -> None:
    if scenario.cut_after is not None:
        await connection.reset()
    elif scenario.fin_after is not None:
        await connection.finish()
    elif scenario.stall_after is not None:
        await connection.pause(MAX_SILENCE_S)
    else:
        failed = {**response, "status": "failed", "error": _said(500, "The model failed.")}
        failed |= {"output": [], "usage": None}
        payload = {"type": "response.failed", "response": failed}
        await connection.send(chunk(event(payload, number)) + b"0\r\n\r\n")


def event(payload: Json, number: int) -> bytes:
    data = json.dumps({**payload, "sequence_number": number}, separators=(",", ":")).encode()
    return b"event: %b\ndata: %b\n\n" % (payload["type"].encode(), data)


def content(body: Json, scenario: Scenario) -> list[Item]:
    """Return the output items: thoughts, then calls of tools or words."""
    items: list[Item] = []
    if scenario.thinking_words:
        words = tuple(f"t{number} " for number in range(scenario.thinking_words))
        summary = [{"type": "summary_text", "text": "".join(words)}]
        thought = {"type": "reasoning", "summary": summary, "encrypted_content": ENCRYPTED}
        items.append((thought, "reasoning_summary_text", words))
    for number in range(scenario.searches):
        action = {"type": "search", "query": f"q{number}", "queries": [f"q{number}"]}
        items.append(({"type": "web_search_call", "action": action}, "", ()))
    said = scenario.words if scenario.output_tokens is None else scenario.output_tokens
    tools = _chosen_tools(body, scenario) if said is None else []
    if tools and not _answers_a_tool(body):
        return items + [_call(tool, number) for number, tool in enumerate(tools)]
    words = tuple(_words(body, scenario))
    part = {"type": "output_text", "text": "".join(words), "annotations": [], "logprobs": []}
    items.append(
        ({"type": "message", "role": "assistant", "content": [part]}, "output_text", words)
    )
    return items


def _call(tool: Json, number: int) -> Item:
    text = json.dumps(instance(tool.get("parameters") or {"type": "object"}))
    pieces = tuple(text[start : start + 5] for start in range(0, len(text), 5))
    call = {"type": "function_call", "name": tool["name"], "call_id": f"call_{number}"}
    return {**call, "arguments": text}, "function_call_arguments", pieces


def _cut(items: list[Item], limit: int) -> list[Item]:
    item, kind, pieces = items[-1]
    room = max(limit - sum(len(each) for _, _, each in items[:-1]), 0)
    part = {**item["content"][0], "text": "".join(pieces[:room])}
    return [*items[:-1], ({**item, "content": [part]}, kind, pieces[:room])]


def _events(response: Json, items: list[Item]) -> Iterator[Json]:
    begun = {**response, "status": "in_progress", "output": [], "usage": None}
    yield {"type": "response.created", "response": begun}
    yield {"type": "response.in_progress", "response": begun}
    for index, (item, kind, pieces) in enumerate(items):
        ended = _ended(item, index)
        where = {"output_index": index, "item_id": ended["id"]}
        opened = {**ended, "status": "in_progress", **_emptied(item)}
        yield {"type": "response.output_item.added", "output_index": index, "item": opened}
        yield from _part_events(ended, kind, pieces, where)
        yield {"type": "response.output_item.done", "output_index": index, "item": ended}


def _part_events(item: Json, kind: str, pieces: tuple[str, ...], where: Json) -> Iterator[Json]:
    if item["type"] == "web_search_call":
        for state in ("in_progress", "searching", "completed"):
            yield {"type": f"response.web_search_call.{state}", **where}
        return
    part, name = None, ""
    if kind == "output_text":
        part, name = item["content"][0], "content_part"
        where = {**where, "content_index": 0}
    elif kind == "reasoning_summary_text":
        part, name = item["summary"][0], "reasoning_summary_part"
        where = {**where, "summary_index": 0}
    more = {"logprobs": []} if kind == "output_text" else {}
    if part is not None:
        yield {"type": f"response.{name}.added", **where, "part": {**part, "text": ""}}
    for piece in pieces:
        yield {"type": f"response.{kind}.delta", **where, **more, "delta": piece}
    whole = {TEXTS[kind]: "".join(pieces)}
    named = {"name": item["name"]} if "name" in item else {}
    yield {"type": f"response.{kind}.done", **where, **more, **named, **whole}
    if part is not None:
        yield {"type": f"response.{name}.done", **where, "part": part}


def _ended(item: Json, index: int) -> Json:
    prefix = {"message": "msg", "function_call": "fc", "reasoning": "rs"}.get(item["type"], "ws")
    status = {} if item["type"] == "reasoning" else {"status": "completed"}
    return {"id": f"{prefix}_{index}", **status, **item}


def _emptied(item: Json) -> Json:
    names = {"content": [], "summary": [], "arguments": ""}
    return {name: empty for name, empty in names.items() if name in item}


def _compacted(body: Json, scenario: Scenario, record: Record) -> Json:
    kept = {"type": "compaction", "id": "cmp_1", "encrypted_content": ENCRYPTED}
    answer = {"id": f"resp_{record.number}", "object": "response.compaction", "output": [kept]}
    return {**answer, "created_at": CREATED, "usage": usage(body, scenario, 5)}


def _response(body: Json, record: Record) -> Json:
    return {
        "id": f"resp_{record.number:048d}",
        "object": "response",
        "created_at": CREATED,
        "completed_at": CREATED,
        "status": "completed",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": body.get("instructions"),
        "max_output_tokens": body.get("max_output_tokens"),
        "max_tool_calls": None,
        "metadata": body.get("metadata") or {},
        "model": body["model"],
        "output": [],
        "parallel_tool_calls": True,
        "previous_response_id": body.get("previous_response_id"),
        "reasoning": {"effort": None, "summary": None},
        "service_tier": "default",
        "store": body.get("store") is not False,
        "temperature": 1.0,
        "text": body.get("text") or {"format": {"type": "text"}},
        "tool_choice": body.get("tool_choice") or "auto",
        "tools": body.get("tools") or [],
        "top_p": 1.0,
        "truncation": "disabled",
        "usage": None,
        "user": None,
    }


def usage(body: Json, scenario: Scenario, produced: int) -> Json | None:
    """Return the usage object, None when the scenario reports none."""
    if not scenario.usage:
        return None
    prompt = prompt_words(body) if scenario.input_tokens is None else scenario.input_tokens
    output = produced if scenario.output_tokens is None else scenario.output_tokens
    read, written = scenario.cached_tokens, scenario.written_tokens
    counted: Json = {
        "input_tokens": prompt + read + written,
        "input_tokens_details": {"cached_tokens": read, "cache_write_tokens": written},
        "output_tokens": output,
        "output_tokens_details": {"reasoning_tokens": scenario.reasoning_tokens},
        "total_tokens": prompt + read + written + output,
    }
    if scenario.new_tokens is not None:
        counted["dream_tokens"] = scenario.new_tokens
    return counted


def prompt_words(body: Json) -> int:
    texts = [str(body.get("instructions") or ""), *_spoken(body)]
    return sum(len(text.split()) for text in texts)


def _spoken(body: Json) -> list[str]:
    """Return the texts of the input, whoever said them."""
    given = body.get("input") or ""
    if isinstance(given, str):
        return [given]
    texts = []
    for item in given:
        said = item.get("content", item.get("output", ""))
        parts = [said] if isinstance(said, str) else [part.get("text", "") for part in said or []]
        texts += [part for part in parts if part]
    return texts


def _words(body: Json, scenario: Scenario) -> list[str]:
    count = scenario.words if scenario.output_tokens is None else scenario.output_tokens
    if count is not None:
        return [f"w{number} " for number in range(count)]
    wanted = (body.get("text") or {}).get("format") or {}
    spoken = _spoken(body)[-1]
    if wanted.get("type") == "json_schema":
        spoken = json.dumps(instance(wanted["schema"]))
    return [word if number == 0 else f" {word}" for number, word in enumerate(spoken.split(" "))]


def _chosen_tools(body: Json, scenario: Scenario) -> list[Json]:
    tools = [tool for tool in body.get("tools") or [] if tool["type"] == "function"]
    choice = body.get("tool_choice") or "auto"
    if choice == "none":
        return []
    if isinstance(choice, dict):
        return [tool for tool in tools if tool["name"] == choice.get("name")]
    return tools if scenario.parallel else tools[:1]


def _answers_a_tool(body: Json) -> bool:
    given = body["input"]
    return isinstance(given, list) and given[-1].get("type") == "function_call_output"


def _said(status: int, message: str) -> Json:
    return {"code": "rate_limit_exceeded" if status == 429 else "server_error", "message": message}


def _dump(payload: Any) -> bytes:
    return json.dumps(payload, separators=(",", ":")).encode()
