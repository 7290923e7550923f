"""Anthropic's content blocks as neutral parts."""

from collections.abc import Iterator
from typing import Any

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.inference import (
    CacheMark,
    Media,
    MediaKind,
    Part,
    Reasoning,
    Seal,
    Text,
    ToolCall,
    ToolResult,
    seal_of,
)
from aigne_hub.gateway.dialects.members import a_text, an_object, maybe_flag, maybe_text, objects
from aigne_hub.providers.languages import written
from aigne_hub.providers.profiles import ANTHROPIC_LANGUAGE

# A block of hidden thoughts with the seal of the call behind it, for which this wire has no place.
CALL_SEAL = "call."
_MEDIA: dict[str, MediaKind] = {"image": "image", "document": "file"}
# What tools of Anthropic's own said in earlier turns, for nobody else to read.
_SERVER_TOOLS = ("server_tool_use", "mcp_tool_use")
_SERVER_RESULTS = "_tool_result"


def cache_of(block: dict[str, Any]) -> CacheMark | None:
    mark = block.get("cache_control")
    if not isinstance(mark, dict):
        return None
    return "1h" if mark.get("ttl") == "1h" else "5m"


class Content:
    """Reads blocks; names in `lost` what of them is left out."""

    def __init__(self, lost: list[str]) -> None:
        self._lost = lost

    def parts(self, content: object, path: str) -> Iterator[Part]:
        if content is None:
            return
        if isinstance(content, str):
            yield Text(content)
            return
        seal: Seal | None = None
        for index, block in enumerate(objects(content, path)):
            place = f"{path}[{index}]"
            kind = maybe_text(block.get("type"), f"{place}.type")
            if kind == "tool_use":
                yield _call(block, place, seal)
                seal = None
            elif kind == "redacted_thinking":
                data = a_text(block.get("data"), f"{place}.data")
                if data.startswith(CALL_SEAL):
                    seal = seal_of(data.removeprefix(CALL_SEAL), ANTHROPIC_LANGUAGE)
                else:
                    yield Reasoning(seal=seal_of(data, ANTHROPIC_LANGUAGE), is_redacted=True)
            elif kind == "tool_result":
                yield self._result(block, place)
            else:
                yield from self._block(block, place)

    def _block(self, block: dict[str, Any], path: str) -> Iterator[Part]:
        kind = block.get("type")
        if kind == "text":
            if block.get("citations"):
                self._lost.append("citations")
            yield Text(a_text(block.get("text"), f"{path}.text"), cache_of(block))
        elif kind == "thinking":
            signature = maybe_text(block.get("signature"), f"{path}.signature")
            yield Reasoning(
                a_text(block.get("thinking"), f"{path}.thinking"),
                seal_of(signature, ANTHROPIC_LANGUAGE) if signature else None,
            )
        elif kind in _MEDIA:
            yield from self._media(block, path)
        elif kind == "search_result":
            yield self._found(block, path)
        elif kind == "tool_reference":
            # What the caller's own search for tools found: it is among the tools by now.
            name = a_text(block.get("tool_name"), f"{path}.tool_name")
            yield Text(f"This tool can be called now: {name}.")
        elif kind in _SERVER_TOOLS:
            self._lost.append(str(kind))
        elif isinstance(kind, str) and kind.endswith(_SERVER_RESULTS):
            self._lost.append(kind)
        else:
            raise InvalidRequest(
                f"`{path}.type`: content of type {kind!r} cannot be translated.",
                param=f"{path}.type",
            )

    def _result(self, block: dict[str, Any], path: str) -> ToolResult:
        inside = self.parts(block.get("content"), f"{path}.content")
        return ToolResult(
            a_text(block.get("tool_use_id"), f"{path}.tool_use_id"),
            tuple(part for part in inside if isinstance(part, Text | Media)),
            is_error=bool(maybe_flag(block.get("is_error"), f"{path}.is_error")),
            cache=cache_of(block),
        )

    def _found(self, block: dict[str, Any], path: str) -> Text:
        """Return what was found as text under its title and source."""
        words = [a_text(block.get(name), f"{path}.{name}") for name in ("title", "source")]
        for index, one in enumerate(objects(block.get("content"), f"{path}.content")):
            words.append(a_text(one.get("text"), f"{path}.content[{index}].text"))
        return Text("\n".join(words), cache_of(block))

    def _media(self, block: dict[str, Any], path: str) -> Iterator[Text | Media]:
        """Return a picture or document; one that is text already, as text."""
        source = an_object(block.get("source"), f"{path}.source")
        kind, place = source.get("type"), f"{path}.source"
        citations = block.get("citations")
        if citations and an_object(citations, f"{path}.citations").get("enabled"):
            self._lost.append("citations")
        if block.get("transformations"):
            self._lost.append("transformations")
        title = maybe_text(block.get("title"), f"{path}.title")
        context = maybe_text(block.get("context"), f"{path}.context")
        media, cache = _MEDIA[str(block.get("type"))], cache_of(block)
        if context:
            yield Text(context)
        if kind == "base64":
            data = a_text(source.get("data"), f"{place}.data")
            mime = maybe_text(source.get("media_type"), f"{place}.media_type")
            yield Media(media, data=data, mime_type=mime, name=title, cache=cache)
        elif kind == "url":
            url = a_text(source.get("url"), f"{place}.url")
            yield Media(media, url, name=title, cache=cache)
        elif kind == "text":
            text = a_text(source.get("data"), f"{place}.data")
            yield Text(f"{title}\n{text}" if title else text, cache)
        elif kind == "content":
            for part in self.parts(source.get("content"), f"{place}.content"):
                if isinstance(part, Text | Media):
                    yield part
        else:
            raise InvalidRequest(
                f"`{place}`: files kept at one provider cannot be read by another; "
                "send the file itself.",
                param=place,
            )


def _call(block: dict[str, Any], path: str, seal: Seal | None) -> ToolCall:
    given = an_object(block.get("input"), f"{path}.input")
    return ToolCall(
        a_text(block.get("id"), f"{path}.id"),
        a_text(block.get("name"), f"{path}.name"),
        written(given).decode(),
        seal=seal,
        cache=cache_of(block),
    )
