"""An Anthropic answer, whole or as events, as neutral events.

https://platform.claude.com/docs/en/build-with-claude/streaming, November 2026: `ping` and
events that nobody has heard of say nothing.
"""

from collections.abc import Iterator
from typing import Any

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import Report
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import Splitter, payload_of
from aigne_hub.providers.languages import objects_in, parsed, retold
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import UsageStream

# A turn that was paused is not whole: whoever asked may go on from it.
_REASONS: dict[str, FinishReason] = {
    "end_turn": "stop",
    "stop_sequence": "stop_sequence",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "pause_turn": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
}


class MessageReader:
    """languages.AnswerReader for Messages.

    What the provider's own tools asked and found is left out: the text tells of it.
    """

    def __init__(self, wire: Wire) -> None:
        self._told = UsageStream(wire)
        self._splitter = Splitter()
        self._calls = 0
        # The open blocks by their index: what each is of, and what is known only at its end.
        self._open: dict[int, dict[str, Any]] = {}
        self._reason: FinishReason | None = None
        self._stop_sequence: str | None = None
        self._is_done = False
        self._is_told_all = False

    @property
    def report(self) -> Report:
        return self._told.report

    @property
    def has_told_all(self) -> bool:
        return self._is_told_all

    def whole(self, body: bytes) -> list[InferenceEvent]:
        value = parsed(body)
        _require_good(value)
        self._told.add(value)
        events: list[InferenceEvent] = []
        for block in objects_in(value.get("content")):
            events += self._begun(0, block) + self._ended(0)
        self._finish(value)
        if self._reason is None:
            raise UpstreamError("The upstream's answer has no reason why it stopped.")
        return [*events, self._end()]

    def feed(self, data: bytes) -> Iterator[InferenceEvent]:
        for frame in self._splitter.split(data):
            payload = payload_of(frame)
            if payload and not self._is_done:
                yield from self._event(parsed(payload))
        endless = self._splitter.endless()
        if endless is not None:
            raise endless

    def end(self) -> list[InferenceEvent]:
        if self._is_done or self._reason is None:
            return []
        self._is_done = True
        events: list[InferenceEvent] = []
        for index in list(self._open):
            events += self._ended(index)
        return [*events, self._end()]

    def _event(self, value: dict[str, Any]) -> list[InferenceEvent]:
        _require_good(value)
        self._told.add(value)
        given = value.get("index")
        index = given if type(given) is int else 0
        match value.get("type"):
            case "content_block_start":
                block = value.get("content_block")
                return self._begun(index, block) if isinstance(block, dict) else []
            case "content_block_delta":
                delta = value.get("delta")
                return self._said(index, delta) if isinstance(delta, dict) else []
            case "content_block_stop":
                return self._ended(index)
            case "message_delta":
                delta = value.get("delta")
                if isinstance(delta, dict):
                    self._finish(delta)
                if self._reason is not None and isinstance(value.get("usage"), dict):
                    self._is_told_all = True
            case "message_stop":
                return self.end()
        return []

    def _begun(self, index: int, block: dict[str, Any]) -> list[InferenceEvent]:
        """Return what the start of a block says, which of a whole answer is all of it."""
        kind = block.get("type")
        known: dict[str, Any] = {"type": kind}
        self._open[index] = known
        match kind:
            case "text":
                return _text(block.get("text"))
            case "thinking":
                known["signature"] = _string(block.get("signature"))
                return _thought(block.get("thinking"))
            case "redacted_thinking":
                seal = Seal(ANTHROPIC_LANGUAGE, _string(block.get("data")))
                return [ReasoningSeal(seal, is_redacted=True)]
            case "tool_use":
                known |= {"call": self._calls, "input": block.get("input"), "is_told": False}
                self._calls += 1
                name = _string(block.get("name"))
                given = _string(block.get("id")) or f"toolu_{known['call']}"
                return [ToolCallStart(known["call"], given, name)]
        return []

    def _said(self, index: int, delta: dict[str, Any]) -> list[InferenceEvent]:
        known = self._open.get(index, {})
        match delta.get("type"):
            case "text_delta":
                return _text(delta.get("text"))
            case "thinking_delta":
                return _thought(delta.get("thinking"))
            case "signature_delta" if "signature" in known:
                known["signature"] += _string(delta.get("signature"))
            case "input_json_delta" if "call" in known:
                piece = _string(delta.get("partial_json"))
                if piece:
                    known["is_told"] = True
                    return [ToolCallDelta(known["call"], piece)]
        return []

    def _ended(self, index: int) -> list[InferenceEvent]:
        """Return what is known at the end of a block: its seal, or a call that was told at once."""
        known = self._open.pop(index, {})
        if known.get("signature"):
            return [ReasoningSeal(Seal(ANTHROPIC_LANGUAGE, known["signature"]))]
        if "call" in known and not known["is_told"]:
            given = known["input"]
            arguments = retold(given if isinstance(given, dict) else {}).decode()
            return [ToolCallDelta(known["call"], arguments)]
        return []

    def _finish(self, delta: dict[str, Any]) -> None:
        reason = delta.get("stop_reason")
        if isinstance(reason, str) and reason:
            self._reason = _REASONS.get(reason, "stop")
            sequence = delta.get("stop_sequence")
            self._stop_sequence = sequence if isinstance(sequence, str) else None

    def _end(self) -> Finish:
        assert self._reason is not None
        return Finish(self._reason, self._told.report, self._stop_sequence)


def _require_good(value: dict[str, Any]) -> None:
    error = value.get("error")
    if error or value.get("type") == "error":
        raise reported(error)


def _string(value: object) -> str:
    return value if isinstance(value, str) else ""


def _text(text: object) -> list[InferenceEvent]:
    return [TextDelta(text)] if isinstance(text, str) and text else []


def _thought(text: object) -> list[InferenceEvent]:
    return [ReasoningDelta(text)] if isinstance(text, str) and text else []
