"""What an import of a price list would change, and whether the list can be believed."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final

from aigne_hub.catalog.price_list import (
    Listed,
    Offered,
    PriceList,
    PricesRefused,
    Unusable,
    usable,
)
from aigne_hub.domain.margins import PERCENT, tenths
from aigne_hub.domain.money import NANO_PER_CREDIT, round_half_up
from aigne_hub.domain.price_text import units_of
from aigne_hub.domain.pricing import Amounts, RateCard

# A price that moves by more than this factor counts as lost: units were mistaken, or digits.
JUMP_MAX: Final = 10
# Losing more than this share of the prices is a fault of the list until somebody says no.
LOST_SHARE: Final = Fraction(1, 2)


@dataclass(frozen=True, slots=True)
class Sale:
    """How a vendor's price becomes ours: times `markup`, in credits of `credit_price` dollars."""

    markup: Fraction = Fraction(1)
    credit_price: Fraction = Fraction(1)

    @property
    def factor(self) -> Fraction:
        return self.markup / self.credit_price


@dataclass(frozen=True, slots=True)
class Priced:
    """A model the hub offers, with the prices in force in nano-credits.

    `source` is where they came from; `declared` says that hub.yaml gave them.
    """

    offered: Offered
    model_id: str
    rates: Amounts
    cost: Amounts
    source: str = ""
    declared: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """New prices of a model, in nano-credits and nano-dollars; `listed` is their origin."""

    priced: Priced
    rates: Amounts
    cost: Amounts
    listed: Listed


@dataclass(slots=True)
class Plan:
    """What an import does. `references` are the vendor's prices of every model it knows."""

    source: str
    created: list[Change] = field(default_factory=list)
    updated: list[Change] = field(default_factory=list)
    unchanged: list[Change] = field(default_factory=list)
    declared: list[Change] = field(default_factory=list)
    skipped: list[tuple[Priced, str]] = field(default_factory=list)
    unlisted: list[Priced] = field(default_factory=list)

    @property
    def references(self) -> list[Change]:
        return [*self.created, *self.updated, *self.unchanged, *self.declared]

    def require_sane(self) -> None:
        """Raise PricesRefused when most prices would jump or be gone from the list."""
        family = self.source.partition(" ")[0]
        lost = [change.priced for change in self.updated if _jumps(change)]
        lost += [
            priced
            for priced in (*self.unlisted, *(priced for priced, _ in self.skipped))
            if priced.rates and priced.source.partition(" ")[0] == family
        ]
        known = len(lost) + len(self.unchanged)
        known += sum(not _jumps(change) for change in self.updated)
        if lost and len(lost) > known * LOST_SHARE:
            names = ", ".join(priced.offered.ref for priced in lost[:3])
            raise PricesRefused(
                f"has no price any more, or one that moves more than {JUMP_MAX}-fold, "
                f"for {len(lost)} of {known} priced models, such as {names}"
            )


def plan(models: Iterable[Priced], prices: PriceList, sale: Sale) -> Plan:
    """Compare the prices in force with a list. A price is changed or left, never taken away."""
    found = Plan(prices.source)
    for priced in models:
        try:
            listed = prices.find(priced.offered)
            if listed is None:
                found.unlisted.append(priced)
                continue
            listed = usable(priced.offered, listed)
            change = Change(
                priced, in_credits(listed.dollars, sale.factor), in_dollars(listed.dollars), listed
            )
        except Unusable as error:
            found.skipped.append((priced, str(error)))
            continue
        _sort(found, change)
    return found


def plan_margin(models: Iterable[Priced], costs: Mapping[str, Amounts], sale: Sale) -> Plan:
    """Price models anew from what they cost: cost times markup, in credits.

    `costs` are what vendors list, by the model's id, for those that state no cost of their
    own. One without either is `unlisted`.
    """
    found = Plan(f"margin {tenths((sale.markup - 1) * PERCENT)}%")
    for priced in models:
        cost = priced.cost or costs.get(priced.model_id)
        if not cost:
            found.unlisted.append(priced)
            continue
        try:
            rates = scaled(cost, sale.factor)
        except Unusable as error:
            found.skipped.append((priced, str(error)))
            continue
        _sort(found, Change(priced, rates, cost, Listed(priced.offered.name, {})))
    return found


def _sort(found: Plan, change: Change) -> None:
    priced = change.priced
    if priced.declared:
        found.declared.append(change)
    elif not priced.rates:
        found.created.append(change)
    elif (priced.rates, priced.cost) == (change.rates, change.cost):
        found.unchanged.append(change)
    else:
        found.updated.append(change)


def in_credits(dollars: Mapping[str, Any], factor: Fraction) -> dict[str, Any]:
    """Return dollar prices times `factor` in nano-credits. Raises Unusable."""
    amounts = _converted(dollars, lambda price: _nano(price * factor))
    try:
        RateCard.of("", amounts)
    except ValueError as error:
        raise Unusable(str(error)) from None
    return amounts


def in_dollars(dollars: Mapping[str, Any]) -> dict[str, Any]:
    """Return dollar prices in nano-dollars: the cost beside the price. Raises Unusable."""
    return in_credits(dollars, Fraction(1))


def scaled(cost: Amounts, factor: Fraction) -> dict[str, Any]:
    """Return prices that are a cost in nano-dollars times `factor`. Raises Unusable."""
    return in_credits(_converted(cost, lambda nano: Fraction(nano, NANO_PER_CREDIT)), factor)


def _nano(credits_: Fraction) -> int:
    """Return nano-credits, half up. What costs something never becomes nothing."""
    nano = round_half_up(credits_.numerator * NANO_PER_CREDIT, credits_.denominator)
    if credits_ and not nano:
        raise Unusable("a price is below the smallest there is, 0.000000001")
    return nano


def _converted(prices: Mapping[str, Any], convert: Callable[[Any], Any]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for unit, price in prices.items():
        if isinstance(price, Mapping):
            found[unit] = _converted(price, convert)
        elif isinstance(price, list):
            found[unit] = [_converted(tier, convert) for tier in price]
        else:
            found[unit] = price if unit == "above" else convert(price)
    return found


def _jumps(change: Change) -> bool:
    before = dict(units_of(change.priced.rates))
    return any(
        way in before and not before[way] <= after * JUMP_MAX <= before[way] * JUMP_MAX**2
        for way, after in units_of(change.rates)
    )
