"""Putting what a call costs into the usage object of an event, its other bytes untouched."""

import re
from typing import Any

import msgspec
import orjson

from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.reading import UNREADABLE
from aigne_hub.providers.frames import payload_of

_USAGE = re.compile(rb'"usage"[ \t\r\n]*:[ \t\r\n]*')
_EMPTY = re.compile(rb"\{[ \t\r\n]*\}")


class _Holder(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()


class _Event(msgspec.Struct):
    response: _Holder


_decode = msgspec.json.Decoder(_Event).decode


def with_credits(frame: bytes, charge: str, counted: Usage) -> bytes:
    """Return a frame with `credits` in `response.usage`; with a whole one where it has none.

    A frame that cannot be read is returned as it is.
    """
    payload = payload_of(frame) or b""
    priced = _spliced(payload, charge, counted) or _written_again(payload, charge, counted)
    if priced is None:
        return frame
    if payload and frame.count(payload) == 1:
        return frame.replace(payload, priced)
    # Data of several lines is written as one.
    kept = [line for line in frame.splitlines() if line and not line.startswith(b"data:")]
    return b"\n".join([*kept, b"data: " + priced, b"", b""])


def _spliced(payload: bytes, charge: str, counted: Usage) -> bytes | None:
    """Splice where the object stands without a doubt; None where it must be parsed."""
    try:
        told = bytes(_decode(payload).response.usage)
    except UNREADABLE:
        return None
    places = [m.end() for m in _USAGE.finditer(payload) if payload.startswith(told, m.end())]
    if not told or len(places) != 1 or b'"credits"' in told or b"\n" in payload:
        return None
    start = places[0]
    if told[:1] == b"{" and _EMPTY.fullmatch(told) is None:
        return b'%b{"credits":%b,%b' % (
            payload[:start],
            orjson.dumps(charge),
            payload[start + 1 :],
        )
    shown = orjson.dumps(_usage(counted, charge))
    return payload[:start] + shown + payload[start + len(told) :]


def _written_again(payload: bytes, charge: str, counted: Usage) -> bytes | None:
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return None
    if not isinstance(value, dict):
        return None
    response = value.get("response")
    if not isinstance(response, dict):
        response = value["response"] = {}
    usage = response.get("usage")
    if isinstance(usage, dict) and usage:
        usage["credits"] = charge
    else:
        response["usage"] = _usage(counted, charge)
    try:
        return orjson.dumps(value)
    except orjson.JSONEncodeError:  # read, but too deep to be written
        return None


def _usage(counted: Usage, charge: str) -> dict[str, Any]:
    """Return the usage object of what the hub counted."""
    read = counted.context_tokens
    return {
        "input_tokens": read,
        "input_tokens_details": {
            "cached_tokens": counted.cache_read_tokens,
            "cache_write_tokens": counted.cache_write_tokens,
        },
        "output_tokens": counted.output_tokens,
        "output_tokens_details": {"reasoning_tokens": counted.reasoning_tokens},
        "total_tokens": read + counted.output_tokens,
        "credits": charge,
    }
