"""The errors a caller can meet. Each has a stable code and an HTTP status.

HubError
├── InvalidRequest          invalid_request        400
├── UnpricedModel           unpriced_model         400
├── Unauthenticated         unauthenticated        401
├── InsufficientCredits     insufficient_credits   402   link, affordable_tokens
├── Forbidden               forbidden              403
├── NotFound                not_found              404
├── Conflict                conflict               409
├── PayloadTooLarge         payload_too_large      413
├── IdempotencyMismatch     idempotency_mismatch   422
├── RateLimited             rate_limited           429   retry_after_s
├── UpstreamError           upstream_error         502
├── NoUpstream              no_upstream            503
├── Overloaded              overloaded             503   retry_after_s
├── UpstreamTimeout         upstream_timeout       504
└── UpstreamRefusal         upstream's own status (400, 404, 413, 422) and message

A dialect turns one of these into the bytes its clients expect; nothing else may
choose a status or a code.
"""

from typing import NamedTuple

from aigne_hub.domain.faults import Fault


class LimitState(NamedTuple):
    """A limit as a refused caller is told it. Amounts are credits, calls, tokens or streams.

    `remaining` is what another call may still use: the amount less used and held. `resets_at`
    is when its window ends (RFC 3339), None for never.
    """

    limit: str
    measure: str
    window: str
    amount: str
    used: str
    held: str
    remaining: str
    resets_at: str | None


class HubError(Exception):
    """Anything the hub answers instead of a result. `message` is safe to show to the caller.

    `recorded` is what its call's record keeps of it: the message, but never the words of an
    upstream, which may quote the prompt. `fault` is what it says of the upstream that was
    asked, None when nothing; `patience_s` is for how long that asks to be left alone, 0 when
    it does not.
    """

    code = "internal_error"
    status = 500
    fault: Fault | None = None
    patience_s = 0

    def __init__(self, message: str, *, param: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.recorded = message
        self.param = param


class InvalidRequest(HubError):
    code = "invalid_request"
    status = 400


class UnpricedModel(HubError):
    code = "unpriced_model"
    status = 400


class Unauthenticated(HubError):
    """Nobody knows who calls. `challenge` is how to become somebody (RFC 9110, 11.6.1)."""

    code = "unauthenticated"
    status = 401
    challenge: str | None = None


class InsufficientCredits(HubError):
    """The worst case of the call does not fit into what the account has available.

    `link` is where credit can be bought; `affordable_tokens` is the largest output limit
    that would have been admitted, or None when not even one token fits. `limit` describes
    the spending limit that refused it, if one did.
    """

    code = "insufficient_credits"
    status = 402

    def __init__(
        self,
        message: str,
        *,
        link: str | None = None,
        affordable_tokens: int | None = None,
        limit: LimitState | None = None,
    ) -> None:
        super().__init__(message)
        self.link = link
        self.affordable_tokens = affordable_tokens
        self.limit = limit


class Forbidden(HubError):
    code = "forbidden"
    status = 403


class NotFound(HubError):
    code = "not_found"
    status = 404


class Conflict(HubError):
    code = "conflict"
    status = 409


class PayloadTooLarge(HubError):
    code = "payload_too_large"
    status = 413


class IdempotencyMismatch(HubError):
    code = "idempotency_mismatch"
    status = 422


class RetryLater(HubError):
    def __init__(self, message: str, *, retry_after_s: int = 1) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class RateLimited(RetryLater):
    """Too many calls, tokens or streams. `limit` is the hub's own; None when an upstream's."""

    code = "rate_limited"
    status = 429

    def __init__(
        self, message: str, *, retry_after_s: int = 1, limit: LimitState | None = None
    ) -> None:
        super().__init__(message, retry_after_s=retry_after_s)
        self.limit = limit


class UpstreamError(HubError):
    """The upstream failed. `is_overload` when it said that it has too much to do just now."""

    code = "upstream_error"
    status = 502

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        is_overload: bool = False,
        fault: Fault | None = Fault.BROKEN,
    ) -> None:
        super().__init__(message, param=param)
        self.is_overload = is_overload
        self.fault = fault


class NoUpstream(HubError):
    code = "no_upstream"
    status = 503
    fault = Fault.UNREACHABLE


class Overloaded(RetryLater):
    code = "overloaded"
    status = 503


class UpstreamTimeout(HubError):
    code = "upstream_timeout"
    status = 504
    fault = Fault.TIMED_OUT


class UpstreamRefusal(HubError):
    """The upstream refused the caller's own request; its status and message are passed on."""

    code = "invalid_request"

    def __init__(self, status: int, message: str, *, param: str | None = None) -> None:
        super().__init__(message, param=param)
        self.recorded = f"The upstream answered {status}."
        self.status = status
        self.code = {404: "not_found", 413: "payload_too_large"}.get(status, "invalid_request")
