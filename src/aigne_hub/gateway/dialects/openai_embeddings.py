"""OpenAI embeddings: strings, lists of strings, token arrays; float or base64 vectors."""

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, quote_units
from aigne_hub.domain.usage import Report
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.openai_usage import report_of
from aigne_hub.gateway.dialects.openai_whole import OpenAIWhole, decode_data
from aigne_hub.gateway.dialects.reading import answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import Wire


class _Peek(msgspec.Struct):
    model: str
    input: str | list[msgspec.Raw]


_decode = msgspec.json.Decoder(_Peek).decode


class OpenAIEmbeddings(OpenAIWhole):
    """dialects.Dialect for `/v1/embeddings`."""

    type = "embedding"
    operation = "embeddings"

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        if not peek.input:
            raise InvalidRequest("`input` is empty.", param="input")
        return Ask(body=body, model=peek.model)

    def quote(self, _ask: Ask, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        return quote_units(rates, input_tokens=input_tokens)

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {})

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        return report_of(wire, answered(decode_data, body))
