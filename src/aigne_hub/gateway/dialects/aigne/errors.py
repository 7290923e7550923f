"""AIGNE's error object. Its clients show `message`, and tell a lack of credit by `type`."""

from typing import Any

import orjson

from aigne_hub.domain.errors import HubError, InsufficientCredits, RateLimited
from aigne_hub.domain.instants import format_instant

NOT_ENOUGH = "NOT_ENOUGH"


def error_object(error: HubError, timestamp_ms: int) -> dict[str, Any]:
    """Return the value of `error`; the message of a 402 has the link in it."""
    value: dict[str, Any] = {"message": error.message, "code": error.code}
    if error.param is not None:
        value["param"] = error.param
    if isinstance(error, InsufficientCredits):
        if error.link and error.link not in error.message:
            value["message"] = f"{error.message} Buy credits: {error.link}"
        value["type"] = NOT_ENOUGH
        value["link"] = error.link
        value["timestamp"] = format_instant(timestamp_ms * 1000)
        if error.affordable_tokens is not None:
            value["affordable_tokens"] = error.affordable_tokens
    if isinstance(error, InsufficientCredits | RateLimited) and error.limit is not None:
        value["limit"] = error.limit._asdict()
    return value


def error_body(error: HubError, timestamp_ms: int) -> bytes:
    return orjson.dumps({"error": error_object(error, timestamp_ms)})


def named_event(error: HubError, timestamp_ms: int) -> bytes:
    """Return the event that ends a broken stream of chunks: the only one with a name."""
    return b"event: error\ndata: %b\n\n" % orjson.dumps(error_object(error, timestamp_ms))


def plain_event(error: HubError, timestamp_ms: int) -> bytes:
    """Return the event that ends a broken stream in the flat form."""
    return b"data: %b\n\n" % error_body(error, timestamp_ms)
