"""Worst-case quotes: what a call is held for before anything goes upstream."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple

from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.pricing import BLOCK, RateCard

# The first step of a stream's hold, and each further one.
STREAM_STEP_TOKENS = 1_024
# What one inlined or linked picture, page or sound may cost in prompt tokens: the largest
# known is a picture of 12 megapixels, 14,364 tokens at OpenAI. Sound, film and documents
# that are inlined may cost more, in proportion to their bytes.
MEDIA_TOKENS = 16_384
BYTES_PER_MEDIA_TOKEN = 16
# What a provider adds to a prompt that comes with tools: its own words about their use.
TOOLS_TOKENS = 1_024
# Counting (never quoting) takes text at about this many bytes a token.
BYTES_PER_TOKEN = 4
# Up to this size text is told from structure, and a body is looked through for tools.
EXACT_BYTES_MAX = 16_384

_BASE64 = re.compile(rb"base64")
# Two patterns, each of which begins with a literal: one of both would be looked for byte by byte.
# Neither can match within the other: only the second has quotes, only the first a comma.
_INLINE_MEDIA = (
    re.compile(rb"base64,[A-Za-z0-9+/=_-]*"),
    re.compile(rb'"data"\s*:\s*"[A-Za-z0-9+/=_-]{256,}"'),
)
# String values that are prompt text; names such as roles and types are not. A text member
# may also hold a list of strings (prompts, embedding inputs).
_TEXT = re.compile(
    rb'"(?:content|text|prompt|input|output|description|arguments|instructions)"\s*:\s*'
    rb'"([^"\\]*(?:\\.[^"\\]*)*)"'
)
_LINKED_MEDIA = (re.compile(rb'_url"\s*:'), re.compile(rb'file_id"\s*:'))
# How far before its bytes a piece of media says that it is a picture.
_TYPE_BYTES = 96


@dataclass(slots=True)
class Size:
    """What a JSON request body holds: an upper bound of its prompt tokens, and its text.

    `text_bytes` is about how many bytes of it are text; small bodies are read value by
    value, in large ones the structure hardly counts.
    """

    tokens_bound: int
    text_bytes: int


def size_of(body: bytes) -> Size:
    """Measure a request body in at most one pass when it is large.

    Every tokeniser in use maps at least one byte to a token, so text is bounded by its
    bytes, and what a chat's template puts around a message by the JSON around it. Inlined
    media is not text: each piece counts as MEDIA_TOKENS instead of its base64 length, or
    more when it is no picture and large. What is only named, by address or id, counts as
    MEDIA_TOKENS too.
    """
    length = len(body)
    media, inlined, bound = 0, 0, length
    if _BASE64.search(body):
        for piece, tokens in _inlined(body):
            media += piece
            inlined += 1
            bound += tokens - piece
    # `in` would first try to read the bytes looked for as a number.
    if length > EXACT_BYTES_MAX or body.find(b'_url"') >= 0 or body.find(b'file_id"') >= 0:
        linked = sum(len(link.findall(body)) for link in _LINKED_MEDIA)
        bound += max(linked - inlined, 0) * MEDIA_TOKENS
    if length > EXACT_BYTES_MAX:
        return Size(bound, length - media)
    if body.find(b'"tools"') >= 0:
        bound += TOOLS_TOKENS
    return Size(bound, len(b"".join(_TEXT.findall(body))))


def _inlined(body: bytes) -> Iterator[tuple[int, int]]:
    """Yield the length of each base64 piece in a body and the tokens that it may cost."""
    for pattern in _INLINE_MEDIA:
        for match in pattern.finditer(body):
            start, end = match.span()
            tokens = MEDIA_TOKENS
            if b"image" not in body[max(start - _TYPE_BYTES, 0) : start]:
                tokens = max(tokens, (end - start) // BYTES_PER_MEDIA_TOKEN)
            yield end - start, tokens


def count_text(size: int) -> int:
    """Return the tokens that `size` bytes of text are counted as; 0 only for no text."""
    return -(-size // BYTES_PER_TOKEN)


class Quote(NamedTuple):
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

        None when not even the fixed part fits. What cannot cost anything needs no credit, and
        no debt forbids it.
        """
        room = available * BLOCK - self.fixed
        if room < 0:
            return None if self.fixed or self.per_token else self.tokens_wanted
        if not self.per_token:
            return self.tokens_wanted
        return min(room // self.per_token, self.tokens_wanted)


FREE = Quote(fixed=0, per_token=0, tokens_wanted=0, tokens_min=0)


def quote_tokens(
    rates: RateCard,
    *,
    input_tokens: int,
    output_limit: int,
    stream: bool,
    explicit: bool,
    n: int,
    searches: int = 0,
) -> Quote:
    """Quote a call that is priced by tokens, requests and the provider's own searches.

    A stream is held step by step and admitted when one token fits; a unary call is held
    whole, and an explicit limit that cannot be paid is refused rather than lowered.
    """
    wanted = min(output_limit, STREAM_STEP_TOKENS) if stream else output_limit
    least = wanted if explicit and not stream else min(wanted, 1)
    per_input, per_output = rates.worst(input_tokens)
    return Quote(
        # By position: names would cost as much as all the rest.
        input_tokens * per_input
        + (rates.request_worst() + searches * rates.search_worst()) * BLOCK,
        per_output * n,
        wanted,
        least,
    )


def quote_units(
    rates: RateCard,
    *,
    images: int = 0,
    image_kind: str = "",
    input_tokens: int = 0,
    output_tokens: int = 0,
    duration_ms: int = 0,
    characters: int = 0,
    searches: int = 0,
) -> Quote:
    """Quote a call whose size is known before: nothing of it can be lowered."""
    per_input, per_output = rates.worst(input_tokens)
    pictures = images * rates.image_worst(image_kind) if images else 0
    once = pictures + searches * rates.search_worst() + rates.request_worst()
    fixed = (
        input_tokens * per_input
        + output_tokens * per_output
        + duration_ms * rates.second_worst() * (BLOCK // 1000)
        + characters * rates.character_worst()
        + once * BLOCK
    )
    return Quote(fixed=fixed, per_token=0, tokens_wanted=0, tokens_min=0)
