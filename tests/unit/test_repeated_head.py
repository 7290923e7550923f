"""A head is known again only by its own bytes, and only if nothing else could be read in them."""

import httptools
import pytest

from aigne_hub.auth.verifier import fields_of
from aigne_hub.gateway.repeated_head import RepeatedHead, repeated_head
from aigne_hub.gateway.targets import RequestHead, Target

TARGET = Target(None, "/v1/chat/completions", b"", b"/v1/chat/completions")
LINE = b"POST /v1/chat/completions HTTP/1.1\r\n"
HOST = b"Host: h\r\n"
KEY = b"Authorization: Bearer k\r\n"


class Parsed:
    def __init__(self, data: bytes) -> None:
        self.headers: list[tuple[bytes, bytes]] = []
        httptools.HttpRequestParser(self).feed_data(data)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))


def learnt(data: bytes, headers: list[tuple[bytes, bytes]] | None = None) -> RepeatedHead | None:
    read = Parsed(data).headers if headers is None else headers
    return repeated_head(data, RequestHead("POST", TARGET, read, fields_of(read)))


def message(length: bytes, body: bytes = b"") -> bytes:
    return LINE + HOST + b"Content-Length: " + length + b"\r\n" + KEY + b"\r\n" + body


def test_it_is_known_again_with_another_length():
    known = learnt(message(b"2", b"{}"))
    assert known is not None
    first = known.read
    data = message(b"13", b"x" * 13)
    assert known.body_of(data) == (len(data) - 13, 13)
    assert known.read.headers == Parsed(data).headers
    assert known.read.fields == fields_of(Parsed(data).headers)
    assert first.fields[b"content-length"] == b"2"


def test_the_body_may_still_be_to_come():
    known = learnt(message(b"2", b"{}"))
    assert known is not None
    data = message(b"700")
    assert known.body_of(data) == (len(data), 700)


@pytest.mark.parametrize(
    "data",
    [
        message(b"2", b"{}x"),
        message(b"", b"{}"),
        message(b"+2", b"{}"),
        message(b" 2", b"{}"),
        message(b"2 ", b"{}"),
        message(b"0x2", b"{}"),
        message(b"2,2", b"{}"),
        message(b"9" * 12, b"{}"),
        message("²".encode(), b"{}"),
        message(b"2", b"{}").replace(b"Bearer k", b"Bearer l"),
        message(b"2", b"{}").replace(b"POST", b"post"),
        message(b"2", b"{}").replace(KEY, KEY + KEY),
        message(b"2", b"{}").replace(KEY, b""),
        message(b"2", b"{}").replace(KEY, b"\r\n"),
        message(b"2", b"{}").replace(b"\r\n\r\n", b"\n\n"),
        message(b"2", b"{}")[:40],
        message(b"2")[:-2],
        message(b"2")[:-4],
        LINE + HOST + b"Content-Length: ",
        LINE + HOST + b"Content-Length: 2",
        b"",
    ],
)
def test_anything_else_is_left_to_the_parser(data: bytes):
    known = learnt(message(b"2", b"{}"))
    assert known is not None
    before = known.read
    assert known.body_of(data) is None
    assert known.read is before


@pytest.mark.parametrize(
    ("data", "headers"),
    [
        # No length, a length of another form, one that is too long to be one.
        (LINE + HOST + KEY + b"\r\n", None),
        (LINE + HOST + b"Content-Length:\t2\r\n\r\n{}", None),
        (LINE + HOST + b"Content-Length:  2\r\n\r\n{}", None),
        (message(b"0" * 11 + b"2", b"{}"), None),
        # A name twice.
        (message(b"2", b"{}").replace(KEY, KEY + KEY), None),
        # What does not arrive whole.
        (message(b"2")[:-2], [(b"host", b"h"), (b"content-length", b"2")]),
        # Ends that a careless eye sees elsewhere: bare line feeds, and a line too many.
        (
            LINE + b"Content-Length: 20\r\n\n\nHost: h\r\nX: y\r\n\r\n",
            [(b"content-length", b"20")],
        ),
        (b"\r\n" + message(b"2", b"{}"), None),
        (
            (LINE + b"Content-Length: 20\n\nHost: h\r\n\r\n"),
            [(b"content-length", b"20")],
        ),
    ],
)
def test_an_unusual_head_is_not_learnt(data: bytes, headers: list[tuple[bytes, bytes]] | None):
    assert learnt(data, headers) is None
