"""Trying candidates until one answers: failover before the first byte, never after."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import orjson

from aigne_hub.domain.errors import (
    HubError,
    NoUpstream,
    Overloaded,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
    UpstreamTimeout,
)
from aigne_hub.domain.operations import Attempt
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects import Ask, Dialect, StreamMeter
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.router import Candidate
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    TransportError,
)
from aigne_hub.ports import Clock
from aigne_hub.usage.tracker import CallTracker

# An upstream may ask for at most this much patience.
RETRY_AFTER_MAX_S = 3_600
MESSAGE_MAX = 2_000
PARAM_MAX = 200
SHUTTING_DOWN = "The hub is shutting down."
# A stream that sent this much without recognisable content has begun all the same.
UNDECIDED_BYTES_MAX = 64 * 1024

_CALLERS_FAULT = frozenset({400, 404, 413, 422})
_TIMEOUTS = (FirstByteTimeout, IdleTimeout, TotalTimeout, ConnectTimeout)
# What vendors' keys look like, for messages that repeat another or a masked one.
_KEYS = re.compile(r"\b(?:(?:sk|pk|rk|key|gsk|xai)[-_]|AIza)[-_A-Za-z0-9*]{12,}")
# What vendors' error codes look like; anything else might be somebody's words.
_CODE = re.compile(r"[a-z][a-z0-9_.]{0,63}")


@dataclass(slots=True)
class Whole:
    """A complete unary answer."""

    candidate: Candidate
    body: bytes
    content_type: bytes
    usage: Usage | None


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
        if exchange.disconnected:
            raise ClientGone
        if exchange.interrupted:
            raise Overloaded(SHUTTING_DOWN)
        started, began = clock.now_us(), clock.monotonic_us()
        body = dialect.outgoing(ask, candidate.model.name, candidate.upstream.limit_field, lowered)
        call.sent()
        status: int | None = None
        failure: HubError | None = None
        try:
            answer = await _send(exchange, candidate, dialect.operation, body)
            status = answer.status
            exchange.on_disconnect = answer.close
            if status != 200:
                raise await _refused(answer, candidate.secret)
            if ask.stream:
                won: Whole | Streaming = await _streaming(candidate, answer, dialect.meter(ask))
            else:
                won = await _whole(candidate, answer, dialect, ask)
            call.served_at(candidate.model.rates)
            return won
        except TransportError as error:
            if exchange.disconnected:
                raise ClientGone from None
            failure = from_transport(error)
            if exchange.interrupted:
                failure = Overloaded(SHUTTING_DOWN)
        except HubError as error:
            failure = error
        finally:
            exchange.on_disconnect = None
            call.attempts.append(
                Attempt(
                    candidate.model.provider.name,
                    candidate.credential,
                    status,
                    failure.recorded if failure else None,
                    started,
                    clock.monotonic_us() - began,
                )
            )
        if isinstance(failure, UpstreamRefusal | Overloaded):
            raise failure
        errors.append(failure)
    raise next((e for e in errors if isinstance(e, RateLimited)), errors[-1])


async def _send(exchange: Exchange, candidate: Candidate, operation: str, body: bytes) -> Answer:
    """Wait for the response head; a caller that leaves cancels just this wait."""
    task = asyncio.current_task()
    assert task is not None
    exchange.on_disconnect = task.cancel
    try:
        return await candidate.upstream.send(operation, body)
    except asyncio.CancelledError:
        if not exchange.disconnected and not exchange.interrupted:
            raise
        task.uncancel()
        if exchange.interrupted:
            raise Overloaded(SHUTTING_DOWN) from None
        raise ClientGone from None
    finally:
        exchange.on_disconnect = None


async def _whole(candidate: Candidate, answer: Answer, dialect: Dialect, ask: Ask) -> Whole:
    body = await answer.read()
    usage = dialect.usage(ask, body)
    content_type = answer.header(b"content-type") or b"application/json"
    return Whole(candidate, body, content_type, usage)


async def _streaming(candidate: Candidate, answer: Answer, meter: StreamMeter) -> Streaming:
    """Read up to the first content; an error before it is no answer at all."""
    first = b""
    try:
        while True:
            data = await answer.chunk()
            if data is None:
                meter.end()
                if not meter.complete:
                    raise UpstreamError("The upstream closed the stream before it began.")
                return Streaming(candidate, answer, meter, first)
            first += meter.feed(data)
            if meter.failure is not None:
                raise without_words(meter.failure, candidate)
            if meter.begun or meter.complete or len(first) > UNDECIDED_BYTES_MAX:
                return Streaming(candidate, answer, meter, first)
    except BaseException:
        answer.close()
        raise


async def _refused(answer: Answer, secret: str) -> HubError:
    """Return the error for an answer that is not 200."""
    status = answer.status
    try:
        words = _upstream_words(await answer.read(), secret)
    except TransportError:
        words = _SILENT
    if status in _CALLERS_FAULT:
        said = words.message or f"The upstream answered {status}."
        refusal = UpstreamRefusal(status, said, param=words.param)
        refusal.recorded = f"The upstream answered {status}{words.shown_code}."
        return refusal
    if status == 429:
        limited = RateLimited(
            f"The upstream is limiting requests. {words.message}".strip(),
            retry_after_s=_retry_after(answer),
        )
        limited.recorded = f"The upstream is limiting requests{words.shown_code}."
        return limited
    if status in {401, 402, 403}:
        return UpstreamError(f"The upstream refused the hub's own credential ({status}).")
    if status in {408, 504}:
        return UpstreamTimeout(f"The upstream answered {status}.")
    return UpstreamError(f"The upstream answered {status}.")


def from_transport(error: TransportError) -> HubError:
    if isinstance(error, _TIMEOUTS):
        return UpstreamTimeout(f"The upstream took too long: {error.message}.")
    if isinstance(error, ConnectFailed):
        return NoUpstream(f"The upstream cannot be reached: {error.message}.")
    return UpstreamError(f"The upstream broke off: {error.message}.")


def without_words(error: HubError, candidate: Candidate) -> HubError:
    """Clean an error that came in a stream: no key in it, and of its words none on record."""
    error.message = _without_keys(error.message, candidate.secret)
    error.recorded = "The upstream reported an error in its stream."
    return error


class _Words(NamedTuple):
    """What an upstream said in an error, without keys and bounded."""

    message: str
    param: str | None
    code: str | None

    @property
    def shown_code(self) -> str:
        return f" ({self.code})" if self.code else ""


_SILENT = _Words("", None, None)


def _upstream_words(body: bytes, secret: str) -> _Words:
    try:
        value = orjson.loads(body)
        error = value["error"] if isinstance(value, dict) else value
        if not isinstance(error, dict):
            error = {"message": error}
        message = str(error["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return _SILENT
    param, code = error.get("param"), error.get("code")
    return _Words(
        _without_keys(message, secret)[:MESSAGE_MAX],
        _without_keys(param, secret)[:PARAM_MAX] if isinstance(param, str) else None,
        code if isinstance(code, str) and _CODE.fullmatch(code) and code != secret else None,
    )


def _without_keys(text: str, secret: str) -> str:
    if secret:
        text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", text)


def _retry_after(answer: Answer) -> int:
    value = answer.header(b"retry-after") or b""
    if value.isdigit():
        return min(max(int(value), 1), RETRY_AFTER_MAX_S)
    return 1
