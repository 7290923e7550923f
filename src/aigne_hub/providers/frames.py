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
# How often the form of a stream's events may change before it is no longer looked for.
FORMS_MAX = 8
# A string of random length: OpenAI hides by it how long a text is from who only sees packets.
_PADDING = b'"obfuscation":"'
# What ends a string, or may make of it more than its bytes.
_mark_in = re.compile(rb'["\\\r\n]').search


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
        looked = max(len(self.partial) - END_BYTES_MAX + 1, 0)
        if b"\r" in buffer:
            for match in FRAME_END.finditer(buffer, looked):
                frames.append(buffer[start : match.end()])
                start = match.end()
        else:  # the one end that is left is found much sooner
            while (end := buffer.find(b"\n\n", looked) + 2) > 1:
                frames.append(buffer[start:end])
                start = looked = end
        self.partial = buffer[start:]
        return frames

    def endless(self) -> UpstreamError | None:
        """Return the error for a frame that never ends."""
        if len(self.partial) <= FRAME_BYTES_MAX:
            return None
        return UpstreamError("The upstream sent an event that never ends.")


class Form:
    """What the events of a stream have in common: all but one text, and padding if there is any.

    To compare events with it costs a fifth of looking for all that may stand in them. What is
    around the texts are the bytes of an event that was looked through, and within them nothing
    could be taken for anything else.
    """

    __slots__ = ("_after", "_at", "_before", "_between", "_changes", "_end")

    def __init__(self) -> None:
        # Nothing begins with one of none: no form is known yet.
        self._before: bytes | tuple[bytes, ...] = ()
        self._after = self._between = self._end = b""
        self._at = 0  # where the text of an event begins
        self._changes = 0

    def text_in(self, data: bytes) -> int:
        """Return how many bytes of text are in events, -1 when one has another form."""
        if not data.startswith(self._before):
            return -1
        quote = _mark_in(data, self._at)
        if quote is None:
            return -1
        end = quote.start()
        if data[end:] == self._after and not self._end:
            return end - self._at
        return self._padded(data) if self._end else self._several(data)

    def _several(self, data: bytes) -> int:
        if not data.endswith(self._after) or len(data) < len(self._between):
            return -1
        texts = data[self._at : -len(self._after)].replace(self._between, b"")
        return -1 if _mark_in(texts) else len(texts)

    def _padded(self, data: bytes) -> int:
        text = at = 0
        while at < len(data) and data.startswith(self._before, at):
            quote = _mark_in(data, at + self._at)
            if quote is None or not data.startswith(self._after, quote.start()):
                return -1
            text += quote.start() - at - self._at
            closing = _mark_in(data, quote.start() + len(self._after))
            if closing is None or not data.startswith(self._end, closing.start()):
                return -1
            at = closing.start() + len(self._end)
        return text if at == len(data) else -1

    def learn(self, data: bytes, text: re.Pattern[bytes]) -> None:
        """Take the form of the last event, in which `text` must be found once.

        The text is the pattern's first group. The event ends with two line feeds.
        """
        if self._changes >= FORMS_MAX:
            return
        earlier = data.rfind(b"\n\n", 0, -2)
        event = data if earlier < 0 else data[earlier + 2 :]
        found = text.search(event)
        if found is None or b"\\" in found[1] or text.search(event, found.end()):
            return
        after, padding, rest = event[found.end(1) :].partition(_PADDING)
        closing = rest.find(b'"')
        if padding and closing < 0:
            return
        self._changes += 1
        before = event[: found.start(1)]
        self._before = before
        self._after = after + padding
        self._between = self._after + before
        self._end = rest[closing:] if padding else b""
        self._at = len(before)


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
