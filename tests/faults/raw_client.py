"""A client that sends any bytes at all and reads every response that comes back."""

import socket
from dataclasses import dataclass, field
from typing import Self

WAIT_S = 60.0
# So long after the last byte nothing more comes: long for a loopback, short for a test.
QUIET_S = 0.15
READ_BYTES = 256 * 1024


class NotHttp(AssertionError):
    """The server sent something that is not a sequence of whole HTTP/1.1 responses."""


@dataclass(slots=True)
class Response:
    """One response; header names are lower-case, `body` is without its framing."""

    status: int
    headers: dict[str, str]
    body: bytes = b""
    whole: bool = True


@dataclass(slots=True)
class Conversation:
    """All that came back. `end` is "open", "closed" (in order) or "reset"."""

    end: str
    raw: bytes
    responses: list[Response] = field(default_factory=list)

    @property
    def statuses(self) -> list[int]:
        return [response.status for response in self.responses]


class RawClient:
    """One connection to the hub."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(WAIT_S)
        try:
            self.socket.connect(("127.0.0.1", port))
        except OSError:
            self.socket.close()
            raise
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()

    def send(self, data: bytes) -> bool:
        """Send everything; returns False when the server closed before it was taken."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return False
        return True

    def until(self, mark: bytes) -> bytes:
        """Read up to and including `mark`; raises AssertionError when the stream ends before."""
        got = b""
        while mark not in got:
            data = self.socket.recv(READ_BYTES)
            assert data, f"the stream ended before {mark!r}: {got[-300:]!r}"
            got += data
        return got

    def answer(self) -> Response:
        """Read one whole response, and no longer than that."""
        raw = self.until(b"\r\n\r\n")
        while not (response := parse(raw)[0]).whole:
            data = self.socket.recv(READ_BYTES)
            assert data, f"the stream ended within an answer: {raw[-300:]!r}"
            raw += data
        return response

    def rest(self, *, head: bool = False, within_s: float = WAIT_S) -> Conversation:
        """Read until the server closes, or is quiet after a whole answer that lets it."""
        raw, end = b"", "open"
        self.socket.settimeout(within_s)
        try:
            while data := self.socket.recv(READ_BYTES):
                raw += data
                self.socket.settimeout(QUIET_S if _may_be_all(raw, head=head) else within_s)
            end = "closed"
        except TimeoutError:
            pass
        except ConnectionResetError:
            end = "reset"
        return Conversation(end, raw, parse(raw, head=head))


def converse(port: int, message: bytes, *, head: bool = False) -> Conversation:
    """Send a message on a new connection and return what comes back."""
    with RawClient(port) as client:
        client.send(message)
        return client.rest(head=head)


def parse(raw: bytes, *, head: bool = False) -> list[Response]:
    """Return the responses in `raw`; `head` says that they have no content."""
    responses: list[Response] = []
    while raw:
        top, mark, raw = raw.partition(b"\r\n\r\n")
        lines = top.decode("latin-1").split("\r\n")
        if not mark or not lines[0].startswith("HTTP/1.1 "):
            raise NotHttp(top[:200])
        headers = {}
        for line in lines[1:]:
            name, _, value = line.partition(": ")
            headers[name.lower()] = value
        response = Response(int(lines[0].split(" ")[1]), headers)
        if response.status >= 200 and not head:
            raw = _content(response, raw)
        responses.append(response)
    return responses


def _may_be_all(raw: bytes, *, head: bool) -> bool:
    """Whether the last response is whole and leaves the connection open."""
    try:
        responses = parse(raw, head=head)
    except NotHttp:
        return False
    last = responses[-1]
    return last.status >= 200 and last.whole and last.headers.get("connection") != "close"


def _content(response: Response, raw: bytes) -> bytes:
    """Take the response's content off `raw` and return what is left."""
    if response.headers.get("transfer-encoding") == "chunked":
        while True:
            size, mark, raw = raw.partition(b"\r\n")
            length = int(size, 16) if mark else 0
            if not mark or len(raw) < length + 2:
                response.whole = False
                return b""
            response.body += raw[:length]
            raw = raw[length + 2 :]
            if not length:
                return raw
    length = int(response.headers.get("content-length", len(raw)))
    response.body, raw = raw[:length], raw[length:]
    response.whole = len(response.body) == length
    return raw
