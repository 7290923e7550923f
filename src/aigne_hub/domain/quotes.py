"""Worst-case quotes: what a call is held for before anything goes upstream."""

import re
from dataclasses import dataclass
from typing import NamedTuple

from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.pricing import BLOCK, RateCard

# The first step of a stream's hold, and each further one.
STREAM_STEP_TOKENS = 1_024
# What one inlined or linked picture, page or sound may cost in prompt tokens.
MEDIA_TOKENS = 4_096
# Counting (never quoting) takes text at about this many bytes a token.
BYTES_PER_TOKEN = 4
# Up to this size text is told from structure, and linked media is looked for.
EXACT_BYTES_MAX = 16_384

_BASE64 = re.compile(rb"base64")
_INLINE_MEDIA = re.compile(rb'base64,[A-Za-z0-9+/=_-]*|"data"\s*:\s*"[A-Za-z0-9+/=_-]{256,}"')
# String values that are prompt text; names such as roles and types are not. A text member
# may also hold a list of strings (prompts, embedding inputs).
_TEXT = re.compile(
    rb'"(?:content|text|prompt|input|description|arguments|instructions)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*)"'
)
_LINKED_MEDIA = re.compile(rb'"(?:image_url|input_image|file_id|file_url|input_audio)"')


class Size(NamedTuple):
    """What a JSON request body holds: an upper bound of its prompt tokens, and its text.

    `text_bytes` is about how many bytes of it are text; small bodies are read value by
    value, in large ones the structure hardly counts.
    """

    tokens_bound: int
    text_bytes: int


def size_of(body: bytes) -> Size:
    """Measure a request body in at most one pass when it is large.

    Every tokeniser in use maps at least one byte to a token, so text is bounded by its
    bytes. Inlined media is not text: each piece counts as MEDIA_TOKENS instead of its
    base64 length. Linked media is looked for in small bodies only: in a large one the slack
    between bytes and tokens covers it.
    """
    length = len(body)
    inlined = _inlined(body) if _BASE64.search(body) else []
    plain = length - sum(inlined)
    if length > EXACT_BYTES_MAX:
        return Size(plain + len(inlined) * MEDIA_TOKENS, plain)
    linked = len(_LINKED_MEDIA.findall(body)) if b"_url" in body or b"input_" in body else 0
    text = sum(len(value) for value in _TEXT.findall(body))
    return Size(plain + max(len(inlined), linked) * MEDIA_TOKENS, text)


def _inlined(body: bytes) -> list[int]:
    """Return the lengths of the base64 pieces in a body."""
    return [match.end() - match.start() for match in _INLINE_MEDIA.finditer(body)]


def count_text(size: int) -> int:
    """Return the tokens that `size` bytes of text are counted as; 0 only for no text."""
    return -(-size // BYTES_PER_TOKEN)


@dataclass(frozen=True, slots=True)
class Quote:
    """The worst case of a call, as a line: a fixed part and a price per output token.

    `fixed` is a numerator over BLOCK; `per_token` nano-credits per BLOCK of output tokens,
    already times `n`. `tokens_wanted` are held if they can be paid; fewer are held down to
    `tokens_min`; below that the call is refused.
    """

    fixed: int
    per_token: int
    tokens_wanted: int
    tokens_min: int

    def amount(self, tokens: int) -> int:
        """Return the nano-credits to hold for `tokens` of output, rounded up."""
        return min(-(-(self.fixed + tokens * self.per_token) // BLOCK), AMOUNT_MAX)

    def affordable(self, available: int) -> int | None:
        """Return the most output tokens, at most `tokens_wanted`, that `available` pays for.

        None when not even the fixed part fits.
        """
        room = available * BLOCK - self.fixed
        if room < 0:
            return None
        if not self.per_token:
            return self.tokens_wanted
        return min(room // self.per_token, self.tokens_wanted)


FREE = Quote(fixed=0, per_token=0, tokens_wanted=0, tokens_min=0)


def quote_tokens(
    rates: RateCard, *, input_tokens: int, output_limit: int, stream: bool, explicit: bool, n: int
) -> Quote:
    """Quote a call that is priced by tokens and requests.

    A stream is held step by step and admitted when one token fits; a unary call is held
    whole, and an explicit limit that cannot be paid is refused rather than lowered.
    """
    if stream:
        wanted, least = min(output_limit, STREAM_STEP_TOKENS), 1
    else:
        wanted, least = output_limit, output_limit if explicit else 1
    per_input, per_output = rates.worst(input_tokens)
    return Quote(
        fixed=input_tokens * per_input + rates.request_worst() * BLOCK,
        per_token=per_output * n,
        tokens_wanted=wanted,
        tokens_min=min(least, wanted),
    )


def quote_units(
    rates: RateCard,
    *,
    images: int = 0,
    image_kind: str = "",
    input_tokens: int = 0,
    output_tokens: int = 0,
) -> Quote:
    """Quote a call whose size is known before: nothing of it can be lowered."""
    per_input, per_output = rates.worst(input_tokens)
    pictures = images * rates.image_worst(image_kind) if images else 0
    fixed = (
        input_tokens * per_input
        + output_tokens * per_output
        + (pictures + rates.request_worst()) * BLOCK
    )
    return Quote(fixed=fixed, per_token=0, tokens_wanted=0, tokens_min=0)
