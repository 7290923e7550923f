"""Reading an Anthropic event stream as it passes.

Frames of mere content are not parsed: a few byte patterns tell them from the others, and the
length of their text values is summed. Usage stands in `message_start` and, cumulative, in
`message_delta`; the `message_delta` with a stop reason and `message_stop` end an answer, and
wait for its settlement.

https://platform.claude.com/docs/en/build-with-claude/streaming, looked up in November 2026.
"""

import re
from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.reading import rewritten
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import (
    FRAME_BYTES_MAX,
    Form,
    Splitter,
    payload_of,
    unescaped_length,
)
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import UsageStream

# What is produced: a signature is not, nor is what a tool of the provider's found.
_TEXT = re.compile(
    rb'"(?:text|partial_json|thinking)"[ ]?:[ ]?"([^"\\]*(?:\\.[^"\\]*)*)"',
)
_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
# An upstream that says so often that it is alive keeps its caller waiting: it has begun.
_PINGS_OF_A_START = 1


def text_bytes(data: bytes) -> int:
    """Return the UTF-8 length of the text values in events, escapes resolved."""
    total = 0
    for value in _TEXT.findall(data):
        total += len(value) if b"\\" not in value else unescaped_length(value)
    return total


class AnthropicStreamMeter:
    """dialects.StreamMeter for Messages."""

    plain = False

    def __init__(self, wire: Wire) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.report: Report = NO_REPORT
        self.failure: HubError | None = None
        self._told = UsageStream(wire)
        self._splitter = Splitter()
        self._form = Form()
        self._held: list[bytes] = []
        self._held_bytes = 0
        # Whether nothing of what came before changes how the next bytes are read.
        self._flowing = True
        self._pings = 0
        self._begun = False
        # Where in what is held the last usage object stands.
        self._carrier: int | None = None
        self._is_told_all = False
        self._stopped = False

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def usage(self) -> Usage | None:
        """Return the provider's figures; what it has produced since is counted beside them.

        A stream's first event tells what was read, and from which cache, but not what will
        be written.
        """
        usage = self.report.usage
        if usage is None or self._is_told_all:
            return usage
        produced = count_text(self.delivered_bytes)
        return usage._replace(output_tokens=max(usage.output_tokens, produced))

    def feed(self, data: bytes) -> bytes:
        # Whole frames of mere content: nothing to hold, read or drop.
        if self._flowing:
            text = self._form.text_in(data)
            if text >= 0:
                self.delivered_bytes += text
                return data
            if data.endswith(b"\n\n") and not _is_marked(data):
                self._note(data)
                if self._begun:
                    self._form.learn(data, _TEXT)
                return data
        passed = self._take_apart(data)
        self._flowing = not (self._splitter.partial or self._held)
        return passed

    def end(self) -> None:
        """Note that the upstream ended the stream; decides whether it was complete."""
        if self._carrier is not None and self.failure is None:
            self.complete = True

    def last(self, charge: str, counted: Usage) -> bytes:
        frames = list(self._held)
        if self._carrier is None:
            delta = {"stop_reason": None, "stop_sequence": None}
            frames.insert(
                0, _with_credits({"type": "message_delta", "delta": delta}, charge, counted, b"")
            )
        else:
            value = orjson.loads(payload_of(frames[self._carrier]) or b"")
            frames[self._carrier] = _with_credits(value, charge, counted, frames[self._carrier])
        if not self._stopped:
            frames.append(_STOP)
        return b"".join(frames)

    def _note(self, data: bytes) -> None:
        for value in _TEXT.findall(data):
            self.delivered_bytes += len(value) if b"\\" not in value else unescaped_length(value)
        if not self._begun:
            self._pings += data.count(b"event: ping")
            self._begun = b"content_block_delta" in data or self._pings > _PINGS_OF_A_START

    def _take_apart(self, data: bytes) -> bytes:
        passed = [frame for frame in self._splitter.split(data) if self._passes(frame)]
        self.failure = self.failure or self._splitter.endless()
        return b"".join(passed)

    def _passes(self, frame: bytes) -> bool:
        """Read one frame; return whether it may leave now."""
        if self._stopped or self.failure is not None:
            return False
        event = _event(frame) if _is_marked(frame) else {}
        if event.get("type") == "error" or event.get("error") is not None:
            self.failure = reported(event.get("error"))
            return False
        if event:
            self._told.add(event)
            self.report = self._told.report
        if self._ends(event):
            self._begun = True
        elif not self._held:
            self._note(frame)
            return True
        self._note(frame)
        self._held.append(frame)
        self._held_bytes += len(frame)
        if self._held_bytes > FRAME_BYTES_MAX:
            self.failure = UpstreamError("The upstream went on after the end of its answer.")
        return False

    def _ends(self, event: dict[str, Any]) -> bool:
        """Take note of an event that ends the answer; of what follows it nothing leaves."""
        kind = event.get("type")
        if kind == "message_stop":
            self._stopped = self.complete = True
        elif kind == "message_delta" and _stops(event):
            self._carrier = len(self._held)
            self._is_told_all = isinstance(event.get("usage"), dict)
        else:
            return False
        return True


def _is_marked(data: bytes) -> bool:
    """Tell whether there may be more than content in it.

    Within a string of JSON a quote has a backslash before it, so that text cannot look like
    the quoted marks.
    """
    return b"message_" in data or b'"error"' in data or b'"usage"' in data


def _event(frame: bytes) -> dict[str, Any]:
    """Return the object a frame carries, empty for one that is no JSON, which is content.

    Mere content is not parsed, so the same bytes fare alike however the network cut them.
    """
    payload = payload_of(frame)
    try:
        value = None if payload is None else orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _stops(event: dict[str, Any]) -> bool:
    delta = event.get("delta")
    return isinstance(delta, dict) and delta.get("stop_reason") is not None


def _with_credits(event: dict[str, Any], charge: str, shown: Usage, frame: bytes) -> bytes:
    """Return an event's frame with `credits` in its usage object, made where it has none."""
    usage = event.get("usage")
    if not isinstance(usage, dict) or not usage:
        usage = event["usage"] = {
            "input_tokens": shown.input_tokens,
            "cache_creation_input_tokens": shown.cache_write_tokens,
            "cache_read_input_tokens": shown.cache_read_tokens,
            "output_tokens": shown.output_tokens,
        }
    usage["credits"] = charge
    told = rewritten(event, frame)
    return told if told is frame else b"event: message_delta\n" + told
