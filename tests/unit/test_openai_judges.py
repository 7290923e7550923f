"""Moderations and rerank: what is read of a request, held for, and charged of an answer."""

import json
from typing import Any

import pytest

from aigne_hub.domain.errors import InvalidRequest, UpstreamError
from aigne_hub.domain.pricing import BLOCK, RateCard
from aigne_hub.domain.usage import Usage
from aigne_hub.gateway.dialects.openai.moderations import DEFAULT_MODEL, OpenAIModerations
from aigne_hub.gateway.dialects.openai.rerank import DOCUMENT_TOKENS, Rerank, RerankAsk
from aigne_hub.providers.usage import OPENAI

MODERATIONS, RERANK = OpenAIModerations(), Rerank()
SEARCH = RateCard.of("r", {"search": 7})


def asked(documents: list[Any], query: str = "q") -> RerankAsk:
    body = {"model": "m", "query": query, "documents": documents, "top_n": 1}
    return RERANK.ask(json.dumps(body).encode())


def test_a_moderation_without_a_model_means_openais_default():
    ask = MODERATIONS.ask(b'{"input":"a"}')
    assert ask.model == DEFAULT_MODEL
    assert json.loads(MODERATIONS.outgoing(ask, "mine")) == {"input": "a", "model": "mine"}
    ask = MODERATIONS.ask(b'{"model":"x","input":[{"type":"text","text":"a"}]}')
    assert MODERATIONS.outgoing(ask, "y") == ask.body.replace(b'"x"', b'"y"')


def test_a_moderation_is_priced_by_the_call():
    ask = MODERATIONS.ask(b'{"input":"a"}')
    quote = MODERATIONS.quote(ask, RateCard.of("r", {"request": 5}), input_tokens=9, output_max=0)
    assert quote.amount(0) == 5
    answer = b'{"id":"modr-1","model":"x","results":[{"flagged":false}]}'
    assert MODERATIONS.usage(ask, answer, OPENAI).usage is None
    assert MODERATIONS.counted(ask, 3, 0) == Usage(input_tokens=3)


@pytest.mark.parametrize("dialect", [MODERATIONS, RERANK])
@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"model":"m","input":[]}', b'{"model":1,"input":"a"}', b"\xff"]
)
def test_a_malformed_request_is_refused(dialect, body):
    with pytest.raises(InvalidRequest):
        dialect.ask(body)


def test_a_rerank_needs_documents():
    with pytest.raises(InvalidRequest, match="documents"):
        asked([])


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"meta": {"billed_units": {"search_units": 3}}}, Usage(searches=3)),
        ({"usage": {"total_tokens": 815}}, Usage(input_tokens=815, searches=2)),
        ({"usage": {"prompt_tokens": 8, "total_tokens": 8}}, Usage(input_tokens=8, searches=2)),
        ({}, None),
    ],
)
def test_a_rerank_is_charged_by_what_it_reports(answer, usage):
    ask = asked(["d"] * 101)
    report = RERANK.usage(ask, json.dumps({"results": [], **answer}).encode(), OPENAI)
    assert (report.usage, report.unread) == (usage, ())
    assert RERANK.counted(ask, 5, 0) == Usage(input_tokens=5, searches=2)


@pytest.mark.parametrize("answer", [b"{", b'{"error":{"message":"no"}}', b"[]"])
def test_an_answer_that_is_none_is_an_upstream_error(answer):
    for dialect, ask in ((RERANK, asked(["d"])), (MODERATIONS, MODERATIONS.ask(b'{"input":"a"}'))):
        with pytest.raises(UpstreamError):
            dialect.usage(ask, answer, OPENAI)


def test_long_documents_are_held_for_as_several():
    def held(ask: RerankAsk) -> int:
        return RERANK.quote(ask, SEARCH, input_tokens=0, output_max=0).amount(0)

    assert held(asked(["d"])) == 7
    assert held(asked(["d"] * 101)) == 14
    assert held(asked(["d" * 100 * DOCUMENT_TOKENS])) == 14


def test_a_query_is_held_for_once_with_each_document():
    ask = asked(["d"] * 10, query="q" * 1_000)
    card = RateCard.of("r", {"input": BLOCK})
    assert RERANK.quote(ask, card, input_tokens=0, output_max=0).amount(0) > 10_000
