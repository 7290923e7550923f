"""Candidates: by weight, best first, and taken in turn only when they are reached."""

import json
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.catalog.snapshot import Alias, Credential, Model, Provider, Snapshot
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import InvalidRequest, NotFound, NoUpstream
from aigne_hub.domain.quotes import size_of
from aigne_hub.domain.routing import Policy, Rules, SmoothRoundRobin
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects.anthropic.messages import AnthropicMessages
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat, OpenAICompletions
from aigne_hub.gateway.dialects.openai.embeddings import OpenAIEmbeddings
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.offers import models_of
from aigne_hub.gateway.quoting import priced
from aigne_hub.gateway.router import Router

ANYBODY = Principal("user", "did", "key", "app", Role.MEMBER, frozenset({Scope.INFERENCE}))
CHAT, MESSAGES = OpenAIChat(), AnthropicMessages()


def provider(name: str, kind: str = "openai", **weights: int) -> Provider:
    credentials = tuple(
        Credential(f"{name}-{key}", key, weight, secret=f"secret-{key}")
        for key, weight in weights.items()
    )
    return Provider(f"id-{name}", name, kind, None, trusted=True, credentials=credentials)


def model(owner: Provider, name: str, kind: str = "chat") -> Model:
    return Model(
        ref=f"{owner.name}/{name}",
        name=name,
        type=kind,
        provider=owner,
        max_output_tokens=100,
        context_tokens=1000,
        rates=None,
    )


ONE = provider("one", a=2, b=1)
TWO = provider("two", c=1, d=1)
BARE = provider("bare")
CLAUDE = provider("claude", "anthropic", e=1)
NOVA = provider("nova", "bedrock", f=1)


class Stopped:
    """A clock that stands still."""

    def now_us(self) -> int:
        return 1_000_000_000

    def monotonic_us(self) -> int:
        return 0


class Unused(NamedTuple):
    """An upstream that is never called."""

    name: str
    model: str = ""

    def serving(self, model: str) -> "Unused":
        return self._replace(model=model)


def router(*models: Model, **aliases: Alias) -> Router:
    providers = {item.provider.name: item.provider for item in models}
    snapshot = Snapshot.of(1, providers, {item.ref: item for item in models}, aliases)
    clock = Stopped()
    return Router(
        snapshot,
        Rules(),
        lambda owner, credential, _language: Unused(f"{owner.name}:{credential.name}"),
        Board(clock, lambda: 0.5),
        clock,
        lambda: 0.5,
    )


def ways(made: Router, reference: str) -> Iterator[Candidate]:
    """Return who would be asked for a short chat, in turn."""
    ask = CHAT.ask(json.dumps({"model": reference, "messages": []}).encode())
    request = priced(made.snapshot, CHAT, ANYBODY, ask, size_of(ask.body), billing=False)
    return iter(made.ways(request, CHAT.language, {}, "account"))


def first(made: Router, reference: str) -> str:
    return next(ways(made, reference)).credential


def test_every_credential_of_every_model_is_a_candidate_best_first():
    made = router(model(ONE, "m"), model(TWO, "m"))
    found = list(ways(made, "m"))
    assert [(item.model.ref, item.credential) for item in found] == [
        ("one/m", "a"),
        ("one/m", "b"),
        ("two/m", "c"),
        ("two/m", "d"),
    ]
    assert [item.upstream.name for item in found] == ["one:a", "one:b", "two:c", "two:d"]
    assert {item.upstream.model for item in found} == {"m"}


def test_a_candidate_does_not_show_its_secret():
    made = router(model(ONE, "m"))
    found = next(ways(made, "m"))
    assert found.secret == "secret-a"
    assert "secret" not in repr(found)


@given(st.lists(st.integers(1, 100), min_size=1, max_size=6), st.integers(1, 5))
def test_over_a_round_every_item_has_exactly_its_weight(weights, rounds):
    turns = SmoothRoundRobin(weights)
    total = sum(weights)
    picks = Counter(turns.order()[0] for _ in range(rounds * total))
    assert picks == {index: rounds * weight for index, weight in enumerate(weights)}


@given(st.lists(st.integers(1, 20), min_size=2, max_size=5))
def test_at_no_moment_is_an_item_a_whole_turn_off_its_share(weights):
    turns = SmoothRoundRobin(weights)
    total = sum(weights)
    picks: Counter[int] = Counter()
    for count in range(1, 2 * total + 1):
        order = turns.order()
        assert sorted(order) == list(range(len(weights)))
        picks[order[0]] += 1
        for index, weight in enumerate(weights):
            # Smoothness in integers: |picks - count * weight / total| < number of items.
            assert abs(picks[index] * total - count * weight) < total * len(weights)


