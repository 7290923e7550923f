"""The client side of the hub: uvicorn's HTTP protocol, made strict and given a fast lane.

No server is strict by default, so limits live here: one timer bounds the request head, the
silence within a body and the idle time between requests; heads are bounded in bytes and
fields; the Host header must be single and well formed. Requests for data-plane paths become
an Exchange and a task of the pipeline; everything else goes to the ASGI application.
"""

import asyncio
import re
import time
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from typing import Any, NoReturn

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.gateway.dialects.openai_errors import error_body
from aigne_hub.gateway.exchange import Exchange

HEAD_BYTES_MAX = 64 * 1024
HEAD_FIELDS_MAX = 100
URL_BYTES_MAX = 8 * 1024
MOUNT = "/ai-kit"

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")

Handler = Callable[[Exchange], Coroutine[Any, Any, None]]


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Seconds and bytes a client connection may take."""

    head_s: float = 15.0
    body_idle_s: float = 30.0
    keep_alive_s: float = 75.0
    body_bytes: int = 32 * 1024 * 1024


class Edge:
    """What all connections of a process share: the route lookup, limits and the reaper."""

    def __init__(self, find: Callable[[str, str], Handler | None], limits: EdgeLimits) -> None:
        self.find = find
        self.limits = limits
        self.connections: set[EdgeProtocol] = set()
        self.requests_refused = 0

    def protocol(self, **kwargs: Any) -> "EdgeProtocol":
        return EdgeProtocol(self, **kwargs)

    def interrupt(self) -> None:
        """End every call that is still running; each settles what it delivered."""
        for connection in tuple(self.connections):
            exchange = connection.exchange
            if exchange is not None and not exchange.response_complete:
                exchange.interrupt()

    def reap(self) -> None:
        """Close connections past their deadline; called about once a second."""
        now = time.monotonic()
        for connection in tuple(self.connections):
            if connection.deadline is not None and connection.deadline < now:
                connection.expire()


class EdgeProtocol(HttpToolsProtocol):
    """One client connection."""

    def __init__(self, edge: Edge, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edge = edge
        self.exchange: Exchange | None = None
        self.deadline: float | None = None
        self._head_bytes = 0
        self._in_head = False
        self._failure: HubError | None = None
        self._deaf = False

    # -- connection ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self.edge.connections.add(self)
        self.deadline = time.monotonic() + self.edge.limits.head_s

    def connection_lost(self, exc: Exception | None) -> None:
        self.edge.connections.discard(self)
        exchange = self.exchange
        super().connection_lost(exc)
        if exchange is not None:
            exchange.lost()

    def expire(self) -> None:
        """End a connection that kept the hub waiting."""
        if self.exchange is not None and not self.exchange.response_complete:
            self.exchange.fail_body(InvalidRequest("The request body stopped arriving."))
            self.deadline = None
        elif self._in_head:
            self._refuse(408, InvalidRequest("The request head took too long to arrive."))
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._head_bytes += len(data)
        super().data_received(data)
        if self._in_head and self._head_bytes > HEAD_BYTES_MAX:
            self._refuse(431, InvalidRequest(f"The request head is over {HEAD_BYTES_MAX} bytes."))

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.exchange is not None:
            self.exchange.write_paused = True

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.exchange is not None:
            self.exchange.write_paused = False
            self.exchange.wake_writer()

    def shutdown(self) -> None:
        exchange = self.exchange
        if exchange is None or exchange.response_complete:
            super().shutdown()
        else:
            exchange.keep_alive = False

    # -- request ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._head_bytes = 0
        if not self._busy():
            self.deadline = time.monotonic() + self.edge.limits.head_s

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > URL_BYTES_MAX:
            self._reject(f"The request target is over {URL_BYTES_MAX} bytes.")

    def on_headers_complete(self) -> None:
        self._in_head = False
        if self._busy():
            self._stop_listening()
            return
        self.deadline = None
        self._check_head()
        parsed = httptools.parse_url(self.url)
        raw_path = parsed.path or b"/"
        path = raw_path.decode("ascii")
        if path.startswith(MOUNT) and path[len(MOUNT) : len(MOUNT) + 1] in {"", "/"}:
            path = path[len(MOUNT) :] or "/"
            self.url = path.encode() + (b"?" + parsed.query if parsed.query else b"")
        method = self.parser.get_method().decode("ascii")
        handler = self.edge.find(method, path)
        if handler is None:
            self.exchange = None
            super().on_headers_complete()
            return
        version = self.parser.get_http_version()
        exchange = Exchange(
            method=method,
            path=path,
            query=parsed.query or b"",
            headers=self.headers,
            transport=self.transport,
            server=self,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            chunked=version != "1.0",
            expects_continue=self.expect_100_continue,
            body_limit=self.edge.limits.body_bytes,
        )
        self.exchange = exchange
        self.cycle = None  # type: ignore[assignment] # as uvicorn's own first state
        self.deadline = time.monotonic() + self.edge.limits.body_idle_s
        self._run(exchange, handler)

    def on_body(self, body: bytes) -> None:
        if self._deaf:
            return
        if self.exchange is None:
            super().on_body(body)
            return
        if not self.exchange.response_complete:
            self.exchange.feed(body)
            self.deadline = time.monotonic() + self.edge.limits.body_idle_s

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        if self.exchange is None:
            super().on_message_complete()
            return
        self.deadline = None
        if not self.exchange.response_complete:
            self.exchange.end_of_body()

    def on_exchange_complete(self) -> None:
        """Wait for the next request, for as long as keep-alive allows."""
        self.server_state.total_requests += 1
        self.deadline = time.monotonic() + self.edge.limits.keep_alive_s

    @property
    def date_line(self) -> bytes:
        return b"".join(b"%b: %b\r\n" % header for header in self.server_state.default_headers)

    def _run(self, exchange: Exchange, handler: Handler) -> None:
        task = self.loop.create_task(handler(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    def _busy(self) -> bool:
        current = self.exchange or self.cycle
        return current is not None and not current.response_complete

    def _stop_listening(self) -> None:
        """Answer what is being answered, then close: a pipelined request is sent again."""
        self._deaf = True
        current = self.exchange or self.cycle
        current.keep_alive = False
        self.flow.pause_reading()

    def _check_head(self) -> None:
        if len(self.headers) > HEAD_FIELDS_MAX:
            self._reject(f"The request has more than {HEAD_FIELDS_MAX} header fields.")
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None:
            self._reject("The request needs exactly one well-formed Host header.")

    # -- refusals -----------------------------------------------------------------------

    def send_400_response(self, msg: str) -> None:
        """Answer what the parser or a check refused, in the shape every client knows."""
        self._refuse(400, self._failure or InvalidRequest(f"{msg} It is not valid HTTP/1.1."))

    def _reject(self, message: str) -> NoReturn:
        """Leave the parser, which turns any exception of a callback into its own."""
        self._failure = InvalidRequest(message)
        raise self._failure

    def _refuse(self, status: int, error: HubError) -> None:
        if self.transport.is_closing():
            return
        self.edge.requests_refused += 1
        body = error_body(error)
        phrase = {400: b"Bad Request", 408: b"Request Timeout"}.get(
            status, b"Request Header Fields Too Large"
        )
        self.transport.write(
            b"HTTP/1.1 %d %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b" % (status, phrase, len(body), body)
        )
        self.transport.close()
