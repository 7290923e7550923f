"""Codes, refresh tokens and client secrets: 32 random bytes, stored as keyed digests.

Each kind has a mark, by which secret scanners and people know it, and a digest of its own, so
that one kind never passes for another.
"""

import hmac
from collections.abc import Callable
from enum import StrEnum
from typing import Final

from aigne_hub.crypto.jose.compact import encoded

SECRET_BYTES: Final = 32
TEXT_CHARS_MAX: Final = 128


class Kind(StrEnum):
    """What a secret is for, and how its text begins."""

    CODE = "hub-code-"
    REFRESH = "hub-refresh-"
    CLIENT = "hub-secret-"
    DEVICE = "hub-device-"
    # Typed by people, so it has no mark.
    USER_CODE = "user-code"


def new_secret(kind: Kind, randbytes: Callable[[int], bytes]) -> str:
    """Make a secret. `randbytes(n)` returns n bytes from a cryptographically secure source."""
    return f"{kind.value}{encoded(randbytes(SECRET_BYTES))}"


def digest(kind: Kind, text: str, pepper: bytes) -> bytes:
    """Return what is stored in place of a secret: HMAC-SHA-256 (RFC 2104) under `pepper`."""
    message = f"oauth {kind.name}\0{text[: TEXT_CHARS_MAX + 1]}"
    return hmac.digest(pepper, message.encode("utf-8", "surrogatepass"), "sha256")
