"""API keys: `blocklet-` and the base58 of 32 random bytes and their CRC-32.

The prefix is what stock clients know a key by; the missing dot tells it from a JWT; the
checksum lets a typing error, or a secret scanner, be answered without the database. Stored is
only `digest`: with 256 random bits a slow hash would buy nothing.
"""

import hmac
from collections.abc import Callable
from zlib import crc32

from aigne_hub.crypto import base58

SECRET_BYTES = 32
PREFIX_CHARS = 13

_MARK = "blocklet-"
_CHECKSUM_BYTES = 4
_TEXT_MAX = len(_MARK) + 50  # 36 bytes are at most 50 base58 digits


def new_key(randbytes: Callable[[int], bytes]) -> str:
    """Make a key. `randbytes(n)` returns n bytes from a cryptographically secure source."""
    secret = randbytes(SECRET_BYTES)
    return _MARK + base58.encode(secret + _checksum(secret))


def is_well_formed(text: str) -> bool:
    """Tell whether `text` could be one of our keys: mark, alphabet, length and checksum."""
    if not text.startswith(_MARK) or len(text) > _TEXT_MAX:
        return False
    try:
        data = base58.decode(text[len(_MARK) :])
    except ValueError:
        return False
    secret, checksum = data[:SECRET_BYTES], data[SECRET_BYTES:]
    return len(data) == SECRET_BYTES + _CHECKSUM_BYTES and checksum == _checksum(secret)


def digest(text: str, pepper: bytes) -> bytes:
    """Return what is stored in place of a key: HMAC-SHA-256 (RFC 2104) under `pepper`.

    Any text has a digest; one that is not a key is simply never found.
    """
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), "sha256")


def prefix_of(text: str) -> str:
    """Return the part of a key that may be shown and logged: its mark and four characters.

    Raises ValueError for a text without the mark: whatever that is, it may be secret throughout.
    """
    if not text.startswith(_MARK):
        raise ValueError(f"not an API key: it does not start with {_MARK}")
    return text[:PREFIX_CHARS]


def looks_like_jwt(text: str) -> bool:
    """Tell whether a bearer token is to be read as a JWT in compact form: it has two dots."""
    return text.count(".") == 2


def _checksum(secret: bytes) -> bytes:
    return crc32(secret).to_bytes(_CHECKSUM_BYTES)
