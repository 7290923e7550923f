"""Neutral events as AIGNE's answers: chunks of the envelope's stream, the flat form, JSON.

A stream says with a comment how many bytes were produced that no chunk shows yet: pieces of a
tool call, or of JSON that is sent parsed and therefore whole. The last comment says that the
answer is complete; the meter takes it out.
"""

from collections.abc import Iterable
from typing import Any

import orjson

from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    Media,
    MediaMade,
    ReasoningDelta,
    Seal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.gateway.dialects.aigne.neutral import SIGNATURE
from aigne_hub.providers.languages import retold
from aigne_hub.providers.profiles import GEMINI_LANGUAGE

END = b": end\n\n"


class _Calls:
    """The tool calls of an answer in the making."""

    def __init__(self) -> None:
        self._begun: dict[int, tuple[str, str, Seal | None]] = {}
        self._arguments: dict[int, list[str]] = {}

    def add(self, event: ToolCallStart | ToolCallDelta) -> int:
        """Take a piece; returns how many bytes the model produced for it."""
        if isinstance(event, ToolCallStart):
            self._begun[event.index] = (event.id, event.name, event.seal)
            self._arguments[event.index] = []
            return len(event.name.encode())
        self._arguments[event.index].append(event.arguments)
        return len(event.arguments.encode())

    def listed(self, *, parsed: bool) -> list[dict[str, Any]]:
        """Return the calls; their arguments as objects, or as the text they are."""
        calls = []
        for index in sorted(self._begun):
            call_id, name, seal = self._begun[index]
            text = "".join(self._arguments[index])
            arguments = _object(text or "{}") if parsed else text
            call: dict[str, Any] = {
                "id": call_id,
                "type": "function",
                "function": {"name": name, "arguments": text if arguments is None else arguments},
            }
            if seal is not None:
                call["metadata"] = {SIGNATURE: seal.text_in(GEMINI_LANGUAGE)}
            calls.append(call)
        return calls


class EnvelopeWriter:
    """dialects.AnswerWriter for `/api/v2/chat`. What tells of usage is added at settlement."""

    def __init__(self, request: InferenceRequest) -> None:
        self._wants_json = request.output_format is not None
        self._calls = _Calls()
        self._files: list[dict[str, Any]] = []
        self._text: list[str] = []

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        return b"".join(self._frame(event) for event in events)

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        value: dict[str, Any] = {}
        for event in events:
            match event:
                case TextDelta(text) if not self._wants_json:
                    value["text"] = value.get("text", "") + text
                case ReasoningDelta(text):
                    value["thoughts"] = value.get("thoughts", "") + text
                case _:
                    self._frame(event)
        value |= self._ending()
        if self._files:
            value["files"] = self._files
        return retold(value)

    def _frame(self, event: InferenceEvent) -> bytes:
        frame = b""
        match event:
            case TextDelta(text) if self._wants_json:
                self._text.append(text)
                frame = _produced(len(text.encode()))
            case TextDelta(text):
                frame = _chunk({"text": {"text": text}})
            case ReasoningDelta(text):
                frame = _chunk({"text": {"thoughts": text}})
            case ToolCallStart() | ToolCallDelta():
                frame = _produced(self._calls.add(event))
            case MediaMade(media):
                self._files.append(file_of(media))
                frame = _chunk({"json": {"files": self._files}})
            case Finish():
                ending = self._ending()
                frame = (_chunk({"json": ending}) if ending else b"") + END
        return frame

    def _ending(self) -> dict[str, Any]:
        """Return what could not be sent in pieces."""
        ending: dict[str, Any] = {}
        calls = self._calls.listed(parsed=True)
        if calls:
            ending["toolCalls"] = calls
        text = "".join(self._text)
        if text:
            value = _object(text)
            ending |= {"text": text} if value is None else {"json": value}
        return ending


class FlatWriter:
    """dialects.AnswerWriter for the flat form: the text of calls is not parsed."""

    def __init__(self, _request: InferenceRequest) -> None:
        self._calls = _Calls()
        self._said: list[str] = []

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        return b"".join(self._frame(event) for event in events)

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        for event in events:
            self._frame(event)
        text = "".join(self._said)
        value: dict[str, Any] = {"role": "assistant", "text": text, "content": text}
        calls = self._calls.listed(parsed=False)
        if calls:
            value["toolCalls"] = calls
        return retold(value)

    def _frame(self, event: InferenceEvent) -> bytes:
        match event:
            case TextDelta(text):
                self._said.append(text)
                return _flat(text, [])
            case ReasoningDelta(text):
                return _produced(len(text.encode()))
            case ToolCallStart() | ToolCallDelta():
                return _produced(self._calls.add(event))
            case Finish():
                calls = self._calls.listed(parsed=False)
                return (_flat("", calls) if calls else b"") + END
        return b""


def file_of(media: Media) -> dict[str, Any]:
    """Return a file as AIGNE's clients take it: its bytes, or where it is."""
    if media.data is not None:
        return {"type": "file", "data": media.data, "mimeType": media.mime_type or "image/png"}
    mime = {"mimeType": media.mime_type} if media.mime_type else {}
    return {"type": "url", "url": media.url, **mime}


def _object(text: str) -> dict[str, Any] | None:
    """Return the object that a model wrote; None when it wrote none."""
    try:
        value = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return value if isinstance(value, dict) else None


def _produced(size: int) -> bytes:
    return b": %d\n\n" % size if size else b""


def _chunk(delta: dict[str, Any]) -> bytes:
    return b"data: %b\n\n" % retold({"delta": delta})


def _flat(text: str, calls: list[dict[str, Any]]) -> bytes:
    return _chunk({"role": "assistant", "content": text, "toolCalls": calls})
