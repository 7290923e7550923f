"""What a call consumed, in disjoint buckets."""

from dataclasses import dataclass

# No model reads or writes this much in one call; a larger figure is a fault, not a bill.
TOKENS_MAX = 100_000_000
UNITS_MAX = 1_000_000_000


class AbsurdUsage(ValueError):
    """An upstream reported a negative, non-integer or impossibly large amount."""


@dataclass(frozen=True, slots=True)
class Usage:
    """Disjoint token buckets and units of one call.

    `input_tokens` excludes what was read from or written to a prompt cache;
    `reasoning_tokens` is contained in `output_tokens` and shown only. `duration_ms` is audio
    or video time, priced per second.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    images: int = 0
    duration_ms: int = 0
    characters: int = 0
    requests: int = 1

    def checked(self) -> "Usage":
        """Return self, or raise AbsurdUsage."""
        tokens = (
            self.input_tokens,
            self.output_tokens,
            self.cache_read_tokens,
            self.cache_write_tokens,
            self.reasoning_tokens,
        )
        for amount in tokens:
            if type(amount) is not int or not 0 <= amount <= TOKENS_MAX:
                raise AbsurdUsage(f"token count {amount!r}")
        for amount in (self.images, self.duration_ms, self.characters, self.requests):
            if type(amount) is not int or not 0 <= amount <= UNITS_MAX:
                raise AbsurdUsage(f"unit count {amount!r}")
        return self

    @property
    def units(self) -> int:
        """Images, seconds (rounded up) or characters: whichever this kind of call has."""
        return self.images or -(-self.duration_ms // 1000) or self.characters
