"""Prices from LiteLLM's `model_prices_and_context_window.json`, a file the operator gives.

Prices are JSON numbers of dollars per token, character, second, image or query. A tier is
part of a key's name: `input_cost_per_token_above_200k_tokens_priority`. Pictures by size and
quality are entries of their own: `high/1024-x-1024/gpt-image-1`. Source: the file's own
`sample_spec` and its entries.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Mapping
from decimal import Decimal
from fractions import Fraction
from hashlib import sha256
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
DIGEST_CHARS = 12
_SAMPLE: Final = "sample_spec"

_PER_MILLION: Final[Mapping[str, str]] = {
    "input_cost_per_token": "input",
    "output_cost_per_token": "output",
    "cache_read_input_token_cost": "cache_read",
    "cache_creation_input_token_cost": "cache_write",
    "cache_creation_input_token_cost_above_1hr": "cache_write_1h",
    "output_cost_per_reasoning_token": "reasoning",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
    "input_cost_per_image_token": "image_input",
    "output_cost_per_image_token": "image_output",
    "input_cost_per_character": "characters",
    "output_cost_per_character": "characters",
}
_PER_ONE: Final[Mapping[str, str]] = {
    "input_cost_per_second": "second",
    "output_cost_per_second": "second",
    "output_cost_per_video_per_second": "second",
    "input_cost_per_request": "request",
    "input_cost_per_query": "request",
    "output_cost_per_image": "image",
}
# Of pictures that are made, some entries give the price as one of the prompt.
_MADE: Final[Mapping[str, str]] = {"input_cost_per_image": "image"}
_MAKING: Final = "image_generation"
_SEARCHES: Final = "search_context_cost_per_query"
_RANGES: Final = "tiered_pricing"
_KEY: Final = re.compile(
    r"(?P<base>.+?)(?:_above_(?P<thousand>[0-9]{1,6})k_tokens)?"
    r"(?:_(?P<tier>batches|flex|priority|fast))?"
)
_TIERS: Final = {"batches": "batch"}
_PICTURE: Final = re.compile(
    r"(?:(?P<quality>low|medium|high|standard|hd|auto)/)?"
    r"(?P<width>[0-9]{2,5})-x-(?P<height>[0-9]{2,5})/(?P<model>.+)"
)
# What `litellm_provider` says of each vendor, where it is not our name.
_PROVIDERS: Final[Mapping[str, tuple[str, ...]]] = {
    "openai": ("openai", "text-completion-openai"),
    "google": ("gemini", "vertex_ai-language-models", "vertex_ai-embedding-models", "vertex_ai"),
    "aws": ("bedrock", "bedrock_converse"),
    "azure": ("azure", "azure_ai"),
    "cohere": ("cohere", "cohere_chat"),
    "together": ("together_ai",),
    "fireworks": ("fireworks_ai",),
    "doubao": ("volcengine",),
}
_NO_ENTRY: Final[Mapping[str, Any]] = {}


class LiteLLMPrices:
    """The file's entries. Raises PricesRefused when it is none, or mostly malformed."""

    def __init__(self, raw: bytes) -> None:
        self.source = f"litellm sha256:{sha256(raw).hexdigest()[:DIGEST_CHARS]}"
        self._entries: dict[str, Mapping[str, Any]] = {}
        self._pictures: defaultdict[str, dict[str, str]] = defaultdict(dict)
        self._providers: set[str] = set()
        for name, entry in _entries(raw).items():
            self._entries[name.lower()] = entry
            self._providers.add(str(entry.get("litellm_provider")))
            if match := _PICTURE.fullmatch(name.lower()):
                size = f"{match['width']}x{match['height']}"
                kind = f"{size}/{match['quality']}" if match["quality"] else size
                self._pictures[match["model"].rpartition("/")[2]][kind] = name.lower()

    def knows(self, vendor: str) -> bool:
        return not self._providers.isdisjoint(_providers_of(canonical(vendor)))

    def find(self, offered: Offered) -> Listed | None:
        """Return the prices of a model of the vendor that the entry itself names."""
        for vendor in offered.vendors():
            providers = _providers_of(vendor)
            for name in self._keys(offered, providers):
                entry = self._entries.get(name, _NO_ENTRY)
                if entry.get("litellm_provider") in providers:
                    dollars, notes = _converted(entry)
                    if images := self._images(offered, providers):
                        dollars["images"] = images
                    return Listed(name, dollars, notes)
            if images := self._images(offered, providers):
                return Listed(offered.name, {"images": images})
        return None

    @staticmethod
    def _keys(offered: Offered, providers: tuple[str, ...]) -> Iterator[str]:
        for name in spellings(offered.name):
            yield name
            for provider in providers:
                yield f"{provider}/{name}"

    def _images(self, offered: Offered, providers: tuple[str, ...]) -> dict[str, Fraction]:
        images = {}
        for kind, name in self._pictures.get(offered.name.lower(), {}).items():
            entry = self._entries[name]
            if entry.get("litellm_provider") in providers and (price := _picture(entry, kind)):
                images[kind] = price
        return images


