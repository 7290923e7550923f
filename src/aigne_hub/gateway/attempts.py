"""Trying candidates until one answers: failover before the first byte, never after."""

import asyncio
from collections.abc import Iterable
from dataclasses import dataclass

from aigne_hub.domain.errors import (
    HubError,
    Overloaded,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
)
from aigne_hub.domain.operations import Attempt
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, Dialect, StreamMeter
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.router import Candidate
from aigne_hub.gateway.translate import translated
from aigne_hub.gateway.translated import JSON, Translated
from aigne_hub.gateway.verdicts import from_transport, refused, without_words
from aigne_hub.ports import Clock
from aigne_hub.providers.upstream import Answer, Upstream
from aigne_hub.transport import TransportError
from aigne_hub.usage.tracker import CallTracker

SHUTTING_DOWN = "The hub is shutting down."
# A stream that sent this much without recognisable content has begun all the same.
# Responses begins by repeating its request, instructions and tools included, twice.
UNDECIDED_BYTES_MAX = 1024 * 1024


@dataclass(slots=True)
class Whole:
    """A complete unary answer."""

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


async def first_answer(
    exchange: Exchange,
    dialect: Dialect,
    ask: Ask,
    candidates: Iterable[Candidate],
    call: CallTracker,
    clock: Clock,
    lowered: int | None,
) -> Whole | Streaming:
    """Return the first good answer; raises the best error when no candidate gave one.

    Every try is recorded on `call`. `lowered` is the output limit credit imposes.
    Raises ClientGone when the caller left meanwhile.
    """
    errors: list[HubError] = []
    for candidate in candidates:
        if exchange.disconnected or exchange.interrupted:
            raise _unwanted(exchange)
        upstream = candidate.upstream
        if dialect.language not in candidate.languages:
            upstream = translated(
                dialect, candidate, ask.model, call.opened.call_id, clock.now_us() // 1_000_000
            )
        body = dialect.outgoing(ask, candidate.model.name, upstream.limit_field, lowered)
        call.sent()
        began = clock.monotonic_us()
        status, result = await _tried(exchange, dialect, ask, candidate, upstream, body)
        call.attempts.append(
            Attempt(
                candidate.model.provider.name,
                candidate.credential,
                status,
                result.recorded if isinstance(result, HubError) else None,
                call.at(began),
                clock.monotonic_us() - began,
            )
        )
        if isinstance(result, Whole | Streaming):
            call.served_at(candidate.model.rates, candidate.model.cost)
            return result
        if isinstance(result, ClientGone | UpstreamRefusal | Overloaded):
            raise result
        errors.append(result)
    raise next((e for e in errors if isinstance(e, RateLimited)), errors[-1])


def _unwanted(exchange: Exchange) -> Exception:
    """Return what to raise instead of asking an upstream for an answer nobody waits for."""
    return ClientGone() if exchange.disconnected else Overloaded(SHUTTING_DOWN)


async def _tried(
    exchange: Exchange,
    dialect: Dialect,
    ask: Ask,
    candidate: Candidate,
    upstream: Upstream,
    body: bytes,
) -> tuple[int | None, Whole | Streaming | HubError | ClientGone]:
    """Ask one candidate; return its HTTP status, if it had one, and what came of it."""
    status: int | None = None
    try:
        answer = await _send(exchange, upstream, dialect, body)
        status = answer.status
        exchange.on_disconnect = answer.close
        return status, await _judged(candidate, answer, dialect, ask)
    except TransportError as error:
        if exchange.disconnected:
            return status, ClientGone()
        if exchange.interrupted:
            return status, Overloaded(SHUTTING_DOWN)
        return status, from_transport(error)
    except UpstreamError as error:
        if upstream is candidate.upstream:
            return status, error
        return status, without_words(error, candidate.secret)
    except (HubError, ClientGone) as error:
        return status, error
    finally:
        exchange.on_disconnect = None


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


async def _send(exchange: Exchange, upstream: Upstream, dialect: Dialect, body: bytes) -> Answer:
    """Wait for the response head; a caller that leaves cancels just this wait."""
    task = exchange.task
    headers = exchange.lines(dialect.forwards) if dialect.forwards else b""
    exchange.on_disconnect = task.cancel
    try:
        return await upstream.send(dialect.operation, body, headers)
    except asyncio.CancelledError:
        if not exchange.disconnected and not exchange.interrupted:
            raise
        task.uncancel()
        if exchange.interrupted:
            raise Overloaded(SHUTTING_DOWN) from None
        raise ClientGone from None
    finally:
        exchange.on_disconnect = None


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
