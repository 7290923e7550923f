"""Answers about texts and media that are no chat: OpenAI's shapes, and Cohere's rerank."""

from typing import Any

from tests.upstream.answers import BadRequestError, usage
from tests.upstream.scenarios import Scenario

Json = dict[str, Any]
DOCUMENTS_PER_SEARCH = 100


def moderations(body: Json, _: Scenario) -> Json:
    """Return a judgement an input: `bad` is flagged."""
    given = body.get("input")
    items = given if isinstance(given, list) else [given]
    results = [
        {
            "flagged": "bad" in str(item),
            "categories": {"violence": "bad" in str(item)},
            "category_scores": {"violence": 0.9 if "bad" in str(item) else 0.0},
            "category_applied_input_types": {"violence": ["text"]},
        }
        for item in items
    ]
    return {"id": "modr-1", "model": body["model"], "results": results}


def rerank(body: Json, scenario: Scenario) -> Json:
    """Return the documents, longest first; billed in search units, or in tokens if it has some."""
    documents = body.get("documents")
    if not isinstance(documents, list) or not isinstance(body.get("query"), str):
        raise BadRequestError("query and documents are needed", "documents")
    order = sorted(range(len(documents)), key=lambda place: -len(str(documents[place])))
    results = [{"index": place, "relevance_score": 1 / (1 + place)} for place in order]
    answer: Json = {"id": "rerank-1", "results": results[: body.get("top_n")]}
    if scenario.input_tokens is not None:
        counted = usage(body, scenario, 0)
        answer["usage"] = {"total_tokens": counted["prompt_tokens"]}
    elif scenario.usage:
        units = -(-len(documents) // DOCUMENTS_PER_SEARCH)
        answer["meta"] = {"billed_units": {"search_units": units}}
    return answer
