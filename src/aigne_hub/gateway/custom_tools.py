"""Calls of tools that take plain text, from providers whose tools all take objects."""

import orjson

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.inference import (
    Finish,
    InferenceEvent,
    InferenceRequest,
    ToolCallDelta,
    ToolCallStart,
)

# More than any tool is told at once.
INPUT_BYTES_MAX = 16 * 1024 * 1024


class PlainInput:
    """Unwraps what such calls were told: it is plain only once its JSON is whole."""

    def __init__(self, request: InferenceRequest) -> None:
        self._custom = {tool.name for tool in request.tools if tool.is_custom}
        self._told: dict[int, list[str]] = {}
        self._bytes = 0

    def read(self, event: InferenceEvent) -> list[InferenceEvent]:
        """Return what an event tells of: nothing yet for a piece of what is to be unwrapped."""
        if isinstance(event, ToolCallStart):
            read = self._ended()
            if event.name in self._custom:
                self._told[event.index] = []
            return [*read, event]
        if isinstance(event, ToolCallDelta) and event.index in self._told:
            self._bytes += len(event.arguments)
            if self._bytes > INPUT_BYTES_MAX:
                raise UpstreamError("The upstream calls a tool with more than it could read.")
            self._told[event.index].append(event.arguments)
            return []
        return [*self._ended(), event] if isinstance(event, Finish) else [event]

    def _ended(self) -> list[InferenceEvent]:
        """Return what the calls were told that were begun: another begins, or the answer ends."""
        told: list[InferenceEvent] = []
        for index, pieces in self._told.items():
            told.append(ToolCallDelta(index, _plain("".join(pieces))))
        self._told.clear()
        return told


def _plain(arguments: str) -> str:
    try:
        value = orjson.loads(arguments)
    except orjson.JSONDecodeError:
        return arguments
    inside = value.get("input") if isinstance(value, dict) else None
    return inside if isinstance(inside, str) else arguments
