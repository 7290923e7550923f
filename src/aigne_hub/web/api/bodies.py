"""Values in requests and answers of the API: money and instants are strings, never floats."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.money import parse_credits

AMOUNT_CHARS_MAX = 48


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
