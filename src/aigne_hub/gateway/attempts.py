"""Trying candidates until one answers: failover before the first byte, never after."""

import asyncio
import re
from collections.abc import Iterable
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

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
from aigne_hub.domain.quotes import count_text
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask, Dialect, StreamMeter
from aigne_hub.gateway.exchange import ClientGone, Exchange
from aigne_hub.gateway.router import Candidate
from aigne_hub.gateway.translate import translated
from aigne_hub.gateway.translated import JSON, Translated
from aigne_hub.ports import Clock
from aigne_hub.providers.upstream import Answer, Upstream
from aigne_hub.transport import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    TransportError,
)
from aigne_hub.usage.tracker import CallTracker

# An upstream may ask for at most this much patience.
RETRY_AFTER_MAX_S = 3_600
# Anthropic's status for more requests than it can serve, which is nobody's rate limit.
OVERLOADED = 529
MESSAGE_MAX = 2_000
PARAM_MAX = 200
# A shorter credential is the dummy of a local server, not worth mangling words for.
SECRET_LENGTH_MIN = 8
SHUTTING_DOWN = "The hub is shutting down."
# A stream that sent this much without recognisable content has begun all the same.
# Responses begins by repeating its request, instructions and tools included, twice.
UNDECIDED_BYTES_MAX = 1024 * 1024

_CALLERS_FAULT = frozenset({400, 404, 413, 422})
# How Anthropic begins the 400 that is about the hub's own account, not about the request.
_OWN_CREDIT = "Your credit balance is too low"
_TIMEOUTS = (FirstByteTimeout, IdleTimeout, TotalTimeout, ConnectTimeout)
# What vendors' keys look like, for messages that repeat another or a masked one.
_KEYS = re.compile(r"\b(?:(?:sk|pk|rk|key|gsk|xai)[-_]|AIza|ya29\.)[-_A-Za-z0-9*]{12,}")
# Google answers 400 for a key that is not valid.
_KEY_CODES = frozenset({"api_key_invalid"})
_DELAY = re.compile(r"([0-9]{1,9})(\.[0-9]+)?s")
# What vendors' error codes look like; anything else might be somebody's words.
_CODE = re.compile(r"[a-z][a-z0-9_.]{0,63}")


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
        return status, error if upstream is candidate.upstream else without_words(error, candidate)
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
        raise without_words(meter.failure, candidate)
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


async def refused(answer: Answer, secret: str) -> HubError:
    """Return the error for an answer that is not 200."""
    status = answer.status
    try:
        words = _upstream_words(await answer.read(), secret)
    except TransportError:
        words = _SILENT
    if status in {401, 402, 403} or words.is_about_the_hub:
        return UpstreamError(f"The upstream refused the hub's own credential ({status}).")
    if status in _CALLERS_FAULT:
        said = words.message or f"The upstream answered {status}."
        refusal = UpstreamRefusal(status, said, param=words.param)
        refusal.recorded = f"The upstream answered {status}{words.shown_code}."
        return refusal
    if status == 429:
        limited = RateLimited(
            f"The upstream is limiting requests. {words.message}".strip(),
            retry_after_s=_retry_after(answer, words.retry_after_s),
        )
        limited.recorded = f"The upstream is limiting requests{words.shown_code}."
        return limited
    if status in {408, 504}:
        return UpstreamTimeout(f"The upstream answered {status}.")
    return UpstreamError(f"The upstream answered {status}.", is_overload=status == OVERLOADED)


def from_transport(error: TransportError) -> HubError:
    if isinstance(error, _TIMEOUTS):
        return UpstreamTimeout(f"The upstream took too long: {error.message}.")
    if isinstance(error, ConnectFailed):
        return NoUpstream(f"The upstream cannot be reached: {error.message}.")
    return UpstreamError(f"The upstream broke off: {error.message}.")


def without_words(error: HubError, candidate: Candidate) -> HubError:
    """Clean an error that came in an answer: no key in it, and of its words none on record."""
    error.message = _without_keys(error.message, candidate.secret)
    error.recorded = "The upstream's answer carried an error."
    return error


class _Words(NamedTuple):
    """What an upstream said in an error, without keys and bounded."""

    message: str
    param: str | None
    code: str | None
    retry_after_s: int = 1

    @property
    def is_about_the_hub(self) -> bool:
        """Whether a 400 is about the hub's own key or account: no fault of the caller's."""
        return self.code in _KEY_CODES or self.message.startswith(_OWN_CREDIT)

    @property
    def shown_code(self) -> str:
        return f" ({self.code})" if self.code else ""


_SILENT = _Words("", None, None)


def _upstream_words(body: bytes, secret: str) -> _Words:
    try:
        error = _error_in(orjson.loads(body))
        message = str(error["message"])
    except (orjson.JSONDecodeError, KeyError, TypeError):
        return _SILENT
    param, code, patience = error.get("param"), error.get("code"), 1
    details = error.get("details")
    for detail in details if isinstance(details, list) else ():  # Google's
        reason = detail.get("reason") if isinstance(detail, dict) else None
        code = reason.lower() if isinstance(reason, str) else code
        patience = _seconds(detail) or patience
    return _Words(
        _without_keys(message, secret)[:MESSAGE_MAX],
        _without_keys(param, secret)[:PARAM_MAX] if isinstance(param, str) else None,
        code if isinstance(code, str) and _CODE.fullmatch(code) and code != secret else None,
        patience,
    )


def _error_in(value: Any) -> dict[str, Any]:
    """Return the error object of an answer, whatever its vendor's shape. May raise KeyError.

    Most have it as `error`: an object, or just words, with a code beside them (xAI). Mistral,
    Cohere and AWS have `message` at the top, and frameworks behind local servers `detail`.
    """
    if not isinstance(value, dict):
        return {"message": value}
    error = value.get("error")
    if error is None:
        error = value if "message" in value else {"message": value["detail"]}
    elif not isinstance(error, dict):
        error = {"message": error, "code": value.get("code")}
    if not isinstance(error["message"], str):
        error = {**error, "message": orjson.dumps(error["message"]).decode()}
    return error


def _seconds(detail: object) -> int:
    """Return the patience that Google's RetryInfo asks for, 0 without one."""
    delay = detail.get("retryDelay") if isinstance(detail, dict) else None
    found = _DELAY.fullmatch(delay) if isinstance(delay, str) else None
    return int(found[1]) + bool(found[2]) if found else 0


def _without_keys(text: str, secret: str) -> str:
    if len(secret) >= SECRET_LENGTH_MIN:
        text = text.replace(secret, "[key]")
    return _KEYS.sub("[key]", text)


def _retry_after(answer: Answer, said: int) -> int:
    """Return the seconds in the headers, without one those that the error `said`.

    A date (RFC 9110, section 10.2.3) is read against the answer's own, so that nobody's clock
    matters. Azure and OpenAI say it in milliseconds too.
    """
    value = answer.header(b"retry-after") or b""
    ms = answer.header(b"retry-after-ms") or b""
    if value.isdigit():
        said = int(value[:9])
    elif ms.isdigit():
        said = -(-int(ms[:12]) // 1_000)
    elif value:
        said = _until(value, answer.header(b"date")) or said
    return min(max(said, 1), RETRY_AFTER_MAX_S)


def _until(when: bytes, now: bytes | None) -> int:
    """Return the seconds between two dates of HTTP, 0 where one is none or they are not."""
    try:
        there, here = (parsedate_to_datetime(text.decode("latin-1")) for text in (when, now or b""))
        return int((there - here).total_seconds())
    except (ValueError, TypeError, OverflowError, IndexError):
        return 0
