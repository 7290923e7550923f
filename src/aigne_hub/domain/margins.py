"""What is earned: prices beside costs, and costs beside what vendors list.

A way names one price of a card, as `price_text.units_of` writes it: `input`,
`long_context.200000.output`, `service_tiers.batch.input`, `images.1024x1024/high`.
"""

from fractions import Fraction
from typing import Final

from aigne_hub.domain.price_text import units_of
from aigne_hub.domain.pricing import Amounts, RateCard

# A cost that is further than this from what the vendor lists is told.
DRIFT_MAX: Final = Fraction(1, 10)
PERCENT: Final = 100


def price_at(card: RateCard, way: str) -> int:
    """Return what a card charges there, also where it names no price of its own."""
    head, _, rest = way.partition(".")
    if head == "service_tiers":
        name, _, inner = rest.partition(".")
        return price_at(card.service_tiers.get(name, card), inner)
    if head == "long_context":
        above, _, unit = rest.partition(".")
        return int(getattr(card.rates_at(int(above) + 1), unit))
    if head == "images":
        return card.image_price(rest)
    return int(getattr(card.base, head))


def below_cost(rates: Amounts, cost: Amounts, credit_price: Fraction) -> list[str]:
    """Return every way on which less is charged than the vendor charges.

    `rates` are nano-credits, `cost` nano-dollars, `credit_price` dollars.
    """
    if not rates or not cost:
        return []
    sold, bought = RateCard.of("", rates), RateCard.of("", cost)
    ways = dict.fromkeys(way for amounts in (cost, rates) for way, _ in units_of(amounts))
    return [way for way in ways if price_at(sold, way) * credit_price < price_at(bought, way)]


def drift(cost: Amounts, reference: Amounts) -> dict[str, Fraction]:
    """Return how far a cost is off what the vendor lists, where that is more than DRIFT_MAX.

    By way: (listed - cost) / cost, so 0.5 means that the vendor charges half as much again.
    What has a cost of nothing and is listed with a price is off by 1.
    """
    if not cost or not reference:
        return {}
    ours, listed = RateCard.of("", cost), RateCard.of("", reference)
    found = {}
    for way, _ in units_of(reference):
        own, theirs = price_at(ours, way), price_at(listed, way)
        off = Fraction(theirs - own, own) if own else Fraction(bool(theirs))
        if abs(off) > DRIFT_MAX:
            found[way] = off
    return found


def margin_percent(sale: Fraction, cost: Fraction) -> Fraction | None:
    """Return what was earned on a cost, in percent of it; None for what costs nothing."""
    return (sale / cost - 1) * PERCENT if cost else None


def tenths(value: Fraction) -> str:
    """Return a number with at most one decimal, half away from zero."""
    whole, tenth = divmod(int(abs(value) * 10 + Fraction(1, 2)), 10)
    sign = "-" if value < 0 and (whole or tenth) else ""
    return f"{sign}{whole}.{tenth}" if tenth else f"{sign}{whole}"
