"""Rate cards: the exact rational price of a usage."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from aigne_hub.domain.money import AMOUNT_MAX, round_half_up
from aigne_hub.domain.usage import STANDARD, TOKENS_MAX, Usage

# Rates are nano-credits per block; every numerator below is scaled to this block.
BLOCK = 1_000_000
# What the usage of most calls has beyond its input and output tokens: one request.
_JUST_TOKENS = tuple(Usage())[2:]
# More price points than any vendor publishes for one model.
IMAGE_KINDS_MAX = 64
TIERS_MAX = 8
SERVICE_TIERS_MAX = 8

RATE_UNITS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "cache_write_1h",
    "reasoning",
    "audio_input",
    "audio_output",
    "image_input",
    "image_output",
    "image",
    "second",
    "characters",
    "request",
    "search",
)
# Those that a tier by context length can change.
TOKEN_UNITS = RATE_UNITS[:10]
# A rate that was not given is that of the bucket it refines, never zero.
_FALLBACKS = {
    "cache_read": "input",
    "cache_write": "input",
    "cache_write_1h": "cache_write",
    "reasoning": "output",
    "audio_input": "input",
    "audio_output": "output",
    "image_input": "input",
    "image_output": "output",
}
# Members of a card's amounts that hold further prices, not a number.
NESTED = ("images", "long_context", "service_tiers")

Amounts = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Rates:
    """Prices in nano-credits: tokens and `characters` per 1,000,000; the others per one.

    `second` is per second; `image`, `request` and `search` per one.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    reasoning: int = 0
    audio_input: int = 0
    audio_output: int = 0
    image_input: int = 0
    image_output: int = 0
    image: int = 0
    second: int = 0
    characters: int = 0
    request: int = 0
    search: int = 0

    @classmethod
    def of(cls, amounts: Mapping[str, int]) -> "Rates":
        """Fill in what was not given; unknown units and negatives raise ValueError."""
        unknown = set(amounts) - set(RATE_UNITS)
        if unknown:
            raise ValueError(f"unknown rate unit {min(unknown)!r}")
        if any(type(amount) is not int or amount < 0 for amount in amounts.values()):
            raise ValueError("a rate is a whole number of nano-credits, never negative")
        filled = dict(amounts)
        for unit, bucket in _FALLBACKS.items():
            filled.setdefault(unit, filled.get(bucket, 0))
        return cls(**filled)

    def numerator(self, usage: Usage) -> int:
        """Return the price of everything but images, over BLOCK."""
        total = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.requests * self.request * BLOCK
        )
        if usage[2:] == _JUST_TOKENS:
            return total
        if usage.cache_read_tokens or usage.cache_write_tokens:
            total += usage.cache_read_tokens * self.cache_read
            total += usage.cache_write_tokens * self.cache_write
            total += usage.cache_write_1h_tokens * (self.cache_write_1h - self.cache_write)
        if usage.audio_input_tokens or usage.image_input_tokens:
            audio, image = _within(
                usage.input_tokens, usage.audio_input_tokens, usage.image_input_tokens
            )
            total += audio * (self.audio_input - self.input)
            total += image * (self.image_input - self.input)
        if usage.reasoning_tokens or usage.audio_output_tokens or usage.image_output_tokens:
            audio, image, reasoning = _within(
                usage.output_tokens,
                usage.audio_output_tokens,
                usage.image_output_tokens,
                usage.reasoning_tokens,
            )
            total += audio * (self.audio_output - self.output)
            total += image * (self.image_output - self.output)
            total += reasoning * (self.reasoning - self.output)
        if usage.duration_ms or usage.characters or usage.searches:
            total += usage.duration_ms * self.second * (BLOCK // 1000)
            total += usage.characters * self.characters
            total += usage.searches * self.search * BLOCK
        return total

    @property
    def input_worst(self) -> int:
        """The dearest way a prompt token can be billed."""
        return max(
            self.input,
            self.cache_read,
            self.cache_write,
            self.cache_write_1h,
            self.audio_input,
            self.image_input,
        )

    @property
    def output_worst(self) -> int:
        """The dearest way an output token can be billed."""
        return max(self.output, self.reasoning, self.audio_output, self.image_output)


class LongContext(NamedTuple):
    """Rates for all tokens of a call that read more than `above` tokens."""

    above: int
    rates: Rates


@dataclass(frozen=True, slots=True)
class RateCard:
    """One version of one model's prices.

    A call is priced at the rates of its service tier, where the card has them; else at those
    of the longest context tier that it reaches; else at the base rates. `images` prices a
    picture by its kind (`1024x1024/high`); a kind without a price costs the dearest one.
    """

    id: str
    base: Rates
    images: Mapping[str, int] = field(default_factory=dict)
    long_context: tuple[LongContext, ...] = ()
    service_tiers: Mapping[str, "RateCard"] = field(default_factory=dict)
    # The dearest base prices of an input and of an output token: every call asks for them.
    _dearest: tuple[int, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        dearest = self.base.input_worst, self.base.output_worst
        object.__setattr__(self, "_dearest", dearest)

    @classmethod
    def of(cls, rate_id: str, amounts: Amounts) -> "RateCard":
        """Build a card from amounts by RATE_UNITS and the NESTED members.

        `images` maps a kind to a price; `long_context` lists {above, …token units},
        ascending; `service_tiers` maps a tier to amounts of its own. Where a nested list names no
        price for a unit, the base price holds. Raises ValueError for anything else.
        """
        flat = {unit: amount for unit, amount in amounts.items() if unit not in NESTED}
        images = dict(amounts.get("images") or {})
        tiers = amounts.get("long_context") or []
        services = amounts.get("service_tiers") or {}
        if (
            len(images) > IMAGE_KINDS_MAX
            or len(tiers) > TIERS_MAX
            or len(services) > SERVICE_TIERS_MAX
        ):
            raise ValueError("a rate card has more price points than any vendor's")
        if any(type(price) is not int or price < 0 for price in images.values()):
            raise ValueError("an image's price is a whole number of nano-credits, never negative")
        long_context = tuple(_long_context(flat, tier) for tier in tiers)
        bounds = [tier.above for tier in long_context]
        if bounds != sorted(set(bounds)) or any(bound <= 0 for bound in bounds):
            raise ValueError("tiers by context length have ascending bounds above zero")
        if any("service_tiers" in own for own in services.values()):
            raise ValueError("a service tier has no service tiers of its own")
        return cls(
            id=rate_id,
            base=Rates.of(flat),
            images=images,
            long_context=long_context,
            service_tiers={
                name: cls.of(rate_id, {**amounts, **own, "service_tiers": {}})
                for name, own in services.items()
            },
        )

    def cost(self, usage: Usage) -> int:
        """Return the nano-credits of `usage`: exact, rounded once, half up, at most AMOUNT_MAX."""
        if self.service_tiers and usage.service_tier != STANDARD:
            tier = self.service_tiers.get(usage.service_tier)
            if tier is not None:
                return tier.cost(usage)
        rates = self.rates_at(usage.context_tokens) if self.long_context else self.base
        numerator = rates.numerator(usage)
        if usage.images:
            numerator += usage.images * self.image_price(usage.image_kind) * BLOCK
        return min(round_half_up(numerator, BLOCK), AMOUNT_MAX)

    def rates_at(self, context_tokens: int) -> Rates:
        """Return the rates of a call that reads so many tokens, in the standard tier."""
        rates = self.base
        for tier in self.long_context:
            if context_tokens > tier.above:
                rates = tier.rates
        return rates

    def image_price(self, kind: str) -> int:
        """Return the price of one picture of a kind; of the dearest when the kind has none."""
        if not self.images:
            return self.base.image
        return self.images.get(kind, max(self.base.image, *self.images.values()))

    def worst(self, input_tokens: int) -> tuple[int, int]:
        """Return the dearest price of an input and of an output token of a call.

        The call reads at most `input_tokens`; it may be served in any tier.
        """
        if not self.long_context and not self.service_tiers:
            return self._dearest
        dearest_in, dearest_out = self._dearest
        for tier in self.long_context:
            if input_tokens > tier.above:
                dearest_in = max(dearest_in, tier.rates.input_worst)
                dearest_out = max(dearest_out, tier.rates.output_worst)
        for card in self.service_tiers.values():
            inside, outside = card.worst(input_tokens)
            dearest_in, dearest_out = max(dearest_in, inside), max(dearest_out, outside)
        return dearest_in, dearest_out

    @property
    def output_worst(self) -> int:
        """The dearest way an output token of any call can be billed."""
        return self.worst(TOKENS_MAX)[1]

    def request_worst(self) -> int:
        """Return the dearest price of a request in any tier."""
        if not self.service_tiers:
            return self.base.request
        cards = (self, *self.service_tiers.values())
        return max(card.base.request for card in cards)

    def search_worst(self) -> int:
        """Return the dearest price of a search in any tier."""
        if not self.service_tiers:
            return self.base.search
        cards = (self, *self.service_tiers.values())
        return max(card.base.search for card in cards)

    def second_worst(self) -> int:
        """Return the dearest price of a second in any tier."""
        cards = (self, *self.service_tiers.values())
        return max(card.base.second for card in cards)

    def character_worst(self) -> int:
        """Return the dearest price of characters in any tier, per BLOCK of them."""
        cards = (self, *self.service_tiers.values())
        return max(card.base.characters for card in cards)

    def image_worst(self, kind: str) -> int:
        """Return the dearest price of a picture of a kind in any tier."""
        cards = (self, *self.service_tiers.values())
        return max(card.image_price(kind) for card in cards)


def _within(bucket: int, *parts: int) -> list[int]:
    """Return refinements cut to what their bucket holds, the first one first.

    Reports may count a token twice, as audio and as reasoning; it is priced once.
    """
    taken = []
    for part in parts:
        taken.append(min(part, bucket))
        bucket -= taken[-1]
    return taken


def _long_context(base: Mapping[str, int], tier: Mapping[str, int]) -> LongContext:
    own = {unit: amount for unit, amount in tier.items() if unit != "above"}
    if foreign := own.keys() - set(TOKEN_UNITS):
        raise ValueError(f"{min(foreign)!r} does not depend on the context's length")
    return LongContext(tier["above"], Rates.of({**base, **own}))
