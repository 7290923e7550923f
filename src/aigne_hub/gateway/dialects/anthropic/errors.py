"""Anthropic's error object, which its SDKs map to exception classes by status.

https://platform.claude.com/docs/en/api/errors, looked up in November 2026.
"""

from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, Overloaded, UpstreamError
from aigne_hub.gateway.dialects.openai.errors import error_object

_TYPES = {
    401: "authentication_error",
    402: "NOT_ENOUGH",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    504: "timeout_error",
}


def error_body(error: HubError, timestamp_ms: int, request_id: str) -> bytes:
    """Return the JSON body of a refused request."""
    return orjson.dumps({**_envelope(error, timestamp_ms), "request_id": request_id})


def error_event(error: HubError, timestamp_ms: int) -> bytes:
    """Return the event that ends a broken stream, after which no `message_stop` may follow."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(_envelope(error, timestamp_ms))


def _envelope(error: HubError, timestamp_ms: int) -> dict[str, Any]:
    """Return the object: `code` is the hub's stable name, and what else a caller needs is there."""
    value = error_object(error, timestamp_ms)
    value["type"] = _type_of(error)
    if value["param"] is None:
        del value["param"]
    return {"type": "error", "error": value}


def _type_of(error: HubError) -> str:
    if isinstance(error, Overloaded) or (isinstance(error, UpstreamError) and error.is_overload):
        return "overloaded_error"
    known = _TYPES.get(error.status)
    if known is not None:
        return known
    return "invalid_request_error" if error.status < 500 else "api_error"
