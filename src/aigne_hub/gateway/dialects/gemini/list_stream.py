"""Gemini's stream as Google sends it unless events are asked for: a list, element by element.

The provider streams events in any case. Between elements stands an empty line, so that what is
cut off for want of credit is cut between them.
"""

from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.gemini.stream import GeminiStreamMeter
from aigne_hub.providers.frames import Splitter, payload_of
from aigne_hub.providers.usage import Wire

LIST_TYPE = "application/json; charset=utf-8"
_END = b"\r\n\r\n"


class GeminiListMeter(GeminiStreamMeter):
    """dialects.StreamMeter for `streamGenerateContent` without `alt=sse`."""

    def __init__(self, wire: Wire, n: int = 1) -> None:
        super().__init__(wire, n)
        self._mark = b"["

    def feed(self, data: bytes) -> bytes:
        return self._listed(super().feed(data))

    def last(self, charge: str, counted: Usage) -> bytes:
        return self._listed(super().last(charge, counted)) + b"]"

    def _listed(self, events: bytes) -> bytes:
        """Return whole events as elements; what is no object is none."""
        elements: list[bytes] = []
        for frame in Splitter().split(events):
            payload = payload_of(frame)
            if payload and payload.startswith(b"{"):
                elements += (self._mark, payload, _END)
                self._mark = b","
        return b"".join(elements)


def element_in(data: bytes) -> bytes:
    """Return the object in one element of a list, with or without what stands around it."""
    return data.strip(b"[], \r\n")


def last_element(value: bytes) -> bytes:
    """Return the element that ends a list which has begun."""
    return b",%b]" % value
