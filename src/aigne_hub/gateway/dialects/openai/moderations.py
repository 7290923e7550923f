"""OpenAI moderations: texts, or texts and pictures, judged. Priced by the call or not at all.

https://platform.openai.com/docs/api-reference/moderations, checked against the published
OpenAPI description of August 2026.
"""

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_units
from aigne_hub.domain.usage import Report
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole
from aigne_hub.gateway.dialects.reading import answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import Wire

# What OpenAI takes a request without `model` to mean.
DEFAULT_MODEL = "omni-moderation-latest"


class _Peek(msgspec.Struct):
    input: str | list[msgspec.Raw]
    model: str | None = None


class _Answer(Reporting):
    results: list[msgspec.Raw] = []  # noqa: RUF012 - msgspec copies an empty default
    error: msgspec.Raw = msgspec.Raw()


_decode = msgspec.json.Decoder(_Peek).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class OpenAIModerations(OpenAIWhole):
    """dialects.Dialect for `/v1/moderations`."""

    type = "moderation"
    operation = "moderations"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        if not peek.input:
            raise InvalidRequest("`input` is empty.", param="input")
        return Ask(body=body, model=peek.model or DEFAULT_MODEL)

    def quote(self, _ask: Ask, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        return quote_units(rates, input_tokens=input_tokens)

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {})

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        return report_of(wire, answered(_decode_answer, body))
