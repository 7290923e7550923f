"""Server-sent events as they pass: where one ends, what it says, how much text is in it."""

import re

import orjson

from aigne_hub.domain.errors import UpstreamError

# One event larger than this is not an event.
FRAME_BYTES_MAX = 16 * 1024 * 1024
# A frame's end is at most this long, so it may have begun so far before what just arrived.
END_BYTES_MAX = 4
FRAME_END = re.compile(rb"\r?\n\r?\n|\r\r")
WORDS_MAX = 500


class Splitter:
    """Takes a stream apart into frames, however the network cut it. `partial` is one begun."""

    __slots__ = ("partial",)

    def __init__(self) -> None:
        self.partial = b""

    def split(self, data: bytes) -> list[bytes]:
        """Return the frames that are whole now, each with its end.

        What was looked through before is not looked through again.
        """
        buffer = self.partial + data
        frames: list[bytes] = []
        start = 0
        for match in FRAME_END.finditer(buffer, max(len(self.partial) - END_BYTES_MAX + 1, 0)):
            frames.append(buffer[start : match.end()])
            start = match.end()
        self.partial = buffer[start:]
        return frames

    def endless(self) -> UpstreamError | None:
        """Return the error for a frame that never ends."""
        if len(self.partial) <= FRAME_BYTES_MAX:
            return None
        return UpstreamError("The upstream sent an event that never ends.")


def payload_of(frame: bytes) -> bytes | None:
    """Return the data of a frame, None for comments and frames without any."""
    lines = [line[5:].strip() for line in frame.splitlines() if line.startswith(b"data:")]
    return b"\n".join(lines) if lines else None


def unescaped_length(value: bytes) -> int:
    """Return the UTF-8 length of a JSON string's inside, escapes resolved."""
    try:
        text: str = orjson.loads(b'"%b"' % value)
    except orjson.JSONDecodeError:
        return len(value)
    return len(text.encode())


def words_of(error: object) -> str:
    """Return what an upstream's error says of itself, bounded."""
    text = error.get("message") if isinstance(error, dict) else error
    return str(text)[:WORDS_MAX]
