"""OpenAI's error object, which its SDKs map to exception classes by status."""

from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, InsufficientCredits, RateLimited

# The SDKs read `type` only to show it; `code` is the stable name.
_TYPES = {
    401: "authentication_error",
    402: "NOT_ENOUGH",
    403: "permission_error",
    409: "conflict_error",
    429: "rate_limit_error",
}


def error_object(error: HubError, timestamp_ms: int | None = None) -> dict[str, Any]:
    """Return the value of `error`; a 402 carries what a client needs to buy credit."""
    value: dict[str, Any] = {
        "message": error.message,
        "type": _TYPES.get(error.status) or _type_of_class(error.status),
        "param": error.param,
        "code": error.code,
    }
    if isinstance(error, InsufficientCredits):
        if error.link and error.link not in error.message:
            value["message"] = f"{error.message} Buy credits: {error.link}"
        value["link"] = error.link
        value["timestamp"] = timestamp_ms
        if error.affordable_tokens is not None:
            value["affordable_tokens"] = error.affordable_tokens
    if isinstance(error, InsufficientCredits | RateLimited) and error.limit is not None:
        value["limit"] = error.limit._asdict()
    return value


def _type_of_class(status: int) -> str:
    return "invalid_request_error" if status < 500 else "server_error"


def error_body(error: HubError, timestamp_ms: int | None = None) -> bytes:
    """Return the JSON body of a refused request."""
    return orjson.dumps({"error": error_object(error, timestamp_ms)})


def error_event(error: HubError, timestamp_ms: int | None = None) -> bytes:
    """Return the event that ends a broken stream, after which no `[DONE]` may follow."""
    return b"data: %b\n\n" % orjson.dumps({"error": error_object(error, timestamp_ms)})
