"""Prices as AIGNE Hub's clients know them: one of input, one of output, as decimal strings.

Per token or character, or per image or second of output (wire/aigne.md, section 2.3).
"""

from collections.abc import Mapping
from decimal import Decimal
from fractions import Fraction
from typing import Any, Final

from aigne_hub.domain.money import NANO_PER_CREDIT, format_credits
from aigne_hub.domain.pricing import BLOCK

# What the output of a type is charged by, where that is not a token.
WHOLE_OUTPUT: Final[Mapping[str, str]] = {
    "image": "image",
    "video": "second",
    "transcription": "second",
}
# The hub's types by the names that clients show and send for rates and calls.
TYPE_NAMES: Final[Mapping[str, str]] = {
    "chat": "chatCompletion",
    "embedding": "embedding",
    "image": "imageGeneration",
    "speech": "audioGeneration",
    "transcription": "audioGeneration",
    "video": "video",
}


def per_unit(kind: str, amounts: Mapping[str, Any]) -> tuple[str, str]:
    """Return what input and output cost, "0" for what has no price."""
    unit = WHOLE_OUTPUT.get(kind, "")
    outside = (
        format_credits(amounts[unit]) if unit in amounts else per_token(amounts.get("output", 0))
    )
    taken = "characters" if kind == "speech" and "characters" in amounts else "input"
    return per_token(amounts.get(taken, 0)), outside


def per_token(nano_per_block: int) -> str:
    return plain(Fraction(nano_per_block, BLOCK * NANO_PER_CREDIT))


def plain(number: Fraction) -> str:
    """Return a number of finitely many digits without an exponent."""
    text = f"{Decimal(number.numerator) / Decimal(number.denominator):f}"
    return text.rstrip("0").rstrip(".") if "." in text else text