def _providers_of(vendor: str) -> tuple[str, ...]:
    return _PROVIDERS.get(vendor, (vendor,))


def _entries(raw: bytes) -> dict[str, Mapping[str, Any]]:
    content = read_json(raw, BYTES_MAX)
    if not isinstance(content, dict):
        raise PricesRefused("is no price file: it is not an object of models")
    content.pop(_SAMPLE, None)
    sound = {name: entry for name, entry in content.items() if _is_sound(entry)}
    malformed = len(content) - len(sound)
    if not any(_prices(entry) for entry in sound.values()):
        raise PricesRefused("is no price file: none of its entries has a price")
    if malformed > len(content) * MALFORMED_SHARE:
        raise PricesRefused(
            f"is no price file: {malformed} of {len(content)} entries make no sense"
        )
    # A malformed entry stays, so that its model is reported and not taken for unlisted.
    return {name: entry if isinstance(entry, dict) else {} for name, entry in content.items()}


def _is_sound(entry: object) -> bool:
    if not isinstance(entry, dict) or not isinstance(entry.get("litellm_provider"), str):
        return False
    return all(_is_price(entry[key]) for key in _prices(entry))


def _prices(entry: Mapping[str, Any]) -> list[str]:
    """Return the keys of an entry that hold a price we know."""
    return [key for key in entry if (match := _KEY.fullmatch(key)) and _unit(match["base"], entry)]


def _is_price(value: object) -> bool:
    return type(value) in {int, Decimal} and value >= 0  # type: ignore[operator]  # both compare


def _unit(base: str, entry: Mapping[str, Any]) -> tuple[str, Fraction] | None:
    if base in _PER_MILLION:
        return _PER_MILLION[base], MILLION
    if base in _PER_ONE:
        return _PER_ONE[base], Fraction(1)
    if base in _MADE and entry.get("mode") == _MAKING:
        return _MADE[base], Fraction(1)
    return None


def _converted(entry: Mapping[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return an entry's prices by tier and by context, as a card nests them."""
    notes: list[str] = []
    by_tier: defaultdict[str, defaultdict[int, dict[str, Fraction]]] = defaultdict(
        lambda: defaultdict(dict)
    )
    for key, value in entry.items():
        match = _KEY.fullmatch(key)
        found = _unit(match["base"], entry) if match else None
        if match is None or found is None:
            if "cost" in key and key != _SEARCHES and _is_price(value) and value:
                notes.append(f"{key} has no unit here")
            continue
        unit, per = found
        above = int(match["thousand"] or 0) * 1_000
        place = by_tier[match["tier"] or ""][above]
        # Where two keys give one unit, such as seconds heard and seconds said, the dearer.
        place[unit] = max(_number(value) * per, place.get(unit, Fraction(0)))
    for above, prices in _ranges(entry):
        by_tier[""][above] |= prices
    dollars = _nested(by_tier.pop("", defaultdict(dict)))
    if search := _search(entry):
        dollars["search"] = search
    services = {_TIERS.get(name, name): _nested(by_context) for name, by_context in by_tier.items()}
    if services:
        dollars["service_tiers"] = services
    return dollars, tuple(notes)


def _nested(by_context: Mapping[int, Mapping[str, Fraction]]) -> dict[str, Any]:
    dollars: dict[str, Any] = dict(by_context.get(0, {}))
    if tiers := [{"above": above, **by_context[above]} for above in sorted(by_context) if above]:
        dollars["long_context"] = tiers
    return dollars


def _ranges(entry: Mapping[str, Any]) -> Iterator[tuple[int, dict[str, Fraction]]]:
    """Yield the prices of each range of `tiered_pricing`, by where the range begins."""
    ranges = entry.get(_RANGES)
    if ranges is None:
        return
    if not isinstance(ranges, list):
        raise Unusable(f"its {_RANGES} is no list")
    for one in ranges:
        bounds = one.get("range") if isinstance(one, dict) else None
        if not isinstance(bounds, list) or not bounds:
            raise Unusable(f"its {_RANGES} has no range")
        yield (
            int(_number(bounds[0])),
            {unit: _number(one[key]) * MILLION for key, unit in _PER_MILLION.items() if key in one},
        )


def _search(entry: Mapping[str, Any]) -> Fraction:
    """Return the price of a search: the dearest, since a call does not say how deep it went."""
    depths = entry.get(_SEARCHES)
    if not isinstance(depths, dict) or not depths:
        return Fraction(0)
    return max(_number(price) for price in depths.values())


def _picture(entry: Mapping[str, Any], kind: str) -> Fraction:
    for key in ("output_cost_per_image", "input_cost_per_image"):
        if entry.get(key):
            return _number(entry[key])
    width, _, height = kind.partition("/")[0].partition("x")
    pixels = int(width) * int(height)
    prices = (entry.get(f"{side}_cost_per_pixel") or 0 for side in ("input", "output"))
    return sum((_number(price) for price in prices), Fraction(0)) * pixels


def _number(value: object) -> Fraction:
    """Return a number of the file; text is none there. Raises Unusable."""
    if isinstance(value, str):
        raise Unusable("a price is text")
    return exact(value)
