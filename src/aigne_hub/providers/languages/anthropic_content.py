"""Neutral messages as Anthropic's turns, which alternate and begin with the results of tools."""

import base64
import re
import zlib
from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    CacheMark,
    InferenceRequest,
    Media,
    Part,
    Reasoning,
    Text,
    ToolCall,
    ToolResult,
)
from aigne_hub.providers.languages import arguments_of
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE

# More marks for its prompt cache Anthropic refuses.
MARKS_MAX = 4
_NOT_IN_IDS = re.compile(r"[^a-zA-Z0-9_-]")
_PDF = "application/pdf"


def mark_of(cache: CacheMark) -> dict[str, str]:
    return {"type": "ephemeral", "ttl": "1h"} if cache == "1h" else {"type": "ephemeral"}


class Turns:
    """The messages of a request as `system` and `messages`; names in `lost` what is left out.

    Raises InvalidRequest for what this wire has no place for.
    """

    def __init__(self, request: InferenceRequest, lost: list[str]) -> None:
        self.system: list[dict[str, Any]] = []
        self.messages: list[dict[str, Any]] = []
        self.marks = 0
        self._lost = lost
        self._marked: list[dict[str, Any]] = []
        for message in request.messages:
            if message.role == "system":
                self._add_system(message.content)
            else:
                self._add(message.role, message.content)
        if not self.messages:
            # Instructions alone are what is asked.
            self.messages = [{"role": "user", "content": self.system}]
            self.system = []
            lost.append("system_position")
        room = MARKS_MAX - sum(1 for tool in request.tools if tool.cache is not None)
        for block in self._marked[: max(len(self._marked) - room, 0)]:
            del block["cache_control"]
            lost.append("cache")

    def _add_system(self, content: tuple[Part, ...]) -> None:
        if self.messages:
            self._lost.append("system_position")
        for part in content:
            if not isinstance(part, Text):
                raise InvalidRequest(
                    "The provider of this model takes nothing but text as instructions.",
                    param="messages",
                )
            self.system += self._text(part)

    def _add(self, role: str, content: tuple[Part, ...]) -> None:
        blocks = [block for part in content for block in self._blocks(part, role)]
        if not blocks:
            return
        last = self.messages[-1] if self.messages else None
        if last is None or last["role"] != role:
            self.messages.append({"role": role, "content": blocks})
            return
        blocks = last["content"] + blocks
        if role == "user":
            blocks.sort(key=lambda block: block["type"] != "tool_result")
        last["content"] = blocks

    def _blocks(self, part: Part, role: str) -> list[dict[str, Any]]:
        match part:
            case Text():
                return self._text(part)
            case Media():
                if role == "assistant":
                    self._lost.append("media")
                    return []
                return [self._media(part)]
            case Reasoning():
                return self._reasoning(part)
            case ToolCall():
                return [self._call(part)]
            case ToolResult():
                return [self._result(part)]

    def _text(self, part: Text) -> list[dict[str, Any]]:
        """Return the block of a text; blank ones are refused and say nothing."""
        if not part.text.strip():
            return []
        return [self._with_mark({"type": "text", "text": part.text}, part.cache)]

    def _reasoning(self, part: Reasoning) -> list[dict[str, Any]]:
        seal = part.seal
        if seal is None or seal.origin != ANTHROPIC_LANGUAGE:
            self._lost.append("reasoning")
            return []
        if part.is_redacted:
            return [{"type": "redacted_thinking", "data": seal.value}]
        return [{"type": "thinking", "thinking": part.text, "signature": seal.value}]

    def _call(self, call: ToolCall) -> dict[str, Any]:
        if call.seal is not None:
            self._lost.append("reasoning")
        block = {
            "type": "tool_use",
            "id": _id(call.id),
            "name": call.name,
            "input": arguments_of(call),
        }
        return self._with_mark(block, call.cache)

    def _result(self, result: ToolResult) -> dict[str, Any]:
        content: list[dict[str, Any]] = []
        for part in result.content:
            content += self._text(part) if isinstance(part, Text) else [self._media(part)]
        block: dict[str, Any] = {"type": "tool_result", "tool_use_id": _id(result.call_id)}
        if content:
            block["content"] = content
        if result.is_error:
            block["is_error"] = True
        return self._with_mark(block, result.cache)

    def _media(self, media: Media) -> dict[str, Any]:
        if media.detail not in {None, "auto"}:
            self._lost.append("detail")
        if media.kind == "image":
            mime = media.mime_type or "image/png"
            block: dict[str, Any] = {"type": "image", "source": _source(media, mime)}
        elif media.kind == "file":
            block = {"type": "document", "source": _document(media)}
            if media.name:
                block["title"] = media.name
        else:
            raise InvalidRequest(
                f"The provider of this model takes no {media.kind}.", param="messages"
            )
        return self._with_mark(block, media.cache)

    def _with_mark(self, block: dict[str, Any], cache: CacheMark | None) -> dict[str, Any]:
        if cache is not None:
            block["cache_control"] = mark_of(cache)
            self._marked.append(block)
            self.marks += 1
        return block


def _source(media: Media, mime: str) -> dict[str, Any]:
    if media.url is not None:
        return {"type": "url", "url": media.url}
    return {"type": "base64", "media_type": mime, "data": media.data}


def _document(media: Media) -> dict[str, Any]:
    """Return a document: a PDF as it is, text as text."""
    mime = media.mime_type or _PDF
    if media.url is not None or mime == _PDF:
        return _source(media, _PDF)
    if mime.startswith("text/") or mime == "application/json":
        try:
            text = base64.b64decode(media.data or "", validate=True).decode()
        except ValueError:
            raise InvalidRequest("A document is not text in base64.", param="messages") from None
        return {"type": "text", "media_type": "text/plain", "data": text}
    raise InvalidRequest(
        f"The provider of this model reads PDF and text, not {mime}.", param="messages"
    )


def _id(given: str) -> str:
    """Return a call's id in the letters that are allowed, still its own."""
    plain = _NOT_IN_IDS.sub("_", given)
    return plain if plain == given and given else f"{plain}_{zlib.crc32(given.encode()):08x}"
