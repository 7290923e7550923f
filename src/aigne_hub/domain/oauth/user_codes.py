"""User codes of the device grant (RFC 8628, 6.1): nine consonants, which spell no word.

20^9 codes are 5.1 * 10^11. With at most LIVE_MAX waiting and GUESSES_MAX tries an hour for a
user, a user's chance of meeting one is below 10^-6 (5.1): 5,000 * 10 / 5.1 * 10^11 = 10^-7.
"""

from typing import Final

ALPHABET: Final = "BCDFGHJKLMNPQRSTVWXZ"
LETTERS: Final = 9
GROUP: Final = 3
LIVE_MAX: Final = 5_000
GUESSES_MAX: Final = 10
# Draws that map evenly: bytes from here on would favour the first letters.
_EVEN: Final = 256 - 256 % len(ALPHABET)


def code_of(random: bytes) -> str | None:
    """Return a code made of random bytes; None when too few of them are usable."""
    usable = [byte for byte in random if byte < _EVEN][:LETTERS]
    if len(usable) < LETTERS:
        return None
    return "".join(ALPHABET[byte % len(ALPHABET)] for byte in usable)


def shown(code: str) -> str:
    """Return a code in the groups in which people read it."""
    return "-".join(code[at : at + GROUP] for at in range(0, LETTERS, GROUP))


def normalised(typed: str) -> str | None:
    """Return the letters of a code as somebody typed it; None for what is no code."""
    letters = "".join(character for character in typed.upper() if character.isalnum())
    if len(letters) != LETTERS or any(letter not in ALPHABET for letter in letters):
        return None
    return letters
