"""OpenAI's chat completions, as providers of this format alone speak it."""

import json
from typing import Any

from tests.agents.wire import CACHED, Json, Move, Tokens, Turn, members, pieces, plain
from tests.scripted import Answer, Asked, events, whole


class Chat:
    def turn(self, body: Json) -> Turn:
        messages = body["messages"]
        return Turn(
            tools=frozenset(tool["function"]["name"] for tool in body.get("tools", ())),
            called=tuple(call["id"] for each in messages for call in each.get("tool_calls") or ()),
            results={
                each["tool_call_id"]: plain(each["content"])
                for each in messages
                if each["role"] == "tool"
            },
            seals=frozenset(),
            text=plain([each.get("content") for each in messages]),
        )

    def answer(self, asked: Asked, move: Move, tokens: Tokens) -> Answer:
        body = asked.body
        head = {"id": f"chatcmpl-{tokens.number}", "created": 1, "model": body["model"]}
        calls = [
            {
                "id": f"call_{tokens.number}_{place}",
                "type": "function",
                "function": {"name": call.name, "arguments": json.dumps(members(call))},
            }
            for place, call in enumerate(move.calls)
        ]
        reason = "tool_calls" if calls else "stop"
        usage = {
            "prompt_tokens": tokens.prompt,
            "completion_tokens": tokens.output,
            "total_tokens": tokens.prompt + tokens.output,
            "prompt_tokens_details": {"cached_tokens": CACHED},
        }
        if not body.get("stream"):
            message: Json = {"role": "assistant", "content": move.text or None}
            if calls:
                message["tool_calls"] = calls
            choice = {"index": 0, "message": message, "finish_reason": reason}
            return whole({**head, "object": "chat.completion", "choices": [choice], "usage": usage})
        deltas: list[Any] = [{"role": "assistant", "content": ""}]
        deltas += [{"content": piece} for piece in pieces(move.text)]
        for index, call in enumerate(calls):
            named = {"name": call["function"]["name"], "arguments": ""}
            deltas.append({"tool_calls": [{**call, "index": index, "function": named}]})
            deltas += [
                {"tool_calls": [{"index": index, "function": {"arguments": piece}}]}
                for piece in pieces(call["function"]["arguments"])
            ]
        head["object"] = "chat.completion.chunk"
        chunks: list[Json] = [
            {**head, "choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
            for delta in deltas
        ]
        chunks.append({**head, "choices": [{"index": 0, "delta": {}, "finish_reason": reason}]})
        if body.get("stream_options", {}).get("include_usage"):
            chunks.append({**head, "choices": [], "usage": usage})
        return events(chunks, done=True)

    def overloaded(self) -> Answer:
        error = {"message": "Overloaded.", "type": "server_error", "code": None, "param": None}
        return whole({"error": error}, 503)
