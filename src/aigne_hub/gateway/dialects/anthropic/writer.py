"""Neutral events as an Anthropic message, streamed or whole.

https://platform.claude.com/docs/en/build-with-claude/streaming, November 2026. Blocks follow
one another: a call whose fragments are mixed with another's waits until that one is whole.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    MediaMade,
    ReasoningDelta,
    ReasoningSeal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import STANDARD, Usage
from aigne_hub.gateway.dialects.anthropic.content import CALL_SEAL
from aigne_hub.providers.languages import retold
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE

# More than any tool is told at once.
INPUT_BYTES_MAX = 16 * 1024 * 1024
# Pieces of thoughts between two signs of life, for a caller who does not see them.
HIDDEN_OF_A_PING = 64
_REASONS: dict[FinishReason, str] = {
    "stop": "end_turn",
    "stop_sequence": "stop_sequence",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "content_filter": "refusal",
}
_TIERS = frozenset({STANDARD, "priority", "batch"})
_DELTAS = {
    "text_delta": "text",
    "thinking_delta": "thinking",
    "signature_delta": "signature",
    "input_json_delta": "partial_json",
}


class MessageWriter:
    """dialects.AnswerWriter for Messages.

    Thoughts are written only for a caller who asked to see them: many read the first block
    as the answer.
    """

    def __init__(self, model: str, answer_id: str, *, shows_thoughts: bool) -> None:
        self._model = model
        self._id = answer_id
        self._shows_thoughts = shows_thoughts
        self._has_begun = False
        self._hidden = 0
        # The blocks so far, and what is open: a kind of block, or the index of a call.
        self._blocks = 0
        self._open: str | int | None = None
        # What the open call was told, and the events of calls that wait for its end.
        self._told = ""
        self._waiting: dict[int, list[ToolCallStart | ToolCallDelta]] = {}
        self._done: set[int] = set()

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        return b"".join(map(_frame, self._written(events)))

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        """Return the fold of the events. Raises UpstreamError for a call that is no JSON."""
        message: dict[str, Any] = {}
        pieces: dict[tuple[int, str], list[str]] = {}
        for event in self._written(events):
            match event["type"]:
                case "message_start":
                    message = event["message"]
                case "content_block_start":
                    message["content"].append(event["content_block"])
                case "content_block_delta":
                    name = _DELTAS[event["delta"]["type"]]
                    pieces.setdefault((event["index"], name), []).append(event["delta"][name])
                case "message_delta":
                    message |= event["delta"]
                    message["usage"] = event.get("usage", message["usage"])
        for (index, name), said in pieces.items():
            text = "".join(said)
            block = message["content"][index]
            if name == "partial_json":
                block["input"] = _input(text, is_cut=message["stop_reason"] == "max_tokens")
            else:
                block[name] = text
        return retold(message)

    def _written(self, events: Iterable[InferenceEvent]) -> list[dict[str, Any]]:
        said: list[dict[str, Any]] = []
        if not self._has_begun:
            self._has_begun = True
            said.append({"type": "message_start", "message": self._message()})
        for event in events:
            self._write(event, said)
        return said

    def _message(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_object(Usage()),
        }

    def _write(self, event: InferenceEvent, said: list[dict[str, Any]]) -> None:
        match event:
            case TextDelta(text):
                self._begin("text", {"type": "text", "text": ""}, said)
                self._delta("text_delta", text, said)
            case ReasoningDelta(text):
                if self._shows_thoughts:
                    self._think(said)
                    self._delta("thinking_delta", text, said)
                else:
                    self._hide(said)
            case ReasoningSeal():
                self._seal(event, said)
            case ToolCallStart() | ToolCallDelta():
                self._call(event, said)
            case MediaMade(media):
                url = media.url or f"data:{media.mime_type};base64,{media.data}"
                self._begin("text", {"type": "text", "text": ""}, said)
                self._delta("text_delta", f"![{media.kind}]({url})", said)
            case Finish():
                self._finish(event, said)

    def _hide(self, said: list[dict[str, Any]]) -> None:
        """Say now and then that a model thinks on, which its caller did not ask to see."""
        self._hidden += 1
        if self._hidden % HIDDEN_OF_A_PING == 0:
            said.append({"type": "ping"})

    def _think(self, said: list[dict[str, Any]]) -> None:
        self._begin("thinking", {"type": "thinking", "thinking": "", "signature": ""}, said)

    def _seal(self, event: ReasoningSeal, said: list[dict[str, Any]]) -> None:
        if not self._shows_thoughts:
            return
        data = event.seal.text_in(ANTHROPIC_LANGUAGE)
        if event.is_redacted:
            self._redacted(data, said)
            return
        self._think(said)
        self._delta("signature_delta", data, said)
        self._close(said)

    def _redacted(self, data: str, said: list[dict[str, Any]]) -> None:
        self._close(said)
        self._begin("redacted", {"type": "redacted_thinking", "data": data}, said)
        self._close(said)

    def _call(self, event: ToolCallStart | ToolCallDelta, said: list[dict[str, Any]]) -> None:
        index = event.index
        if index == self._open:
            assert isinstance(event, ToolCallDelta)
            self._told += event.arguments
            if len(self._told) > INPUT_BYTES_MAX:
                raise UpstreamError("The upstream calls a tool with more than it could read.")
            self._delta("input_json_delta", event.arguments, said)
        elif index in self._waiting:
            self._waiting[index].append(event)
        elif index in self._done:
            raise UpstreamError("The upstream goes on with a call that was whole.")
        elif isinstance(self._open, int) and not _is_json(self._told):
            self._waiting[index] = [event]
        elif isinstance(event, ToolCallStart):
            self._open_call(event, said)
        if self._waiting and isinstance(self._open, int) and _is_json(self._told):
            self._close(said)

    def _open_call(self, event: ToolCallStart, said: list[dict[str, Any]]) -> None:
        self._close(said)
        if event.seal is not None:
            self._redacted(CALL_SEAL + event.seal.text_in(ANTHROPIC_LANGUAGE), said)
        block = {"type": "tool_use", "id": event.id, "name": event.name, "input": {}}
        self._told = ""
        self._begin(event.index, block, said)

    def _begin(self, kind: str | int, block: dict[str, Any], said: list[dict[str, Any]]) -> None:
        if self._open == kind:
            return
        self._close(said)
        self._open = kind
        said.append({"type": "content_block_start", "index": self._blocks, "content_block": block})

    def _delta(self, kind: str, text: str, said: list[dict[str, Any]]) -> None:
        delta = {"type": kind, _DELTAS[kind]: text}
        said.append({"type": "content_block_delta", "index": self._blocks, "delta": delta})

    def _close(self, said: list[dict[str, Any]]) -> None:
        """End the open block; calls that waited for it follow."""
        if self._open is None:
            return
        was, self._open = self._open, None
        said.append({"type": "content_block_stop", "index": self._blocks})
        self._blocks += 1
        if isinstance(was, int):
            self._done.add(was)
            while self._waiting and self._open is None:
                events = self._waiting.pop(next(iter(self._waiting)))
                for event in events:
                    self._call(event, said)

    def _finish(self, event: Finish, said: list[dict[str, Any]]) -> None:
        while self._open is not None:
            self._close(said)
        delta = {"stop_reason": _REASONS[event.reason], "stop_sequence": event.stop_sequence}
        end: dict[str, Any] = {"type": "message_delta", "delta": delta}
        if event.report.usage is not None:
            end["usage"] = usage_object(event.report.usage)
        said += [end, {"type": "message_stop"}]


def usage_object(usage: Usage) -> dict[str, Any]:
    """Return usage in Anthropic's words, whose input is without what caches gave and took."""
    hour = usage.cache_write_1h_tokens
    said: dict[str, Any] = {
        "input_tokens": usage.input_tokens,
        "cache_creation_input_tokens": usage.cache_write_tokens,
        "cache_read_input_tokens": usage.cache_read_tokens,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_tokens - hour,
            "ephemeral_1h_input_tokens": hour,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"thinking_tokens": usage.reasoning_tokens},
    }
    if usage.searches:
        said["server_tool_use"] = {"web_search_requests": usage.searches}
    if usage.service_tier in _TIERS:
        said["service_tier"] = usage.service_tier
    return said


def _is_json(text: str) -> bool:
    if not text.rstrip().endswith("}"):
        return False
    try:
        orjson.loads(text)
    except orjson.JSONDecodeError:
        return False
    return True


def _input(text: str, *, is_cut: bool) -> dict[str, Any]:
    """Return what a tool is called with: nothing where the output limit cut it off."""
    if not text:
        return {}
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        value = None
    if isinstance(value, dict):
        return value
    if is_cut:
        return {}
    raise UpstreamError("The upstream calls a tool with what is no JSON object.")


def _frame(event: dict[str, Any]) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), retold(event))
