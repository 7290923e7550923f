"""Base64url without padding (RFC 7515, section 2): one text for each byte string, and back."""

import base64
import binascii
import re

_ALPHABET = re.compile(r"[A-Za-z0-9_-]*")


def encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def decode(text: str) -> bytes:
    """Return the bytes of a text.

    Raises ValueError for padding, other characters, and left-over bits that are not zero: a
    second spelling of the same bytes.
    """
    if not _ALPHABET.fullmatch(text):
        raise ValueError("not base64url without padding")
    try:
        data = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url without padding") from None
    if encode(data) != text:
        raise ValueError("a second spelling in base64url")
    return data
