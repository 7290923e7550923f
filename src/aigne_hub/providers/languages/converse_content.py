"""Neutral messages as Converse's turns, which alternate and begin with the results of tools."""

import re
from collections.abc import Mapping
from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    CacheMark,
    InferenceRequest,
    Media,
    MediaKind,
    Message,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from aigne_hub.providers.call_ids import fitting
from aigne_hub.providers.languages import arguments_of
from aigne_hub.providers.languages.converse_models import is_cached
from aigne_hub.providers.profiles import CONVERSE_LANGUAGE

# More marks for a prompt cache than these Bedrock refuses.
MARKS_MAX = 4
ID_MAX = 64
NAME_MAX = 200
_IN_IDS = re.compile(r"[a-zA-Z0-9_.:-]+")
_NOT_IN_NAMES = re.compile(r"[^0-9A-Za-z()\[\]-]+")
_MARK = {"cachePoint": {"type": "default"}}
_WORD = "vnd.openxmlformats-officedocument.wordprocessingml.document"
_SHEET = "vnd.openxmlformats-officedocument.spreadsheetml.sheet"
# What Bedrock calls a kind of file, by the second half of its MIME type.
_FORMATS: Mapping[MediaKind, Mapping[str, str]] = {
    "image": {"png": "png", "jpeg": "jpeg", "jpg": "jpeg", "gif": "gif", "webp": "webp"},
    "audio": {
        "aac": "aac",
        "flac": "flac",
        "m4a": "m4a",
        "mp3": "mp3",
        "mp4": "mp4",
        "mpeg": "mp3",
        "ogg": "ogg",
        "opus": "opus",
        "wav": "wav",
        "wave": "wav",
        "webm": "webm",
    },
    "video": {
        "3gpp": "three_gp",
        "flv": "flv",
        "matroska": "mkv",
        "mp4": "mp4",
        "mpeg": "mpeg",
        "ms-wmv": "wmv",
        "quicktime": "mov",
        "webm": "webm",
    },
    "file": {
        "csv": "csv",
        "html": "html",
        "markdown": "md",
        "msword": "doc",
        "pdf": "pdf",
        "plain": "txt",
        "vnd.ms-excel": "xls",
        _SHEET: "xlsx",
        _WORD: "docx",
    },
}
_USUAL: Mapping[MediaKind, str] = {"image": "png", "audio": "wav", "video": "mp4", "file": "pdf"}


