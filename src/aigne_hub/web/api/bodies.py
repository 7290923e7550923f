"""Values in requests and answers of the API: money and instants are strings, never floats."""

from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Annotated

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    PlainValidator,
    WithJsonSchema,
)

from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.money import parse_credits

AMOUNT_CHARS_MAX = 48
NUMBER_MAX = Fraction(1_000_000)


class Body(BaseModel):
    """A request body: unknown members are refused, and values are not converted."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


def _credits(text: str) -> str:
    if parse_credits(text) <= 0:
        raise ValueError("is more than 0")
    return text


def _instant(text: str) -> str:
    parse_instant(text)
    return text


# Decimal credits above zero, such as "12.5"; `parse_credits` gives nano-credits.
CreditsText = Annotated[str, Field(max_length=AMOUNT_CHARS_MAX), AfterValidator(_credits)]
# RFC 3339 with an offset; `parse_instant` gives microseconds.
InstantText = Annotated[str, Field(max_length=64), AfterValidator(_instant)]


def exact_number(value: object) -> Fraction:
    """Return a JSON number or decimal string in the digits that were sent."""
    if isinstance(value, bool) or not isinstance(value, int | float | str):
        raise ValueError("is a number or a decimal string")  # noqa: TRY004 - pydantic collects ValueError only
    try:
        # A float's shortest spelling has the digits that its sender wrote.
        number = Fraction(Decimal(str(value)))
    except (InvalidOperation, ValueError, OverflowError):
        raise ValueError("is a finite number") from None
    if not 0 <= number <= NUMBER_MAX:
        raise ValueError(f"is 0 to {NUMBER_MAX}")
    return number


Number = Annotated[
    Fraction,
    PlainValidator(exact_number),
    WithJsonSchema({"type": ["number", "string"], "minimum": 0}),
]
