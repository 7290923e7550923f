"""Reading Gemini's event stream as it passes.

Frames of mere content are not parsed: the length of their text values is summed, and the last
of them is kept, because usage so far stands in each. A stream has no terminator of its own: it
is complete when every candidate has a `finishReason`, or the prompt was blocked, and the
connection ends in order. The frame that ends it waits for its settlement.

https://ai.google.dev/api/generate-content: from the SDK and stored copies, not the live page.
"""

import re
from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, UpstreamError
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.reading import json_length
from aigne_hub.providers.complaints import reported
from aigne_hub.providers.frames import (
    FRAME_BYTES_MAX,
    Splitter,
    payload_of,
    unescaped_length,
)
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.stream import later

_TEXT = re.compile(rb'"(?:text|code)"[ ]?:[ ]?"([^"\\]*(?:\\.[^"\\]*)*)"')
_ENDS = (b"\n\n", b"\r\n\r\n")
_USAGE = b'"usageMetadata"'

Event = dict[str, Any]


def frames_text(data: bytes) -> int:
    """Return the UTF-8 length of what is produced in events: text, code, arguments of calls."""
    splitter = Splitter()
    return sum(map(_frame_text, [*splitter.split(data), splitter.partial]))


def parts_text(answer: object) -> int:
    """Return the same of a decoded answer or event."""
    total = 0
    for candidate in _list(answer, "candidates"):
        content = candidate.get("content") if isinstance(candidate, dict) else None
        for part in _list(content, "parts"):
            total += _part_text(part)
    return total


class GeminiStreamMeter:
    """dialects.StreamMeter for `streamGenerateContent`; `n` candidates were asked for."""

    plain = False

    def __init__(self, wire: Wire, n: int = 1) -> None:
        self.delivered_bytes = 0
        self.complete = False
        self.failure: HubError | None = None
        self._wire = wire
        self._n = n
        self._splitter = Splitter()
        # Whether nothing of what came before changes how the next bytes are read.
        self._flowing = n == 1
        self._held: list[bytes] = []
        self._held_bytes = 0
        self._finished: set[object] = set()
        self._seen: set[object] = set()
        self._begun = False
        # The last bytes that tell of usage, and what the provider searched for.
        self._latest = b""
        self._searched: object = None
        self._read: tuple[bytes, object] = b"", None
        self._report = NO_REPORT

    @property
    def begun(self) -> bool:
        return self._begun

    @property
    def report(self) -> Report:
        """Return what was told so far: read only when it is asked for, since each frame tells."""
        latest, searched = self._read
        if latest is not self._latest or searched is not self._searched:
            self._read = self._latest, self._searched
            self._report = later(self._report, self._wire.read(self._told()))
        return self._report

    @property
    def usage(self) -> Usage | None:
        """Return the provider's figures, at least what has been produced while it goes on."""
        usage = self.report.usage
        if usage is None or self._held or self.complete:
            return usage
        produced = count_text(self.delivered_bytes)
        return usage._replace(output_tokens=max(usage.output_tokens, produced))

    def feed(self, data: bytes) -> bytes:
        # Whole frames of mere content: nothing to hold, read or drop.
        if self._flowing and data.endswith(_ENDS) and not _is_marked(data):
            self._note(data)
            return data
        passed: list[bytes] = []
        for frame in self._splitter.split(data):
            passed += self._passed(frame)
        self.failure = self.failure or self._splitter.endless()
        # Of several candidates each event is looked at for whose it is.
        halted = self._splitter.partial or self._held or self.failure or self._n > 1
        self._flowing = not halted
        return b"".join(passed)

    def end(self) -> None:
        """Note that the upstream ended the stream; decides whether it was complete."""
        rest, self._splitter.partial = self._splitter.partial.strip(), b""
        if rest:
            passed = self._passed(rest + b"\n\n")
            self._held = passed + self._held
        if self.failure is None and self._finished:
            self.complete = self._seen <= self._finished

    def last(self, charge: str, counted: Usage) -> bytes:
        events = [_event(frame) for frame in self._held]
        carriers = [at for at, event in enumerate(events) if _has_usage(event)]
        at = carriers[-1] if carriers else len(events) - 1
        frames = list(self._held)
        event = events[at] if events else {}
        if not _has_usage(event):
            event["usageMetadata"] = _shown(counted)
        event["usageMetadata"]["credits"] = charge
        frames[at : at + 1] = [_written(event, frames[at : at + 1])]
        return b"".join(frames)

    def _note(self, data: bytes) -> None:
        for value in _TEXT.findall(data):
            self.delivered_bytes += len(value) if b"\\" not in value else unescaped_length(value)
        if _USAGE in data:
            self._latest = data
        if not self._begun:
            self._begun = b'"parts"' in data

    def _passed(self, frame: bytes) -> list[bytes]:
        """Read one frame; return what may leave now, which may be a frame that was held."""
        if self.failure is not None:
            return []
        is_marked = self._n > 1 or _is_marked(frame)
        event = _event(frame) if is_marked or self._held else {}
        if event.get("error") is not None:
            self.failure = reported(event["error"])
            return []
        self._take(frame, event, is_marked=is_marked)
        if self._ends(event):
            self._begun = True
        elif not self._held:
            return [frame]
        # What was held did not end the answer when more content comes after it.
        released: list[bytes] = []
        if "candidates" in event:
            released, self._held, self._held_bytes = self._held, [], 0
        self._held.append(frame)
        self._held_bytes += len(frame)
        if self._held_bytes > FRAME_BYTES_MAX:
            self.failure = UpstreamError("The upstream went on after the end of its answer.")
        return released

    def _take(self, frame: bytes, event: Event, *, is_marked: bool) -> None:
        if is_marked or self._held:
            # What an end tells counts when it is no less than what was told before it.
            self._report = self.report
        self._note(frame)
        if is_marked and b'"functionCall"' in frame:
            self.delivered_bytes += parts_text(event) - _strings(frame)
            self._begun = True
        for candidate in _list(event, "candidates"):
            found = candidate.get("groundingMetadata") if isinstance(candidate, dict) else None
            if isinstance(found, dict) and found.get("webSearchQueries"):
                self._searched = event["candidates"]

    def _ends(self, event: Event) -> bool:
        """Tell whether an event ends the answer: all of its candidates, or the prompt's block."""
        feedback = event.get("promptFeedback")
        if isinstance(feedback, dict) and feedback.get("blockReason"):
            self._finished.update(range(self._n))
        for candidate in _list(event, "candidates"):
            if isinstance(candidate, dict):
                index = candidate.get("index") or 0
                if isinstance(index, int):
                    self._seen.add(index)
                    if candidate.get("finishReason"):
                        self._finished.add(index)
        return len(self._finished) >= self._n

    def _told(self) -> Event:
        """Return the last event that tells of usage, with all searches beside it."""
        told: Event = {}
        for event in map(_event, Splitter().split(self._latest)):
            told = event if "usageMetadata" in event else told
        if self._searched is not None:
            told = {**told, "candidates": self._searched}
        return told


