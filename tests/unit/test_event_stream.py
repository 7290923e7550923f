"""AWS's binary event streams: any cut gives the same messages, and damage is noticed."""

import struct
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.contract.aws import message

from aigne_hub.providers.event_stream import HEADERS_MAX, MESSAGE_MAX, Decoder, Malformed, Message

HEADERS = {":message-type": "event", ":event-type": "chunk"}
STREAM = message(HEADERS, b'{"a":1}') + message({}, b"") + message({"x": "é"}, b"\x00\xff")
MESSAGES = [
    Message(HEADERS, b'{"a":1}'),
    Message({}, b""),
    Message({"x": "é"}, b"\x00\xff"),
]


def fed(*pieces: bytes) -> list[Message]:
    decoder = Decoder()
    return [one for piece in pieces for one in decoder.feed(piece)]


@pytest.mark.parametrize("at", range(len(STREAM) + 1))
def test_a_stream_cut_anywhere_has_the_same_messages(at: int):
    assert fed(STREAM[:at], STREAM[at:]) == MESSAGES


def test_a_stream_byte_by_byte_has_the_same_messages():
    assert fed(*(STREAM[at : at + 1] for at in range(len(STREAM)))) == MESSAGES


def test_a_stream_that_ends_within_a_message_is_known_to():
    decoder = Decoder()
    assert list(decoder.feed(STREAM[:-1])) == MESSAGES[:2]
    assert decoder.is_partial
    assert list(decoder.feed(STREAM[-1:])) == MESSAGES[2:]
    assert not decoder.is_partial


# The example of a message with headers of each kind: true, byte, short, integer, long, bytes,
# text, instant and UUID.
def test_headers_of_every_kind_are_read_past():
    packed = b"".join(
        struct.pack(">B", 1) + name + kind + value
        for name, kind, value in (
            (b"a", b"\x00", b""),
            (b"b", b"\x01", b""),
            (b"c", b"\x02", b"\x01"),
            (b"d", b"\x03", b"\x00\x01"),
            (b"e", b"\x04", bytes(4)),
            (b"f", b"\x05", bytes(8)),
            (b"g", b"\x06", b"\x00\x02hi"),
            (b"h", b"\x07", b"\x00\x02hi"),
            (b"i", b"\x08", bytes(8)),
            (b"j", b"\x09", bytes(16)),
        )
    )
    assert fed(framed(packed, b"p")) == [Message({"h": "hi"}, b"p")]


def framed(headers: bytes, payload: bytes, *, size: int | None = None) -> bytes:
    prelude = struct.pack(">II", size or 16 + len(headers) + len(payload), len(headers))
    prelude += struct.pack(">I", zlib.crc32(prelude))
    body = prelude + headers + payload
    return body + struct.pack(">I", zlib.crc32(body))


def prelude(size: int, headers: int) -> bytes:
    start = struct.pack(">II", size, headers)
    return start + struct.pack(">I", zlib.crc32(start))


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"HTTP/1.1 200 OK\r\n", "prelude"),
        (b"data: {}\n\ndata", "prelude"),
        (prelude(15, 0), "size"),
        (prelude(0, 0), "size"),
        (prelude(20, 8), "size"),
        (prelude(MESSAGE_MAX + 1, 0), "size"),
        (prelude(MESSAGE_MAX, HEADERS_MAX + 1), "size"),
        (prelude(0xFFFFFFFF, 0xFFFFFFFF), "size"),
        (framed(b"\x01", b""), "make no sense"),
        (framed(b"\x01a\x07\x00\x05hi", b""), "longer"),
        (framed(b"\x01a\x07\x00", b""), "make no sense"),
        (framed(b"\x01a\x0a", b""), "make no sense"),
        (framed(b"\x01a\x07\x00\x01\xff", b""), "make no sense"),
        (framed(b"\x05a", b""), "make no sense"),
    ],
)
def test_what_is_no_event_stream_is_refused(data: bytes, said: str):
    with pytest.raises(Malformed, match=said):
        fed(data)


@given(st.integers(0, len(STREAM) - 1), st.integers(1, 255))
def test_a_changed_byte_never_passes(at: int, change: int):
    damaged = bytearray(STREAM)
    damaged[at] ^= change
    try:
        found = fed(bytes(damaged))
    except Malformed:
        return
    # A longer size only waits for more; nothing that was changed came out.
    assert found == MESSAGES[: len(found)]
    assert len(found) < len(MESSAGES)


@given(st.binary(max_size=200))
def test_any_bytes_are_messages_or_refused(data: bytes):
    decoder = Decoder()
    try:
        list(decoder.feed(data))
    except Malformed:
        return
    assert decoder.is_partial or not data
