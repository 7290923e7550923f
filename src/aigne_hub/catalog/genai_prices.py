"""Prices from the data of the package genai-prices (MIT), which is handed in.

Its units of tokens and characters are per million, as ours; hours, requests and searches
are per hour and per thousand. Its `input_tokens` and the bounds of its tiers count cached
tokens, as ours do, and a unit without a price falls to the one around it, as ours does.
"""

import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from fractions import Fraction
from typing import Any, Final, NamedTuple

from aigne_hub.catalog.price_list import Listed, Offered, Unusable, canonical, exact

# Its price keys, our units, and by what its price is divided.
_UNITS: Final[Mapping[str, tuple[str, int]]] = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "cache_write_5m_mtok": ("cache_write", 1),
    "cache_write_1h_mtok": ("cache_write_1h", 1),
    "output_reasoning_mtok": ("reasoning", 1),
    "input_audio_mtok": ("audio_input", 1),
    "output_audio_mtok": ("audio_output", 1),
    "input_image_mtok": ("image_input", 1),
    "output_image_mtok": ("image_output", 1),
    "input_mchars": ("characters", 1),
    "audio_hours": ("second", 3_600),
    "output_audio_hours": ("second", 3_600),
    "input_audio_hours": ("second", 3_600),
    "requests_kcount": ("request", 1_000),
    "web_searches_kcount": ("search", 1_000),
    "rerank_searches_kcount": ("search", 1_000),
}
# What a request says of how it is served, and which values are tiers of ours.
_TIER_KEYS: Final = ("service_tier", "processing", "speed")
_NO_TIERS: Final = frozenset({"default", "standard", "auto"})
# Where its id of a vendor is not ours.
_IDS: Final = {"xai": "x-ai", "moonshot": "moonshotai"}


class _Prices(NamedTuple):
    flat: dict[str, Fraction]
    long_context: list[dict[str, Any]]


class GenaiPrices:
    """The package's providers, as of one instant; later prices are not in force yet."""

    def __init__(self, providers: Sequence[Any], version: str, at: datetime) -> None:
        self.source = f"genai-prices {version} ({at:%Y-%m-%d})"
        self._providers = list(providers)
        self._by_id = {provider.id: provider for provider in providers}
        self._at = at

    def knows(self, vendor: str) -> bool:
        return self._provider(vendor) is not None

    def find(self, offered: Offered) -> Listed | None:
        """Return the prices of a model by the package's own matching of names."""
        for provider in self._candidates(offered):
            model = provider.find_model(offered.name, all_providers=self._providers)
            if model is not None:
                own = any(model is listed for listed in provider.models)
                return self._listed(model, variants=own)
        return None

    def _candidates(self, offered: Offered) -> list[Any]:
        found = []
        if offered.base_url and not offered.vendor:
            url = offered.base_url
            found = [each for each in self._providers if re.match(each.api_pattern, url)]
        found += [known for name in offered.vendors() if (known := self._provider(name))]
        return found

    def _provider(self, vendor: str) -> Any:
        name = canonical(vendor)
        return self._by_id.get(_IDS.get(name, name)) or self._by_id.get(vendor.lower())

    def _listed(self, model: Any, *, variants: bool) -> Listed:
        notes: list[str] = []
        base = self._dearest(model, notes)
        dollars: dict[str, Any] = {**base.flat}
        if base.long_context:
            dollars["long_context"] = base.long_context
        if variants and (tiers := self._tiers(model, base, notes)):
            dollars["service_tiers"] = tiers
        return Listed(model.id, dollars, tuple(dict.fromkeys(notes)))

    def _dearest(self, model: Any, notes: list[str]) -> _Prices:
        """Return the prices in force; where they depend on the time of day, the dearest."""
        found = _converted(model.get_prices(self._at), notes)
        if not isinstance(model.prices, Sequence):
            return found
        for conditional in model.prices:
            limits = conditional.constraint
            for time in (getattr(limits, "start_time", None), getattr(limits, "end_time", None)):
                if time is None:
                    continue
                at = self._at.replace(hour=time.hour, minute=time.minute, second=time.second)
                other = _converted(model.get_prices(at), notes)
                if other.long_context != found.long_context:
                    raise Unusable("its prices depend on both the time of day and the context")
                found = _Prices(_dearer(found.flat, other.flat), found.long_context)
                notes.append("the dearest of the day's prices")
        return found

    def _tiers(self, model: Any, base: _Prices, notes: list[str]) -> dict[str, Any]:
        tiers: dict[str, Any] = {}
        for variant in model.price_variants or ():
            name = _tier_name(variant.when)
            if name is None:
                what = ", ".join(f"{key}={value}" for key, value in variant.when.items())
                notes.append(f"prices for {what} are not imported")
            elif name not in tiers and name not in _NO_TIERS:
                priced = _converted(model.get_prices(self._at, dict(variant.when)), notes)
                own: dict[str, Any] = {
                    unit: price
                    for unit, price in priced.flat.items()
                    if price != base.flat.get(unit)
                }
                if priced.long_context != base.long_context:
                    own["long_context"] = priced.long_context
                if own:
                    tiers[name] = own
        return tiers


def _dearer(one: Mapping[str, Fraction], other: Mapping[str, Fraction]) -> dict[str, Fraction]:
    zero = Fraction(0)
    return {unit: max(one.get(unit, zero), other.get(unit, zero)) for unit in {**one, **other}}


def _tier_name(when: Mapping[str, str]) -> str | None:
    if len(when) != 1:
        return None
    ((key, value),) = when.items()
    return value if key in _TIER_KEYS else None


def _converted(prices: Any, notes: list[str]) -> _Prices:
    """Return one set of the package's prices in our units."""
    flat: dict[str, Fraction] = {}
    tiered: dict[str, list[tuple[int, Fraction]]] = {}
    # In the order of the table, so that the more specific of two keys is the one that stays.
    given = {key: value for key, value in vars(prices).items() if value is not None}
    for key, (unit, per) in _UNITS.items():
        if key not in given:
            continue
        value = given.pop(key)
        if not hasattr(value, "tiers"):
            flat[unit] = exact(value) / per
            tiered.pop(unit, None)
            continue
        flat[unit] = exact(value.base) / per
        tiered[unit] = [(tier.start, exact(tier.price) / per) for tier in value.tiers]
    notes.extend(f"{key} has no unit here" for key in given)
    return _Prices(flat, _by_context(flat, tiered))


def _by_context(
    flat: dict[str, Fraction], tiered: Mapping[str, list[tuple[int, Fraction]]]
) -> list[dict[str, Any]]:
    """Turn tiers of each unit into prices of each tier; one from 0 on is the base price."""
    for unit, tiers in tiered.items():
        for start, price in tiers:
            if start <= 0:
                flat[unit] = price
    bounds = sorted({start for tiers in tiered.values() for start, _ in tiers if start > 0})
    return [
        {
            "above": bound,
            **{
                unit: reached[-1]
                for unit, tiers in tiered.items()
                if (reached := [price for start, price in sorted(tiers) if 0 < start <= bound])
            },
        }
        for bound in bounds
    ]
