"""Currencies: how many decimal places each has, and amounts in its smallest unit."""

import re

from aigne_hub.domain.money import NANO_PER_CREDIT

EXPONENT_DEFAULT = 2
# ISO 4217 has currencies without a minor unit, and some with a thousandth.
_PLACES = dict.fromkeys(
    (
        "bif",
        "clp",
        "djf",
        "gnf",
        "jpy",
        "kmf",
        "krw",
        "mga",
        "pyg",
        "rwf",
        "vnd",
        "vuv",
        "xaf",
        "xof",
        "xpf",
    ),
    0,
) | dict.fromkeys(("bhd", "jod", "kwd", "omr", "tnd"), 3)
# The most that card schemes carry in one payment: eight digits of the smallest unit.
MINOR_MAX = 99_999_999

_DECIMAL = re.compile(r"([0-9]{1,10})(?:\.([0-9]{1,10}))?", re.ASCII)
_CODE = re.compile(r"[a-z]{3}", re.ASCII)


def is_code(text: str) -> bool:
    """Tell whether a text looks like an ISO 4217 code in lower case, as payment APIs write it."""
    return _CODE.fullmatch(text) is not None


def exponent(currency: str) -> int:
    """Return the number of decimal places of a currency."""
    return _PLACES.get(currency, EXPONENT_DEFAULT)


def decimal_minor(amount: int, currency: str) -> str:
    """Return an amount of the smallest unit as a decimal number of the currency, as `12.50`."""
    places = exponent(currency)
    whole, fraction = divmod(abs(amount), 10**places)
    sign = "-" if amount < 0 else ""
    decimals = f".{fraction:0{places}d}" if places else ""
    return f"{sign}{whole}{decimals}"


def format_minor(amount: int, currency: str) -> str:
    """Return an amount of the smallest unit as people read it, such as `12.50 USD`."""
    return f"{decimal_minor(amount, currency)} {currency.upper()}"


def parse_minor(text: str, currency: str) -> int:
    """Return a decimal amount of a currency in its smallest unit.

    Raises ValueError for what is not above 0, too large, or a fraction of that unit.
    """
    places = exponent(currency)
    match = _DECIMAL.fullmatch(text.strip())
    fraction = (match[2] or "").rstrip("0") if match else ""
    if match is None or len(fraction) > places:
        raise ValueError(f"{text[:40]!r} is not an amount of {currency.upper()}")
    amount = int(match[1] + fraction.ljust(places, "0"))
    if not 0 < amount <= MINOR_MAX:
        limit = format_minor(MINOR_MAX, currency)
        raise ValueError(f"{text[:40]!r} is not more than 0 and at most {limit}")
    return amount


def minor_price(credit: int, price: int, currency: str) -> int:
    """Return what nano-credits cost in the currency's smallest unit.

    `price` is what one credit costs, in 10^-9 of the currency. Nothing is rounded: raises
    ValueError for an amount that is not a whole number of the smallest unit.
    """
    unit = NANO_PER_CREDIT * NANO_PER_CREDIT
    scale: int = 10 ** exponent(currency)
    amount, rest = divmod(credit * price * scale, unit)
    if rest:
        raise ValueError(f"is not a whole number of the smallest unit of {currency.upper()}")
    return amount
