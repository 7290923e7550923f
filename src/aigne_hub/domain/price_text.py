"""Prices as people write and read them: decimals of credits, nested as a card nests them."""

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.domain.pricing import RATE_UNITS, TOKEN_UNITS, Amounts, RateCard

UNITS_MAX = 500
_IMAGE: Final = "images."
_CONTEXT: Final = re.compile(r"long_context\.([1-9][0-9]{0,8})\.([a-z_0-9]+)")
_SERVICE: Final = re.compile(r"service_tiers\.([a-z0-9][a-z0-9_-]{0,63})\.(.+)")


def format_amounts(amounts: Amounts) -> dict[str, Any]:
    """Return amounts with every price as a decimal; bounds of context stay numbers."""
    return {unit: _shown(unit, price) for unit, price in amounts.items()}


def format_card(card: RateCard | None) -> dict[str, Any] | None:
    """Return what a card charges: every price above zero, nested ones where there are any."""
    if card is None:
        return None
    shown: dict[str, Any] = {
        unit: format_credits(price) for unit in RATE_UNITS if (price := getattr(card.base, unit))
    }
    if card.images:
        shown["images"] = {kind: format_credits(price) for kind, price in card.images.items()}
    if card.long_context:
        shown["long_context"] = [
            {
                "above": tier.above,
                **{
                    unit: format_credits(price)
                    for unit in TOKEN_UNITS
                    if (price := getattr(tier.rates, unit)) != getattr(card.base, unit)
                },
            }
            for tier in card.long_context
        ]
    if card.service_tiers:
        shown["service_tiers"] = {
            name: format_card(tier) for name, tier in card.service_tiers.items()
        }
    return shown


def parse_amounts(words: Iterable[str]) -> dict[str, Any]:
    """Return amounts of `unit=price` words, as `RateCard.of` takes them.

    A nested price is written with its way: `images.1024x1024/high=0.17`,
    `long_context.200000.input=2.5`, `service_tiers.batch.input=0.5`. Raises ValueError.
    """
    amounts: dict[str, Any] = {}
    seen: set[str] = set()
    for word in words:
        way, equals, text = word.partition("=")
        if not equals:
            raise ValueError(f"{word[:60]!r} is not unit=price, such as input=0.15")
        if way in seen or len(seen) >= UNITS_MAX:
            raise ValueError(f"{way[:60]!r} is given twice, or there are too many prices")
        seen.add(way)
        _put(amounts, way, parse_credits(text))
    for card in (amounts, *amounts.get("service_tiers", {}).values()):
        if "long_context" in card:
            card["long_context"] = [
                {"above": above, **card["long_context"][above]}
                for above in sorted(card["long_context"])
            ]
    RateCard.of("", amounts)
    return amounts


def units_of(amounts: Amounts, within: str = "") -> Iterator[tuple[str, int]]:
    """Yield every price of a card with its way, as `parse_amounts` reads it."""
    for unit, price in amounts.items():
        if unit == "long_context":
            for tier in price:
                own = {name: amount for name, amount in tier.items() if name != "above"}
                yield from units_of(own, f"{within}{unit}.{tier['above']}.")
        elif isinstance(price, Mapping):
            yield from units_of(price, f"{within}{unit}.")
        else:
            yield f"{within}{unit}", price


def _put(amounts: dict[str, Any], way: str, nano: int) -> None:
    if match := _SERVICE.fullmatch(way):
        _put(amounts.setdefault("service_tiers", {}).setdefault(match[1], {}), match[2], nano)
    elif match := _CONTEXT.fullmatch(way):
        amounts.setdefault("long_context", {}).setdefault(int(match[1]), {})[match[2]] = nano
    elif way.startswith(_IMAGE) and len(way) > len(_IMAGE):
        amounts.setdefault("images", {})[way.removeprefix(_IMAGE)] = nano
    elif way in RATE_UNITS:
        amounts[way] = nano
    else:
        raise ValueError(f"{way[:60]!r} is no unit; use {', '.join(RATE_UNITS)}")


def _shown(unit: str, price: Any) -> Any:
    if isinstance(price, dict):
        return format_amounts(price)
    if isinstance(price, list):
        return [format_amounts(tier) for tier in price]
    return price if unit == "above" else format_credits(price)
