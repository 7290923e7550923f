"""OpenAI's Responses, as its own models speak it: reasoning sealed where that is asked for."""

import json
from collections.abc import Iterable, Iterator

from tests.agents.wire import CACHED, Call, Json, Move, Tokens, Turn, pieces, plain
from tests.scripted import Answer, Asked, events, whole

_CALLS = ("function_call", "custom_tool_call", "tool_search_call")
_SEARCH = "tool_search"


class Responses:
    def turn(self, body: Json) -> Turn:
        items = body["input"] if isinstance(body["input"], list) else []
        kinds = [(item.get("type", "message"), item) for item in items]
        return Turn(
            tools=frozenset(_names(body.get("tools", ()), items)),
            called=tuple(item["call_id"] for kind, item in kinds if kind in _CALLS),
            results={
                item["call_id"]: plain(item.get("output") or item["tools"])
                for kind, item in kinds
                if kind.endswith("_output")
            },
            seals=frozenset(
                item["encrypted_content"]
                for kind, item in kinds
                if kind == "reasoning" and item.get("encrypted_content")
            ),
            text=plain([body.get("instructions"), body["input"]]),
        )

    def answer(self, asked: Asked, move: Move, tokens: Tokens) -> Answer:
        body = asked.body
        items = list(_items(body, move, tokens))
        response: Json = {
            "id": f"resp_{tokens.number}",
            "object": "response",
            "created_at": 1,
            "status": "completed",
            "model": body["model"],
            "output": items,
            "usage": {
                "input_tokens": tokens.prompt,
                "input_tokens_details": {"cached_tokens": CACHED},
                "output_tokens": tokens.output,
                "output_tokens_details": {"reasoning_tokens": 0},
                "total_tokens": tokens.prompt + tokens.output,
            },
        }
        if not body.get("stream"):
            return whole(response)
        begun = {**response, "status": "in_progress", "output": [], "usage": None}
        told = [{"type": "response.created", "response": begun}]
        for index, item in enumerate(items):
            told += [{**event, "output_index": index} for event in _told(item)]
        told.append({"type": "response.completed", "response": response})
        return events([{**event, "sequence_number": n} for n, event in enumerate(told)])

    def overloaded(self) -> Answer:
        error = {"message": "Overloaded.", "type": "server_error", "code": None, "param": None}
        return whole({"error": error}, 503)


def _items(body: Json, move: Move, tokens: Tokens) -> Iterator[Json]:
    number = tokens.number
    if "reasoning.encrypted_content" in (body.get("include") or ()):
        sealed = {"summary": [], "encrypted_content": f"c2VhbGVk{number:04}"}
        yield {"type": "reasoning", "id": f"rs_{number}", **sealed}
    if move.text:
        part = {"type": "output_text", "text": move.text, "annotations": []}
        head = {"type": "message", "id": f"msg_{number}", "role": "assistant"}
        yield {**head, "status": "completed", "content": [part]}
    for place, call in enumerate(move.calls):
        ids = {"id": f"fc_{number}_{place}", "call_id": f"call_{number}_{place}"}
        yield {**ids, **_called(call), "status": "completed"}


def _called(call: Call) -> Json:
    if call.name == _SEARCH:
        return {"type": f"{_SEARCH}_call", "execution": "client", "arguments": call.arguments}
    namespace, _, name = call.name.rpartition("__")
    within = {"namespace": namespace} if namespace else {}
    if isinstance(call.arguments, str):
        return {"type": "custom_tool_call", "name": name, "input": call.arguments, **within}
    arguments = json.dumps(call.arguments)
    return {"type": "function_call", "name": name, "arguments": arguments, **within}


def _names(tools: Iterable[Json], items: list[Json]) -> Iterator[str]:
    """Yield the names of all tools, also of those in namespaces and in the input."""
    for tool in [*tools, *(tool for item in items for tool in item.get("tools", ()))]:
        within = tool.get("tools", ())
        yield from (f"{tool['name']}__{each['name']}" for each in within)
        if not within:
            yield tool.get("name", tool["type"])


def _told(item: Json) -> Iterator[Json]:
    kind, item_id = item["type"], item["id"]
    empty = {"message": "content", "function_call": "arguments", "custom_tool_call": "input"}
    begun = {**item, "status": "in_progress"} if "status" in item else item
    if kind in empty:
        begun = {**begun, empty[kind]: [] if kind == "message" else ""}
    yield {"type": "response.output_item.added", "item": begun}
    if kind == "message":
        at = {"item_id": item_id, "content_index": 0}
        (part,) = item["content"]
        yield {"type": "response.content_part.added", **at, "part": {**part, "text": ""}}
        for piece in pieces(part["text"]):
            yield {"type": "response.output_text.delta", **at, "delta": piece}
        yield {"type": "response.output_text.done", **at, "text": part["text"]}
        yield {"type": "response.content_part.done", **at, "part": part}
    elif kind in empty:
        member = empty[kind]
        name = f"response.{kind}_{member}"
        for piece in pieces(item[member]):
            yield {"type": f"{name}.delta", "item_id": item_id, "delta": piece}
        yield {"type": f"{name}.done", "item_id": item_id, member: item[member]}
    yield {"type": "response.output_item.done", "item": item}
