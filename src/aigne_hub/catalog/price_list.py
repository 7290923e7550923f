"""What importers of price lists give: a vendor's prices in dollars, exact.

Dollars are fractions by `domain.pricing.RATE_UNITS` and its nested members, per the same
blocks as credits: 1,000,000 tokens or characters, one image, second, request or search.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from typing import Any, Final, Protocol

from aigne_hub.domain.charged_by import CHARGED_BY
from aigne_hub.domain.pricing import NESTED, TOKEN_UNITS

Dollars = Mapping[str, Any]

# More entries than this share that make no sense mean that the whole list does not.
MALFORMED_SHARE = Fraction(1, 10)
# A dollar price above this is a mistake of units, not a price.
DOLLARS_MAX = Fraction(1_000_000)
MILLION = Fraction(1_000_000)
# Units without which a model of a type would be answered for next to nothing.
_NEEDED: Final[Mapping[str, frozenset[str]]] = {"chat": frozenset({"input", "output"})}

# Other names under which vendors go, as providers are named or as their adapter is.
_VENDORS: Final[Mapping[str, str]] = {
    "gemini": "google",
    "google-ai-studio": "google",
    "vertex": "google",
    "vertex_ai": "google",
    "x-ai": "xai",
    "bedrock": "aws",
    "azure-openai": "azure",
    "azure_openai": "azure",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "moonshotai": "moonshot",
    "volcengine": "doubao",
}
_DATED: Final = re.compile(r"-(20\d{2}-?[01]\d-?[0-3]\d)$")


class PricesRefused(ValueError):
    """A price list cannot be believed as a whole. The message says why."""


class Unusable(ValueError):
    """A source knows a model, but not with a price that can be imported."""


@dataclass(frozen=True, slots=True)
class Offered:
    """A model that the hub offers. `vendor` overrides who its prices are looked up under."""

    provider: str
    kind: str
    base_url: str | None
    name: str
    type: str
    vendor: str | None = None

    @property
    def ref(self) -> str:
        return f"{self.provider}/{self.name}"

    def vendors(self) -> list[str]:
        """Return under which names its vendor may be listed, the likeliest first.

        The adapter tells the vendor only at the vendor's own address: anybody's server may
        speak OpenAI's language.
        """
        names = [self.provider] if self.base_url else [self.kind, self.provider]
        if self.vendor:
            names = [self.vendor]
        return list(dict.fromkeys(canonical(name) for name in names))


@dataclass(frozen=True, slots=True)
class Listed:
    """What a source says of a model. `notes` tell what of it was left out, and why."""

    name: str
    dollars: Dollars
    notes: tuple[str, ...] = field(default=())


class PriceList(Protocol):
    """A source of vendors' prices. `source` names it with its version or digest."""

    source: str

    def find(self, offered: Offered) -> Listed | None:
        """Return the prices of a model, None when it is not listed. Raises Unusable."""
        ...

    def knows(self, vendor: str) -> bool:
        """Tell whether any model of a vendor is listed."""
        ...


def canonical(vendor: str) -> str:
    return _VENDORS.get(vendor.lower(), vendor.lower())


def spellings(name: str) -> Iterator[str]:
    """Yield a model's name as sources may write it: exact, then without its date or -0."""
    lower = name.lower()
    yield lower
    undated = _DATED.sub("", lower)
    if undated != lower:
        yield undated
    if undated.endswith("-0"):
        yield undated.removesuffix("-0")


def exact(value: object) -> Fraction:
    """Return a price as the source wrote it, in digits. Raises Unusable for what is none.

    A float has no digits any more, so it is refused too.
    """
    if isinstance(value, bool) or not isinstance(value, int | str | Decimal | Fraction):
        raise Unusable("a price is no number")
    try:
        number = Fraction(Decimal(value)) if isinstance(value, str) else Fraction(value)
    except (ValueError, OverflowError, InvalidOperation):
        raise Unusable("a price is no finite number") from None
    if number < 0:
        raise Unusable("a price is negative")
    if number > DOLLARS_MAX:
        raise Unusable("a price is beyond all sense")
    return number


def read_json(raw: bytes, bytes_max: int) -> Any:
    """Return the values of a JSON text, its numbers in the digits they are written with.

    Raises PricesRefused, also for NaN and Infinity, which are not JSON.
    """
    if len(raw) > bytes_max:
        raise PricesRefused(f"is larger than {bytes_max} bytes")
    try:
        return json.loads(raw, parse_float=Decimal, parse_constant=_no_number)
    except (ValueError, RecursionError):
        raise PricesRefused("is not JSON") from None


def _no_number(name: str) -> Any:
    raise ValueError(name)


def usable(offered: Offered, listed: Listed) -> Listed:
    """Return what of a listing a model of its type can be priced with. Raises Unusable.

    Nothing costs nothing: a price of zero is left out, so that what it was for costs what
    the tokens around it cost, and a model whose main prices are zero is not imported.
    """
    units = CHARGED_BY[offered.type]
    allowed = {*units.enough, *units.extra}
    notes = list(listed.notes)
    kept = _kept(listed.dollars, allowed, notes)
    require_paid(offered.type, kept)
    return Listed(listed.name, kept, tuple(dict.fromkeys(notes)))


def require_paid(kind: str, prices: Mapping[str, Any]) -> None:
    """Raise Unusable when a model of a type would be answered for nothing, or half of it."""
    needed = _NEEDED.get(kind, frozenset())
    if needed & prices.keys() and not needed <= prices.keys():
        missing = ", ".join(sorted(needed - prices.keys()))
        raise Unusable(f"has no price for {missing} above zero")
    if not prices.keys() & set(CHARGED_BY[kind].enough):
        raise Unusable(f"has no price above zero for a model of the type {kind}")


def _kept(dollars: Dollars, allowed: set[str], notes: list[str], where: str = "") -> dict[str, Any]:
    kept: dict[str, Any] = {}
    for unit, price in dollars.items():
        if unit in NESTED:
            continue
        if unit not in allowed:
            notes.append(f"{where}{unit} is not charged for this type")
        elif not price:
            notes.append(f"{where}{unit} is 0 at the source and was left out")
        else:
            kept[unit] = price
    images = {kind: price for kind, price in dollars.get("images", {}).items() if price}
    if images and "images" in allowed:
        kept["images"] = images
    tiers = []
    for tier in dollars.get("long_context", ()):
        own = {unit: price for unit, price in tier.items() if unit != "above"}
        if priced := _kept(own, allowed & set(TOKEN_UNITS), notes, f"above {tier['above']}: "):
            tiers.append({"above": tier["above"], **priced})
    # In a service tier an empty list takes back the one outside.
    if tiers or (where and "long_context" in dollars):
        kept["long_context"] = tiers
    services = {
        name: priced
        for name, tier in dollars.get("service_tiers", {}).items()
        if (priced := _kept(tier, allowed, notes, f"{name}: "))
    }
    if services:
        kept["service_tiers"] = services
    return kept
