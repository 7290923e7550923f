"""Asking one upstream, up to the first byte of its answer that may leave."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol, TypeAlias

import msgspec

from aigne_hub.domain.errors import (
    HubError,
    Overloaded,
    UpstreamError,
    UpstreamTimeout,
)
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects import Ask, Dialect, StreamMeter
from aigne_hub.gateway.exchange import ClientGone
from aigne_hub.gateway.translated import JSON, Translated
from aigne_hub.gateway.verdicts import from_transport, refused, without_words
from aigne_hub.providers.upstream import Answer, Upstream
from aigne_hub.transport import TransportError

SHUTTING_DOWN = "The hub is shutting down."
# A stream that sent this much without recognisable content has begun all the same.
# Responses begins by repeating its request, instructions and tools included, twice.
UNDECIDED_BYTES_MAX = 1024 * 1024


class Whole(msgspec.Struct):
    """A complete unary answer. A structure for its making, which every call pays."""

    candidate: Candidate
    body: bytes
    content_type: bytes
    report: Report
    not_carried: tuple[str, ...] = ()

    @property
    def usage(self) -> Usage | None:
        return self.report.usage


@dataclass(slots=True)
class Streaming:
    """A stream whose first event was looked at: `first` may leave, the rest is to come.

    `left_bytes` is how much of the text that was read has left for the caller.
    """

    candidate: Candidate
    answer: Answer
    meter: StreamMeter
    first: bytes
    left_bytes: int = 0

    @property
    def not_carried(self) -> tuple[str, ...]:
        return self.answer.not_carried if isinstance(self.answer, Translated) else ()

    @property
    def report(self) -> Report:
        """What the provider said of usage; a translated stream shows what its format can."""
        return self.answer.report if isinstance(self.answer, Translated) else self.meter.report

    @property
    def usage(self) -> Usage | None:
        if isinstance(self.answer, Translated):
            return self.answer.usage(count_text(self.meter.delivered_bytes))
        return self.meter.usage


class Waiting(Protocol):
    """Whoever waits for an attempt: an exchange, or one of two attempts for it.

    `on_disconnect` is called when the answer is not wanted any more; `task` is the one that
    waits.
    """

    on_disconnect: Callable[[], Any] | None

    @property
    def task(self) -> asyncio.Task[Any]: ...

    @property
    def disconnected(self) -> bool: ...

    @property
    def interrupted(self) -> bool: ...

    def lines(self, names: tuple[bytes, ...], /) -> bytes:
        """Return header lines of the request, to be sent on."""
        ...


Result: TypeAlias = Whole | Streaming | HubError | ClientGone


class Limit:
    """A bound on one attempt that is tighter than the upstream's own."""

    __slots__ = ("_exchange", "_timer", "is_over", "seconds")

    def __init__(self, exchange: Waiting, seconds: float) -> None:
        self._exchange = exchange
        self.seconds = seconds
        self.is_over = False
        self._timer = asyncio.get_running_loop().call_later(seconds, self._end)

    def _end(self) -> None:
        self.is_over = True
        if self._exchange.on_disconnect is not None:
            self._exchange.on_disconnect()

    def cancel(self) -> None:
        self._timer.cancel()

    @property
    def error(self) -> UpstreamTimeout:
        return UpstreamTimeout(f"The upstream took too long: no answer within {self.seconds:g} s.")


async def attempt(
    exchange: Waiting,
    dialect: Dialect,
    ask: Ask,
    candidate: Candidate,
    upstream: Upstream,
    body: bytes,
    limit: Limit | None,
) -> tuple[int | None, Result]:
    """Ask one candidate; return its HTTP status, if it had one, and what came of it."""
    status: int | None = None
    headers = exchange.lines(dialect.forwards) if dialect.forwards else b""
    # A caller that leaves cancels just the wait for the response's head.
    exchange.on_disconnect = exchange.task.cancel
    try:
        try:
            answer = await upstream.send(dialect.operation, body, headers)
        except asyncio.CancelledError:
            _raise_why(exchange, limit)
            raise
        status = answer.status
        exchange.on_disconnect = answer.close
        return status, await _judged(candidate, answer, dialect, ask)
    except TransportError as error:
        return status, _broken_off(exchange, error, limit)
    except UpstreamError as error:
        if upstream is candidate.upstream:
            return status, error
        return status, without_words(error, candidate.secret)
    except (HubError, ClientGone) as error:
        return status, error
    finally:
        exchange.on_disconnect = None


def _broken_off(
    exchange: Waiting, error: TransportError, limit: Limit | None
) -> HubError | ClientGone:
    if exchange.disconnected:
        return ClientGone()
    if exchange.interrupted:
        return Overloaded(SHUTTING_DOWN)
    return from_transport(error) if limit is None or not limit.is_over else limit.error


async def _judged(
    candidate: Candidate, answer: Answer, dialect: Dialect, ask: Ask
) -> Whole | Streaming:
    if answer.status != 200:
        raise await refused(answer, candidate.secret)
    if ask.stream:
        return await _streaming(candidate, answer, dialect.meter(ask, candidate.upstream.wire))
    body = await answer.read()
    if isinstance(answer, Translated):
        return Whole(candidate, body, JSON, answer.report, answer.not_carried)
    report = dialect.usage(ask, body, candidate.upstream.wire)
    content_type = answer.header(b"content-type") or b"application/json"
    return Whole(candidate, body, content_type, report)


def _raise_why(exchange: Waiting, limit: Limit | None) -> None:
    """Raise why the wait for a response's head was cancelled; not when the task itself was."""
    is_late = limit is not None and limit.is_over
    if not (exchange.disconnected or exchange.interrupted or is_late):
        return
    exchange.task.uncancel()
    if exchange.interrupted:
        raise Overloaded(SHUTTING_DOWN) from None
    if exchange.disconnected:
        raise ClientGone from None
    assert limit is not None
    raise limit.error from None


async def _streaming(candidate: Candidate, answer: Answer, meter: StreamMeter) -> Streaming:
    """Read up to the first content; an error before it is no answer at all."""
    try:
        first = await _beginning(answer, meter)
    except BaseException:
        answer.close()
        raise
    if meter.failure is None and (meter.complete or first is not None):
        return Streaming(candidate, answer, meter, first or b"")
    answer.close()
    if meter.failure is not None:
        raise without_words(meter.failure, candidate.secret)
    raise UpstreamError("The upstream closed the stream before it began.")


async def _beginning(answer: Answer, meter: StreamMeter) -> bytes | None:
    """Return what was read once content, an end or a failure was seen; None for a bare end."""
    first = b""
    while (data := await answer.chunk()) is not None:
        first += meter.feed(data)
        if meter.begun or meter.complete or meter.failure or len(first) > UNDECIDED_BYTES_MAX:
            return first
    meter.end()
    return first if meter.complete else None
