"""Reading the events of OpenAI's Responses as they pass.

Events of mere content are not parsed: those that have a `response` or an `error` in them are.
Only deltas are counted: each text stands again in the events that end it. `response.completed`
or `response.incomplete` ends an answer and waits for its settlement.

https://platform.openai.com/docs/api-reference/responses-streaming, looked up in November 2026.
"""

import re

import msgspec

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.reading import UNREADABLE, decoded, is_present
from aigne_hub.gateway.dialects.responses.response import (
    decode_response,
    failure_of,
    made_by,
    usage_of,
    written_bytes,
)
from aigne_hub.gateway.dialects.splice_usage import with_credits
from aigne_hub.providers.frames import Splitter, payload_of, unescaped_length
from aigne_hub.providers.usage import Wire

_TEXT = re.compile(rb'"delta"[ ]?:[ ]?"([^"\\]*(?:\\.[^"\\]*)*)"')
_NUMBER = re.compile(rb'"sequence_number"[ ]?:[ ]?([0-9]{1,15})')
_DONE = b"[DONE]"
_PRELUDE = frozenset({"response.created", "response.queued", "response.in_progress"})
_ENDS = frozenset({"response.completed", "response.incomplete"})
_FAILURES = frozenset({"error", "response.failed", "response.cancelled"})


class _Event(msgspec.Struct):
    type: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()
    response: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Event).decode


def text_bytes(data: bytes) -> int:
    """Return the UTF-8 length of what the deltas in events say, escapes resolved."""
    total = 0
    for value in _TEXT.findall(data):
        total += len(value) if b"\\" not in value else unescaped_length(value)
    return total


class OpenAIResponsesMeter:
    """dialects.StreamMeter for Responses. What the answer leaves behind is set in `ask`."""

    plain = False

    def __init__(self, wire: Wire, ask: Ask) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.begun = False
        self.report: Report = NO_REPORT
        self.failure: HubError | None = None
        self._wire = wire
        self._ask = ask
        self._splitter = Splitter()
        # Whether nothing of what came before changes how the next bytes are read.
        self._flowing = True
        self._latest = b""
        self._last = b""

    @property
    def usage(self) -> Usage | None:
        return self.report.usage

    @property
    def next_number(self) -> int:
        """Return the sequence number of an event put behind what was read last."""
        numbers = _NUMBER.findall(self._latest)
        return int(numbers[-1]) + 1 if numbers else 0

    def feed(self, data: bytes) -> bytes:
        # Whole frames of mere content: nothing to hold, read or drop.
        if self._flowing and data.endswith(b"\n\n") and not _is_marked(data):
            self._note(data)
            return data
        passed = b"".join(frame for frame in self._splitter.split(data) if self._passes(frame))
        self.failure = self.failure or self._splitter.endless()
        self._flowing = not self._splitter.partial and not self.complete
        return passed

    def end(self) -> None:
        """Note that the upstream closed the stream: only an event of its own completes it."""

    def last(self, charge: str, counted: Usage) -> bytes:
        return with_credits(self._last, charge, counted)

    def _note(self, data: bytes) -> None:
        self._latest = data
        for value in _TEXT.findall(data):
            self.delivered_bytes += len(value) if b"\\" not in value else unescaped_length(value)
        if not self.begun:
            self.begun = b'"response.' in data

    def _passes(self, frame: bytes) -> bool:
        """Read one frame; return whether it may leave now."""
        if self.complete or self.failure is not None:
            return False
        payload = payload_of(frame) if _is_marked(frame) else None
        if payload == _DONE:
            return False
        event = None if payload is None else _event(payload)
        if payload is None or event is None:
            self._note(frame)
            return True
        kind = str(decoded(event.type))
        if kind in _FAILURES or is_present(event.error):
            self.failure = _failure(event, payload)
            return False
        if kind in _ENDS:
            self._end(frame, payload, event)
            return False
        if kind in _PRELUDE:
            self._latest = frame
        else:
            self._note(frame)
        return True

    def _end(self, frame: bytes, payload: bytes, event: _Event) -> None:
        """Take in the event that ends an answer."""
        self.begun = self.complete = True
        self._last = frame
        try:
            response = decode_response(event.response)
        except UNREADABLE:
            return
        self.report = usage_of(self._wire, response, payload)
        self._ask.made = made_by(response, stores=self._ask.stores)
        if self.report.usage is None:
            # Some servers send items whole, without their deltas.
            self.delivered_bytes = max(self.delivered_bytes, written_bytes(payload))


def _is_marked(data: bytes) -> bool:
    """Tell whether there may be more than content in it.

    Within a string of JSON a quote has a backslash before it, so that text cannot look like
    the quoted marks.
    """
    return b'"response"' in data or b'"error"' in data or _DONE in data


def _event(payload: bytes) -> _Event | None:
    """Return an event, None for one that is no JSON, which is content.

    Mere content is not parsed, so the same bytes fare alike however the network cut them.
    """
    try:
        return _decode(payload)
    except UNREADABLE:
        return None


def _failure(event: _Event, payload: bytes) -> HubError:
    """Return the error that an event reports: its own, its response's, or the event itself."""
    if is_present(event.error):
        return failure_of(decoded(event.error))
    if not is_present(event.response):
        return failure_of(decoded(msgspec.Raw(payload)))
    try:
        error = decode_response(event.response).error
    except UNREADABLE:
        return UpstreamError("The upstream reported an error that cannot be read.")
    return failure_of(decoded(error) or "it ended the response without saying why")
