"""The official `openai` package's other operations, against a real hub and a real upstream."""

from collections.abc import Iterator

import openai
import pytest
from openai import OpenAI
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

MODELS = [
    ("omni-moderation-latest", "moderation", {"request": "0.25"}),
    ("gpt-500", "moderation", {"request": "0.25"}),
    ("rerank-v3.5", "rerank", {"search": "0.002"}),
    ("gpt-nousage", "rerank", {"search": "0.002"}),
    ("gpt-tokens:815:0", "rerank", {"input": "50"}),
]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(upstream, models=[], billing={"enabled": True})
    config["models"] += [
        {"model": f"openai/{name}", "type": kind, "rates": rates} for name, kind, rates in MODELS
    ]
    with HubProcess(tmp_path_factory.mktemp("media"), config) as running:
        running.grant("1000")
        yield running
        assert running.balance()["held"] == "0"
        running.verified()


@pytest.fixture
def client(hub: HubProcess) -> Iterator[OpenAI]:
    with OpenAI(base_url=hub.base_url, api_key=hub.key, max_retries=0) as made:
        yield made


def last_call(hub: HubProcess) -> dict:
    return hub.calls(limit=1)[0]


def test_moderations_are_charged_by_the_call(client: OpenAI, hub: HubProcess):
    answer = client.moderations.create(model="openai/omni-moderation-latest", input=["bad", "good"])
    assert [result.flagged for result in answer.results] == [True, False]
    call = last_call(hub)
    assert (call["type"], call["outcome"]) == ("moderation", "completed")
    assert call["credits"] == "0.25"


def test_a_moderation_needs_no_model(client: OpenAI, hub: HubProcess):
    parts = [{"type": "text", "text": "good"}]
    assert not client.moderations.create(input=parts).results[0].flagged
    assert last_call(hub)["model"] == "openai/omni-moderation-latest"


def test_a_failed_moderation_is_free(client: OpenAI, hub: HubProcess):
    with pytest.raises(openai.InternalServerError):
        client.moderations.create(model="openai/gpt-500", input="good")
    assert last_call(hub)["credits"] == "0"


def rerank(client: OpenAI, model: str, count: int = 3) -> dict:
    """Ask as Cohere's and Jina's clients do; OpenAI's has no method of its own for it."""
    documents = ["x" * place for place in range(count)]
    body = {"model": model, "query": "which?", "documents": documents, "top_n": 2}
    return client.post("/rerank", body=body, cast_to=dict)


@pytest.mark.parametrize(
    ("model", "count", "credits_", "source"),
    [
        ("rerank-v3.5", 3, "0.002", "provider"),
        ("rerank-v3.5", 101, "0.004", "provider"),
        ("gpt-nousage", 101, "0.004", "counted"),
        ("gpt-tokens:815:0", 3, "0.04075", "provider"),
    ],
)
def test_rerank_is_charged_by_search_units_or_tokens(
    client: OpenAI, hub: HubProcess, model: str, count: int, credits_: str, source: str
):
    answer = rerank(client, f"openai/{model}", count)
    assert [result["index"] for result in answer["results"]] == [count - 1, count - 2]
    call = last_call(hub)
    assert (call["type"], call["credits"], call["usage_source"]) == ("rerank", credits_, source)


def test_a_path_serves_models_of_its_own_type(client: OpenAI):
    with pytest.raises(openai.BadRequestError, match="this path serves rerank models"):
        rerank(client, "openai/omni-moderation-latest")
