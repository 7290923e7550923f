"""Gemini's answers as neutral events.

Usage stands in each chunk and the last counts; what the provider searched for may stand in an
earlier one. A stream has no terminator: it is whole when its candidate has a `finishReason`, or
the prompt was blocked, and the connection ends in order.
https://ai.google.dev/api/generate-content#FinishReason, November 2026.
"""

from collections.abc import Iterator
from typing import Any

import orjson

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    FinishReason,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaKind,
    MediaMade,
    ReasoningDelta,
    ReasoningSeal,
    Seal,
    TextDelta,
    ToolCall,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import Report
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import Splitter, payload_of, words_of
from aigne_hub.providers.languages import objects_in, parsed, retold
from aigne_hub.providers.profiles import GEMINI_LANGUAGE
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import UsageStream

_BLOCKED = (
    "SAFETY",
    "RECITATION",
    "LANGUAGE",
    "BLOCKLIST",
    "PROHIBITED_CONTENT",
    "SPII",
    "IMAGE_SAFETY",
    "IMAGE_PROHIBITED_CONTENT",
    "IMAGE_RECITATION",
    "MODEL_ARMOR",
)
_REASONS: dict[str, FinishReason] = {
    "MAX_TOKENS": "length",
    **dict.fromkeys(_BLOCKED, "content_filter"),
}
# The model, or the tools of Google's own, made something that is no answer.
_FAILURES = frozenset(
    {
        "MALFORMED_FUNCTION_CALL",
        "MALFORMED_RESPONSE",
        "UNEXPECTED_TOOL_CALL",
        "TOO_MANY_TOOL_CALLS",
        "MISSING_THOUGHT_SIGNATURE",
        "IMAGE_OTHER",
        "NO_IMAGE",
    }
)


def reader(request: InferenceRequest, wire: Wire) -> "GenerateReader":
    made = [p for m in request.messages for p in m.content if isinstance(p, ToolCall)]
    return GenerateReader(wire, len(made))


class GenerateReader:
    """languages.AnswerReader for one candidate.

    `calls_before` is how many calls the conversation has: calls without an id get one that is
    new in it.
    """

    def __init__(self, wire: Wire, calls_before: int = 0) -> None:
        self._told = UsageStream(wire)
        self._searched: list[Any] = []
        self._splitter = Splitter()
        self._calls_before = calls_before
        self._calls = 0
        self._reason: FinishReason | None = None
        self._is_done = False

    @property
    def report(self) -> Report:
        return self._told.report

    @property
    def has_told_all(self) -> bool:
        return self._reason is not None

    def whole(self, body: bytes) -> list[InferenceEvent]:
        events = self._event(parsed(body)) + self.end()
        if not self._is_done:
            raise UpstreamError("The upstream's answer has no end.")
        return events

    def feed(self, data: bytes) -> Iterator[InferenceEvent]:
        for frame in self._splitter.split(data):
            yield from self._frame(frame)
        endless = self._splitter.endless()
        if endless is not None:
            raise endless

    def end(self) -> list[InferenceEvent]:
        rest, self._splitter.partial = self._splitter.partial.strip(), b""
        events = self._frame(rest) if rest else []
        if self._reason is not None and not self._is_done:
            self._is_done = True
            reason = self._reason
            if reason == "stop" and self._calls:
                reason = "tool_calls"
            events.append(Finish(reason, self._told.report))
        return events

    def _frame(self, frame: bytes) -> list[InferenceEvent]:
        """Read a frame; an error in mid-stream is sent as bare JSON, too."""
        payload = payload_of(frame)
        if payload is None:
            payload = frame.strip()
            if payload[:1] not in {b"{", b"["}:
                return []
        return self._event(_only(payload)) if payload else []

    def _event(self, value: dict[str, Any]) -> list[InferenceEvent]:
        if value.get("error"):
            raise reported(value["error"])
        candidates = objects_in(value.get("candidates"))
        grounded = [one for one in candidates if _searches(one)]
        self._searched = grounded or self._searched
        self._told.add({**value, "candidates": self._searched} if self._searched else value)
        events: list[InferenceEvent] = []
        feedback = value.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._reason = "content_filter"
        for candidate in candidates:
            if candidate.get("index"):
                continue
            content = candidate.get("content")
            parts = content.get("parts") if isinstance(content, dict) else None
            for part in objects_in(parts):
                events += self._part(part)
            self._finish(candidate)
        return events

    def _part(self, part: dict[str, Any]) -> list[InferenceEvent]:
        signature = part.get("thoughtSignature")
        is_sealed = isinstance(signature, str) and signature != ""
        seal = Seal(GEMINI_LANGUAGE, str(signature)) if is_sealed else None
        call = part.get("functionCall")
        if isinstance(call, dict):
            return self._call(call, seal)
        events: list[InferenceEvent] = []
        text = part.get("text")
        is_thought = part.get("thought") is True
        if isinstance(text, str) and text:
            events.append(ReasoningDelta(text) if is_thought else TextDelta(text))
        media = None if is_thought else _media(part)
        if media is not None:
            events.append(MediaMade(media))
        if seal is not None:
            events.append(ReasoningSeal(seal, is_redacted=not is_thought))
        return events

    def _call(self, call: dict[str, Any], seal: Seal | None) -> list[InferenceEvent]:
        index, self._calls = self._calls, self._calls + 1
        given = call.get("id")
        known = given if isinstance(given, str) and given else f"call_{self._calls_before + index}"
        arguments = retold(call.get("args") or {}).decode()
        return [
            ToolCallStart(index, known, str(call.get("name") or ""), seal),
            ToolCallDelta(index, arguments),
        ]

    def _finish(self, candidate: dict[str, Any]) -> None:
        reason = candidate.get("finishReason")
        if not isinstance(reason, str) or not reason:
            return
        if reason in _FAILURES:
            said = words_of(candidate.get("finishMessage") or "")
            raise UpstreamError(f"The upstream ended its answer with {reason}. {said}".strip())
        self._reason = _REASONS.get(reason, "stop")


def _only(payload: bytes) -> dict[str, Any]:
    """Return the object of a frame, which may stand in a list of its own as errors do."""
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return parsed(payload)
    if isinstance(value, list) and len(value) == 1 and isinstance(value[0], dict):
        return value[0]
    return parsed(payload)


def _searches(candidate: dict[str, Any]) -> bool:
    found = candidate.get("groundingMetadata")
    return isinstance(found, dict) and bool(found.get("webSearchQueries"))


def _media(part: dict[str, Any]) -> Media | None:
    inline, file = part.get("inlineData"), part.get("fileData")
    if isinstance(inline, dict) and isinstance(inline.get("data"), str):
        mime = str(inline.get("mimeType") or "image/png")
        return Media(kind_of(mime), data=inline["data"], mime_type=mime)
    if isinstance(file, dict) and isinstance(file.get("fileUri"), str):
        mime = str(file.get("mimeType") or "image/png")
        return Media(kind_of(mime), url=file["fileUri"], mime_type=mime)
    return None


def kind_of(mime: str) -> MediaKind:
    """Return what kind of media a MIME type is of."""
    family = mime.partition("/")[0]
    return family if family in {"image", "audio", "video"} else "file"  # type: ignore[return-value] # just looked
