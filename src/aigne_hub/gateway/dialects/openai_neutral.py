"""OpenAI chat to and from the neutral form."""

from typing import Any

import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Message,
    Part,
    ReasoningDelta,
    Role,
    TextDelta,
    ToolCall,
    ToolCallDelta,
)
from aigne_hub.domain.usage import Usage

_ROLES: dict[str, Role] = {
    "system": "system",
    "developer": "system",
    "user": "user",
    "assistant": "assistant",
    "tool": "tool",
    "function": "tool",
}
_CARRIED = {
    "model",
    "messages",
    "max_tokens",
    "max_completion_tokens",
    "temperature",
    "top_p",
    "stop",
    "tools",
    "tool_choice",
    "response_format",
    "stream",
}


def decode_chat(body: bytes) -> InferenceRequest:
    """Return the neutral request of a chat body; raises InvalidRequest."""
    value: dict[str, Any] = orjson.loads(body)
    limit = value.get("max_completion_tokens", value.get("max_tokens"))
    stop = value.get("stop") or ()
    return InferenceRequest(
        model=value["model"],
        messages=tuple(_message(item) for item in value["messages"]),
        max_output_tokens=limit,
        temperature=value.get("temperature"),
        top_p=value.get("top_p"),
        stop=(stop,) if isinstance(stop, str) else tuple(stop),
        tools=tuple(value.get("tools") or ()),
        tool_choice=value.get("tool_choice"),
        response_format=value.get("response_format"),
        stream=bool(value.get("stream")),
        extra={name: item for name, item in value.items() if name not in _CARRIED},
    )


def _message(item: Any) -> Message:
    if not isinstance(item, dict) or not isinstance(item.get("role"), str):
        raise InvalidRequest("Each message is an object with a role.", param="messages")
    role = _ROLES.get(item["role"])
    if role is None:
        raise InvalidRequest("A message has an unknown role.", param="messages")
    calls = item.get("tool_calls") or ()
    return Message(
        role=role,
        parts=_parts(item.get("content")),
        tool_calls=tuple(
            ToolCall(call["id"], call["function"]["name"], call["function"]["arguments"])
            for call in calls
        ),
        tool_call_id=item.get("tool_call_id"),
    )


def _parts(content: Any) -> tuple[Part, ...]:
    if content is None:
        return ()
    if isinstance(content, str):
        return (Part("text", text=content),)
    parts = []
    for part in content:
        kind = part.get("type")
        if kind in {"text", "refusal"}:
            parts.append(Part("text", text=part.get("text") or part.get("refusal") or ""))
        elif kind == "image_url":
            parts.append(Part("image", url=part["image_url"]["url"]))
        else:
            raise InvalidRequest(f"Content of type {kind!r} is not understood.", param="messages")
    return tuple(parts)


class ChatEncoder:
    """Writes neutral events as a chat completion, streamed or whole."""

    def __init__(self, *, answer_id: str, model: str, created: int, shows_usage: bool) -> None:
        self._head = {"id": answer_id, "created": created, "model": model}
        self._shows_usage = shows_usage

    def stream(self, events: list[InferenceEvent]) -> list[bytes]:
        """Return the frames of an event stream, `[DONE]` included."""
        frames = [self._frame({"role": "assistant", "content": ""})]
        for event in events:
            match event:
                case TextDelta(text):
                    frames.append(self._frame({"content": text}))
                case ReasoningDelta(text):
                    frames.append(self._frame({"reasoning_content": text}))
                case ToolCallDelta():
                    frames.append(self._frame({"tool_calls": [_tool_delta(event)]}))
                case Finish(reason, usage):
                    frames.append(self._frame({}, finish_reason=reason))
                    if self._shows_usage and usage is not None:
                        chunk = {"object": "chat.completion.chunk", "choices": []}
                        frames.append(_data({**self._head, **chunk, "usage": usage_object(usage)}))
        frames.append(b"data: [DONE]\n\n")
        return frames

    def whole(self, events: list[InferenceEvent]) -> bytes:
        """Return the fold of the events as one answer."""
        text = "".join(event.text for event in events if isinstance(event, TextDelta))
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        calls = _folded_calls(events)
        if calls:
            message["tool_calls"] = calls
        value = {**self._head, "object": "chat.completion", "choices": []}
        for event in events:
            if isinstance(event, Finish):
                choice = {"index": 0, "message": message, "logprobs": None}
                value["choices"] = [{**choice, "finish_reason": event.reason}]
                if event.usage is not None:
                    value["usage"] = usage_object(event.usage)
        return orjson.dumps(value)

    def _frame(self, delta: dict[str, Any], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _data({**self._head, "object": "chat.completion.chunk", "choices": [choice]})


def usage_object(usage: Usage) -> dict[str, Any]:
    prompt = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    return {
        "prompt_tokens": prompt,
        "completion_tokens": usage.output_tokens,
        "total_tokens": prompt + usage.output_tokens,
        "prompt_tokens_details": {"cached_tokens": usage.cache_read_tokens},
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
    }


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % orjson.dumps(value)


def _tool_delta(event: ToolCallDelta) -> dict[str, Any]:
    function: dict[str, Any] = {"arguments": event.arguments}
    delta: dict[str, Any] = {"index": event.index, "function": function}
    if event.id is not None:
        delta["id"] = event.id
        delta["type"] = "function"
        function["name"] = event.name
    return delta


def _folded_calls(events: list[InferenceEvent]) -> list[dict[str, Any]]:
    calls: dict[int, dict[str, Any]] = {}
    for event in events:
        if isinstance(event, ToolCallDelta):
            call = calls.setdefault(
                event.index, {"type": "function", "function": {"arguments": ""}}
            )
            if event.id is not None:
                call["id"] = event.id
                call["function"]["name"] = event.name
            call["function"]["arguments"] += event.arguments
    return [calls[index] for index in sorted(calls)]
