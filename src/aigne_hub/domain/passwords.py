"""Which passwords people may have, and how long somebody waits who guesses at one.

Length is what counts (NIST SP 800-63B, 5.1.1.2): no rule about kinds of characters, and the
bytes are taken as they were typed.
"""

from typing import Final

from aigne_hub.domain.easy_passwords import is_easy
from aigne_hub.domain.errors import InvalidRequest

CHARS_MIN: Final = 12
BYTES_MAX: Final = 1_024

# Wrong tries that cost no time, then the wait doubles with each until it is WAIT_MAX_S.
FREE_TRIES: Final = 5
WAIT_MAX_S: Final = 900


def require_good(password: bytes, email: str | None) -> None:
    """Raise InvalidRequest for a new password that is too short, too long or too easy."""
    if len(password) > BYTES_MAX:
        raise _refused(f"A password has at most {BYTES_MAX:,} bytes.")
    if len(password.decode("utf-8", "replace")) < CHARS_MIN:
        raise _refused(f"A password has at least {CHARS_MIN} characters. Several words are best.")
    if is_easy(password, email):
        raise _refused("This password is among the first that are tried. Take several words.")


def wait_s(failures: int) -> int:
    """Return how long to wait after so many wrong tries, in seconds."""
    over = failures - FREE_TRIES
    return 0 if over < 0 else min(2 ** min(over, 30), WAIT_MAX_S)


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="password")
