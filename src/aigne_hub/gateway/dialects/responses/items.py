"""The items of a response's output, and the events that build each of them up."""

from abc import ABC, abstractmethod
from typing import Any

import orjson

from aigne_hub.domain.inference import Media, Seal, Tool, ToolCallStart
from aigne_hub.gateway.dialects.call_seals import as_reasoning
from aigne_hub.providers.profiles import RESPONSES_LANGUAGE

Event = dict[str, Any]
# Between a namespace and the name of a tool in it, where tools have one name only.
NAMESPACE_END = "__"
# A search for tools, which the caller runs: a kind of tool, and of items, without a name.
SEARCH = "tool_search"


class Item(ABC):
    """One item. Its events lack what the writer knows: the item's id and place."""

    def __init__(self, item_id: str) -> None:
        self.id = item_id
        self.index = 0
        self.is_done = False
        self._pieces: list[str] = []

    @property
    def text(self) -> str:
        return "".join(self._pieces)

    @abstractmethod
    def shown(self, status: str) -> dict[str, Any]:
        """Return the item: of one that is in progress, without what it is built up from."""

    def begun(self) -> list[Event]:
        return []

    def added(self, text: str) -> list[Event]:
        """Take a piece of text; return the events that tell of it."""
        self._pieces.append(text)
        return [{"type": self._delta, "delta": text, **self._place}]

    def ended(self) -> list[Event]:
        return []

    _delta = ""
    _place: dict[str, Any] = {}  # noqa: RUF012 - never changed


class TextItem(Item):
    """A message with one part of text."""

    _delta = "response.output_text.delta"
    _place = {"content_index": 0, "logprobs": []}  # noqa: RUF012 - never changed

    def shown(self, status: str) -> dict[str, Any]:
        content = [self._part(self.text)] if status == "completed" else []
        return {
            "id": self.id,
            "type": "message",
            "status": status,
            "role": "assistant",
            "content": content,
        }

    def begun(self) -> list[Event]:
        return [{"type": "response.content_part.added", "content_index": 0, "part": self._part("")}]

    def ended(self) -> list[Event]:
        done = {"type": "response.output_text.done", "text": self.text, **self._place}
        part = self._part(self.text)
        return [done, {"type": "response.content_part.done", "content_index": 0, "part": part}]

    def _part(self, text: str) -> dict[str, Any]:
        return {"type": "output_text", "text": text, "annotations": [], "logprobs": []}


class ReasoningItem(Item):
    """Thoughts as a summary of one part, which is begun with the first of them."""

    _delta = "response.reasoning_summary_text.delta"
    _place = {"summary_index": 0}  # noqa: RUF012 - never changed
    _sealed: str | None = None

    def sealed(self, seal: Seal) -> None:
        self._sealed = seal.text_in(RESPONSES_LANGUAGE)

    def sealed_call(self, seal: Seal) -> None:
        self._sealed = as_reasoning(seal).text_in(RESPONSES_LANGUAGE)

    def shown(self, status: str) -> dict[str, Any]:
        said = self._pieces if status == "completed" else []
        value: dict[str, Any] = {
            "id": self.id,
            "type": "reasoning",
            "summary": [{"type": "summary_text", "text": self.text}] if said else [],
        }
        if self._sealed is not None:
            value["encrypted_content"] = self._sealed
        return value

    def added(self, text: str) -> list[Event]:
        part = {"type": "summary_text", "text": ""}
        begun = {"type": "response.reasoning_summary_part.added", **self._place, "part": part}
        first = [] if self._pieces else [begun]
        return first + super().added(text)

    def ended(self) -> list[Event]:
        if not self._pieces:
            return []
        part = {"type": "summary_text", "text": self.text}
        return [
            {"type": "response.reasoning_summary_text.done", **self._place, "text": self.text},
            {"type": "response.reasoning_summary_part.done", **self._place, "part": part},
        ]


class CallItem(Item):
    """A call of a function, or of a tool that takes plain text."""

    def __init__(self, call: ToolCallStart, item_id: str, tool: Tool | None) -> None:
        super().__init__(item_id)
        self._call_id = call.id
        self._name = call.name
        self._namespace = None if tool is None else tool.namespace
        if self._namespace is not None:
            self._name = call.name.removeprefix(f"{self._namespace}{NAMESPACE_END}")
        self._is_custom = is_custom = tool is not None and tool.is_custom
        self._member = "input" if is_custom else "arguments"
        kind = "custom_tool_call_input" if is_custom else "function_call_arguments"
        self._event = f"response.{kind}"
        self._delta = f"{self._event}.delta"

    def shown(self, status: str) -> dict[str, Any]:
        said = {
            "id": self.id,
            "type": "custom_tool_call" if self._is_custom else "function_call",
            "status": status,
            "call_id": self._call_id,
            "name": self._name,
            self._member: self.text if status == "completed" else "",
        }
        return said if self._namespace is None else said | {"namespace": self._namespace}

    def ended(self) -> list[Event]:
        done = {"type": f"{self._event}.done", self._member: self.text}
        return [done if self._is_custom else done | {"name": self._name}]


class SearchItem(Item):
    """A call of the caller's own search for tools, told of when it is whole."""

    def __init__(self, call: ToolCallStart, item_id: str) -> None:
        super().__init__(item_id)
        self._call_id = call.id

    def added(self, text: str) -> list[Event]:
        self._pieces.append(text)
        return []

    def shown(self, status: str) -> dict[str, Any]:
        return {
            "id": self.id,
            "type": f"{SEARCH}_call",
            "status": status,
            "call_id": self._call_id,
            "execution": "client",
            "arguments": self._arguments() if status == "completed" else {},
        }

    def _arguments(self) -> object:
        """Return what is searched for; what is no JSON the caller is left to refuse."""
        try:
            return orjson.loads(self.text or "{}")
        except orjson.JSONDecodeError:
            return self.text


class MediaItem(Item):
    """A picture that the model made."""

    def __init__(self, item_id: str, media: Media) -> None:
        super().__init__(item_id)
        self._media = media

    def shown(self, status: str) -> dict[str, Any]:
        result = self._media.data or self._media.url
        return {
            "id": self.id,
            "type": "image_generation_call",
            "status": status,
            "result": result if status == "completed" else None,
        }
