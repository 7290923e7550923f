"""One client's connection: uvicorn's HTTP protocol, made strict and given a fast lane.

No server is strict by default, so limits live here: one timer bounds the request head, the
silence within a body, a client that does not read and the idle time between requests; heads
are bounded in bytes and fields; framing, target and Host must leave no room for two readings.
Requests for data-plane paths become an Exchange and a task of the pipeline; everything else
goes to the ASGI application. What cannot be read is answered once and ends the connection.
"""

import asyncio
import socket
import time
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from aigne_hub.auth.verifier import fields_of
from aigne_hub.gateway.edge import (
    HEADS_LEARNT_MAX,
    HURRY_S,
    LINGER_BYTES_MAX,
    LINGER_S,
    UNSENT_BYTES_MAX,
    Edge,
)
from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.head import (
    HEAD_BYTES_MAX,
    HEAD_FIELDS_MAX,
    URL_BYTES_MAX,
    Refused,
    check_framing,
    check_size,
    refused,
    too_large,
    without_connection,
)
from aigne_hub.gateway.repeated_head import RepeatedHead, repeated_head
from aigne_hub.gateway.targets import RequestHead


class ClientConnection(HttpToolsProtocol):
    """One client connection: a request is answered before the next is looked at."""

    def __init__(self, edge: Edge, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.edge = edge
        self.exchange: Exchange | None = None
        self.deadline: float | None = None
        self._begun = self._in_head = self._in_body = False
        self._upgrading = False
        # Bytes since the parser last got anywhere: an endless head, extension or trailer.
        self._fruitless = 0
        self._fruitful = False
        # Nothing that arrives is looked at any more; it is counted and dropped.
        self._deaf = False
        self._dropped = 0
        self._unsent: int | None = None
        self._repeated: RepeatedHead | None = None
        self._learning = HEADS_LEARNT_MAX
        # What arrived, while it may begin with a head worth knowing again.
        self._arrived: bytes | None = None
        # What is still to come of a body that the parser is not asked about.
        self._owed = 0

    # -- connection ---------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override] # as uvicorn's
        super().connection_made(transport)
        self.edge.connections.add(self)
        transport.get_extra_info("socket").setsockopt(
            socket.IPPROTO_TCP, socket.TCP_NOTSENT_LOWAT, UNSENT_BYTES_MAX
        )
        self.expect_within(self.edge.limits.head_s)

    def connection_lost(self, exc: Exception | None) -> None:
        self.edge.connections.discard(self)
        super().connection_lost(exc)
        if self.exchange is not None:
            self.exchange.lost()

    def expire(self) -> None:
        """End a connection that kept the hub waiting."""
        unsent = self.transport.get_write_buffer_size()
        moving = self._unsent is None or unsent < self._unsent
        if unsent and moving and not self.edge.hurried:
            self._unsent = unsent
            self.expect_within(self.edge.limits.idle_s)
        elif unsent:
            self.transport.abort()
        elif self._busy():
            self.deadline = None
            self._fault(refused(400, "The request body stopped arriving."))
        elif self._in_head:
            self._refuse(refused(408, "The request head took too long to arrive."))
        elif self._deaf:
            self.transport.abort()
        else:
            self.transport.close()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            self._drop(len(data))
            return
        if self._owed:
            data = self._take_owed(data)
        elif not (self._in_head or self._in_body or self._busy()):
            if self._repeated is not None and self._begin_again(self._repeated, data):
                return
            if self._learning:
                self._arrived = data
        if data:
            self._parse(data)
            self._arrived = None

    def _parse(self, data: bytes) -> None:
        self._fruitful = False
        self._fruitless += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._ignore_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError as error:
            cause = error.__context__
            invalid = refused(400, f"The request is not valid HTTP/1.1: {error}.")
            self._fault(cause if isinstance(cause, Refused) else invalid)
            return
        if self._fruitful:
            self._fruitless = 0
            if self._in_body and self._busy():
                self.expect_within(self.edge.limits.idle_s)
        elif self._fruitless > HEAD_BYTES_MAX:
            self._fault(refused(431, f"Over {HEAD_BYTES_MAX} bytes of header fields."))
        if self._begun:
            self._begun = False
            if self._in_head and not self._busy():
                self.expect_within(self.edge.limits.head_s)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.exchange is not None:
            self.exchange.write_paused = True
        self._unsent = None
        self.expect_within(self.edge.limits.idle_s)

    def resume_writing(self) -> None:
        super().resume_writing()
        if self.exchange is not None:
            self.exchange.write_paused = False
            self.exchange.wake_writer()
        if self._busy():
            self.deadline = None

    def shutdown(self) -> None:
        if self.exchange is not None and self._busy():
            self.exchange.keep_alive = False
        else:
            super().shutdown()

    # -- request ------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._begun = self._in_head = True

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > URL_BYTES_MAX:
            raise refused(414, f"The request target is over {URL_BYTES_MAX} bytes.")

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # a trailer could add what the head was not checked for
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._fruitful = True
        if self._busy():
            self._stop_listening()
            return
        if self.parser.should_upgrade():
            self._upgrading = True
            return
        if len(self.headers) > HEAD_FIELDS_MAX or self._fruitless > HEAD_BYTES_MAX:
            check_size(self.headers)
        version, method = self.parser.get_http_version(), self.parser.get_method()
        fields = fields_of(self.headers)
        declared, self.expect_100_continue = check_framing(version, self.headers, fields)
        target = self.edge.targets.look_up(method, self.url)
        self.deadline = None
        self._in_body = True
        if target.handler is not None:
            head = RequestHead(method.decode("ascii"), target, self.headers, fields)
            keeps = version != "1.0" and self.parser.should_keep_alive()
            if self._arrived is not None and keeps and not self.expect_100_continue:
                self._learning -= 1
                self._repeated = repeated_head(self._arrived, head)
            self._begin(head, declared, keep_alive=keeps, chunked=version != "1.0")
        elif declared > self.edge.limits.body_bytes:
            raise too_large(self.edge.limits.body_bytes)
        else:
            self.url = target.url
            self._pass_on()

    def on_body(self, body: bytes) -> None:
        self._fruitful = True
        exchange = self.exchange
        if self._deaf:
            return
        if exchange is not None:
            if not exchange.response_complete:
                exchange.feed(body)
            return
        super().on_body(body)
        if len(self.cycle.body) > self.edge.limits.body_bytes:
            raise too_large(self.edge.limits.body_bytes)

    def on_message_complete(self) -> None:
        self._fruitful = True
        if self._deaf or self._upgrading:
            return
        self._in_body = False
        exchange = self.exchange
        if exchange is None:
            super().on_message_complete()
        elif not exchange.response_complete:
            exchange.end_of_body()
        if self._busy():
            self.deadline = None

    def on_exchange_complete(self) -> None:
        exchange = self.exchange
        assert exchange is not None
        if exchange.keep_alive:
            self._await_next()
        elif exchange.more_body or self._deaf:
            self._linger()
        else:
            self.expect_within(self.edge.limits.idle_s)
            self.transport.close()

    def on_response_complete(self) -> None:
        """Called by uvicorn's cycle, which has closed the connection if it must not be kept."""
        self.flow.resume_reading()
        self._await_next()

    @property
    def date_line(self) -> bytes:
        return self.edge.date_line

    def _begin_again(self, head: RepeatedHead, data: bytes) -> bool:
        """Begin the request in `data`, if it has the head that is known and nothing follows it."""
        found = head.body_of(data)
        if found is None:
            return False
        start, declared = found
        self.expect_100_continue = False
        exchange = self._begin(head.read, declared, keep_alive=True, chunked=True)
        if start + declared == len(data):
            self.deadline = None
            exchange.take_whole(data[start:])
        else:
            self._owed = declared
            self._take_owed(data[start:])
        return True

    def _take_owed(self, data: bytes) -> bytes:
        """Take what belongs to the body, and return what comes after it."""
        exchange, owed = self.exchange, self._owed
        assert exchange is not None
        self._owed = max(owed - len(data), 0)
        if not exchange.response_complete:
            exchange.feed(data[:owed])
            if self._owed:
                self.expect_within(self.edge.limits.idle_s)
            else:
                exchange.end_of_body()
                self.deadline = None
        return data[owed:]

    def _begin(
        self, head: RequestHead, declared: int, *, keep_alive: bool, chunked: bool
    ) -> Exchange:
        method, target, headers, fields = head
        handler = target.handler
        assert handler is not None
        exchange = Exchange(
            # By position: names would cost as much as all the rest.
            method,
            target.path,
            target.query,
            headers,
            fields,
            self.transport,
            self,
            keep_alive,
            chunked,
            self.expect_100_continue,
            self.edge.limits.body_bytes,
        )
        if declared > exchange.body_limit:
            exchange.refuse_size()
        self.exchange = exchange
        self.cycle = None  # type: ignore[assignment] # as uvicorn's own first state
        task = exchange.task = self.loop.create_task(handler(exchange))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)
        return exchange

    def _pass_on(self) -> None:
        """Let uvicorn serve the request; its scope is made only for what it serves."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        super().on_message_begin()
        self.url, self.expect_100_continue = url, expects
        self.headers = self.scope["headers"] = headers
        self.exchange = None
        super().on_headers_complete()

    def _ignore_upgrade(self, rest: bytes) -> None:
        """Read a request for another protocol as what it also is (RFC 9110, 7.8).

        The parser skips such a request's body, so the request is parsed again without its
        Connection field; Java's client sends one with every POST.
        """
        if self._deaf:
            return
        self._upgrading = False
        method, version = self.parser.get_method(), self.parser.get_http_version()
        if method == b"CONNECT":
            self._refuse(refused(400, "The hub is no proxy: it does not serve CONNECT."))
            return
        self.parser = httptools.HttpRequestParser(self)
        self.data_received(without_connection(method, self.url, version, self.headers) + rest)

    # -- the end ------------------------------------------------------------------------

    def _busy(self) -> bool:
        current: Any = self.exchange or self.cycle
        return current is not None and not current.response_complete

    def expect_within(self, seconds: float) -> None:
        """Let the connection expire unless something happens within `seconds`."""
        patience = min(seconds, HURRY_S) if self.edge.hurried else seconds
        self.deadline = time.monotonic() + patience

    def _await_next(self) -> None:
        """Wait for the next request, for as long as keep-alive or its begun head allows."""
        if self._deaf:
            self._linger()
            return
        limits = self.edge.limits
        self.expect_within(limits.head_s if self._in_head else limits.keep_alive_s)

    def _stop_listening(self) -> None:
        """Answer what is being answered, then close: a pipelined request is sent again."""
        self._deaf = True
        current = self.exchange or self.cycle
        current.keep_alive = False

    def _drop(self, count: int) -> None:
        self._dropped += count
        if self._dropped > LINGER_BYTES_MAX:
            self.transport.abort()

    def _linger(self) -> None:
        """End the connection once the client has had time to read, whatever it still sends."""
        self._deaf = True
        if not self.transport.is_closing():
            self.expect_within(LINGER_S)
            self.transport.write_eof()

    def _fault(self, refusal: Refused) -> None:
        """Give up on what arrives, answering at most once.

        A request whose body is bad gets the refusal from its own handler; one that is being
        answered is finished, and what followed it is left unread.
        """
        if not self._busy():
            self._refuse(refusal)
            return
        self._stop_listening()
        exchange, cycle = self.exchange, self.cycle
        if exchange is not None:
            if exchange.more_body:
                exchange.fail_body(refusal.error)
        elif cycle.more_body and not cycle.response_started:
            cycle.disconnected = True
            cycle.message_event.set()
            self._refuse(refusal)

    def _refuse(self, refusal: Refused) -> None:
        if self.transport.is_closing():
            return
        self.edge.requests_refused += 1
        self.transport.write(refusal.response(self.date_line))
        self._linger()
