"""Which candidate a conversation belongs to, so that its provider's prompt cache stays warm."""

import hashlib
import math
from collections.abc import Sequence
from typing import Final

# What is long enough for vendors to cache it: 1,024 tokens, four bytes each.
PREFIX_BYTES: Final = 4_096
_DIGEST_BYTES: Final = 8
_SPAN: Final = 1 << (8 * _DIGEST_BYTES)


def key_of(account: str, session: str | None, body: bytes) -> bytes | None:
    """Return what calls of one conversation have in common, None when nothing says so.

    `session` is a name its caller gave it; else the beginning of the body, where that is long
    enough to be cached. Accounts never share a key.
    """
    if session is not None:
        common = b"session\0" + session.encode("utf-8", "surrogatepass")
    elif len(body) > PREFIX_BYTES:
        common = b"prefix\0" + body[:PREFIX_BYTES]
    else:
        return None
    digest = hashlib.blake2b(common, digest_size=16, key=account.encode()[:64])
    return digest.digest()


def ranked(key: bytes, names: Sequence[str], weights: Sequence[int]) -> list[int]:
    """Return the positions of `names`, best first, the same in every process.

    Weighted rendezvous hashing: over many keys each is first in proportion to its weight, and
    when one falls away only its own keys move. Those of weight 0 are left out.
    """
    scores = {
        index: weight / -math.log(_draw(key, name))
        for index, (name, weight) in enumerate(zip(names, weights, strict=True))
        if weight
    }
    return sorted(scores, key=lambda index: -scores[index])


def _draw(key: bytes, name: str) -> float:
    """Return a number in (0, 1) that depends on both and on nothing else."""
    digest = hashlib.blake2b(name.encode(), digest_size=_DIGEST_BYTES, key=key).digest()
    return (int.from_bytes(digest) + 1) / (_SPAN + 2)
