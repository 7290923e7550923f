"""Arguments that several commands take, and how their text becomes values."""

import re
from collections.abc import Iterable
from fractions import Fraction
from typing import Annotated, Any, Final

import typer

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.price_text import parse_amounts
from aigne_hub.storage.calls import LIMIT_MAX

LIMIT_DEFAULT: Final = 50
EXPIRES_IN_DAYS_MAX: Final = 36_500

UserName = Annotated[str, typer.Option("--user", metavar="U", help="A user's e-mail, DID or id.")]
Limit = Annotated[int, typer.Option(min=1, max=LIMIT_MAX, help="How many to print, newest first.")]

_DECIMAL = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?", re.ASCII)
_DURATION = re.compile(r"([0-9]{1,10})([smhdw])", re.ASCII)
_SECONDS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def amount(text: str, option: str) -> int:
    """Return the nano-credits of a decimal option. Raises InvalidRequest."""
    try:
        return parse_credits(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}.", param=option) from None


def decimal(text: str, option: str, *, zero: bool = False) -> Fraction:
    """Return a plain decimal option above zero, exactly. Raises InvalidRequest."""
    if not _DECIMAL.fullmatch(text) or (not Fraction(text) and not zero):
        raise InvalidRequest(
            f"{option}: {text[:40]!r} is no decimal number above 0, such as 1.2.", param=option
        )
    return Fraction(text)


def amounts(words: Iterable[str], option: str) -> dict[str, Any]:
    """Return the prices of unit=amount words in nano-credits. Raises InvalidRequest."""
    try:
        return parse_amounts(words)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}.", param=option) from None


def instant(text: str, option: str) -> int:
    """Return an RFC 3339 option as Unix microseconds. Raises InvalidRequest."""
    try:
        return parse_instant(text)
    except ValueError as error:
        raise InvalidRequest(f"{option}: {error}.", param=option) from None


def duration(text: str, option: str) -> int:
    """Return the microseconds of a span such as 30d (s, m, h, d, w). Raises InvalidRequest."""
    match = _DURATION.fullmatch(text)
    seconds = int(match[1]) * _SECONDS[match[2]] if match else 0
    if not 0 < seconds <= EXPIRES_IN_DAYS_MAX * _SECONDS["d"]:
        raise InvalidRequest(
            f"{option}: {text[:40]!r} is not a span of time. Write a number and a unit of s, m, h, "
            f"d or w, such as 30d, up to {EXPIRES_IN_DAYS_MAX}d.",
            param=option,
        )
    return seconds * 1_000_000