def _is_marked(data: bytes) -> bool:
    """Tell whether there may be more than content in it, or something else than an event.

    Within a string of JSON a quote has a backslash before it, so that text cannot look like
    the quoted marks.
    """
    return (
        b'"finishReason"' in data
        or b'"functionCall"' in data
        or b'"error"' in data
        or b'"promptFeedback"' in data
        or b'"groundingMetadata"' in data
    )


def _event(frame: bytes) -> Event:
    """Return the object a frame carries, empty for one that is no JSON, which is content.

    Google sends an error in mid-stream as bare JSON, too.
    """
    payload = payload_of(frame)
    try:
        value = orjson.loads(frame if payload is None else payload)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def _written(event: Event, held: list[bytes]) -> bytes:
    """Return an event, or the frame it came in where it is too deep to be written."""
    try:
        return b"data: %b\r\n\r\n" % orjson.dumps(event)
    except orjson.JSONEncodeError:
        return b"".join(held)


def _has_usage(event: Event) -> bool:
    usage = event.get("usageMetadata")
    return isinstance(usage, dict) and bool(usage)


def _frame_text(frame: bytes) -> int:
    return parts_text(_event(frame)) if b'"functionCall"' in frame else _strings(frame)


def _strings(frame: bytes) -> int:
    return sum(
        len(value) if b"\\" not in value else unescaped_length(value)
        for value in _TEXT.findall(frame)
    )


def _part_text(part: object) -> int:
    if not isinstance(part, dict):
        return 0
    code = part.get("executableCode")
    texts = [part.get("text"), code.get("code") if isinstance(code, dict) else None]
    total = sum(len(text.encode()) for text in texts if isinstance(text, str))
    call = part.get("functionCall")
    if isinstance(call, dict):
        total += json_length(call.get("args"))
    return total


def _list(value: object, name: str) -> list[Any]:
    found = value.get(name) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _shown(counted: Usage) -> Event:
    prompt = counted.input_tokens + counted.cache_read_tokens + counted.cache_write_tokens
    return {
        "promptTokenCount": prompt,
        "candidatesTokenCount": counted.output_tokens,
        "totalTokenCount": prompt + counted.output_tokens,
    }
