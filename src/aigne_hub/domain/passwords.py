"""Which passwords people may have, and how long somebody waits who guesses at one.

Length is what counts (NIST SP 800-63B, 5.1.1.2): no rule about kinds of characters, and the
bytes are taken as they were typed.
"""

from typing import Final

from aigne_hub.domain.errors import InvalidRequest

CHARS_MIN: Final = 12
BYTES_MAX: Final = 1_024

# Wrong tries that cost no time, then the wait doubles with each until it is WAIT_MAX_S.
FREE_TRIES: Final = 5
WAIT_MAX_S: Final = 900

# The commonest of those that are long enough, without their case and what repeats or counts.
_COMMON: Final = frozenset(
    (
        b"1q2w3e4r5t6y 1qaz2wsx3edc 1234qwerasdf 123qweasdzxc 123456qwerty 123456789abc "
        b"abcd12345678 abcdef123456 abc123456789 a1b2c3d4e5f6 adminadmin123 administrator "
        b"administrator1 changeme1234 changemechangeme changemenow1 correcthorsebatterystaple "
        b"defaultpassword football1234 iloveyou1234 iloveyou12345 iloveyouforever letmein12345 "
        b"liverpoolfc1 manchesterunited mypassword123 mypassword1234 p@ssw0rd1234 "
        b"p@ssword1234 passw0rd1234 password1234 password12345 password123456 "
        b"password12345678 password123456789 password1234567890 passwordpass1 princess1234 "
        b"q1w2e3r4t5y6 qazwsxedcrfv qwer12345678 qwerty123456 qwerty1234567 qwerty12345678 "
        b"qwerty123456789 qwertyasdfgh qwertyuiop12 qwertyuiop123 qwertyuiop[] qwertyuiopasdf "
        b"qwertyuiopasdfghjkl secretpassword sunshine1234 superman1234 thisisapassword "
        b"trustno112345 welcome12345 welcome123456 zaq12wsxcde3 zxcvbnm12345 zxcvbnmasdfgh"
    ).split()
)
_ROWS: Final = (
    b"01234567890123456789",
    b"abcdefghijklmnopqrstuvwxyz",
    b"qwertyuiopasdfghjklzxcvbnm",
)
_PERIOD_MAX: Final = 8


def require_good(password: bytes, email: str | None) -> None:
    """Raise InvalidRequest for a new password that is too short, too long or too easy."""
    if len(password) > BYTES_MAX:
        raise _refused(f"A password has at most {BYTES_MAX:,} bytes.")
    if len(password.decode("utf-8", "replace")) < CHARS_MIN:
        raise _refused(f"A password has at least {CHARS_MIN} characters. Several words are best.")
    if _is_easy(password.lower(), (email or "").lower().encode()):
        raise _refused("This password is among the first that are tried. Take several words.")


def wait_s(failures: int) -> int:
    """Return how long to wait after so many wrong tries, in seconds."""
    over = failures - FREE_TRIES
    return 0 if over < 0 else min(2 ** min(over, 30), WAIT_MAX_S)


def _is_easy(password: bytes, email: bytes) -> bool:
    if password in _COMMON or (email and password == email):
        return True
    if any(password in row or password in row[::-1] for row in _ROWS):
        return True
    # A word or a character over and over.
    return any(
        password == (password[:size] * len(password))[: len(password)]
        for size in range(1, _PERIOD_MAX + 1)
    )


def _refused(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="password")
