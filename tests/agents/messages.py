"""Anthropic's Messages: thinks with a signature where it is asked to think."""

import json
from collections.abc import Iterator

from tests.agents.wire import CACHED, Json, Move, Tokens, Turn, members, pieces, plain
from tests.scripted import Answer, Asked, events, whole

_DELTAS = {"text": "text_delta", "thinking": "thinking_delta", "signature": "signature_delta"}


class Messages:
    def turn(self, body: Json) -> Turn:
        blocks = [
            block
            for each in body["messages"]
            if isinstance(each["content"], list)
            for block in each["content"]
        ]
        return Turn(
            tools=frozenset(tool["name"] for tool in body.get("tools", ())),
            called=tuple(block["id"] for block in blocks if block["type"] == "tool_use"),
            results={
                block["tool_use_id"]: plain(block.get("content"))
                for block in blocks
                if block["type"] == "tool_result"
            },
            seals=frozenset(block["signature"] for block in blocks if block["type"] == "thinking"),
            text=plain([body.get("system"), [each["content"] for each in body["messages"]]]),
        )

    def answer(self, asked: Asked, move: Move, tokens: Tokens) -> Answer:
        body = asked.body
        if asked.path.partition("?")[0].endswith("/count_tokens"):
            return whole({"input_tokens": tokens.fresh})
        content = _content(move, tokens, thinks=_thinks(body))
        reason = "tool_use" if move.calls else "end_turn"
        usage = {
            "input_tokens": tokens.fresh,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": CACHED,
            "output_tokens": tokens.output,
        }
        message = {
            "id": f"msg_{tokens.number}",
            "type": "message",
            "role": "assistant",
            "model": body["model"],
            "stop_sequence": None,
        }
        if not body.get("stream"):
            return whole({**message, "content": content, "stop_reason": reason, "usage": usage})
        begun = {**message, "content": [], "stop_reason": None}
        told: list[Json] = [
            {"type": "message_start", "message": {**begun, "usage": {**usage, "output_tokens": 1}}},
            {"type": "ping"},
        ]
        for index, block in enumerate(content):
            told += [{**event, "index": index} for event in _told(block)]
        ended = {"stop_reason": reason, "stop_sequence": None}
        told.append({"type": "message_delta", "delta": ended, "usage": usage})
        return events([*told, {"type": "message_stop"}])

    def overloaded(self) -> Answer:
        error = {"type": "overloaded_error", "message": "Overloaded"}
        return whole({"type": "error", "error": error}, 529)


def _thinks(body: Json) -> bool:
    return body.get("thinking", {}).get("type") in {"enabled", "adaptive"}


def _content(move: Move, tokens: Tokens, *, thinks: bool) -> list[Json]:
    content: list[Json] = []
    if thinks:
        sealed = f"c2VhbGVk{tokens.number:04}"
        content.append({"type": "thinking", "thinking": "Let me see.", "signature": sealed})
    if move.text:
        content.append({"type": "text", "text": move.text})
    for place, call in enumerate(move.calls):
        used = {"type": "tool_use", "id": f"toolu_{tokens.number}_{place}"}
        content.append({**used, "name": call.name, "input": members(call)})
    return content


def _told(block: Json) -> Iterator[Json]:
    start = {name: ("" if name in _DELTAS else value) for name, value in block.items()}
    if "input" in start:
        start["input"] = {}
    yield {"type": "content_block_start", "content_block": start}
    for name, kind in _DELTAS.items():
        said = block.get(name, "")
        for piece in [said] if name == "signature" and said else pieces(said):
            yield {"type": "content_block_delta", "delta": {"type": kind, name: piece}}
    if "input" in block:
        for piece in pieces(json.dumps(block["input"])):
            delta = {"type": "input_json_delta", "partial_json": piece}
            yield {"type": "content_block_delta", "delta": delta}
    yield {"type": "content_block_stop"}
