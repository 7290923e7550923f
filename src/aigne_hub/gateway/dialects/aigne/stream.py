"""Metering AIGNE's streams as `aigne_writer` writes them: whole frames, in a form of its own."""

import re

import orjson

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.usage import NO_REPORT, Report, Usage
from aigne_hub.gateway.dialects.aigne.writer import END
from aigne_hub.providers.frames import payload_of, unescaped_length

# A chunk of text, and the comment that says how much was produced besides.
_PRODUCED = re.compile(
    rb'^(?:: (\d+)$|data: \{"delta":\{"(?:text":\{"(?:text|thoughts)|role":"assistant","content)'
    rb'":"([^"\\]*(?:\\.[^"\\]*)*)")',
    re.MULTILINE,
)


def text_bytes(frames: bytes) -> int:
    """Return the UTF-8 length of what a model produced for these frames."""
    total = 0
    for count, text in _PRODUCED.findall(frames):
        if count:
            total += int(count)
        else:
            total += len(text) if b"\\" not in text else unescaped_length(text)
    return total


class AigneStreamMeter:
    """dialects.StreamMeter: passes everything but the mark of the end."""

    plain = False

    def __init__(self) -> None:
        self.delivered_bytes = 0
        self.begun = False
        self.complete = False
        self.failure: HubError | None = None
        self.report: Report = NO_REPORT
        self.usage: Usage | None = None

    def feed(self, data: bytes) -> bytes:
        self.delivered_bytes += text_bytes(data)
        self.begun = True
        if data.endswith(END):
            self.complete = True
            data = data[: -len(END)]
        return data

    def end(self) -> None:
        pass

    def last(self, _charge: str, _counted: Usage) -> bytes:
        return b""


class BareMeter(AigneStreamMeter):
    """Passes the bare text of a flat stream, without frames."""

    def feed(self, data: bytes) -> bytes:
        frames = super().feed(data).split(b"\n\n")
        return b"".join(_text(frame) for frame in frames if frame.startswith(b"data:"))


def _text(frame: bytes) -> bytes:
    value = orjson.loads(payload_of(frame) or b"")
    text: str = value["delta"]["content"]
    return text.encode()