class Turns:
    """The messages of a request as `system` and `messages`; names in `lost` what is left out.

    `called` are the names of the tools that messages have calls of. Raises InvalidRequest for
    what this wire has no place for.
    """

    def __init__(self, request: InferenceRequest, lost: list[str]) -> None:
        self.system: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self._lost = lost
        self._is_cached = is_cached(request.model)
        self._called: dict[str, None] = {}
        self._names: set[str] = set()
        for message in request.messages:
            self._add(message)
        if not self.messages:
            # Instructions alone are what is asked.
            self.messages = [{"role": "user", "content": self.system}]
            self.system = []
            lost.append("system_position")
        self._bound_marks()

    @property
    def called(self) -> tuple[str, ...]:
        return tuple(self._called)

    def _add(self, message: Message) -> None:
        if message.role == "system":
            self._instruct(message)
            return
        blocks = [block for part in message.content for block in self._blocks(part, message.role)]
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != message.role:
            self.messages.append({"role": message.role, "content": blocks})
        elif message.role == "user":
            last["content"] = _results_first(last["content"] + blocks)
        else:
            last["content"] += blocks

    def _instruct(self, message: Message) -> None:
        if self.messages:
            self._lost.append("system_position")
        for part in message.content:
            if not isinstance(part, Text):
                raise InvalidRequest(
                    "The provider of this model takes nothing but text as instructions.",
                    param="messages",
                )
            self.system += self._text(part)

    def _blocks(self, part: Part, role: str) -> list[dict[str, Any]]:
        match part:
            case Text():
                return self._text(part)
            case Media():
                if role == "assistant":
                    self._lost.append("media")
                    return []
                return self._marked(self._media(part), part.cache)
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                return self._marked(self._call(part), part.cache)
            case ToolResult():
                return self._marked(self._result(part), part.cache)

    def _text(self, part: Text) -> list[dict[str, Any]]:
        """Return the block of a text; blank ones are refused and say nothing."""
        return self._marked({"text": part.text}, part.cache) if part.text.strip() else []

    def _reasoning(self, part: Reasoning) -> list[dict[str, Any]]:
        seal = part.seal
        if seal is None or seal.origin != CONVERSE_LANGUAGE:
            self._lost.append("reasoning")
            return []
        if part.is_redacted:
            return [{"reasoningContent": {"redactedContent": seal.value}}]
        text = {"text": part.text, "signature": seal.value}
        return [{"reasoningContent": {"reasoningText": text}}]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        self._called[call.name] = None
        if call.seal is not None:
            self._lost.append("reasoning")
        return {
            "toolUse": {"toolUseId": _id(call.id), "name": call.name, "input": arguments_of(call)}
        }

    def _result(self, result: ToolResult) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for part in result.content:
            if isinstance(part, Media):
                content.append(self._media(part))
            elif part.text.strip():
                content.append({"text": part.text})
            if part.cache is not None:
                self._lost.append("cache")
        said: dict[str, Any] = {"toolUseId": _id(result.call_id), "content": content}
        if result.is_error:
            said["status"] = "error"
        return {"toolResult": said}

    def _media(self, media: Media) -> dict[str, Any]:
        if media.detail not in {None, "auto"}:
            self._lost.append("detail")
        said: dict[str, Any] = {"format": _format(media), "source": _source(media)}
        if media.kind == "file":
            return {"document": {**said, "name": self._name(media)}}
        if media.name is not None:
            self._lost.append("name")
        return {media.kind: said}

    def _name(self, media: Media) -> str:
        """Return a document's name in the letters that are allowed, each name only once."""
        given = (media.name or "").rpartition(".")[0] or media.name or ""
        plain = _NOT_IN_NAMES.sub(" ", given)[: NAME_MAX // 2].strip() or "document"
        name, number = plain, 1
        while name in self._names:
            number += 1
            name = f"{plain} {number}"
        self._names.add(name)
        return name

    def _marked(self, block: dict[str, Any], cache: CacheMark | None) -> list[dict[str, Any]]:
        """Return a block with a mark behind it, where the model's cache knows such.

        It keeps what is marked for five minutes.
        """
        if cache is None:
            return [block]
        if cache != "5m" or not self._is_cached:
            self._lost.append("cache")
        return [block, _MARK] if self._is_cached else [block]

    def _bound_marks(self) -> None:
        """Leave out the first marks, where there are more than are taken."""
        blocks = [self.system, *(message["content"] for message in self.messages)]
        surplus = sum(each.count(_MARK) for each in blocks) - MARKS_MAX
        for each in blocks:
            while surplus > 0 and _MARK in each:
                each.remove(_MARK)
                surplus -= 1
                self._lost.append("cache")


def _results_first(blocks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return blocks with the results of tools before all others, marks behind what they mark."""
    results: list[dict[str, Any]] = []
    others: list[dict[str, Any]] = []
    chosen = others
    for block in blocks:
        if "cachePoint" not in block:
            chosen = results if "toolResult" in block else others
        chosen.append(block)
    return results + others


def _source(media: Media) -> dict[str, Any]:
    if media.data is not None:
        return {"bytes": media.data}
    if media.url is not None and media.url.startswith("s3://"):
        return {"s3Location": {"uri": media.url}}
    raise InvalidRequest(
        "The provider of this model takes files inline or from S3 (s3://), not from an address.",
        param="messages",
    )


def _format(media: Media) -> str:
    """Return what this wire calls a kind of file, by its MIME type or else by its name."""
    known = _FORMATS[media.kind]
    if media.mime_type is not None:
        kind = media.mime_type.partition(";")[0].strip().lower().partition("/")[2]
        found = known.get(kind.removeprefix("x-"))
        if found is None and kind in {"json", "xml", "yaml"}:
            found = "txt"
    else:
        name = (media.name or media.url or "").partition("?")[0]
        ending = name.rpartition(".")[2].lower()
        found = ending if ending in known.values() else known.get(ending, _USUAL[media.kind])
    if found is None:
        raise InvalidRequest(
            f"The provider of this model takes no {media.kind} of the type {media.mime_type}.",
            param="messages",
        )
    return found


def _id(given: str) -> str:
    return fitting(given, _IN_IDS, ID_MAX)
