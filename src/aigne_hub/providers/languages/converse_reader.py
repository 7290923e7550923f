"""Converse's answers as neutral events: a whole one is JSON, a stream binary messages.

https://docs.aws.amazon.com/bedrock/latest/APIReference/API_runtime_ConverseStreamOutput.html, as
AWS's own description of the service has it (botocore 1.44.8), November 2026. Usage comes in the
last event, behind the one that says why the answer ended.
"""

from collections.abc import Iterator
from typing import Any

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    Media,
    MediaMade,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import Report
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.event_stream import Decoder, Malformed, Message
from aigne_hub.providers.languages import objects_in, parsed, retold
from aigne_hub.providers.profiles import CONVERSE_LANGUAGE
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import UsageStream

_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "guardrail_intervened": "content_filter",
    "content_filtered": "content_filter",
}
# The model made something that is no answer.
_FAILURES = frozenset({"malformed_model_output", "malformed_tool_use"})
# Tools that the provider runs itself say what they are.
_OWN = "server_tool_use"


class ConverseReader:
    """languages.AnswerReader for one answer."""

    def __init__(self, wire: Wire) -> None:
        self._told = UsageStream(wire)
        self._decoder = Decoder()
        self._calls = 0
        # The open blocks by their index, with what is known only at their end.
        self._open: dict[int, dict[str, Any]] = {}
        self._reason: FinishReason | None = None
        self._is_done = False

    @property
    def report(self) -> Report:
        return self._told.report

    @property
    def has_told_all(self) -> bool:
        return self._is_done

    def whole(self, body: bytes) -> list[InferenceEvent]:
        value = parsed(body)
        self._told.add(value)
        events: list[InferenceEvent] = []
        for number, block in enumerate(objects_in(_at(value, "output", "message", "content"))):
            events += self._begun(number, block) + self._said(number, block) + self._ended(number)
        self._finish(value)
        if self._reason is None:
            raise UpstreamError("The upstream's answer has no reason why it stopped.")
        return events + self.end()

    def feed(self, data: bytes) -> Iterator[InferenceEvent]:
        try:
            for message in self._decoder.feed(data):
                yield from self._message(message)
        except Malformed as damage:
            words = f"The upstream's event stream is damaged: {damage}."
            raise UpstreamError(words) from None

    def end(self) -> list[InferenceEvent]:
        if self._is_done or self._reason is None:
            return []
        self._is_done = True
        reason = self._reason
        events = [event for index in list(self._open) for event in self._ended(index)]
        if reason == "stop" and self._calls:
            reason = "tool_calls"
        return [*events, Finish(reason, self._told.report)]

    def _message(self, message: Message) -> list[InferenceEvent]:
        """Return what one message says. An error in a stream that was good is one, too."""
        headers = message.headers
        kind = headers.get(":message-type", "event")
        if kind == "error":
            said = headers.get(":error-message", "unknown")
            raise reported(said, headers.get(":error-code", ""))
        value = parsed(message.payload or b"{}")
        if kind == "exception":
            raise reported(value, headers.get(":exception-type", ""))
        return [] if self._is_done else self._event(headers.get(":event-type", ""), value)

    def _event(self, name: str, value: dict[str, Any]) -> list[InferenceEvent]:
        given = value.get("contentBlockIndex")
        index = given if type(given) is int else 0
        match name:
            case "contentBlockStart":
                return self._begun(index, _object(value.get("start")))
            case "contentBlockDelta":
                return self._said(index, _object(value.get("delta")))
            case "contentBlockStop":
                return self._ended(index)
            case "messageStop":
                self._finish(value)
            case "metadata":
                self._told.add(value)
                return self.end()
        return []

    def _begun(self, index: int, block: dict[str, Any]) -> list[InferenceEvent]:
        """Return what begins a block: only a call, or a picture, has more than its pieces."""
        use, image = block.get("toolUse"), block.get("image")
        known = self._open.setdefault(index, {})
        if isinstance(image, dict):
            known["format"] = _string(image.get("format")) or "png"
        if not isinstance(use, dict) or use.get("type") == _OWN:
            return []
        known |= {"call": self._calls, "is_told": False}
        self._calls += 1
        given = _string(use.get("toolUseId")) or f"tooluse_{known['call']}"
        return [ToolCallStart(known["call"], given, _string(use.get("name")))]

    def _said(self, index: int, delta: dict[str, Any]) -> list[InferenceEvent]:
        """Return what a piece of a block says; of a whole answer a block is one piece."""
        known = self._open.setdefault(index, {})
        for kind, said in delta.items():
            match kind, said:
                case "text", str() if said:
                    return [TextDelta(said)]
                case "toolUse", dict() if "call" in known:
                    return self._argued(known, said.get("input"))
                case "reasoningContent", dict():
                    return _thought(known, _object(said.get("reasoningText")) or said)
                case "citationsContent", dict():
                    parts = objects_in(said.get("content"))
                    return [
                        TextDelta(text) for part in parts if (text := _string(part.get("text")))
                    ]
                case "image", dict():
                    return _picture(known, said)
        return []

    def _argued(self, known: dict[str, Any], piece: object) -> list[InferenceEvent]:
        """Return a piece of a call's arguments: text in a stream, else an object."""
        if isinstance(piece, dict):
            piece = retold(piece).decode()
        if not isinstance(piece, str) or not piece:
            return []
        known["is_told"] = True
        return [ToolCallDelta(known["call"], piece)]

    def _ended(self, index: int) -> list[InferenceEvent]:
        """Return what is known at the end of a block: its seal, or a call without arguments."""
        known = self._open.pop(index, {})
        if known.get("signature"):
            return [ReasoningSeal(Seal(CONVERSE_LANGUAGE, known["signature"]))]
        if "call" in known and not known["is_told"]:
            return [ToolCallDelta(known["call"], "{}")]
        return []

    def _finish(self, value: dict[str, Any]) -> None:
        reason = value.get("stopReason")
        if not isinstance(reason, str) or not reason:
            return
        if reason in _FAILURES:
            raise UpstreamError(f"The upstream ended its answer with {reason}.")
        self._reason = _REASONS.get(reason, "stop")


def _thought(known: dict[str, Any], said: dict[str, Any]) -> list[InferenceEvent]:
    known["signature"] = known.get("signature", "") + _string(said.get("signature"))
    redacted = _string(said.get("redactedContent"))
    if redacted:
        return [ReasoningSeal(Seal(CONVERSE_LANGUAGE, redacted), is_redacted=True)]
    text = _string(said.get("text"))
    return [ReasoningDelta(text)] if text else []


def _picture(known: dict[str, Any], said: dict[str, Any]) -> list[InferenceEvent]:
    data = _at(said, "source", "bytes")
    if not isinstance(data, str):
        return []
    kind = f"image/{known.get('format', 'png')}"
    return [MediaMade(Media("image", data=data, mime_type=kind))]


def _at(value: object, *names: str) -> object:
    """Return what stands at a path, None where nothing does."""
    for name in names:
        value = value.get(name) if isinstance(value, dict) else None
    return value


def _object(value: object) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""
