"""What a call consumed, in disjoint buckets and the refinements inside them."""

from typing import NamedTuple

# No model reads or writes this much in one call; a larger figure is a fault, not a bill.
TOKENS_MAX = 100_000_000
UNITS_MAX = 1_000_000_000
# OpenAI's models read a token for each tenth of a second of speech.
HEARD_MS_PER_TOKEN = 100
STANDARD = "standard"
# The longest name of a service tier or image kind that is believed.
NAME_MAX = 64

# Each refinement, and the bucket whose tokens it is part of.
REFINEMENTS = {
    "audio_input_tokens": "input_tokens",
    "image_input_tokens": "input_tokens",
    "cache_write_1h_tokens": "cache_write_tokens",
    "reasoning_tokens": "output_tokens",
    "audio_output_tokens": "output_tokens",
    "image_output_tokens": "output_tokens",
}
BUCKETS = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
UNITS = ("images", "duration_ms", "characters", "requests", "searches")


class AbsurdUsage(ValueError):
    """An upstream reported a negative, non-integer or impossibly large amount."""


class Usage(NamedTuple):
    """Disjoint token buckets, refinements inside them, and units of one call.

    `input_tokens` excludes what was read from or written to a prompt cache. A refinement is
    contained in its bucket (REFINEMENTS) and priced apart where the rate card has a price
    for it; those of one bucket are disjoint, so none is taken off its price twice.
    `duration_ms` is audio or video time, priced per second. `image_kind` is size and quality
    as `1024x1024/high`; `service_tier` the tier that served, such as `batch`.
    """

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    reasoning_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_input_tokens: int = 0
    image_output_tokens: int = 0
    images: int = 0
    duration_ms: int = 0
    characters: int = 0
    requests: int = 1
    searches: int = 0
    image_kind: str = ""
    service_tier: str = STANDARD

    def checked(self) -> "Usage":
        """Return self, or raise AbsurdUsage."""
        for name in BUCKETS:
            amount = getattr(self, name)
            if type(amount) is not int or not 0 <= amount <= TOKENS_MAX:
                raise AbsurdUsage(f"{name} {amount!r}")
        within = dict.fromkeys(BUCKETS, 0)
        for name, bucket in REFINEMENTS.items():
            amount = getattr(self, name)
            if type(amount) is not int or not 0 <= amount <= TOKENS_MAX:
                raise AbsurdUsage(f"{name} {amount!r}")
            within[bucket] += amount
            if within[bucket] > getattr(self, bucket):
                raise AbsurdUsage(f"{name} {amount} is more than {bucket} have room for")
        for name in UNITS:
            amount = getattr(self, name)
            if type(amount) is not int or not 0 <= amount <= UNITS_MAX:
                raise AbsurdUsage(f"{name} {amount!r}")
        if len(self.image_kind) > NAME_MAX or not 0 < len(self.service_tier) <= NAME_MAX:
            raise AbsurdUsage("a name that is too long")
        return self

    @property
    def context_tokens(self) -> int:
        """Return all tokens the model read: what tiers by context length go by."""
        return self.input_tokens + self.cache_read_tokens + self.cache_write_tokens

    @property
    def total_tokens(self) -> int:
        return self.context_tokens + self.output_tokens

    @property
    def units(self) -> int:
        """Images, seconds (rounded up) or characters: whichever this kind of call has."""
        return self.images or -(-self.duration_ms // 1000) or self.characters

    def detail(self) -> dict[str, int | str]:
        """Return what the four buckets do not tell, as far as there is anything to tell.

        With the buckets it is everything a price needs: `Usage(**buckets, **detail)`.
        """
        if self.is_plain:
            return {}
        return {
            name: getattr(self, name)
            for name in self._fields
            if name not in BUCKETS and getattr(self, name) != self._field_defaults[name]
        }

    @property
    def is_plain(self) -> bool:
        """Tell whether the four buckets say all: so it is with most calls."""
        return self[len(BUCKETS) :] == _PLAIN


_PLAIN = tuple(Usage())[len(BUCKETS) :]


class Report(NamedTuple):
    """What a provider's own figures come to.

    `usage` is None when it said nothing, or something that cannot be true: then `refused` says
    what. `unread` names the fields whose meaning the hub does not know, and a total that the
    figures it knows do not add up to: something may be billed there that is not charged.
    """

    usage: Usage | None = None
    refused: str | None = None
    unread: tuple[str, ...] = ()

    @property
    def is_clear(self) -> bool:
        """Tell whether nobody needs to look at it."""
        return self.refused is None and not self.unread


NO_REPORT = Report()


class UsageAlarm(NamedTuple):
    """Something in a provider's reports that the operator should look at.

    `field` is the path of a field that the hub does not know; None when a report was refused
    for `reason`. The call is the one that it was first seen in.
    """

    provider: str
    model: str
    call_id: str
    at_us: int
    field: str | None = None
    reason: str | None = None
