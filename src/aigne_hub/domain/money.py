"""Credits as integers. 1 credit = 1,000,000,000 nano-credits; a float never appears."""

import re

NANO_PER_CREDIT = 1_000_000_000
DECIMALS_MAX = 9
# Fits a signed 64-bit column with room for the sum of two amounts.
AMOUNT_MAX = 4_000_000_000 * NANO_PER_CREDIT

_DIGITS_MAX = 30
_PLACES = f"%d.%0{DECIMALS_MAX}d"
_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?", re.ASCII)
_SCIENTIFIC = re.compile(r"([0-9]+)(?:\.([0-9]+))?(?:[eE]([+-]?[0-9]{1,2}))?", re.ASCII)
_SCIENTIFIC_CHARS_MAX = 64


def round_half_up(numerator: int, denominator: int) -> int:
    """Return numerator / denominator rounded to the nearest integer, halves up.

    The only rounding of money in the system: once per call, at settlement. It is monotone,
    so the price of a bound is never below the price of what stays within it.
    """
    return (2 * numerator + denominator) // (2 * denominator)


def parse_credits(text: str) -> int:
    """Return the nano-credits of a decimal string such as "12.5".

    Raises ValueError for anything that is not a plain finite decimal with at most nine
    places and a magnitude of at most AMOUNT_MAX.
    """
    match = _DECIMAL.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a decimal number of credits such as 12.5")
    sign, whole, fraction = match[1], match[2], match[3] or ""
    if len(fraction.rstrip("0")) > DECIMALS_MAX:
        raise ValueError(f"{text[:40]!r} has more than {DECIMALS_MAX} decimal places")
    if len(whole) > _DIGITS_MAX:
        raise ValueError(f"{text[:40]!r} is more than {AMOUNT_MAX // NANO_PER_CREDIT} credits")
    places = fraction[:DECIMALS_MAX].ljust(DECIMALS_MAX, "0")
    nano = int(whole) * NANO_PER_CREDIT + int(places)
    if nano > AMOUNT_MAX:
        raise ValueError(f"{text[:40]!r} is more than {AMOUNT_MAX // NANO_PER_CREDIT} credits")
    return -nano if sign else nano


def format_credits(nano: int) -> str:
    """Return nano-credits as a decimal string without exponent or trailing zeros."""
    if nano < 0:
        return f"-{format_credits(-nano)}"
    whole, fraction = divmod(nano, NANO_PER_CREDIT)
    if not fraction:
        return str(whole)
    return (_PLACES % (whole, fraction)).rstrip("0")


def parse_amount(text: str) -> int:
    """Return the nano-credits nearest to a decimal of any precision, halves up.

    For amounts that other systems computed, which may have more places than the ledger and
    an exponent, such as "1.5e-7". Raises ValueError for what is negative, no number, or
    above AMOUNT_MAX.
    """
    match = _SCIENTIFIC.fullmatch(text.strip()) if len(text) <= _SCIENTIFIC_CHARS_MAX else None
    if match is None:
        raise ValueError(f"{text[:40]!r} is not a decimal number of credits such as 12.5")
    whole, fraction, exponent = match[1], match[2] or "", int(match[3] or 0)
    digits = int(whole + fraction)
    places = exponent - len(fraction) + DECIMALS_MAX
    nano = digits * 10**places if places >= 0 else round_half_up(digits, 10**-places)
    if nano > AMOUNT_MAX:
        raise ValueError(f"{text[:40]!r} is more than {AMOUNT_MAX // NANO_PER_CREDIT} credits")
    return nano
