"""Which path a request that is only looked at would be made for."""

import json

import pytest

from aigne_hub.catalog.snapshot import Model, Provider, Snapshot
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.pricing import RateCard
from aigne_hub.gateway.preview import Wanted, previewed, wanted_by_size

CALLER = Principal("user", "did", "key", "app", Role.MEMBER, frozenset(Scope))


def snapshot() -> Snapshot:
    models = {}
    for kind in ("anthropic", "openai", "google"):
        provider = Provider(kind, kind, kind, None, trusted=True, credentials=())
        models[f"{kind}/m"] = Model(
            ref=f"{kind}/m",
            name=kind,
            type="chat",
            provider=provider,
            max_output_tokens=100,
            context_tokens=1_000,
            rates=RateCard.of("card", {"input": 1, "output": 2}),
        )
    providers = {model.provider.name: model.provider for model in models.values()}
    return Snapshot.of(1, providers, models, {})


@pytest.mark.parametrize("model", ["anthropic/m", "openai/m", "google/m"])
@pytest.mark.parametrize("limit", [None, 7])
def test_a_call_of_a_size_is_made_for_the_path_that_serves_the_model(model: str, limit: int | None):
    wanted = wanted_by_size(
        snapshot(), model, max_tokens=limit, stream=False, n=None, input_tokens=5
    )
    request = previewed(snapshot(), CALLER, wanted, billing=True)
    assert [one.ref for one in request.models] == [model]
    assert request.quote is not None
    assert request.quote.tokens_wanted == (limit or 100)


def test_a_body_for_messages_is_read_as_one():
    body = json.dumps({"model": "anthropic/m", "messages": [], "max_tokens": 9}).encode()
    request = previewed(snapshot(), CALLER, Wanted(body), billing=True)
    assert request.ask.output_limit == 9
    unlimited = Wanted(b'{"model":"anthropic/m","messages":[]}')
    with pytest.raises(InvalidRequest, match="max_tokens"):
        previewed(snapshot(), CALLER, unlimited, billing=True)


def test_a_body_for_gemini_is_read_as_one():
    config = {"maxOutputTokens": 9, "candidateCount": 2}
    body = {"model": "google/m", "contents": [], "generationConfig": config, "stream": True}
    request = previewed(snapshot(), CALLER, Wanted(json.dumps(body).encode()), billing=True)
    assert (request.ask.output_limit, request.ask.n, request.ask.stream) == (9, 2, True)
    # A chat is translated for a provider of another format; an embedding is no chat.
    body["model"] = "openai/m"
    translated = previewed(snapshot(), CALLER, Wanted(json.dumps(body).encode()), billing=True)
    assert (translated.models[0].ref, translated.ask.output_limit) == ("openai/m", 9)
    other = {"model": "google/m", "content": {}}
    with pytest.raises(InvalidRequest, match="of type chat"):
        previewed(snapshot(), CALLER, Wanted(json.dumps(other).encode()), billing=True)
