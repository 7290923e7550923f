"""One request and its response on a client connection, without a framework in between.

The data plane reads and writes the socket's transport itself: a response is one write, a
streamed chunk is one write, and a client that leaves is known at once through a callback
instead of a task that polls.
"""

import asyncio
import re
from collections.abc import Callable
from http import HTTPStatus
from typing import Any, Protocol

from aigne_hub.auth.verifier import Fields, fields_of
from aigne_hub.domain.errors import HubError, Overloaded, PayloadTooLarge

_STATUS_LINES = {
    status.value: b"HTTP/1.1 %d %s\r\n" % (status.value, status.phrase.encode())
    for status in HTTPStatus
}
_CHUNK_END = b"\r\n"
_PLAIN = re.compile(rb"[\x20-\x7e]+")
_LAST_CHUNK = b"0\r\n\r\n"

Headers = list[tuple[bytes, bytes]]


class Server(Protocol):
    """What an exchange needs of its connection."""

    @property
    def date_line(self) -> bytes: ...

    def on_exchange_complete(self) -> None:
        """Keep the connection for the next request, or close it when `keep_alive` is off."""
        ...


class ClientGone(Exception):
    """The client closed its connection."""


class Exchange:
    """A request being answered. Its connection fills it; one task answers it.

    `headers` have lower-cased names; `task` is set by who starts it. `on_disconnect` is called
    from the loop when the client leaves before the response is complete, or the hub must
    stop; it ends a wait.
    """

    __slots__ = (
        "_body_failure",
        "_body_waiter",
        "_chunked",
        "_chunks",
        "_expects_continue",
        "_received",
        "body_limit",
        "disconnected",
        "drain_waiter",
        "fields",
        "headers",
        "interrupted",
        "keep_alive",
        "method",
        "more_body",
        "on_disconnect",
        "path",
        "query",
        "response_complete",
        "response_started",
        "server",
        "task",
        "transport",
        "write_paused",
    )

    def __init__(  # noqa: PLR0917 - naming them costs twice what making an exchange does
        self,
        method: str,
        path: str,
        query: bytes,
        headers: Headers,
        fields: Fields,
        transport: asyncio.Transport,
        server: Server,
        keep_alive: bool,
        chunked: bool,
        expects_continue: bool,
        body_limit: int,
    ) -> None:
        self.method = method
        self.path = path
        self.query = query
        self.headers = headers
        # By name; of a repeated one the first.
        self.fields = fields
        self.transport = transport
        self.server = server
        self.keep_alive = keep_alive
        self.body_limit = body_limit
        self.more_body = True
        self.disconnected = False
        self.interrupted = False
        self.response_started = False
        self.response_complete = False
        self.write_paused = False
        self.drain_waiter: asyncio.Future[None] | None = None
        self.on_disconnect: Callable[[], Any] | None = None
        self.task: asyncio.Task[None]
        self._chunks: list[bytes] = []
        self._received = 0
        self._body_waiter: asyncio.Future[None] | None = None
        self._body_failure: HubError | None = None
        self._chunked = chunked
        self._expects_continue = expects_continue

    def header(self, name: bytes) -> bytes | None:
        return self.fields.get(name)

    def add_header(self, name: bytes, value: bytes) -> None:
        """Treat the request as if it had sent this header, too; `name` is lower-cased."""
        self.headers = [*self.headers, (name, value)]
        self.fields = fields_of(self.headers)

    def lines(self, names: tuple[bytes, ...]) -> bytes:
        """Return the header lines with these names, to be sent on: those of plain characters."""
        return b"".join(
            b"%b: %b\r\n" % (name, value)
            for name, value in self.headers
            if name in names and _PLAIN.fullmatch(value)
        )

    # -- request body -------------------------------------------------------------------

    def feed(self, data: bytes) -> None:
        self._received += len(data)
        if self._received > self.body_limit:
            self.refuse_size()
        elif self._body_failure is None:
            self._chunks.append(data)

    def take_whole(self, body: bytes) -> None:
        """Take all of a body at once, its size having been looked at."""
        self._chunks.append(body)
        self.more_body = False

    def refuse_size(self) -> None:
        self.fail_body(PayloadTooLarge(f"The request body is larger than {self.body_limit} bytes."))

    def end_of_body(self) -> None:
        self.more_body = False
        self._wake_body()

    def fail_body(self, error: HubError) -> None:
        """Give up on the body. The connection cannot be reused after it."""
        self._body_failure = error
        self._chunks.clear()
        self.keep_alive = False
        self._wake_body()

    def body_nowait(self) -> bytes | None:
        """Return the whole body if it has arrived."""
        if self.more_body or self._body_failure is not None or len(self._chunks) != 1:
            return None
        return self._chunks[0]

    async def body(self) -> bytes:
        """Return the whole body; raises ClientGone or the HubError that ended it."""
        waits = self.more_body and self._body_failure is None and not self.disconnected
        if self._expects_continue and waits:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            self._expects_continue = False
        while self.more_body and self._body_failure is None and not self.disconnected:
            self._body_waiter = asyncio.get_running_loop().create_future()
            await self._body_waiter
        if self._body_failure is not None:
            raise self._body_failure
        if self.more_body:
            raise ClientGone
        if len(self._chunks) == 1:
            return self._chunks[0]
        return b"".join(self._chunks)

    def _wake_body(self) -> None:
        if self._body_waiter is not None and not self._body_waiter.done():
            self._body_waiter.set_result(None)

    # -- response -----------------------------------------------------------------------

    def respond(self, status: int, head: bytes, body: bytes) -> None:
        """Send a whole response in one write. `head` is header lines, each ending CRLF."""
        if self.disconnected or self.response_started:
            return
        self.response_started = True
        self.transport.write(
            b"%b%b%bcontent-length: %d\r\n\r\n%b"
            % (
                _STATUS_LINES[status],
                self._connection_head(),
                head,
                len(body),
                b"" if self.method == "HEAD" else body,
            )
        )
        self._complete()

    def start(self, status: int, head: bytes, data: bytes = b"") -> None:
        """Begin a streamed response; `data` travels with the head in one write."""
        if self.disconnected or self.response_started:
            return
        self.response_started = True
        if self._chunked:
            encoding = b"transfer-encoding: chunked\r\n\r\n"
        else:
            encoding = b"\r\n"
            self.keep_alive = False
        self.transport.write(
            b"%b%b%b%b%b"
            % (_STATUS_LINES[status], self._connection_head(), head, encoding, self._framed(data))
        )

    def write(self, data: bytes) -> None:
        if self.disconnected:
            return
        if self._chunked and data:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        self.transport.write(data)

    def finish(self, data: bytes = b"") -> None:
        """Send the last bytes of a streamed response and end it cleanly."""
        if self.disconnected or self.response_complete:
            return
        self.transport.write(self._framed(data) + (_LAST_CHUNK if self._chunked else b""))
        self._complete()

    def abort(self) -> None:
        """Break the connection, so that the client cannot mistake the end for a clean one."""
        if not self.disconnected:
            self.response_complete = True
            self.transport.abort()

    async def drain(self) -> None:
        """Wait while the client reads more slowly than the upstream writes."""
        while self.write_paused and not (self.disconnected or self.interrupted):
            self.drain_waiter = asyncio.get_running_loop().create_future()
            await self.drain_waiter

    def wake_writer(self) -> None:
        if self.drain_waiter is not None and not self.drain_waiter.done():
            self.drain_waiter.set_result(None)

    def lost(self) -> None:
        """Take note that the connection is gone; called by the connection once."""
        if self.response_complete:
            return
        self.disconnected = True
        self._wake_body()
        self.wake_writer()
        if self.on_disconnect is not None:
            self.on_disconnect()

    def interrupt(self) -> None:
        """End every wait of this exchange because the hub is shutting down."""
        self.interrupted = True
        if self.more_body:
            self.fail_body(Overloaded("The hub is shutting down."))
        self.wake_writer()
        if self.on_disconnect is not None:
            self.on_disconnect()

    def _framed(self, data: bytes) -> bytes:
        if not data or not self._chunked:
            return data
        return b"%x\r\n%b\r\n" % (len(data), data)

    def _connection_head(self) -> bytes:
        if self.more_body:
            self.keep_alive = False
        date = self.server.date_line
        return date if self.keep_alive else date + b"connection: close\r\n"

    def _complete(self) -> None:
        self.response_complete = True
        self.server.on_exchange_complete()
