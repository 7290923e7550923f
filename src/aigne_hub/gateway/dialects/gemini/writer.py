"""Neutral events as Gemini's answers, whole or in chunks.

https://ai.google.dev/api/generate-content#GenerateContentResponse, November 2026.
"""

import base64
from collections.abc import Iterable
from typing import Any

import orjson

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
from aigne_hub.domain.usage import Usage
from aigne_hub.providers.languages import retold
from aigne_hub.providers.profiles import GEMINI_LANGUAGE

_REASONS: dict[FinishReason, str] = {"length": "MAX_TOKENS", "content_filter": "SAFETY"}
_MALFORMED = "MALFORMED_FUNCTION_CALL"

_Part = dict[str, Any]


class GenerateWriter:
    """dialects.AnswerWriter for `generateContent` and `streamGenerateContent`.

    Calls are written whole, when the answer ends: pieces of several may come mixed. Thoughts
    are left out where the caller did not ask to see them, not what they are sealed with.
    """

    def __init__(self, model: str, answer_id: str, *, shows_thoughts: bool) -> None:
        self._model = model
        self._id = answer_id
        self._shows_thoughts = shows_thoughts
        self._calls: dict[int, tuple[ToolCallStart, list[str]]] = {}

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        frames: list[bytes] = []
        for event in events:
            if isinstance(event, Finish):
                reason, calls = self._ended(event)
                if calls:
                    frames.append(_data(self._answer(calls)))
                frames.append(_data(self._answer([{"text": ""}], reason, event)))
                continue
            part = self._part(event)
            if part is not None:
                frames.append(_data(self._answer([part])))
        return b"".join(frames)

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        parts: list[_Part] = []
        value = self._answer(parts)
        for event in events:
            if isinstance(event, Finish):
                reason, calls = self._ended(event)
                parts += calls
                value = self._answer(parts, reason, event)
                continue
            part = self._part(event)
            if part is not None and not _joined(parts, part):
                parts.append(part)
        return retold(value)

    def _part(self, event: InferenceEvent) -> _Part | None:
        match event:
            case TextDelta(text):
                return {"text": text}
            case ReasoningDelta(text):
                return {"text": text, "thought": True} if self._shows_thoughts else None
            case ReasoningSeal(seal, is_redacted):
                part = {"text": "", "thoughtSignature": signature_of(seal)}
                return part if is_redacted else {**part, "thought": True}
            case ToolCallStart(index):
                self._calls[index] = event, []
            case ToolCallDelta(index, arguments):
                self._calls[index][1].append(arguments)
            case MediaMade(media):
                return _media(media)
        return None

    def _ended(self, event: Finish) -> tuple[str, list[_Part]]:
        """Return why an answer ended, and its calls, which are only good as a whole."""
        calls = [
            _call(start, "".join(pieces)) for _, (start, pieces) in sorted(self._calls.items())
        ]
        good = [call for call in calls if call is not None]
        if len(good) < len(calls):
            return _MALFORMED, []
        return _REASONS.get(event.reason, "STOP"), good

    def _answer(
        self, parts: list[_Part], reason: str | None = None, end: Finish | None = None
    ) -> dict[str, Any]:
        candidate: dict[str, Any] = {"content": {"parts": parts, "role": "model"}}
        if reason is not None:
            candidate["finishReason"] = reason
        value: dict[str, Any] = {"candidates": [{**candidate, "index": 0}]}
        if end is not None and end.report.usage is not None:
            value["usageMetadata"] = usage_metadata(end.report.usage)
        return {**value, "modelVersion": self._model, "responseId": self._id}


def usage_metadata(usage: Usage) -> dict[str, Any]:
    """Return usage in Gemini's words: its prompt has what caches gave, thoughts stand apart."""
    prompt = usage.context_tokens
    said: dict[str, Any] = {
        "promptTokenCount": prompt,
        "candidatesTokenCount": usage.output_tokens - usage.reasoning_tokens,
        "totalTokenCount": prompt + usage.output_tokens,
    }
    if usage.cache_read_tokens:
        said["cachedContentTokenCount"] = usage.cache_read_tokens
    if usage.reasoning_tokens:
        said["thoughtsTokenCount"] = usage.reasoning_tokens
    details = {
        "promptTokensDetails": (usage.audio_input_tokens, usage.image_input_tokens),
        "candidatesTokensDetails": (usage.audio_output_tokens, usage.image_output_tokens),
    }
    for name, counts in details.items():
        told = [
            {"modality": modality, "tokenCount": count}
            for modality, count in zip(("AUDIO", "IMAGE"), counts, strict=True)
            if count
        ]
        if told:
            said[name] = told
    return said


def signature_of(seal: Seal) -> str:
    """Return a seal as `thoughtSignature`, which is base64: clients decode it."""
    if seal.origin == GEMINI_LANGUAGE:
        return seal.value
    return base64.b64encode(seal.text_in(GEMINI_LANGUAGE).encode()).decode()


def _call(start: ToolCallStart, arguments: str) -> _Part | None:
    """Return a call as it is written here, None for one that is no object."""
    try:
        args = orjson.loads(arguments) if arguments.strip() else {}
    except orjson.JSONDecodeError:
        return None
    if not isinstance(args, dict):
        return None
    part: _Part = {"functionCall": {"id": start.id, "name": start.name, "args": args}}
    if start.seal is not None:
        part["thoughtSignature"] = signature_of(start.seal)
    return part


def _media(media: Media) -> _Part:
    mime = media.mime_type or "image/png"
    if media.data is not None:
        return {"inlineData": {"mimeType": mime, "data": media.data}}
    return {"fileData": {"mimeType": mime, "fileUri": media.url}}


def _joined(parts: list[_Part], part: _Part) -> bool:
    """Go on with the text of the last part, or put its signature to it, where that may be."""
    last = parts[-1] if parts else {}
    if "text" not in part or "text" not in last or "thoughtSignature" in last:
        return False
    if last.get("thought") != part.get("thought"):
        return False
    last["text"] += part["text"]
    if "thoughtSignature" in part:
        last["thoughtSignature"] = part["thoughtSignature"]
    return True


def _data(value: dict[str, Any]) -> bytes:
    return b"data: %b\r\n\r\n" % retold(value)
