"""Reading OpenAI's streams of media as they pass: speech, transcripts, pictures.

Each event names its `type`; one of a few types is the product or the end of it, and has usage.
Such an event waits for the settlement, as `[DONE]` does where a provider sends it.
"""

from collections.abc import Callable
from typing import Any, Protocol

import msgspec

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of
from aigne_hub.gateway.dialects.reading import (
    UNREADABLE,
    decoded,
    is_present,
    read_again,
    rewritten,
)
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import Splitter, payload_of
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import later

_DONE = b"[DONE]"
# What a line of an event stream begins with.
_FIELDS = (b":", b"data:", b"event:", b"id:", b"retry:")


class Event(Reporting):
    """The members of an event that are looked at."""

    type: str = ""
    delta: msgspec.Raw = msgspec.Raw()
    audio: msgspec.Raw = msgspec.Raw()
    text: msgspec.Raw = msgspec.Raw()
    size: Any = None
    quality: Any = None
    error: msgspec.Raw = msgspec.Raw()


class Product(Protocol):
    """What is streamed: `ends` are the types of its last event, `count` how many of them come."""

    ends: frozenset[str]
    count: int

    def measure(self, event: Event, /) -> int:
        """Return how much an event has, as the dialect's `counted` takes it."""
        ...

    def completed(self, report: Report, event: Event, /) -> Report:
        """Return a last event's report with what the request says beside it."""
        ...

    def shown(self, usage: Usage, /) -> dict[str, Any]:
        """Return the usage object of an answer that has none."""
        ...


_decode = msgspec.json.Decoder(Event).decode


class EventMeter:
    """dialects.StreamMeter for events that name their type.

    `whole` reads the answer of a provider that does not stream though it was asked to: a body
    without events. It is `plain` then, and sent as what it is.
    """

    def __init__(self, wire: Wire, product: Product, whole: Callable[[bytes], Report]) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.plain = False
        self.failure: HubError | None = None
        self.report: Report = NO_REPORT
        self._wire = wire
        self._product = product
        self._whole = whole
        self._splitter = Splitter()
        self._begun = False
        self._ended = 0
        self._held: list[bytes] = []

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def usage(self) -> Usage | None:
        return self.report.usage

    def feed(self, data: bytes) -> bytes:
        passed = [frame for frame in self._splitter.split(data) if self._passes(frame)]
        self.failure = self.failure or self._splitter.endless()
        return b"".join(passed)

    def end(self) -> None:
        if self.failure is not None:
            return
        rest = self._splitter.partial
        if not self._begun and not self._held and rest and not rest.startswith(_FIELDS):
            self._take_whole(rest)
        elif self._ended:
            self._held.append(rest)
            self.complete = True

    def last(self, charge: str, counted: Usage) -> bytes:
        if self.plain:
            return b"".join(self._held)
        shown = self._product.shown(self.usage or counted)
        for place in range(len(self._held) - 1, -1, -1):
            payload = payload_of(self._held[place])
            if payload is not None and payload != _DONE:
                self._held[place] = _with_credits(self._held[place], payload, charge, shown)
                break
        return b"".join(self._held)

    def _take_whole(self, body: bytes) -> None:
        try:
            self.report = self._whole(body)
        except HubError as error:
            self.failure = error
            return
        self._held = [body]
        self.plain = self.complete = True

    def _passes(self, frame: bytes) -> bool:
        """Read one frame; return whether it may leave now."""
        if self.complete or self.failure is not None:
            return False
        payload = payload_of(frame)
        if payload == _DONE:
            self._held.append(frame)
            self.complete = self._ended > 0
            if not self.complete:
                self.failure = UpstreamError("The upstream ended the stream without its result.")
            return False
        event = None if payload is None else _event(payload)
        if event is not None and not self._read(event):
            return False
        if self._held or self._ended >= self._product.count:
            self._held.append(frame)
            return False
        if event is not None:
            self.delivered_bytes += self._product.measure(event)
        return True

    def _read(self, event: Event) -> bool:
        """Take note of what an event says; return whether it is no failure."""
        self._begun = True
        if is_present(event.error) or event.type == "error":
            self.failure = reported(decoded(event.error) or "no more is known")
            return False
        if event.type in self._product.ends:
            self._ended += 1
            report = self._product.completed(report_of(self._wire, event), event)
            self.report = later(self.report, report)
        return True


def _event(payload: bytes) -> Event | None:
    """Return a JSON event; what cannot be parsed is content, and passes as it is."""
    try:
        return _decode(payload)
    except UNREADABLE:
        return None


def _with_credits(frame: bytes, payload: bytes, charge: str, shown: dict[str, Any]) -> bytes:
    """Return an event with `credits` in its usage object."""
    value = read_again(payload)
    if not value:
        return frame
    usage = value.get("usage")
    value["usage"] = {**(usage if isinstance(usage, dict) and usage else shown), "credits": charge}
    others = [line for line in frame.splitlines() if line and not line.startswith(b"data:")]
    told = rewritten(value, frame)
    return told if told is frame else b"".join((*(line + b"\n" for line in others), told))
