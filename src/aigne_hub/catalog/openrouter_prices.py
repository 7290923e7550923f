"""Prices from OpenRouter's list of models (`GET https://openrouter.ai/api/v1/models`).

Prices are decimal strings of dollars per token, request or search; "0" stands for what is
not charged apart, and a negative one for a router whose price depends on where it leads.
Source: openrouter.ai/docs, the models API.
"""

from collections.abc import Mapping
from fractions import Fraction
from typing import Any, Final

from aigne_hub.catalog.price_list import (
    MALFORMED_SHARE,
    MILLION,
    Listed,
    Offered,
    PricesRefused,
    Unusable,
    canonical,
    exact,
    read_json,
    spellings,
)

BYTES_MAX = 32 * 1024 * 1024

_PER_TOKEN: Final[Mapping[str, str]] = {
    "prompt": "input",
    "completion": "output",
    "input_cache_read": "cache_read",
    "input_cache_write": "cache_write",
    "internal_reasoning": "reasoning",
    "audio": "audio_input",
}
_PER_ONE: Final[Mapping[str, str]] = {"request": "request", "web_search": "search"}
# Where its prefix of a vendor's models is not our name of the vendor.
_PREFIXES: Final[Mapping[str, str]] = {
    "xai": "x-ai",
    "mistral": "mistralai",
    "moonshot": "moonshotai",
    "zai": "z-ai",
    "meta": "meta-llama",
    "aws": "amazon",
}
_SELF: Final = "openrouter"
_HOST: Final = "openrouter.ai"


class OpenRouterPrices:
    """The list as OpenRouter answered it. Raises PricesRefused when it is none."""

    def __init__(self, raw: bytes, date: str) -> None:
        self.source = f"openrouter ({date})"
        self._models = _models(raw)
        self._by_spelling: dict[str, Any] = {}
        for name in self._models:
            self._by_spelling.setdefault(_plain(name), name)

    def knows(self, vendor: str) -> bool:
        name = canonical(vendor)
        prefix = f"{_PREFIXES.get(name, name)}/"
        return name == _SELF or any(model.startswith(prefix) for model in self._models)

    def find(self, offered: Offered) -> Listed | None:
        """Return the prices of a model; those of other vendors are as OpenRouter passes them."""
        for name in self._names(offered):
            known = name if name in self._models else self._by_spelling.get(_plain(name))
            if known is not None:
                return Listed(known, *_converted(self._models[known]))
        return None

    @staticmethod
    def _names(offered: Offered) -> list[str]:
        vendors = offered.vendors()
        if _SELF in vendors or _HOST in (offered.base_url or ""):
            return list(spellings(offered.name))
        return [
            f"{_PREFIXES.get(vendor, vendor)}/{name}"
            for name in spellings(offered.name)
            for vendor in vendors
        ]


def _models(raw: bytes) -> dict[str, Any]:
    answer = read_json(raw, BYTES_MAX)
    listed = answer.get("data") if isinstance(answer, dict) else None
    if not isinstance(listed, list):
        raise PricesRefused('is no list of models: it has no "data"')
    models = {}
    malformed = 0
    for entry in listed:
        name = entry.get("id") if isinstance(entry, dict) else None
        if isinstance(name, str) and isinstance(entry.get("pricing"), dict):
            models[name.lower()] = entry["pricing"]
        else:
            malformed += 1
    if not models or malformed > len(listed) * MALFORMED_SHARE:
        raise PricesRefused(f"is no list of models: {malformed} of {len(listed)} have no prices")
    return models


def _converted(pricing: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    dollars: dict[str, Any] = dict(_priced(pricing))
    tiers = []
    overrides = pricing.get("overrides") or []
    if not isinstance(overrides, list):
        raise Unusable("its overrides are no list")
    notes = []
    for override in overrides:
        least = override.get("min_prompt_tokens") if isinstance(override, dict) else None
        if type(least) is int and least > 1:
            tiers.append({"above": least - 1, **_priced(override)})
        else:
            notes.append("an override is for something else than long prompts")
    if tiers:
        dollars["long_context"] = sorted(tiers, key=lambda tier: int(tier["above"]))
    known = {*_PER_TOKEN, *_PER_ONE, "overrides"}
    notes += [
        f"{key} has no unit here"
        for key, price in pricing.items()
        if key not in known and price not in ("0", 0, None)
    ]
    return dollars, tuple(notes)


def _priced(pricing: Mapping[str, Any]) -> dict[str, Fraction]:
    found = {}
    for units, per in ((_PER_TOKEN, MILLION), (_PER_ONE, Fraction(1))):
        for key, unit in units.items():
            if pricing.get(key) is not None:
                price = exact(pricing[key])
                if price or unit in {"input", "output"}:
                    found[unit] = price * per
    return found


def _plain(name: str) -> str:
    """Return a name as it compares: some write versions with dots, others with dashes."""
    return name.replace(".", "-")
