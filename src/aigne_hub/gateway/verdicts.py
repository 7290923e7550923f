"""What came of a failed attempt: what its caller is told, what it says of the upstream."""

import re
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

import orjson

from aigne_hub.domain.errors import (
    HubError,
    NoUpstream,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
    UpstreamTimeout,
)
from aigne_hub.domain.faults import Fault
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    TransportError,
)

# An upstream may ask for at most this much patience.
RETRY_AFTER_MAX_S = 3_600
# Anthropic's status for more requests than it can serve, which is nobody's rate limit.
OVERLOADED = 529
MESSAGE_MAX = 2_000
PARAM_MAX = 200
# A shorter credential is the dummy of a local server, not worth mangling words for.
SECRET_LENGTH_MIN = 8

_CALLERS_FAULT = frozenset({400, 404, 413, 422})
# How Anthropic begins the 400 that is about the hub's own account, not about the request.
_OWN_CREDIT = "Your credit balance is too low"
_TIMEOUTS = (FirstByteTimeout, IdleTimeout, TotalTimeout, ConnectTimeout)
# What vendors' keys look like, for messages that repeat another or a masked one.
_KEYS = re.compile(r"\b(?:(?:sk|pk|rk|key|gsk|xai)[-_]|AIza|ya29\.)[-_A-Za-z0-9*]{12,}")
# Google answers 400 for a key that is not valid.
_KEY_CODES = frozenset({"api_key_invalid"})
# What vendors call an account without credit, whatever their status is.
_CREDIT_CODES = frozenset({"insufficient_quota", "billing_hard_limit_reached"})
_FAULTS = {
    408: Fault.TIMED_OUT,
    429: Fault.THROTTLED,
    503: Fault.OVERLOADED,
    504: Fault.TIMED_OUT,
    OVERLOADED: Fault.OVERLOADED,
}
_DELAY = re.compile(r"([0-9]{1,9})(\.[0-9]+)?s")
# What vendors' error codes look like; anything else might be somebody's words.
_CODE = re.compile(r"[a-z][a-z0-9_.]{0,63}")


async def refused(answer: Answer, secret: str) -> HubError:
    """Return the error for an answer that is not 200."""
    try:
        words = _upstream_words(await answer.read(), secret)
    except TransportError:
        words = _SILENT
    error = _refusal(answer, words)
    error.fault = _fault_of(answer.status, words)
    return error


def _refusal(answer: Answer, words: "_Words") -> HubError:
    """Return what the caller is told."""
    status = answer.status
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


def _fault_of(status: int, words: "_Words") -> Fault | None:
    """Return what an answer says of who gave it, None when it is about the request."""
    if status == 402 or words.is_about_credit:
        return Fault.EXHAUSTED
    if status in {401, 403} or words.is_about_the_hub:
        return Fault.REFUSED
    if status in _CALLERS_FAULT:
        return None
    return _FAULTS.get(status, Fault.BROKEN)


def from_transport(error: TransportError) -> HubError:
    """Return the error for a request that got no answer, or not all of one."""
    if isinstance(error, _TIMEOUTS):
        late = UpstreamTimeout(f"The upstream took too long: {error.message}.")
        if isinstance(error, ConnectTimeout):
            late.fault = Fault.UNREACHABLE
        return late
    if isinstance(error, ConnectFailed):
        return NoUpstream(f"The upstream cannot be reached: {error.message}.")
    return UpstreamError(f"The upstream broke off: {error.message}.")


def without_words(error: HubError, secret: str) -> HubError:
    """Clean an error that came in an answer: no key in it, and of its words none on record."""
    error.message = _without_keys(error.message, secret)
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
    def is_about_credit(self) -> bool:
        return self.code in _CREDIT_CODES or self.message.startswith(_OWN_CREDIT)

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
