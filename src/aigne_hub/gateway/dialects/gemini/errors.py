"""Google's error object: `code` is the HTTP status, the hub's stable code is a detail's reason.

https://google.aip.dev/193: from the vendor's SDK and stored copies, not the live page.
"""

from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, InsufficientCredits, Overloaded, RateLimited
from aigne_hub.gateway.dialects.openai.errors import error_object

DOMAIN = "aigne-hub"
_STATUSES = {
    401: "UNAUTHENTICATED",
    402: "FAILED_PRECONDITION",
    403: "PERMISSION_DENIED",
    404: "NOT_FOUND",
    409: "ABORTED",
    429: "RESOURCE_EXHAUSTED",
    503: "UNAVAILABLE",
    504: "DEADLINE_EXCEEDED",
}


def error_body(error: HubError, timestamp_ms: int) -> bytes:
    """Return the JSON body of a refused request."""
    return orjson.dumps(_envelope(error, timestamp_ms))


def error_event(error: HubError, timestamp_ms: int) -> bytes:
    """Return the event that ends a broken stream; its clients raise it as an error."""
    return b"data: %b\r\n\r\n" % orjson.dumps(_envelope(error, timestamp_ms))


def _envelope(error: HubError, timestamp_ms: int) -> dict[str, Any]:
    common = error_object(error, timestamp_ms)
    reason: dict[str, Any] = {
        "@type": "type.googleapis.com/google.rpc.ErrorInfo",
        "reason": error.code,
        "domain": DOMAIN,
    }
    if error.param is not None:
        reason["metadata"] = {"param": error.param}
    details = [reason]
    if isinstance(error, RateLimited | Overloaded):
        details.append(
            {
                "@type": "type.googleapis.com/google.rpc.RetryInfo",
                "retryDelay": f"{error.retry_after_s}s",
            }
        )
    value: dict[str, Any] = {
        "code": error.status,
        "message": common.pop("message"),
        "status": _status_of(error.status),
        "details": details,
    }
    if isinstance(error, InsufficientCredits):
        value["type"] = common["type"]
    for name in ("type", "param", "code"):
        del common[name]
    return {"error": {**value, **common}}


def _status_of(status: int) -> str:
    known = _STATUSES.get(status)
    return known or ("INVALID_ARGUMENT" if status < 500 else "INTERNAL")
