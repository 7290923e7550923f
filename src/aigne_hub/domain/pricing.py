"""Rate cards: the exact rational price of a usage."""

from collections.abc import Mapping
from dataclasses import dataclass

from aigne_hub.domain.money import round_half_up
from aigne_hub.domain.usage import Usage

# Rates are nano-credits per block; every numerator below is scaled to this block.
BLOCK = 1_000_000

RATE_UNITS = (
    "input",
    "output",
    "cache_read",
    "cache_write",
    "image",
    "second",
    "characters",
    "request",
)


@dataclass(frozen=True, slots=True)
class RateCard:
    """One version of one model's prices, in nano-credits.

    `input`, `output`, `cache_read`, `cache_write`, `characters`: per 1,000,000. `image`,
    `request`: per one. `second`: per second. A cache rate that was not given is the input
    rate, never zero.
    """

    id: str
    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    image: int = 0
    second: int = 0
    characters: int = 0
    request: int = 0

    @classmethod
    def of(cls, rate_id: str, amounts: Mapping[str, int]) -> "RateCard":
        """Build a card from amounts by RATE_UNITS; unknown units raise ValueError."""
        unknown = set(amounts) - set(RATE_UNITS)
        if unknown:
            raise ValueError(f"unknown rate unit {min(unknown)!r}")
        if any(amount < 0 for amount in amounts.values()):
            raise ValueError("a rate is never negative")
        prompt = amounts.get("input", 0)
        filled = {"cache_read": prompt, "cache_write": prompt, **amounts}
        return cls(id=rate_id, **filled)

    def cost(self, usage: Usage) -> int:
        """Return the nano-credits of `usage`: exact, rounded once, half up."""
        numerator = (
            usage.input_tokens * self.input
            + usage.output_tokens * self.output
            + usage.requests * self.request * BLOCK
        )
        if usage.cache_read_tokens or usage.cache_write_tokens:
            numerator += usage.cache_read_tokens * self.cache_read
            numerator += usage.cache_write_tokens * self.cache_write
        if usage.images or usage.duration_ms or usage.characters:
            numerator += usage.images * self.image * BLOCK
            numerator += usage.duration_ms * self.second * (BLOCK // 1000)
            numerator += usage.characters * self.characters
        return round_half_up(numerator, BLOCK)

    @property
    def input_worst(self) -> int:
        """The dearest way a prompt token can be billed."""
        return max(self.input, self.cache_read, self.cache_write)
