"""Redemption codes: 80 random bits in letters and digits that people can read to each other.

The alphabet is Crockford's base 32 (https://www.crockford.com/base32.html): no letter looks
like a digit, and what people confuse is read as what was meant.
"""

ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
RANDOM_BYTES = 10
CHARS = 16
_GROUP = 4
_TYPED_MAX = 64
_CONFUSED = str.maketrans({"O": "0", "I": "1", "L": "1", "-": None, " ": None, "_": None})


def code_of(random: bytes) -> str:
    """Return the code of RANDOM_BYTES random bytes, such as `7KQ2-…`."""
    if len(random) != RANDOM_BYTES:
        raise ValueError(f"a code is made of {RANDOM_BYTES} random bytes")
    number = int.from_bytes(random)
    letters = "".join(ALPHABET[number >> 5 * place & 31] for place in reversed(range(CHARS)))
    return "-".join(letters[start : start + _GROUP] for start in range(0, CHARS, _GROUP))


def normalised(typed: str) -> str | None:
    """Return the letters of a code as somebody typed it; None for what is no code."""
    if len(typed) > _TYPED_MAX:
        return None
    letters = typed.upper().translate(_CONFUSED)
    if len(letters) != CHARS or not set(letters) <= set(ALPHABET):
        return None
    return letters
