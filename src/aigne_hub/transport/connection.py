import asyncio
from collections.abc import Callable
from typing import Protocol, cast

from httptools import HttpParserError, HttpParserUpgrade, HttpResponseParser

from aigne_hub.transport.answer import Answer
from aigne_hub.transport.errors import (
    ConnectionCut,
    FirstByteTimeout,
    IdleTimeout,
    ProtocolError,
    TotalTimeout,
    TransportClosed,
    TransportError,
)
from aigne_hub.transport.timeouts import Timeouts

HEAD_MAX = 64 * 1024  # bytes of a response head, interim responses before it included
HEADERS_MAX = 200
LEAVE_S = 0.5  # for what is left of an answer that nobody reads to come
LEAVE_MAX = 4 * 1024  # bytes of it; what goes on is not about to end
JOIN_MAX = 64 * 1024  # a longer request body is handed to the kernel without being copied


class Keeper(Protocol):
    """Who a connection belongs to while no exchange uses it."""

    def release(self, connection: "Connection") -> None: ...

    def lost(self, connection: "Connection") -> None: ...


class Connection(asyncio.Protocol):
    """One HTTP/1.1 connection: one exchange at a time, many in a row.

    `deadline` (loop time) is when `expire` has to look at it; bytes that arrive do not move
    it, so a chunk costs no timer work. `gone` resolves when the socket is closed.

    What comes of a body is kept in `_body` by the parser itself, and handed on once for all that
    was read in one go.
    """

    __slots__ = (
        "_answer",
        "_begun",
        "_bodiless",
        "_body",
        "_body_max",
        "_ended",
        "_headers",
        "_heard_at",
        "_keep_alive_s",
        "_keeper",
        "_leaving",
        "_loop",
        "_now",
        "_overhead",
        "_parser",
        "_paused",
        "_reusable",
        "_timeouts",
        "_total_at",
        "_transport",
        "closed",
        "deadline",
        "gone",
        "on_body",
    )

    def __init__(
        self,
        keeper: Keeper,
        loop: asyncio.AbstractEventLoop,
        *,
        timeouts: Timeouts,
        keep_alive_s: float,
        body_max: int,
    ) -> None:
        self._keeper = keeper
        self._loop = loop
        self._now: Callable[[], float] = loop.time
        self._timeouts = timeouts
        self._keep_alive_s = keep_alive_s
        self._body_max = body_max
        self._body: list[bytes] = []
        self.on_body = self._body.append  # the parser's callback
        self._parser = HttpResponseParser(self)
        self._transport: asyncio.Transport
        self._answer: Answer | None = None
        self._headers: list[tuple[bytes, bytes]] = []
        self._heard_at = 0.0
        self._total_at = 0.0
        self._overhead = 0
        self._bodiless = False
        self._ended = False
        # Whether silence has the limit of a body, not that of a head.
        self._begun = False
        self._reusable = False
        self._paused = False
        # How many bytes may still come of an answer that was left, None while it is read.
        self._leaving: int | None = None
        self.closed = False
        self.deadline = loop.time() + keep_alive_s
        self.gone: asyncio.Future[None] = loop.create_future()

    # The exchange, as the client drives it.

    def start(self, head: bytes, body: bytes, *, total_at: float, bodiless: bool) -> Answer:
        """Write a request and return the answer that its response will fill."""
        answer = Answer(self, self._loop, self._body_max)
        self._answer = answer
        self._headers = []
        self._heard_at = 0.0
        self._total_at = total_at
        self._overhead = 0
        self._bodiless = bodiless
        self._ended = False
        self._begun = False
        self._leaving = None
        first_byte_at = self._now() + self._timeouts.first_byte
        self.deadline = min(first_byte_at, total_at)
        size = len(body)
        if size <= JOIN_MAX:
            self._transport.write(b"%bcontent-length: %d\r\n\r\n%b" % (head, size, body))
        else:
            self._transport.writelines((b"%bcontent-length: %d\r\n\r\n" % (head, size), body))
        return answer

    @property
    def heard(self) -> bool:
        """Whether any byte has arrived since the last request was written."""
        return self._heard_at > 0.0

    def fail(self, error: TransportError) -> None:
        """End the exchange with an error and close the connection at once."""
        answer, self._answer = self._answer, None
        self.abort()
        if answer is not None:
            answer.fail(error)

    def pause(self) -> None:
        if not self._paused:
            self._paused = True
            self._transport.pause_reading()

    def resume(self) -> None:
        if self._paused:
            self._paused = False
            self._heard_at = self._now()
            self._transport.resume_reading()

    def see_off(self) -> None:
        """Wait a moment for the end of an answer that nobody reads any more."""
        self.resume()
        self._leaving = LEAVE_MAX
        self.deadline = min(self._now() + LEAVE_S, self._total_at)

    def abort(self) -> None:
        """Close the socket now, without the courtesies of TLS."""
        if not self.closed:
            self.closed = True
            self._transport.abort()

    def expire(self, now: float) -> None:
        """Act on a deadline that has passed, or set the next one."""
        answer = self._answer
        limits = self._timeouts
        if answer is None:
            self.abort()
        elif now >= self._total_at:
            self.fail(TotalTimeout(f"the exchange took more than {limits.total:g} s", sent=True))
        elif self._leaving is not None:
            self.fail(TransportClosed("the answer was left by its reader", sent=True))
        elif not answer.status:
            message = f"no response head within {limits.first_byte:g} s"
            self.fail(FirstByteTimeout(message, sent=True))
        else:
            silent_since = now if self._paused else self._heard_at
            if now >= silent_since + limits.idle:
                message = f"the answer fell silent for {limits.idle:g} s"
                self.fail(IdleTimeout(message, sent=True))
            else:
                self.deadline = min(silent_since + limits.idle, self._total_at)

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:
            # Nothing was asked: whatever this is would be taken for the next answer.
            self.abort()
            return
        self._heard_at = self._now()
        self._overhead += len(data)
        body = self._body
        try:
            self._parser.feed_data(data)
        except (HttpParserError, HttpParserUpgrade) as error:
            if not self._ended:
                answer.keep(body)
                self.fail(_fault(error))
                return
            self._reusable = False
        if self._ended:
            self._finish(answer)
            return
        sink = answer.sink
        if sink is None or not body:
            self._turn(answer, len(data))
            return
        self._overhead = 0
        piece = b"".join(body)
        body.clear()
        try:
            if not sink(piece):
                answer.spill()
        except BaseException as failure:  # noqa: BLE001 - it is the reader's, who is waiting
            answer.spill(failure)

    def _turn(self, answer: Answer, size: int) -> None:
        """Look at what came when it is not just a piece of a body that passes at once."""
        body = self._body
        if self._leaving is not None:
            body.clear()
            answer.drop()
            self._leaving -= size
            if self._leaving < 0:
                self.fail(TransportClosed("the answer went on after its end", sent=True))
        elif body or (answer.status and not self._begun):
            self._overhead = 0
            if not self._begun:
                self._begun = True
                self.deadline = min(self._heard_at + self._timeouts.idle, self._total_at)
            answer.receive(body)
        elif self._overhead > HEAD_MAX:
            self.fail(_too_long())

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        answer, self._answer = self._answer, None
        if answer is not None:
            if exc is None and self._ends_with_connection(answer):
                answer.finish()
            else:
                answer.fail(ConnectionCut(_cut(answer), sent=True))
        self._keeper.lost(self)
        if not self.gone.done():
            self.gone.set_result(None)

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self._ended:
            self._reusable = False

    def on_header(self, name: bytes, value: bytes) -> None:
        # RFC 9112, 5: white space after a value is not part of it, which llhttp leaves to us.
        self._headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        answer = self._answer
        if answer is None or self._ended:
            return
        headers = self._headers
        self._headers = []  # trailers go here and nowhere
        if len(headers) > HEADERS_MAX:
            raise ProtocolError(f"more than {HEADERS_MAX} response headers", sent=True)
        if self._overhead > HEAD_MAX and sum(len(k) + len(v) for k, v in headers) > HEAD_MAX:
            raise _too_long()
        status = self._parser.get_status_code()
        if not 200 <= status <= 599:
            _check_interim(status, headers)
            return
        fields = dict(reversed(headers))
        if b"transfer-encoding" in fields:
            _check_coding(headers)
        self._overhead = 0
        self._reusable = self._parser.should_keep_alive()
        answer.status = status
        answer.headers = headers
        answer.fields = fields
        answer.request_sent = self._transport.get_write_buffer_size() == 0
        if self._bodiless:
            self._ended = True

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.status and not self._ended:
            self._ended = True
            answer.keep(self._body)

    def _finish(self, answer: Answer) -> None:
        self._answer = None
        if self._body:  # what no answer has announced
            self._body.clear()
            self._reusable = False
        if self._bodiless:
            # The parser still expects the body that a HEAD response only announces.
            self._parser = HttpResponseParser(self)
        is_sent = answer.request_sent or not self._transport.get_write_buffer_size()
        if not self._reusable or self.closed or not is_sent:
            self.abort()
        else:
            if self._paused:
                self.resume()
            self.deadline = self._heard_at + self._keep_alive_s
            self._keeper.release(self)
        answer.finish()

    @staticmethod
    def _ends_with_connection(answer: Answer) -> bool:
        return (
            answer.status > 0
            and answer.header(b"content-length") is None
            and answer.header(b"transfer-encoding") is None
        )


def _fault(error: Exception) -> TransportError:
    cause = error.__context__
    if isinstance(cause, TransportError):
        return cause
    fault = ProtocolError(f"malformed HTTP response: {error}", sent=True)
    fault.__cause__ = error
    return fault


def _check_interim(status: int, headers: list[tuple[bytes, bytes]]) -> None:
    """Refuse what is no interim response, changes the protocol or claims a body.

    RFC 9110, 15.2.
    """
    if not 100 <= status < 200 or status == 101:
        raise ProtocolError(f"unexpected response status {status}", sent=True)
    if any(name in {b"content-length", b"transfer-encoding"} for name, _ in headers):
        raise ProtocolError("an interim response with a body", sent=True)


def _check_coding(headers: list[tuple[bytes, bytes]]) -> None:
    for name, value in headers:
        if name == b"transfer-encoding" and value.lower() != b"chunked":
            raise ProtocolError("a transfer coding other than chunked", sent=True)


def _too_long() -> ProtocolError:
    return ProtocolError(f"more than {HEAD_MAX} bytes of response head or framing", sent=True)


def _cut(answer: Answer) -> str:
    if answer.status:
        return "the connection ended before the end of the answer"
    return "the connection ended before a response head"
