"""Requests and answers in the shape of each format, with what a vendor has of its own in them.

Every answer says TEXT, or calls the tool TOOL with ARGUMENTS.
"""

import json
from typing import Any

from tests.contract import aws
from tests.contract.scripted import JSON_TYPE, SSE_TYPE, Answer

Json = dict[str, Any]
TEXT = "Hello there"
TOOL, ARGUMENTS = "get_weather", {"city": "Paris"}
PICTURE = "iVBORw0KGgo="
SCHEMA = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
_PARAMETERS = {"type": "object", "properties": {"city": {"type": "string"}}}


class OpenAI:
    """https://platform.openai.com/docs/api-reference/chat."""

    def __init__(self, vendor: Json) -> None:
        self.vendor = vendor
        self.usage = vendor.get("usage")
        self.expected = vendor.get("expected")

    def request(self, model: str, *, stream: bool, **more: Any) -> tuple[str, Json]:
        messages = more.pop("messages", [{"role": "user", "content": "Hi"}])
        body = {"model": model, "messages": messages, **({"stream": True} if stream else {})}
        return "/v1/chat/completions", {**body, **more}

    def pictured(self) -> Json:
        picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PICTURE}"}}
        return {"messages": [{"role": "user", "content": [picture]}]}

    def tooled(self) -> Json:
        function = {"name": TOOL, "description": "d", "parameters": _PARAMETERS}
        return {"tools": [{"type": "function", "function": function}], "tool_choice": "auto"}

    def structured(self) -> Json:
        schema = {"name": "a", "schema": SCHEMA, "strict": True}
        return {"response_format": {"type": "json_schema", "json_schema": schema}}

    def whole(self, *, calls: bool = False) -> Json:
        message: Json = {"role": "assistant", "content": None if calls else TEXT}
        if calls:
            message["tool_calls"] = [self._call()]
        message |= self.vendor.get("message", {})
        finish = "tool_calls" if calls else "stop"
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": finish}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion",
            "created": 1_767_225_600,
            "model": "m",
            "choices": [{**choice, **self.vendor.get("choice", {})}],
            "usage": self.usage,
            **self.vendor.get("answer", {}),
        }

    def frames(self, *, calls: bool = False) -> list[Json]:
        if calls:
            function = {"name": TOOL, "arguments": ""}
            rest = json.dumps(ARGUMENTS)
            pieces = [
                {"index": 0, "function": {"arguments": part}} for part in (rest[:4], rest[4:])
            ]
            first = {**self._call(), "index": 0, "function": function}
            deltas: list[Json] = [{"tool_calls": [one]} for one in (first, *pieces)]
        else:
            deltas = [{"content": part} for part in ("Hello", " there")]
        deltas[0] |= {"role": "assistant"} | self.vendor.get("message", {})
        frames = [self._chunk(delta) for delta in deltas]
        frames.append(self._chunk({}, "tool_calls" if calls else "stop"))
        match self.vendor.get("usage_at", "own"):
            case "own":
                frames.append({**self._chunk({}), "choices": [], "usage": self.usage})
            case "x_groq":
                frames[-1]["x_groq"] = {"id": "req_1", "usage": self.usage}
            case "every":
                frames = [{**frame, "usage": self.usage} for frame in frames]
            case _:
                frames[-1]["usage"] = self.usage
        return frames

    def answer(self, *, stream: bool, calls: bool = False, is_cut: bool = False) -> Answer:
        if not stream:
            padding = self.vendor.get("padding", "")  # what keeps the connection alive meanwhile
            return Answer((f"{padding}{json.dumps(self.whole(calls=calls))}".encode(),))
        frames = [_frame(one) for one in self.vendor.get("before", [])]
        frames += [_frame(one) for one in self.frames(calls=calls)]
        frames = frames[: len(frames) // 2 + 1] if is_cut else [*frames, b"data: [DONE]\n\n"]
        return Answer(tuple(frames), content_type=SSE_TYPE, is_cut=is_cut)

    def text(self, answer: Json) -> str:
        return str(answer["choices"][0]["message"]["content"])

    def streamed_text(self, events: list[Json]) -> str:
        return "".join(one["delta"].get("content") or "" for one in _choices(events))

    def called(self, answer: Json) -> tuple[str, Any]:
        function = answer["choices"][0]["message"]["tool_calls"][0]["function"]
        return function["name"], json.loads(function["arguments"])

    def streamed_call(self, events: list[Json]) -> tuple[str, Any]:
        parts = [
            call["function"]
            for one in _choices(events)
            for call in one["delta"].get("tool_calls", ())
        ]
        return parts[0]["name"], json.loads("".join(part["arguments"] for part in parts))

    def error(self, answer: Json) -> str:
        return str(answer["error"]["message"])

    def _call(self) -> Json:
        function = {"name": TOOL, "arguments": json.dumps(ARGUMENTS)}
        return {
            "id": self.vendor.get("call_id", "call_1"),
            "type": "function",
            "function": function,
        }

    def _chunk(self, delta: Json, finish: str | None = None) -> Json:
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return {
            "id": "chatcmpl-1",
            "object": "chat.completion.chunk",
            "created": 1_767_225_600,
            "model": "m",
            "choices": [{**choice, **self.vendor.get("choice", {})}],
            **self.vendor.get("chunk", {}),
        }


class Responses:
    """https://platform.openai.com/docs/api-reference/responses and its page on streaming."""

    expected = {"input_tokens": 36, "output_tokens": 87}  # noqa: RUF012 - no test changes it

    def __init__(self, vendor: Json) -> None:
        self.vendor = vendor

    def request(self, model: str, *, stream: bool, **more: Any) -> tuple[str, Json]:
        body = {"model": model, "input": "Hi", **({"stream": True} if stream else {})}
        return "/v1/responses", {**body, **more}

    def pictured(self) -> Json:
        picture = {"type": "input_image", "image_url": f"data:image/png;base64,{PICTURE}"}
        return {"input": [{"role": "user", "content": [picture]}]}

    def tooled(self) -> Json:
        return {"tools": [{"type": "function", "name": TOOL, "parameters": _PARAMETERS}]}

    def structured(self) -> Json:
        schema = {"type": "json_schema", "name": "a", "schema": SCHEMA, "strict": True}
        return {"text": {"format": schema}}

    def whole(self, *, calls: bool = False) -> Json:
        usage = {"input_tokens": 36, "output_tokens": 87, "total_tokens": 123}
        details = {
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        }
        return {
            "id": "resp_1",
            "object": "response",
            "created_at": 1_767_225_600,
            "status": "completed",
            "model": "m",
            "output": [self._item(calls=calls)],
            "usage": {**usage, **details},
        }

    def frames(self, *, calls: bool = False) -> list[Json]:
        whole = self.whole(calls=calls)
        begun = {**whole, "status": "in_progress", "output": [], "usage": None}
        item = whole["output"][0]
        place: Json = {"output_index": 0, "item_id": item["id"]}
        if calls:
            kind, rest = "response.function_call_arguments.delta", json.dumps(ARGUMENTS)
            parts = (rest[:4], rest[4:])
        else:
            kind, parts = "response.output_text.delta", ("Hello", " there")
            place["content_index"] = 0
        frames = [
            {"type": "response.created", "response": begun},
            {"type": "response.output_item.added", "output_index": 0, "item": item},
            *({"type": kind, "delta": part, **place} for part in parts),
            {"type": "response.output_item.done", "output_index": 0, "item": item},
            {"type": "response.completed", "response": whole},
        ]
        return [{**frame, "sequence_number": at} for at, frame in enumerate(frames)]

    def answer(self, *, stream: bool, calls: bool = False, is_cut: bool = False) -> Answer:
        if not stream:
            return Answer((json.dumps(self.whole(calls=calls)).encode(),))
        frames = [_event(one) for one in self.frames(calls=calls)]
        frames = frames[:3] if is_cut else frames
        return Answer(tuple(frames), content_type=SSE_TYPE, is_cut=is_cut)

    def text(self, answer: Json) -> str:
        return str(answer["output"][0]["content"][0]["text"])

    def streamed_text(self, events: list[Json]) -> str:
        return "".join(one["delta"] for one in events if "delta" in one)

    def called(self, answer: Json) -> tuple[str, Any]:
        call = next(one for one in answer["output"] if one["type"] == "function_call")
        return call["name"], json.loads(call["arguments"])

    def streamed_call(self, events: list[Json]) -> tuple[str, Any]:
        name = next(one["item"]["name"] for one in events if "name" in one.get("item", ()))
        kind = "response.function_call_arguments.delta"
        return name, json.loads("".join(one["delta"] for one in events if one["type"] == kind))

    def error(self, answer: Json) -> str:
        found = answer.get("response", answer).get("error", answer)
        return str(found["message"])

    def _item(self, *, calls: bool) -> Json:
        if calls:
            call = {"call_id": "call_1", "name": TOOL, "arguments": json.dumps(ARGUMENTS)}
            return {"type": "function_call", "id": "fc_1", "status": "completed", **call}
        part = {"type": "output_text", "text": TEXT, "annotations": []}
        message = {"type": "message", "id": "msg_1", "role": "assistant"}
        return {**message, "status": "completed", "content": [part]}


class Anthropic:
    """https://platform.claude.com/docs/en/api/messages and its page on streaming."""

    expected = {"input_tokens": 25, "output_tokens": 15, "cache_read_tokens": 100}  # noqa: RUF012 - no test changes it

    def __init__(self, vendor: Json) -> None:
        self.vendor = vendor

    def request(self, model: str, *, stream: bool, **more: Any) -> tuple[str, Json]:
        messages = more.pop("messages", [{"role": "user", "content": "Hi"}])
        body = {"model": model, "max_tokens": 100, "messages": messages}
        return "/v1/messages", {**body, **({"stream": True} if stream else {}), **more}

    def pictured(self) -> Json:
        source = {"type": "base64", "media_type": "image/png", "data": PICTURE}
        return {"messages": [{"role": "user", "content": [{"type": "image", "source": source}]}]}

    def tooled(self) -> Json:
        return {"tools": [{"name": TOOL, "description": "d", "input_schema": _PARAMETERS}]}

    def structured(self) -> Json:
        return {"output_format": {"type": "json_schema", "schema": SCHEMA}}

    def whole(self, *, calls: bool = False) -> Json:
        use = {"type": "tool_use", "id": "toolu_1", "name": TOOL, "input": ARGUMENTS}
        usage = {"input_tokens": 25, "output_tokens": 15, "cache_read_input_tokens": 100}
        return {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "model": "m",
            "content": [use if calls else {"type": "text", "text": TEXT}],
            "stop_reason": "tool_use" if calls else "end_turn",
            "stop_sequence": None,
            "usage": {**usage, "cache_creation_input_tokens": 0},
        }

    def frames(self, *, calls: bool = False) -> list[Json]:
        whole = self.whole(calls=calls)
        usage = {**whole["usage"], "output_tokens": 1}
        begun = {**whole, "content": [], "stop_reason": None, "usage": usage}
        if calls:
            block = {**whole["content"][0], "input": {}}
            rest = json.dumps(ARGUMENTS)
            deltas = [{"type": "input_json_delta", "partial_json": p} for p in (rest[:4], rest[4:])]
        else:
            block = {"type": "text", "text": ""}
            deltas = [{"type": "text_delta", "text": part} for part in ("Hello", " there")]
        ended = {"stop_reason": whole["stop_reason"], "stop_sequence": None}
        return [
            {"type": "message_start", "message": begun},
            {"type": "content_block_start", "index": 0, "content_block": block},
            {"type": "ping"},
            *({"type": "content_block_delta", "index": 0, "delta": delta} for delta in deltas),
            {"type": "content_block_stop", "index": 0},
            {"type": "message_delta", "delta": ended, "usage": {"output_tokens": 15}},
            {"type": "message_stop"},
        ]

    def answer(self, *, stream: bool, calls: bool = False, is_cut: bool = False) -> Answer:
        if not stream:
            return Answer((json.dumps(self.whole(calls=calls)).encode(),))
        is_aws = self.vendor.get("framing") == "aws"
        framed = aws.chunk if is_aws else _event
        frames = [framed(one) for one in self.frames(calls=calls)]
        frames = frames[: len(frames) // 2] if is_cut else frames
        kind = "application/vnd.amazon.eventstream" if is_aws else SSE_TYPE
        return Answer(tuple(frames), content_type=kind, is_cut=is_cut)

    def text(self, answer: Json) -> str:
        return str(answer["content"][0]["text"])

    def streamed_text(self, events: list[Json]) -> str:
        return "".join(one["delta"].get("text", "") for one in events if _is_delta(one))

    def called(self, answer: Json) -> tuple[str, Any]:
        use = next(one for one in answer["content"] if one["type"] == "tool_use")
        return use["name"], use["input"]

    def streamed_call(self, events: list[Json]) -> tuple[str, Any]:
        blocks = [one["content_block"] for one in events if "content_block" in one]
        name = next(block["name"] for block in blocks if block["type"] == "tool_use")
        parts = [one["delta"].get("partial_json", "") for one in events if _is_delta(one)]
        return name, json.loads("".join(parts))

    def error(self, answer: Json) -> str:
        assert answer["type"] == "error"
        return str(answer["error"]["message"])


class Gemini:
    """https://ai.google.dev/api/generate-content."""

    expected = {"input_tokens": 8, "output_tokens": 12}  # noqa: RUF012 - no test changes it

    def __init__(self, vendor: Json) -> None:
        self.vendor = vendor

    def request(self, model: str, *, stream: bool, **more: Any) -> tuple[str, Json]:
        method = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body = {"contents": [{"role": "user", "parts": [{"text": "Hi"}]}], **more}
        return f"/v1beta/models/{model}:{method}", body

    def pictured(self) -> Json:
        picture = {"inlineData": {"mimeType": "image/png", "data": PICTURE}}
        return {"contents": [{"role": "user", "parts": [picture]}]}

    def tooled(self) -> Json:
        function = {"name": TOOL, "description": "d", "parameters": _PARAMETERS}
        return {"tools": [{"functionDeclarations": [function]}]}

    def structured(self) -> Json:
        config = {"responseMimeType": "application/json", "responseSchema": SCHEMA}
        return {"generationConfig": config}

    def whole(self, *, calls: bool = False) -> Json:
        call = {"functionCall": {"name": TOOL, "args": ARGUMENTS}, "thoughtSignature": "c2ln"}
        return self._event([call if calls else {"text": TEXT}], finish="STOP")

    def frames(self, *, calls: bool = False) -> list[Json]:
        if calls:
            return [self.whole(calls=True)]
        return [self._event([{"text": "Hello"}]), self._event([{"text": " there"}], finish="STOP")]

    def answer(self, *, stream: bool, calls: bool = False, is_cut: bool = False) -> Answer:
        if not stream:
            return Answer((json.dumps(self.whole(calls=calls)).encode(),))
        frames = [_frame(one) for one in self.frames(calls=calls)]
        frames = frames[:1] if is_cut else frames
        return Answer(tuple(frames), content_type=SSE_TYPE, is_cut=is_cut)

    def text(self, answer: Json) -> str:
        return str(answer["candidates"][0]["content"]["parts"][0]["text"])

    def streamed_text(self, events: list[Json]) -> str:
        return "".join(self.text(one) for one in events)

    def called(self, answer: Json) -> tuple[str, Any]:
        call = answer["candidates"][0]["content"]["parts"][0]["functionCall"]
        return call["name"], call["args"]

    def streamed_call(self, events: list[Json]) -> tuple[str, Any]:
        return self.called(events[0])

    def error(self, answer: Json) -> str:
        assert answer["error"]["status"].isupper()
        return str(answer["error"]["message"])

    def _event(self, parts: list[Json], finish: str | None = None) -> Json:
        candidate: Json = {"content": {"parts": parts, "role": "model"}, "index": 0}
        if finish:
            candidate["finishReason"] = finish
        usage = {"promptTokenCount": 8, "candidatesTokenCount": 12, "totalTokenCount": 20}
        return {"candidates": [candidate], "usageMetadata": usage, "modelVersion": "m"}


class Converse:
    """https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_Converse.html.

    No caller speaks it: it is answered, and never asked.
    """

    expected = {"input_tokens": 30, "output_tokens": 628}  # noqa: RUF012 - no test changes it

    def __init__(self, vendor: Json) -> None:
        self.vendor = vendor

    def whole(self, *, calls: bool = False) -> Json:
        use = {"toolUse": {"toolUseId": "tooluse_1", "name": TOOL, "input": ARGUMENTS}}
        message = {"role": "assistant", "content": [use if calls else {"text": TEXT}]}
        reason = "tool_use" if calls else "end_turn"
        return {"output": {"message": message}, "stopReason": reason, **self._metadata()}

    def answer(self, *, stream: bool, calls: bool = False, is_cut: bool = False) -> Answer:
        if not stream:
            return Answer((json.dumps(self.whole(calls=calls)).encode(),))
        at = {"contentBlockIndex": 0}
        frames: list[tuple[str, Json]] = [("messageStart", {"role": "assistant"})]
        if calls:
            start = {"toolUse": {"toolUseId": "tooluse_1", "name": TOOL}}
            frames.append(("contentBlockStart", {"start": start, **at}))
            rest = json.dumps(ARGUMENTS)
            deltas: list[Json] = [{"toolUse": {"input": part}} for part in (rest[:4], rest[4:])]
        else:
            deltas = [{"text": part} for part in ("Hello", " there")]
        frames += [("contentBlockDelta", {"delta": delta, **at}) for delta in deltas]
        reason = {"stopReason": "tool_use" if calls else "end_turn"}
        ended = [("contentBlockStop", at), ("messageStop", reason), ("metadata", self._metadata())]
        frames = frames[:2] if is_cut else frames + ended
        pieces = tuple(aws.event(name, value) for name, value in frames)
        kind = "application/vnd.amazon.eventstream"
        return Answer(pieces, content_type=kind, is_cut=is_cut)

    def _metadata(self) -> Json:
        usage = {"inputTokens": 30, "outputTokens": 628, "totalTokens": 658}
        return {"usage": usage, "metrics": {"latencyMs": 1275}}


SHAPES = {
    "openai": OpenAI,
    "openai-responses": Responses,
    "anthropic": Anthropic,
    "gemini": Gemini,
}
Shape = OpenAI | Responses | Anthropic | Gemini
# What a provider answers in, and no caller asks in.
UNASKED = {"bedrock-converse": Converse}


def refused(status: int, body: Json, **headers: str) -> Answer:
    return Answer((json.dumps(body).encode(),), status, JSON_TYPE, headers)


def _frame(value: Json | str) -> bytes:
    """Return an event; a comment is written as text."""
    return (value if isinstance(value, str) else f"data: {json.dumps(value)}").encode() + b"\n\n"


def _event(value: Json) -> bytes:
    return b"event: %b\n%b" % (value["type"].encode(), _frame(value))


def _choices(events: list[Json]) -> list[Json]:
    return [event["choices"][0] for event in events if event.get("choices")]


def _is_delta(event: Json) -> bool:
    return event["type"] == "content_block_delta"
