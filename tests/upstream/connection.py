"""One HTTP/1.1 connection: requests in order, writes under back-pressure, a watch on the peer."""

import asyncio
import socket
import struct
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import cast

import httptools

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_PIPELINED = 64
# Long enough for the loop to hand what was written to the kernel before a reset discards it.
FLUSH_S = 0.02
REASONS = {200: "OK", 400: "Bad Request", 401: "Unauthorized", 404: "Not Found", 502: "Bad Gateway"}


class ClientGoneError(ConnectionError):
    """The peer left before its answer was written."""


@dataclass(slots=True)
class Request:
    """A whole request; header names are lower-case."""

    method: str = ""
    target: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)
    received_at: float = 0.0

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]


Handler = Callable[[Request, "Connection"], Awaitable[None]]


class Connection(asyncio.Protocol):
    """Calls `handler` for one request at a time and knows at once when the peer leaves."""

    def __init__(self, handler: Handler, number: int) -> None:
        self.number = number
        self.gone = asyncio.Event()
        self.gone_at: float | None = None
        self.bytes_sent = 0
        self._handler = handler
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._request = Request()
        self._waiting: asyncio.Queue[Request] = asyncio.Queue(MAX_PIPELINED)
        self._writable = asyncio.Event()
        self._writable.set()
        self._answering = False

    # What asyncio tells a protocol.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports are asyncio's in all but their class.
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._task = self._loop.create_task(self._serve())

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, asyncio.QueueFull):
            self._transport.abort()

    def eof_received(self) -> None:
        self._leave()

    def connection_lost(self, _: Exception | None) -> None:
        self._leave()
        if not self._answering:  # an answer under way learns it from its next send or pause
            self._task.cancel()

    def pause_writing(self) -> None:
        self._writable.clear()

    def resume_writing(self) -> None:
        self._writable.set()

    # What httptools tells about a request.

    def on_message_begin(self) -> None:
        self._request = Request()

    def on_url(self, url: bytes) -> None:
        self._request.target += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._request.headers.get("expect", "").lower() == "100-continue":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, part: bytes) -> None:
        self._request.body += part
        if len(self._request.body) > MAX_BODY_BYTES:
            self._transport.abort()

    def on_message_complete(self) -> None:
        self._request.method = self._parser.get_method().decode("ascii")
        self._request.received_at = self._loop.time()
        self._waiting.put_nowait(self._request)

    # What a handler does.

    async def send(self, data: bytes) -> None:
        """Write and wait until the peer keeps up; raises ClientGoneError when it left."""
        if self.gone.is_set():
            raise ClientGoneError
        self._transport.write(data)
        self.bytes_sent += len(data)
        if not self._writable.is_set():
            await self._writable.wait()
            if self.gone.is_set():
                raise ClientGoneError

    async def pause(self, seconds: float) -> None:
        """Wait, but not for a peer that left: raises ClientGoneError at once then."""
        try:
            await asyncio.wait_for(self.gone.wait(), seconds)
        except TimeoutError:
            return
        raise ClientGoneError

    async def reply(
        self, status: int, body: bytes, content_type: str, headers: dict[str, str] | None = None
    ) -> None:
        """Send a complete answer in one write."""
        await self.send(
            head(status, content_type, {"content-length": str(len(body)), **(headers or {})}) + body
        )

    async def finish(self) -> None:
        """Close in order, after what was written."""
        await asyncio.sleep(FLUSH_S)
        self._transport.close()

    async def reset(self) -> None:
        """Break the connection with a TCP reset, after what was written."""
        await asyncio.sleep(FLUSH_S)
        sock = self._transport.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._transport.abort()

    def _leave(self) -> None:
        if not self.gone.is_set():
            self.gone_at = self._loop.time()
            self.gone.set()
            self._writable.set()

    async def _serve(self) -> None:
        while not self._transport.is_closing():
            request = await self._waiting.get()
            self._answering = True
            try:
                await self._handler(request, self)
            except BaseException:
                self._transport.abort()  # so that the client of a broken test does not wait
                raise
            self._answering = False
            if request.headers.get("connection", "").lower() == "close":
                self._transport.close()


def head(status: int, content_type: str, headers: dict[str, str]) -> bytes:
    """Return an answer's status line and headers."""
    lines = [f"HTTP/1.1 {status} {REASONS.get(status, 'Status')}", f"content-type: {content_type}"]
    lines += [f"{name}: {value}" for name, value in headers.items()]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")


def chunk(data: bytes) -> bytes:
    """Return one chunk of a chunked body (RFC 9112 section 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)
