"""What came of a failed attempt: what its caller is told, what it says of the upstream."""

import re
from typing import Final

from aigne_hub.domain.errors import (
    HubError,
    NoUpstream,
    RateLimited,
    UpstreamError,
    UpstreamRefusal,
    UpstreamTimeout,
)
from aigne_hub.domain.faults import Fault
from aigne_hub.gateway.clean_words import without_keys
from aigne_hub.gateway.patience import patience_s
from aigne_hub.providers.complaints import (
    FAULTS,
    OVERLOADED,
    Cause,
    Complaint,
    cause_of,
    complaint_in,
)
from aigne_hub.providers.upstream import Answer
from aigne_hub.transport import (
    ConnectFailed,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    TotalTimeout,
    TransportError,
)

MESSAGE_MAX: Final = 2_000
PARAM_MAX: Final = 200
# Statuses about the request, which its caller gets as they are; what has another is a 400.
_KEPT: Final = frozenset({400, 404, 413, 422})
_TIMEOUTS: Final = (FirstByteTimeout, IdleTimeout, TotalTimeout, ConnectTimeout)
# What vendors' error codes look like; anything else might be somebody's words.
_CODE: Final = re.compile(r"[a-z][a-z0-9_.]{0,63}")
_CALLERS: Final = frozenset({Cause.CALLER, Cause.CONTENT, Cause.ABSENT})
_LIMITED: Final = frozenset({Cause.THROTTLED, Cause.TOO_LARGE})
# Of the vendor's words about the hub's own account, its caller gets none.
_OWN: Final = {
    Cause.CREDENTIAL: "The upstream refused the hub's own credential",
    Cause.CREDIT: "The upstream refused the hub's own account, which has no credit left",
    Cause.REGION: "The upstream does not serve the place where the hub is",
    Cause.BLOCKED: "The upstream has blocked the hub for a while",
    Cause.MODEL: "The upstream does not let the hub use this model",
}


async def refused(answer: Answer, secret: str) -> HubError:
    """Return the error for an answer that is not 200."""
    name = (answer.header(b"x-amzn-errortype") or b"").decode("latin-1")
    try:
        body = await answer.read()
    except TransportError:
        body = b""
    said = complaint_in(body, name)
    cause = cause_of(answer.status, said)
    patience = patience_s(answer, said.patience_s)
    code = _shown_code(said.code, secret)
    error = _told(cause, answer.status, _cleaned(said, secret), code, patience)
    error.fault = FAULTS[cause]
    error.patience_s = patience
    return error


def _told(cause: Cause, status: int, said: Complaint, code: str, patience: int) -> HubError:
    """Return what the caller is told, with what is recorded of it. `code` is to be shown."""
    error: HubError
    if cause in _CALLERS or (cause is Cause.MODEL and status in _KEPT):
        kept = status if status in _KEPT else 404 if cause is Cause.ABSENT else 400
        words = said.message or f"The upstream answered {status}."
        error = UpstreamRefusal(kept, words, param=said.param)
        error.recorded = f"The upstream answered {status}{code}."
    elif cause in _LIMITED:
        words = f"The upstream is limiting requests. {said.message}".strip()
        error = RateLimited(words, retry_after_s=max(patience, 1))
        error.recorded = f"The upstream is limiting requests{code}."
    elif cause is Cause.TIMED_OUT:
        error = UpstreamTimeout(f"The upstream answered {status}.")
    else:
        own = _OWN.get(cause)
        words = f"The upstream answered {status}" if own is None else f"{own} ({status})"
        error = UpstreamError(f"{words}.", is_overload=status == OVERLOADED)
        error.recorded = f"{words}{code}."
    return error


def _cleaned(said: Complaint, secret: str) -> Complaint:
    """Return what the caller may see of it: no keys, bounded."""
    message = without_keys(said.message, secret)[:MESSAGE_MAX]
    param = said.param
    return said._replace(
        message=message, param=param and (without_keys(param, secret)[:PARAM_MAX] or None)
    )


def _shown_code(code: str | None, secret: str) -> str:
    """Return an error's code for the record, nothing for one that might be words or a key."""
    if not code or code == "error" or not _CODE.fullmatch(code):
        return ""
    return "" if code == secret or without_keys(code, secret) != code else f" ({code})"


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
    error.message = without_keys(error.message, secret)
    error.recorded = "The upstream's answer carried an error."
    return error
