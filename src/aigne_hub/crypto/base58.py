"""Base58 with the Bitcoin alphabet: one text for each byte string, and back.

Each leading zero byte is one leading "1", so the mapping is a bijection: a text that decodes
at all is the canonical text of its bytes. The work is quadratic in the length, hence the limit.
"""

BYTES_MAX = 512
TEXT_MAX = 700  # 512 bytes need at most this many digits: 512 * log(256) / log(58)

_ALPHABET = "123456789ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz"
_VALUES = {digit: value for value, digit in enumerate(_ALPHABET)}


def encode(data: bytes) -> str:
    """Return the base58 text of at most BYTES_MAX bytes. Raises ValueError above that."""
    if len(data) > BYTES_MAX:
        raise ValueError(f"base58 is limited to {BYTES_MAX} bytes, got {len(data)}")
    number = int.from_bytes(data)
    digits: list[str] = []
    while number:
        number, value = divmod(number, 58)
        digits.append(_ALPHABET[value])
    zeros = len(data) - len(data.lstrip(b"\0"))
    return "1" * zeros + "".join(reversed(digits))


def decode(text: str) -> bytes:
    """Return the bytes of a base58 text.

    Raises ValueError for a character outside the alphabet or a text that is too long. The
    message names the position and never the character: the text may be a secret.
    """
    if len(text) > TEXT_MAX:
        raise ValueError(f"base58 is limited to {TEXT_MAX} characters, got {len(text)}")
    number = 0
    for position, digit in enumerate(text, start=1):
        value = _VALUES.get(digit)
        if value is None:
            raise ValueError(f"character {position} is not in the base58 alphabet")
        number = number * 58 + value
    zeros = len(text) - len(text.lstrip("1"))
    length = zeros + (number.bit_length() + 7) // 8
    if length > BYTES_MAX:
        raise ValueError(f"base58 is limited to {BYTES_MAX} bytes, got {length}")
    return number.to_bytes(length)
