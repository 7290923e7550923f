"""OpenAI's usage objects as the hub's buckets: the usual ones fast, every other by its table."""

from typing import Annotated

import msgspec

from aigne_hub.domain.usage import STANDARD, TOKENS_MAX, Report, Usage
from aigne_hub.gateway.dialects.reading import ABSENT, UNREADABLE, decoded, is_present
from aigne_hub.providers.usage import Wire
from aigne_hub.providers.usage.openai import TIERS

# A tier as it stands in the answer, and what a rate card calls it.
_TIERS = {b"": TIERS[""], b"null": TIERS[""]} | {
    b'"%b"' % name.encode(): tier for name, tier in TIERS.items()
}
_Tokens = Annotated[int, msgspec.Meta(ge=0, le=TOKENS_MAX)] | None


class Reporting(msgspec.Struct):
    """The members of an answer or event that usage is read from."""

    usage: msgspec.Raw = ABSENT
    service_tier: msgspec.Raw = ABSENT
    x_groq: msgspec.Raw = ABSENT


class _Prompt(msgspec.Struct, forbid_unknown_fields=True):
    cached_tokens: _Tokens = None
    cache_write_tokens: _Tokens = None
    text_tokens: _Tokens = None
    audio_tokens: _Tokens = None
    image_tokens: _Tokens = None


class _Completion(msgspec.Struct, forbid_unknown_fields=True):
    reasoning_tokens: _Tokens = None
    text_tokens: _Tokens = None
    audio_tokens: _Tokens = None
    accepted_prediction_tokens: _Tokens = None
    rejected_prediction_tokens: _Tokens = None


class _Usual(msgspec.Struct, forbid_unknown_fields=True):
    """`usage` of chat, completions and embeddings, as OpenAI documents it."""

    prompt_tokens: _Tokens
    total_tokens: _Tokens
    completion_tokens: _Tokens = None
    prompt_tokens_details: _Prompt | None = None
    completion_tokens_details: _Completion | None = None

    def buckets(self, tier: str) -> Usage | None:
        """Return the buckets of plain figures that add up; None for the table to decide."""
        prompt, output = self.prompt_tokens, self.completion_tokens or 0
        if prompt is None or self.total_tokens != prompt + output:
            return None
        read = written = reasoning = 0
        details = self.prompt_tokens_details
        if details is not None:
            if details.audio_tokens or details.image_tokens:
                return None
            read = details.cached_tokens or 0
            written = details.cache_write_tokens or 0
        parts = self.completion_tokens_details
        if parts is not None:
            if parts.audio_tokens:
                return None
            reasoning = parts.reasoning_tokens or 0
        if read + written > prompt or reasoning > output:
            return None
        usage = Usage(prompt - read - written, output, read, written, reasoning)
        return usage if tier == STANDARD else usage._replace(service_tier=tier)


class _UsualAnswer(msgspec.Struct):
    usage: _Usual
    service_tier: msgspec.Raw = ABSENT
    error: msgspec.Raw = ABSENT


_decode_usual_answer = msgspec.json.Decoder(_UsualAnswer).decode
_decode_usual = msgspec.json.Decoder(_Usual).decode


def tier_of(named: msgspec.Raw) -> str | None:
    """Return what a rate card calls the tier that an answer names; None for the table to say."""
    return _TIERS.get(bytes(named))


def report_of(wire: Wire, answer: Reporting, **more: object) -> Report:
    """Return what an answer reports of its usage; `more` are further members of the answer.

    A report that cannot be believed does not spoil the answer: the hub counts instead. What
    OpenAI documents is decoded at once; only what is not like it is looked up field by field.
    """
    tier = _TIERS.get(bytes(answer.service_tier))
    if tier is not None and not more and is_present(answer.usage):
        try:
            usage = _decode_usual(answer.usage).buckets(tier)
        except UNREADABLE:
            usage = None
        if usage is not None:
            return Report(usage)
    return unusual_report(wire, answer, **more)


def usual_report(body: bytes) -> Report | None:
    """Return what a good answer reports that is as OpenAI documents it, read in one go."""
    try:
        answer = _decode_usual_answer(body)
    except UNREADABLE:
        return None
    tier = _TIERS.get(bytes(answer.service_tier))
    if tier is None or is_present(answer.error):
        return None
    usage = answer.usage.buckets(tier)
    return None if usage is None else Report(usage)


def unusual_report(wire: Wire, answer: Reporting, **more: object) -> Report:
    """Return what an answer reports, looked up field by field."""
    members = {name: decoded(getattr(answer, name)) for name in Reporting.__struct_fields__}
    return wire.read({**members, **more})
