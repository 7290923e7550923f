"""Prices in hub.yaml: `rates` and `cost`, flat and nested, each amount with its place."""

from typing import Annotated, Any, Final

from pydantic import AfterValidator, Field, StrictInt, field_validator, model_validator

from aigne_hub.config_values import Credits, Frozen
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.pricing import (
    IMAGE_KINDS_MAX,
    SERVICE_TIERS_MAX,
    TIERS_MAX,
    TOKEN_UNITS,
    Amounts,
)
from aigne_hub.domain.usage import STANDARD, TOKENS_MAX

RATE_MAX = 1_000_000 * NANO_PER_CREDIT  # per block; above any price, far below overflow

KIND: Final = r"^[A-Za-z0-9][A-Za-z0-9*._/-]{0,63}$"
TIER: Final = r"^[a-z0-9][a-z0-9_-]{0,63}$"
MEANINGS: Final = {
    KIND: "must be a size and quality like 1024x1024/high: at most 64 letters, digits, . _ / - *",
    TIER: "must be 1 to 64 of a-z, 0-9, - and _, starting with a letter or digit",
}


def _rate(nano: int) -> int:
    if nano > RATE_MAX:
        raise ValueError(f"must not be more than {RATE_MAX // NANO_PER_CREDIT} credits")
    return nano


Rate = Annotated[Credits, AfterValidator(_rate)]
ImageKind = Annotated[str, Field(pattern=KIND)]
TierName = Annotated[str, Field(pattern=TIER)]


def _no_default(schema: dict[str, Any]) -> None:
    schema.pop("default", None)


# What was not given has no amount; nobody reads this value, and the schema does not show it.
_UNSET: Final[Any] = Field(default=0, json_schema_extra=_no_default)


class _Prices(Frozen):
    """Prices of which any may be missing. All are nano-credits, as `RateCard` counts them."""

    def amounts(self) -> dict[str, Any]:
        """Return what was given, as `RateCard.of` takes it, in the order of its units."""
        given = self.model_fields_set
        return {
            name: _plain(getattr(self, name)) for name in type(self).model_fields if name in given
        }


class _TokenPrices(_Prices):
    input: Rate = _UNSET
    output: Rate = _UNSET
    cache_read: Rate = _UNSET
    cache_write: Rate = _UNSET
    cache_write_1h: Rate = _UNSET
    reasoning: Rate = _UNSET
    audio_input: Rate = _UNSET
    audio_output: Rate = _UNSET
    image_input: Rate = _UNSET
    image_output: Rate = _UNSET


class DeclaredContextTier(_TokenPrices):
    """Prices of all tokens of a call that read more than `above` tokens."""

    above: StrictInt = Field(ge=1, le=TOKENS_MAX)

    @model_validator(mode="after")
    def _prices_something(self) -> "DeclaredContextTier":
        if not self.model_fields_set & set(TOKEN_UNITS):
            raise ValueError(f"has no price: give one of {', '.join(TOKEN_UNITS)}")
        return self


class DeclaredServiceTier(_TokenPrices):
    image: Rate = _UNSET
    second: Rate = _UNSET
    characters: Rate = _UNSET
    request: Rate = _UNSET
    search: Rate = _UNSET
    images: dict[ImageKind, Rate] = Field(default_factory=dict, max_length=IMAGE_KINDS_MAX)
    long_context: tuple[DeclaredContextTier, ...] = Field(default=(), max_length=TIERS_MAX)

    @field_validator("long_context")
    @classmethod
    def _ascending(cls, tiers: tuple[DeclaredContextTier, ...]) -> tuple[DeclaredContextTier, ...]:
        bounds = [tier.above for tier in tiers]
        if bounds != sorted(set(bounds)):
            raise ValueError("its values of above must ascend, each once")
        return tiers


class DeclaredPrices(DeclaredServiceTier):
    """The whole of `rates` or `cost`; empty when nothing was declared."""

    service_tiers: dict[TierName, DeclaredServiceTier] = Field(
        default_factory=dict, max_length=SERVICE_TIERS_MAX
    )

    def amounts(self) -> dict[str, Any]:
        # In a tier, `long_context: []` takes back what stands outside; here it says nothing.
        return {name: value for name, value in super().amounts().items() if value not in ([], {})}

    @field_validator("service_tiers")
    @classmethod
    def _named(cls, tiers: dict[str, DeclaredServiceTier]) -> dict[str, DeclaredServiceTier]:
        if STANDARD in tiers:
            raise ValueError(f'"{STANDARD}" is no tier of its own: its prices stand outside')
        return tiers


def _plain(value: object) -> Amounts | list[Amounts] | object:
    if isinstance(value, _Prices):
        return value.amounts()
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    return value
