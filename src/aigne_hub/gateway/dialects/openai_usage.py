"""OpenAI's usage objects as disjoint buckets."""

import msgspec

from aigne_hub.domain.usage import AbsurdUsage, Usage


class _InputDetails(msgspec.Struct):
    cached_tokens: int | None = None
    cache_write_tokens: int | None = None


class _OutputDetails(msgspec.Struct):
    reasoning_tokens: int | None = None


class _UsageObject(msgspec.Struct):
    """`usage` of chat, completions, embeddings and images.

    https://platform.openai.com/docs/api-reference/chat/object: cached tokens are contained
    in prompt tokens, reasoning tokens in completion tokens. Images report the same under
    `input_tokens` and `output_tokens`.
    """

    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: int | None = None

    def buckets(self, images: int = 0) -> Usage | None:
        """Return disjoint buckets, or None when the figures cannot be true."""
        total = self.prompt_tokens if self.prompt_tokens is not None else self.input_tokens
        output = (
            self.completion_tokens if self.completion_tokens is not None else self.output_tokens
        )
        if total is None and output is None:
            return None
        details = self.prompt_tokens_details
        read = (details.cached_tokens if details else None) or self.prompt_cache_hit_tokens or 0
        written = (details.cache_write_tokens if details else None) or 0
        reasoning = self.completion_tokens_details
        try:
            return Usage(
                input_tokens=(total or 0) - read - written,
                output_tokens=output or 0,
                cache_read_tokens=read,
                cache_write_tokens=written,
                reasoning_tokens=(reasoning.reasoning_tokens if reasoning else None) or 0,
                images=images,
            ).checked()
        except AbsurdUsage:
            return None


_decode = msgspec.json.Decoder(_UsageObject).decode


def is_present(raw: msgspec.Raw) -> bool:
    """Tell whether a member stands in the JSON and is not null."""
    return bytes(raw) not in {b"", b"null"}


def usage_of(raw: msgspec.Raw, images: int = 0) -> Usage | None:
    """Return the buckets of a `usage` member; None when it is absent, malformed or absurd.

    A usage that cannot be believed does not spoil the answer: the hub counts instead.
    """
    if not is_present(raw):
        return None
    try:
        return _decode(raw).buckets(images)
    except msgspec.DecodeError:
        return None
