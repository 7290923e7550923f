"""Hashes of passwords: argon2id (RFC 9106) with the profile for little memory.

What is hashed is itself a keyed hash of the password and of whose it is: who steals the
database without its secret key cannot even begin to guess, and a hash moved to another user
opens nothing. One hash takes MEMORY_KIB and a good part of a second of several cores: callers
bound how many are made at once.
"""

import hmac
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from aigne_hub.at_first_use import at_first_use

if TYPE_CHECKING:
    from argon2 import PasswordHasher

# RFC 9106, section 4, the second recommended option.
PASSES: Final = 3
MEMORY_KIB: Final = 64 * 1024
LANES: Final = 4
_SALT_BYTES: Final = 16
_HASH_BYTES: Final = 32

# The hash of nobody's password. Comparing with it takes as long as with somebody's.
NOBODY: Final = (
    f"$argon2id$v=19$m={MEMORY_KIB},t={PASSES},p={LANES}$bm9ib2R5IGtub3dzIG1lIQ$"
    "KioqKioqKioqKioqKioqKioqKioqKioqKioqKioqKio"
)


def hashed(password: bytes, user_id: str, pepper: bytes, randbytes: Callable[[int], bytes]) -> str:
    """Return what is stored of a user's password, in argon2's own notation."""
    return _hasher().hash(_keyed(password, user_id, pepper), salt=randbytes(_SALT_BYTES))


def matches(stored: str, password: bytes, user_id: str, pepper: bytes) -> bool:
    """Tell whether a password is the one stored for a user; a broken hash is nobody's."""
    wrong = _refusals()
    try:
        return _hasher().verify(stored, _keyed(password, user_id, pepper))
    except wrong:
        return False


def is_current(stored: str) -> bool:
    """Tell whether a stored hash was made with the parameters of today."""
    return not _hasher().check_needs_rehash(stored)


def _keyed(password: bytes, user_id: str, pepper: bytes) -> bytes:
    return hmac.digest(pepper, f"password\0{user_id}\0".encode() + password, "sha256")


@at_first_use
def _hasher() -> "PasswordHasher":
    from argon2 import PasswordHasher  # noqa: PLC0415 - at first use

    return PasswordHasher(
        time_cost=PASSES,
        memory_cost=MEMORY_KIB,
        parallelism=LANES,
        hash_len=_HASH_BYTES,
        salt_len=_SALT_BYTES,
    )


@at_first_use
def _refusals() -> tuple[type[Exception], ...]:
    from argon2 import exceptions  # noqa: PLC0415 - at first use

    return (exceptions.VerificationError, exceptions.InvalidHashError)
