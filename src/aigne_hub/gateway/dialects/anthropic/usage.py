"""Anthropic's usage object as the hub's buckets: the usual one fast, every other by its table."""

from typing import Annotated

import msgspec

from aigne_hub.domain.usage import TOKENS_MAX, Report, Usage
from aigne_hub.gateway.dialects.reading import UNREADABLE, decoded, is_present
from aigne_hub.providers.usage import ANTHROPIC, Wire

_Tokens = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)] | None
# What changes no price, by its exact spelling.
_STANDARD = frozenset({None, "standard"})
_ANYWHERE = frozenset({None, "global", "not_available"})


class _Written(msgspec.Struct, forbid_unknown_fields=True):
    ephemeral_5m_input_tokens: _Tokens = None
    ephemeral_1h_input_tokens: _Tokens = None


class _Details(msgspec.Struct, forbid_unknown_fields=True):
    thinking_tokens: _Tokens = None


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """`usage` of a message without tools of the provider's, as Anthropic documents it."""

    input_tokens: _Tokens
    output_tokens: _Tokens
    cache_creation_input_tokens: _Tokens = None
    cache_read_input_tokens: _Tokens = None
    cache_creation: _Written | None = None
    output_tokens_details: _Details | None = None
    server_tool_use: None = None
    service_tier: str | None = None
    inference_geo: str | None = None
    speed: str | None = None

    def buckets(self) -> Usage | None:
        """Return the buckets of plain figures at standard prices, else None: the table decides."""
        fresh, output = self.input_tokens, self.output_tokens
        if fresh is None or output is None:
            return None
        tier, speed, place = self.service_tier, self.speed, self.inference_geo
        if tier not in _STANDARD or speed not in _STANDARD or place not in _ANYWHERE:
            return None
        written, hour = self.cache_creation_input_tokens or 0, 0
        parts = self.cache_creation
        if parts is not None:
            hour = parts.ephemeral_1h_input_tokens or 0
            written = written or (parts.ephemeral_5m_input_tokens or 0) + hour
        details = self.output_tokens_details
        reasoning = 0 if details is None else details.thinking_tokens or 0
        if hour > written or written > TOKENS_MAX or reasoning > output:
            return None
        return Usage(
            input_tokens=fresh,
            output_tokens=output,
            cache_read_tokens=self.cache_read_input_tokens or 0,
            cache_write_tokens=written,
            reasoning_tokens=reasoning,
            cache_write_1h_tokens=hour,
        )


_decode_usual = msgspec.json.Decoder(_Usual).decode


def report_of(wire: Wire, usage: msgspec.Raw) -> Report:
    """Return what the usage object of a whole answer reports.

    A report that cannot be believed does not spoil the answer: the hub counts instead.
    """
    if wire is ANTHROPIC and is_present(usage):
        try:
            buckets = _decode_usual(usage).buckets()
        except UNREADABLE:
            buckets = None
        if buckets is not None:
            return Report(buckets)
    return wire.read({"usage": decoded(usage)})
