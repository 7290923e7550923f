"""Server-sent events as they pass: where one ends, what it says, how much text is in it."""

import re

import orjson

# One event larger than this is not an event.
FRAME_BYTES_MAX = 16 * 1024 * 1024
FRAME_END = re.compile(rb"\r?\n\r?\n|\r\r")
WORDS_MAX = 500


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
