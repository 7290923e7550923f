"""The server's end of one connection: what a scenario does with it."""

import asyncio
import contextlib
import json
import re
import socket
import struct
from collections.abc import Iterable, Sequence

from tests.faults.server.right import CHAT, PATHS, Right, right, words_in
from tests.faults.server.tally import KEPT_BODY_BYTES, Asked, Ended, Line, Tally

# Long enough for the loop to hand what was written to the kernel before a reset discards it.
FLUSH_S = 0.02
# Ends a wait that only a broken test makes.
SEEN_WITHIN_S = 60.0
WAKE_S = 0.005
READ_BYTES = 1 << 18
_LENGTH = re.compile(rb"\r\ncontent-length: (\d+)", re.IGNORECASE)
_STREAM = re.compile(rb'"stream"\s*:\s*true')


class Peer:
    """One connection, and the request on it that is being answered.

    `key` is the credential that the request presented, `wire` and `stream` how it asked;
    `canary` the address that nobody may call.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        line: Line,
        stopped: asyncio.Event,
        seen: set[str],
        canary: str = "",
    ) -> None:
        self.canary = canary
        self.line = line
        self.head = b""
        self.key = ""
        self.wire = CHAT
        self.stream = False
        self._reader = reader
        self._writer = writer
        self._stopped = stopped
        self._seen = seen
        self._tallies: list[Tally] = []
        self._asked: Asked | None = None
        self._left = 0

    # How the server drives it.

    async def receive(self) -> tuple[str, str]:
        """Read the head of the next request and return its method and path."""
        self.head = await self._reader.readuntil(b"\r\n\r\n")
        method, path, _ = self.head.split(b" ", 2)
        target = path.decode("latin-1")
        self.key = _key_of(self.head)
        ends = [wire for wire, end in PATHS.items() if target.endswith(end)]
        self.wire = ends[0] if ends else CHAT
        length = _LENGTH.search(self.head)
        self._left = int(length[1]) if length else 0
        self.stream = False
        self.line.requests += 1
        return method.decode("latin-1"), target

    def counted(self, asked: Asked, tallies: list[Tally]) -> None:
        """Count what is sent from now on in these, and keep the request's beginning."""
        self._asked, self._tallies = asked, tallies
        for tally in tallies:
            tally.lines.add(self.line)
            tally.asked.append(asked)
            tally.bytes_received += len(self.head)

    # What scenarios do.

    async def body(self, most: int | None = None) -> None:
        """Read the rest of the request's body, or `most` bytes of it."""
        left = self._left if most is None else min(self._left, most)
        self._left -= left
        while left:
            data = await self._reader.read(min(left, READ_BYTES))
            if not data:
                raise ConnectionResetError("the client left before its request was whole")
            left -= len(data)
            self._take(data)

    def _take(self, data: bytes) -> None:
        asked = self._asked
        assert asked is not None
        if len(asked.body) < KEPT_BODY_BYTES:
            asked.body += data[:KEPT_BODY_BYTES]
            self.stream = _STREAM.search(asked.body) is not None
        for tally in self._tallies:
            tally.bytes_received += len(data)

    async def first_bytes(self) -> bytes:
        """Read what a client says before any request, in whatever language."""
        return await self._reader.read(READ_BYTES)

    @property
    def right(self) -> Right:
        return right(self.wire)

    async def send(self, data: bytes, *, tokens: int = 0) -> None:
        """Write and wait until the client keeps up. Raises ConnectionError when it left."""
        if self._writer.is_closing():
            raise ConnectionResetError("the client has left")
        for tally in self._tallies:  # before anybody can have read it
            tally.bytes_sent += len(data)
            tally.tokens += tokens
        self._writer.write(data)
        await self._writer.drain()

    async def frames(self, frames: Iterable[bytes]) -> None:
        """Send frames as chunks, each by itself."""
        for frame in frames:
            await self.send(chunk(frame), tokens=words_in((frame,)))
            await asyncio.sleep(0)

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a client that left: raises ConnectionError then."""
        try:
            await asyncio.wait_for(self._gone(), seconds)
        except TimeoutError:
            return
        raise ConnectionResetError("the client has left")

    async def silence(self) -> None:
        """Say nothing more until the client leaves or the server stops."""
        waiting = [asyncio.ensure_future(self._stopped.wait())]
        waiting.append(asyncio.ensure_future(self._gone()))
        try:
            await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for one in waiting:
                one.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)
        if not self._stopped.is_set():
            raise ConnectionResetError("the client has left")

    async def seen(self) -> None:
        """Wait until the test says that this key's caller has what was sent."""
        deadline = asyncio.get_running_loop().time() + SEEN_WITHIN_S
        while self.key not in self._seen and asyncio.get_running_loop().time() < deadline:
            await self.pause(WAKE_S)

    async def finish(self) -> None:
        """Close in order, after what was written."""
        self.line.end(Ended.BY_SERVER)
        self._writer.close()

    async def reset(self) -> None:
        """Break the connection with a TCP reset, after what was written."""
        await asyncio.sleep(FLUSH_S)
        self.line.end(Ended.BY_SERVER)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._writer.transport.abort()

    async def _gone(self) -> None:
        """Return when the client has left."""
        with contextlib.suppress(ConnectionError):
            while await self._reader.read(READ_BYTES):
                pass


def _key_of(head: bytes) -> str:
    for line in head.split(b"\r\n"):
        name, _, value = line.partition(b": ")
        if name.lower() == b"authorization":
            return value.removeprefix(b"Bearer ").decode("latin-1")
        if name.lower() in (b"x-api-key", b"api-key", b"x-goog-api-key"):
            return value.decode("latin-1")
    return ""


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%b\r\n" % (len(data), data)


JSON = b"content-type: application/json"
EVENTS = b"content-type: text/event-stream; charset=utf-8"
CHUNKED = b"transfer-encoding: chunked"
LAST = b"0\r\n\r\n"


def top(status: int, *headers: bytes) -> bytes:
    """Return an answer's head."""
    return b"\r\n".join((b"HTTP/1.1 %d Status" % status, *headers)) + b"\r\n\r\n"


def whole(body: bytes, *headers: bytes, status: int = 200, kind: bytes = JSON) -> bytes:
    """Return an answer of a known length."""
    kinds = (kind,) if kind else ()
    return top(status, *kinds, *headers, b"content-length: %d" % len(body)) + body


def error(wire: str, message: str, *, code: str | None = None, kind: str = "server_error") -> bytes:
    """Return a vendor's error object as JSON."""
    if wire == "messages":
        told = {"type": "error", "error": {"type": code or "api_error", "message": message}}
        return json.dumps(told).encode()
    told = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return json.dumps(told).encode()


def error_event(wire: str, message: str) -> bytes:
    """Return the frame with which a vendor ends a stream by an error."""
    if wire == "chat":
        return b"data: %b\n\n" % error(wire, message)
    if wire == "messages":
        return b"event: error\ndata: %b\n\n" % error(wire, message)
    told = {"type": "error", "code": "server_error", "message": message, "sequence_number": 99}
    return b"event: error\ndata: %b\n\n" % json.dumps({**told, "param": None}).encode()


def joined(frames: Sequence[bytes]) -> bytes:
    return b"".join(frames)
