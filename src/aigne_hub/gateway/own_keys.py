"""Keeping the hub's own keys out of what providers say.

An echo of a request's headers is no answer, but looks like one when its status is 200, as that of
a wrong address may. An event of a stream passes whole, so a key that stands in it does too.
"""

from aigne_hub.gateway.clean_words import SECRET_LENGTH_MIN

HIDDEN = b"[key]"


def key_in(secret: str) -> bytes | None:
    """Return what must not be in an answer, None for a key that is not worth looking for."""
    return secret.encode() if len(secret) >= SECRET_LENGTH_MIN else None


def without_key(data: bytes, secret: str) -> bytes:
    """Return an answer, or a part of one, without the key that it was asked for with."""
    key = secret.encode()
    if data.find(key) >= 0 and len(secret) >= SECRET_LENGTH_MIN:
        return data.replace(key, HIDDEN)
    return data
