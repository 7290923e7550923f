"""OpenAI embeddings: strings, lists of strings, token arrays; float or base64 vectors."""

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import BYTES_PER_TOKEN, Quote, Size, quote_units, size_of
from aigne_hub.domain.usage import Report
from aigne_hub.gateway.dialects import Ask, EmbeddingForm, NeutralForm
from aigne_hub.gateway.dialects.openai.embedding_form import OpenAIEmbeddingForm
from aigne_hub.gateway.dialects.openai.usage import report_of
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole, decode_data
from aigne_hub.gateway.dialects.reading import answered, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.frames import unescaped_length
from aigne_hub.providers.usage import Wire


class _Peek(msgspec.Struct):
    model: str
    input: str | list[msgspec.Raw]


_decode = msgspec.json.Decoder(_Peek).decode


class OpenAIEmbeddings(OpenAIWhole):
    """dialects.Dialect for `/v1/embeddings`."""

    type = "embedding"
    operation = "embeddings"
    form: NeutralForm | EmbeddingForm | None = OpenAIEmbeddingForm()

    def ask(self, body: bytes) -> Ask:
        peek = peeked(_decode, body)
        if not peek.input:
            raise InvalidRequest("`input` is empty.", param="input")
        return Ask(body=body, model=peek.model, size=_size(peek.input, body))

    def quote(self, _ask: Ask, rates: RateCard, *, input_tokens: int, **_: int) -> Quote:
        return quote_units(rates, input_tokens=input_tokens)

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {})

    def usage(self, _ask: Ask, body: bytes, wire: Wire) -> Report:
        return report_of(wire, answered(decode_data, body))


def _size(given: str | list[msgspec.Raw], body: bytes) -> Size | None:
    """Measure a list of texts, or of tokens, which are as many as there are."""
    if isinstance(given, str):
        return None
    return Size(size_of(body).tokens_bound, sum(_text_bytes(bytes(item)) for item in given))


def _text_bytes(item: bytes) -> int:
    """Return how much of text an item is; tokens count as the text they are taken for."""
    if item[:1] == b'"':
        return unescaped_length(item[1:-1])
    return (item.count(b",") + 1) * BYTES_PER_TOKEN
