"""AWS's binary event streams, `application/vnd.amazon.eventstream`, taken apart as they come.

A message is its length and that of its headers, a checksum of both, the headers, a payload and
a checksum of it all, numbers big-endian:
https://docs.aws.amazon.com/lexv2/latest/dg/event-stream-encoding.html and, for the kinds of
values, https://smithy.io/2.0/aws/amazon-eventstream.html; stored copies, November 2026.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

MESSAGE_MAX = 24 * 1024 * 1024
HEADERS_MAX = 128 * 1024
_PRELUDE = struct.Struct(">III")
_CHECKSUM = struct.Struct(">I")
_OVERHEAD = _PRELUDE.size + _CHECKSUM.size
_STRING, _BYTES = 7, 6
# How long values of a kind are: true, false, byte, short, integer, long, instant, UUID.
_SIZES = {0: 0, 1: 0, 2: 1, 3: 2, 4: 4, 5: 8, 8: 8, 9: 16}


class Malformed(ValueError):
    """What came is no event stream, or was damaged on its way."""


class Message(NamedTuple):
    """`headers` are those whose values are text."""

    headers: dict[str, str]
    payload: bytes


class Decoder:
    """Decodes one stream. After Malformed it is of no use any more."""

    def __init__(self) -> None:
        self._held = bytearray()

    @property
    def is_partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._held)

    def feed(self, data: bytes) -> Iterator[Message]:
        """Yield the messages that are complete now; raises Malformed behind the good ones."""
        self._held += data
        while (size := self._size()) is not None and len(self._held) >= size:
            yield _message(bytes(self._held[:size]))
            del self._held[:size]

    def _size(self) -> int | None:
        """Return the size of the message that is coming, None while that is unknown."""
        if len(self._held) < _PRELUDE.size:
            return None
        size, headers, checksum = _PRELUDE.unpack_from(self._held)
        if zlib.crc32(self._held[:8]) != checksum:
            raise Malformed("the checksum of a prelude is wrong")
        if not _OVERHEAD + headers <= size <= MESSAGE_MAX or headers > HEADERS_MAX:
            raise Malformed("a message has an impossible size")
        return int(size)


def _message(data: bytes) -> Message:
    (checksum,) = _CHECKSUM.unpack_from(data, len(data) - _CHECKSUM.size)
    if zlib.crc32(data[: -_CHECKSUM.size]) != checksum:
        raise Malformed("the checksum of a message is wrong")
    _, length, _ = _PRELUDE.unpack_from(data)
    begin = _PRELUDE.size + length
    return Message(_headers(data[_PRELUDE.size : begin]), data[begin : len(data) - _CHECKSUM.size])


def _headers(data: bytes) -> dict[str, str]:
    found: dict[str, str] = {}
    at = 0
    try:
        while at < len(data):
            name_end = at + 1 + data[at]
            name, kind = data[at + 1 : name_end], data[name_end]
            at = name_end + 1
            if kind in {_STRING, _BYTES}:
                (size,) = struct.unpack_from(">H", data, at)
                at += 2
            else:
                size = _SIZES[kind]
            value = data[at : at + size]
            at += size
            if at > len(data):
                raise Malformed("a header is longer than the headers")
            if kind == _STRING:
                found[name.decode()] = value.decode()
    except (IndexError, KeyError, struct.error, UnicodeDecodeError):
        raise Malformed("the headers of a message make no sense") from None
    return found
