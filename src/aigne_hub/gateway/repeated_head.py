"""The head of a request that a client sends again and again, read once a connection.

SDKs send the same bytes with every call on a connection, but for the length of the body. What
the parser and the checks made of them holds for the same bytes again.
"""

import re
from typing import Final

from aigne_hub.gateway.targets import RequestHead

_LENGTH: Final = b"content-length"
_LENGTH_LINE: Final = re.compile(rb"\r\ncontent-length: ?([0-9]+)\r\n", re.IGNORECASE)
_DIGITS_MAX: Final = 12


class RepeatedHead:
    """A head whose body is as long as it says: the bytes, and what they were read as.

    Only the digits of its Content-Length may differ when it comes again. A connection keeps
    it, and the key in it, until it ends.
    """

    __slots__ = ("_after", "_before", "_digits", "read")

    def __init__(self, raw: bytes, length: re.Match[bytes], read: RequestHead) -> None:
        start, end = length.span(1)
        self._before = raw[:start]
        self._digits = length[1]
        self._after = raw[end:]
        self.read = read

    def body_of(self, data: bytes) -> tuple[int, int] | None:
        """Return where in `data` the body begins and its declared length.

        None for another head, or when something follows the body. `read` is then of `data`.
        """
        if not data.startswith(self._before):
            return None
        start = len(self._before)
        end = data.find(b"\r", start, start + _DIGITS_MAX)
        digits = data[start:end]
        if end < 0 or not digits.isdigit() or not data.startswith(self._after, end):
            return None
        start, declared = end + len(self._after), int(digits)
        if start + declared < len(data):
            return None
        if digits != self._digits:
            self._digits = digits
            headers = [
                field if field[0] != _LENGTH else (_LENGTH, digits) for field in self.read.headers
            ]
            self.read = self.read._replace(headers=headers, fields=dict(headers))
        return start, declared


def repeated_head(data: bytes, read: RequestHead) -> RepeatedHead | None:
    """Return the head that `data` begins with and that was read as `read`, to know it again.

    None for what has a name twice, no Content-Length, or anything but one line a field.
    """
    raw = data[: data.find(b"\r\n\r\n") + 4]
    lines = len(read.headers) + 2
    # So many lines end where the parser says the head does, whatever else looks like an end.
    if raw.count(b"\n") != lines or raw.count(b"\r\n") != lines:
        return None
    length = _LENGTH_LINE.search(raw)
    if length is None or len(length[1]) >= _DIGITS_MAX or len(read.fields) != len(read.headers):
        return None
    return RepeatedHead(raw, length, read)
