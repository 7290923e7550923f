"""Worst-case quotes: what a call is held for before anything goes upstream."""

import re
from dataclasses import dataclass

from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.pricing import BLOCK, RateCard

# The first step of a stream's hold, and each further one.
STREAM_STEP_TOKENS = 1_024
# What one inlined or linked picture, page or sound may cost in prompt tokens.
MEDIA_TOKENS = 4_096
# Counting (never quoting) takes text at about this many bytes a token.
BYTES_PER_TOKEN = 4
# Up to this size a request's text is told from its structure.
EXACT_BYTES_MAX = 8_192

_INLINE_MEDIA = re.compile(rb'[;"]base64,[A-Za-z0-9+/=_-]*|"data":"[A-Za-z0-9+/=_-]{256,}"')
# String values that are prompt text; names such as roles and types are not. A text member
# may also hold a list of strings (prompts, embedding inputs).
_TEXT = re.compile(
    rb'"(?:content|text|prompt|input|description|arguments|instructions)"\s*:\s*'
    rb'"((?:[^"\\]|\\.)*)"'
)
_LINKED_MEDIA = re.compile(rb'"(?:image_url|input_image|file_id|file_url|input_audio)"')


def input_bound(body: bytes, context_tokens: int) -> int:
    """Return an upper bound of the prompt tokens in a JSON request body.

    Every tokeniser in use maps at least one byte to a token, so text is bounded by its
    bytes. Inlined media is not text: each piece counts as MEDIA_TOKENS instead of its
    base64 length. No prompt is longer than the model's context.
    """
    size, pieces = _without_media(body)
    return min(size + pieces * MEDIA_TOKENS, context_tokens)


def text_size(body: bytes) -> int:
    """Return about how many bytes of a JSON request body are text.

    Small bodies are read value by value; in large ones the structure hardly counts.
    """
    if len(body) <= EXACT_BYTES_MAX:
        return sum(len(value) for value in _TEXT.findall(body))
    return _without_media(body)[0]


def _without_media(body: bytes) -> tuple[int, int]:
    size = len(body)
    pieces = 0
    if b"base64" in body or b'"data":"' in body:
        for match in _INLINE_MEDIA.finditer(body):
            size -= match.end() - match.start()
            pieces += 1
    if b"_url" in body or b"_image" in body or b"_audio" in body or b"file_" in body:
        pieces = max(pieces, len(_LINKED_MEDIA.findall(body)))
    return size, pieces


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
    return Quote(
        fixed=input_tokens * rates.input_worst + rates.request * BLOCK,
        per_token=rates.output * n,
        tokens_wanted=wanted,
        tokens_min=min(least, wanted),
    )


def quote_units(
    rates: RateCard, *, images: int = 0, input_tokens: int = 0, output_tokens: int = 0
) -> Quote:
    """Quote a call whose size is known before: nothing of it can be lowered."""
    fixed = (
        input_tokens * rates.input_worst
        + output_tokens * rates.output
        + (images * rates.image + rates.request) * BLOCK
    )
    return Quote(fixed=fixed, per_token=0, tokens_wanted=0, tokens_min=0)
