"""The compact form of a signed token (RFC 7515, 7.1), read more strictly than JSON allows.

Header and claims that two readers could understand differently are refused before any key is
looked for: duplicate members, padding, characters outside base64url, non-canonical endings,
NaN, and anything beyond the limits.
"""

import binascii
import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any, Final, NamedTuple

TOKEN_CHARS_MAX: Final = 8_192
HEADER_CHARS_MAX: Final = 683  # 512 bytes
_PART: Final = re.compile(r"[A-Za-z0-9_-]+")


class Malformed(Exception):
    """A text that is not one token in one reading. The message never has its content."""


class Parts(NamedTuple):
    """A token's header and claims, of which nothing is verified."""

    header: dict[str, Any]
    claims: dict[str, Any]


def parts_of(token: str) -> Parts:
    """Return what a token says, unverified. Raises Malformed."""
    if len(token) > TOKEN_CHARS_MAX:
        raise Malformed("it is too long")
    pieces = token.split(".")
    if len(pieces) != 3:
        raise Malformed("it has not three parts")
    if len(pieces[0]) > HEADER_CHARS_MAX:
        raise Malformed("its header is too long")
    header, claims, signature = pieces
    decoded(signature)
    return Parts(_object(header), _object(claims))


def decoded(part: str) -> bytes:
    """Return the bytes of base64url without padding, in its one spelling. Raises Malformed."""
    if not _PART.fullmatch(part):
        raise Malformed("a part is not base64url")
    try:
        data = urlsafe_b64decode(part + "=" * (-len(part) % 4))
    except (binascii.Error, ValueError):
        raise Malformed("a part is not base64url") from None
    if encoded(data) != part:
        raise Malformed("a part has another spelling")
    return data


def encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _object(part: str) -> dict[str, Any]:
    try:
        value = json.loads(
            decoded(part).decode("utf-8"),
            object_pairs_hook=_unique,
            parse_constant=_refuse_constant,
        )
    except (ValueError, RecursionError):
        raise Malformed("a part is not JSON in one reading") from None
    if not isinstance(value, dict):
        raise Malformed("a part is not a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a member stands twice")
    return found


def _refuse_constant(_: str) -> None:
    raise ValueError("NaN and Infinity are no JSON")