def test_a_fallback_that_is_not_reached_does_not_take_its_turn():
    made = router(
        model(ONE, "m"),
        model(TWO, "n"),
        mixed=Alias("mixed", "one/m", ("two/n",)),
        same=Alias("same", "two/n", ("two/n",)),
    )
    for _ in range(7):
        first(made, "mixed")
    assert [first(made, "two/n") for _ in range(4)] == ["c", "d", "c", "d"]
    assert [first(made, "same") for _ in range(4)] == ["c", "d", "c", "d"]


def test_a_fallback_that_is_reached_takes_its_turn():
    made = router(model(ONE, "m"), model(TWO, "n"), mixed=Alias("mixed", "one/m", ("two/n",)))
    reached = islice(ways(made, "mixed"), 3)
    assert [item.credential for item in reached] == ["a", "b", "c"]
    assert first(made, "two/n") == "d"


def test_models_of_a_provider_without_credentials_are_passed_over():
    made = router(model(BARE, "m"), model(ONE, "m"))
    assert first(made, "m") == "a"
    with pytest.raises(NoUpstream, match="bare/m"):
        ways(made, "bare/m")


def test_only_models_of_the_paths_own_kind_serve():
    made = router(model(ONE, "m", "image"), model(TWO, "m"))
    assert [item.ref for item in models_of(made.snapshot, "m", CHAT)] == ["two/m"]
    with pytest.raises(InvalidRequest, match="of type image"):
        models_of(made.snapshot, "one/m", CHAT)


def test_models_are_reached_in_the_language_of_a_path_or_by_translation():
    made = router(model(CLAUDE, "m"), model(ONE, "m"), both=Alias("both", "claude/m", ("one/m",)))
    completions = OpenAICompletions()
    for reference in ("m", "both"):
        for dialect, reached in (
            (CHAT, ["claude/m", "one/m"]),
            (MESSAGES, ["claude/m", "one/m"]),
            (completions, ["one/m"]),
        ):
            found = models_of(made.snapshot, reference, dialect)
            assert [item.ref for item in found] == reached
    with pytest.raises(InvalidRequest, match=r"OpenAI format.* POST /v1/messages\."):
        models_of(made.snapshot, "claude/m", completions)
    made = router(model(NOVA, "nova"))
    with pytest.raises(InvalidRequest, match=r"POST /v1/chat/completions or "):
        models_of(made.snapshot, "nova/nova", completions)
    made = router(model(CLAUDE, "v", "embedding"))
    with pytest.raises(InvalidRequest, match="No path of this hub serves it yet"):
        models_of(made.snapshot, "claude/v", OpenAIEmbeddings())


def test_an_unknown_model_is_not_found_and_named_in_bounds():
    made = router(model(ONE, "m"))
    with pytest.raises(NotFound, match="two/m"):
        models_of(made.snapshot, "two/m", CHAT)
    with pytest.raises(NotFound) as raised:
        models_of(made.snapshot, "x" * 100_000, CHAT)
    assert len(raised.value.message) < 400
    with pytest.raises(InvalidRequest, match="names no model"):
        models_of(made.snapshot, "", CHAT)


def test_an_alias_has_its_own_policy_and_all_else_the_operators():
    found = router(
        model(ONE, "m"),
        model(TWO, "m"),
        model(TWO, "gone"),
        plain=Alias("plain", "one/m", ("two/m",)),
        quick=Alias("quick", "none/m", ("one/m",), Policy.LATENCY),
        gone=Alias("gone", "none/m", (), Policy.PRICE),
    ).snapshot
    assert found.policy_of("plain") is Policy.ORDER
    assert found.policy_of("quick") is Policy.LATENCY
    # Of an alias whose models are gone the name means what it means without it.
    assert [model.ref for model in found.resolve("gone")] == ["two/gone"]
    for reference in ("gone", "m", "one/m", "One:m", "nothing", ""):
        assert found.policy_of(reference) is None, reference


def test_a_dangling_fallback_is_left_out():
    made = router(model(ONE, "m"), alias=Alias("alias", "gone/m", ("one/m",)))
    assert [item.ref for item in models_of(made.snapshot, "alias", CHAT)] == ["one/m"]
