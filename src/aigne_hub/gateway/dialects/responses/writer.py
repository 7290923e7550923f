"""Neutral events as an OpenAI response: the whole sequence of events, or the object at its end.

https://platform.openai.com/docs/api-reference/responses-streaming, checked against the published
OpenAPI description of August 2026. Thoughts are written as a summary; what seals them, in
`encrypted_content`, whether or not it was asked for: the next turn needs it.
"""

from collections.abc import Iterable
from typing import Any

from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    MediaMade,
    ReasoningDelta,
    ReasoningSeal,
    TextDelta,
    ToolCallDelta,
    ToolCallStart,
)
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.responses.items import (
    CallItem,
    Item,
    MediaItem,
    ReasoningItem,
    SearchItem,
    TextItem,
)
from aigne_hub.providers.languages import retold

_INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}


class ResponsesWriter:
    """dialects.AnswerWriter for Responses."""

    def __init__(self, request: InferenceRequest, answer_id: str, created: int) -> None:
        self._answer_id = answer_id
        self._tools = {tool.name: tool for tool in request.tools}
        self._response = _beginning(request, answer_id, created)
        self._number = 0
        self._items: list[Item] = []
        self._open: Item | None = None
        # Fragments of several calls may be mixed: each goes to its own item.
        self._calls: dict[int, CallItem | SearchItem] = {}

    def feed(self, events: Iterable[InferenceEvent]) -> bytes:
        frames = [] if self._number else self._begun()
        for event in events:
            frames += self._event(event)
        return b"".join(frames)

    def whole(self, events: Iterable[InferenceEvent]) -> bytes:
        for event in events:
            self._event(event)
        return retold(self._response)

    def _begun(self) -> list[bytes]:
        return [
            self._frame(f"response.{kind}", response=self._response)
            for kind in ("created", "in_progress")
        ]

    def _event(self, event: InferenceEvent) -> list[bytes]:
        match event:
            case TextDelta(text):
                return self._in(TextItem, text)
            case ReasoningDelta(text):
                return self._in(ReasoningItem, text)
            case MediaMade(media):
                return self._opened(MediaItem(self._id("ig"), media)) + self._closed()
            case Finish():
                return [*self._all_closed(), self._ended(event)]
            case ReasoningSeal() | ToolCallStart() | ToolCallDelta():
                return self._sealed_or_called(event)

    def _sealed_or_called(
        self, event: ReasoningSeal | ToolCallStart | ToolCallDelta
    ) -> list[bytes]:
        if isinstance(event, ToolCallDelta):
            call = self._calls[event.index]
            return self._frames(call, call.added(event.arguments))
        if isinstance(event, ToolCallStart):
            return self._called(event)
        frames = []
        if event.is_redacted or not isinstance(self._open, ReasoningItem):
            frames = self._opened(ReasoningItem(self._id("rs")))
        assert isinstance(self._open, ReasoningItem)
        self._open.sealed(event.seal)
        return frames + self._closed()

    def _called(self, event: ToolCallStart) -> list[bytes]:
        frames = []
        if event.seal is not None:
            item = ReasoningItem(self._id("rs"))
            item.sealed_call(event.seal)
            frames = self._opened(item) + self._closed()
        tool = self._tools.get(event.name)
        call: CallItem | SearchItem
        if tool is not None and tool.is_search:
            call = SearchItem(event, self._id("tsc"))
        else:
            call = CallItem(event, self._id("fc"), tool)
        self._calls[event.index] = call
        return frames + self._opened(call)

    def _in(self, kind: type[TextItem | ReasoningItem], text: str) -> list[bytes]:
        """Add text to the item that is open, or to a new one of its kind."""
        frames = []
        if not isinstance(self._open, kind):
            name = "msg" if kind is TextItem else "rs"
            frames = self._opened(kind(self._id(name)))
        assert self._open is not None
        return frames + self._frames(self._open, self._open.added(text))

    def _id(self, kind: str) -> str:
        return f"{kind}_{self._answer_id}_{len(self._items)}"

    def _opened(self, item: Item) -> list[bytes]:
        """Begin an item; the one before it ends, unless it is a call that may go on."""
        frames = [] if isinstance(self._open, (CallItem, SearchItem)) else self._closed()
        item.index = len(self._items)
        self._items.append(item)
        self._open = item
        added = self._frame(
            "response.output_item.added", output_index=item.index, item=item.shown("in_progress")
        )
        return [*frames, added, *self._frames(item, item.begun())]

    def _closed(self) -> list[bytes]:
        item, self._open = self._open, None
        return [] if item is None else self._done(item)

    def _all_closed(self) -> list[bytes]:
        frames = []
        for item in self._items:
            if not item.is_done:
                frames += self._done(item)
        return frames

    def _done(self, item: Item) -> list[bytes]:
        item.is_done = True
        frames = self._frames(item, item.ended())
        shown = item.shown("completed")
        done = self._frame("response.output_item.done", output_index=item.index, item=shown)
        return [*frames, done]

    def _ended(self, event: Finish) -> bytes:
        why = _INCOMPLETE.get(event.reason)
        status = "incomplete" if why else "completed"
        usage = event.report.usage
        self._response |= {
            "status": status,
            "incomplete_details": {"reason": why} if why else None,
            "output": [item.shown("completed") for item in self._items],
            "usage": usage_object(usage) if usage is not None else None,
        }
        return self._frame(f"response.{status}", response=self._response)

    def _frames(self, item: Item, events: list[dict[str, Any]]) -> list[bytes]:
        place = {"item_id": item.id, "output_index": item.index}
        return [self._frame(event.pop("type"), **place, **event) for event in events]

    def _frame(self, kind: str, **members: Any) -> bytes:
        value = {"type": kind, "sequence_number": self._number, **members}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), retold(value))


def usage_object(usage: Usage) -> dict[str, Any]:
    """Return usage in OpenAI's words, whose input includes what caches gave and took."""
    read = usage.context_tokens
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": usage.cache_read_tokens,
            "cache_write_tokens": usage.cache_write_tokens,
        },
        "output_tokens": usage.output_tokens,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens},
        "total_tokens": read + usage.output_tokens,
    }


def _beginning(request: InferenceRequest, answer_id: str, created: int) -> dict[str, Any]:
    """Return the response object as it is before anything was said."""
    choice = request.tool_choice
    return {
        "id": f"resp_{answer_id}",
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "max_output_tokens": request.max_output_tokens,
        "model": request.model,
        "output": [],
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "previous_response_id": None,
        "reasoning": {
            "effort": request.thinking.effort if request.thinking else None,
            "summary": None,
        },
        "store": False,
        "temperature": request.temperature,
        "text": {"format": {"type": "text"}},
        "tool_choice": choice.mode if choice is not None else "auto",
        "tools": [
            {
                "type": "function",
                "name": tool.name,
                "description": tool.description,
                "parameters": tool.parameters,
                "strict": tool.strict,
            }
            for tool in request.tools
            if not (tool.is_custom or tool.is_search) and tool.namespace is None
        ],
        "top_p": request.top_p,
        "truncation": "disabled",
        "usage": None,
        "metadata": {},
    }
