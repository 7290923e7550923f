"""Rerank, as Cohere made it and Jina, Voyage, Together, vLLM and others take it.

Charged by the search units or tokens that the answer reports; a provider that bills searches
and reports none is charged as Cohere counts them: a query with up to 100 documents is one.
https://docs.cohere.com/v2/reference/rerank,
https://docs.cohere.com/docs/how-does-cohere-pricing-work: from stored copies, November 2026.
"""

from typing import Any

import msgspec

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import Quote, Size, quote_units
from aigne_hub.domain.usage import Report, Usage
from aigne_hub.gateway.dialects import Ask
from aigne_hub.gateway.dialects.openai.whole import OpenAIWhole
from aigne_hub.gateway.dialects.reading import answered, decoded, peeked
from aigne_hub.gateway.dialects.splice import with_members
from aigne_hub.providers.usage import RERANK, Wire

DOCUMENTS_PER_SEARCH = 100
# A longer document counts as several, this many tokens each: at least as many bytes.
DOCUMENT_TOKENS = 500
# What a model's own words around a query and a document are at most.
TEMPLATE_TOKENS = 128


class _Peek(msgspec.Struct):
    model: str
    query: msgspec.Raw
    documents: list[msgspec.Raw]


class _Answer(msgspec.Struct):
    usage: msgspec.Raw = msgspec.Raw()
    meta: msgspec.Raw = msgspec.Raw()
    error: msgspec.Raw = msgspec.Raw()


class RerankAsk(Ask):
    """An Ask that knows how many `documents` it has, and the most tokens they may be read as."""

    documents: int = 0
    tokens_bound: int = 0


_decode = msgspec.json.Decoder(_Peek).decode
_decode_answer = msgspec.json.Decoder(_Answer).decode


class Rerank(OpenAIWhole):
    """dialects.Dialect for `/v1/rerank`."""

    type = "rerank"
    operation = "rerank"

    def ask(self, body: bytes) -> RerankAsk:
        peek = peeked(_decode, body)
        count = len(peek.documents)
        if not count:
            raise InvalidRequest("`documents` is empty.", param="documents")
        # The query is read again with each document, and each stands in a template.
        text = sum(map(len, peek.documents)) + count * len(peek.query)
        bound = len(body) + count * (len(peek.query) + TEMPLATE_TOKENS)
        return RerankAsk(
            body=body,
            model=peek.model,
            size=Size(bound, text),
            documents=count,
            tokens_bound=bound,
        )

    def quote(self, ask: Any, rates: RateCard, **_: int) -> Quote:
        # A model's context bounds each document, not all of them.
        pieces = ask.documents + len(ask.body) // DOCUMENT_TOKENS
        return quote_units(rates, input_tokens=ask.tokens_bound, searches=_searches(pieces))

    def outgoing(self, ask: Ask, model: str, *_: object) -> bytes:
        return with_members(ask.body, ask.model, model, {})

    def usage(self, ask: Any, body: bytes, _wire: Wire) -> Report:
        answer = answered(_decode_answer, body)
        report = RERANK.read({"usage": decoded(answer.usage), "meta": decoded(answer.meta)})
        usage = report.usage
        if usage is None or usage.searches:
            return report
        return report._replace(usage=usage._replace(searches=_searches(ask.documents)))

    def counted(self, ask: Any, input_tokens: int, _output: int) -> Usage:
        return Usage(input_tokens=input_tokens, searches=_searches(ask.documents))


def _searches(documents: int) -> int:
    return -(-documents // DOCUMENTS_PER_SEARCH)
