"""Decoding the members of a request or an answer that the hub looks at."""

from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.providers.complaints import blamed

# What a decoder raises for what is not the JSON it was made for.
UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)
# What a member is that is not there: told at a glance where a structure has it as its default.
ABSENT = msgspec.Raw()
_ABSENT = frozenset({b"", b"null"})


def read_again(payload: bytes) -> dict[str, Any]:
    """Return an event that was looked at before, empty for what is no object to all decoders.

    One that skips a member does not see what in it is no UTF-8.
    """
    try:
        value = orjson.loads(payload)
    except orjson.JSONDecodeError:
        return {}
    return value if isinstance(value, dict) else {}


def rewritten(value: object, frame: bytes) -> bytes:
    """Return the event of a frame with another value in it.

    What is nested deeper than can be written stays the frame that it is.
    """
    try:
        return b"data: %b\n\n" % orjson.dumps(value)
    except orjson.JSONEncodeError:
        return frame


def json_length(value: object) -> int:
    """Return how long a value is as JSON, about so where it is too deep to be written."""
    try:
        return len(orjson.dumps(value))
    except orjson.JSONEncodeError:
        total, rest = 0, [value]
        while rest:
            one = rest.pop()
            total += 2
            if isinstance(one, str):
                total += len(one.encode())
            elif isinstance(one, dict):
                rest += (*one, *one.values())
            elif isinstance(one, list):
                rest += one
        return total


def is_present(raw: msgspec.Raw) -> bool:
    """Tell whether a member stands in the JSON and is not null."""
    return raw is not ABSENT and bytes(raw) not in _ABSENT


def decoded(raw: msgspec.Raw) -> object:
    """Return the value of a member; words, which are no usage, for what has none."""
    try:
        return msgspec.json.decode(raw) if is_present(raw) else None
    except UNREADABLE:
        return "unreadable"


def peeked(decode: Any, body: bytes) -> Any:
    """Decode a peek, or raise InvalidRequest that says where the body is wrong."""
    try:
        return decode(body)
    except msgspec.ValidationError as error:
        text = str(error)
        param = text.rpartition("`$.")[2].rstrip("`") if "`$." in text else None
        raise InvalidRequest(f"The request body is not valid: {text}.", param=param) from None
    except UNREADABLE as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None


def answered(decode: Any, body: bytes) -> Any:
    """Decode a whole answer; raises UpstreamError for an error object or invalid JSON."""
    try:
        answer = decode(body)
    except UNREADABLE:
        raise UpstreamError("The upstream's answer is not valid JSON of this kind.") from None
    if is_present(answer.error):
        raise blamed("The upstream answered 200 with an error object.", decoded(answer.error))
    return answer
