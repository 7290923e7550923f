"""Who is asked first and who after: policies, health, conversations, wishes, misfits."""

import json
from collections import Counter
from random import Random
from typing import Any

import pytest

from aigne_hub.catalog.snapshot import Alias, Credential, Model, Provider, Snapshot
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import CONSECUTIVE_MAX, RAMP_US
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.quotes import size_of
from aigne_hub.domain.routing import Hint, Policy, Rules
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.quoting import priced
from aigne_hub.gateway.router import Router
from aigne_hub.gateway.wishes import HEADER, WISHES_BYTES_MAX

CHAT = OpenAIChat()
ANYBODY = Principal("user", "did", "key", "app", Role.MEMBER, frozenset({Scope.INFERENCE}))
SECOND = 1_000_000
LONG = "word " * 2_000


class Clock:
    def __init__(self) -> None:
        self.us = 1_000_000 * SECOND

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class Unused:
    def serving(self, _model: str) -> "Unused":
        return self


def provider(name: str, **weights: int | tuple[int, int]) -> Provider:
    """Return a provider; a credential has a weight, or a weight and a priority."""
    credentials = []
    for key, said in weights.items():
        weight, priority = (said, 0) if isinstance(said, int) else said
        credentials.append(Credential(f"{name}-{key}", key, weight, "secret", priority=priority))
    return Provider(
        f"id-{name}", name, "openai", None, trusted=True, credentials=tuple(credentials)
    )


def model(owner: Provider, name: str = "m", price: int = 1, context: int = 100_000) -> Model:
    card = RateCard.of("r", {"input": price, "output": price})
    return Model(f"{owner.name}/{name}", name, "chat", owner, 100, context, None, cost=card)


class World:
    """A router over some models, its clock and its board."""

    def __init__(self, *models: Model, rules: Rules | None = None, **aliases: Alias) -> None:
        self.clock = Clock()
        self.random = Random(7)
        self.board = Board(self.clock, self.random.random)
        self.snapshot = Snapshot.of(
            1,
            {item.provider.name: item.provider for item in models},
            {item.ref: item for item in models},
            aliases,
        )
        self.router = Router(
            self.snapshot,
            rules or Rules(),
            lambda _owner, _credential, _language: Unused(),
            self.board,
            self.clock,
            self.random.random,
        )

    def order(self, reference: str = "m", wish: str = "", **body: Any) -> list[str]:
        """Return who would be asked, one after the other, were everybody to fail."""
        return [one.name for one in self.candidates(reference, wish, **body)]

    def candidates(self, reference: str = "m", wish: str = "", **body: Any) -> list[Candidate]:
        sent = {"model": reference, "messages": [], **body}
        ask = CHAT.ask(json.dumps(sent).encode())
        request = priced(self.snapshot, CHAT, ANYBODY, ask, size_of(ask.body), billing=False)
        fields = {HEADER: wish.encode("latin-1")} if wish else {}
        return list(self.router.ways(request, CHAT.language, fields, "account"))

    def first(self, reference: str = "m", **body: Any) -> str:
        return self.order(reference, **body)[0]

    def bar(self, target: str, fault: Fault = Fault.BROKEN) -> None:
        self.board.bar(target, fault)


ONE, TWO = provider("one", a=3, b=1), provider("two", c=1)


def test_in_order_a_model_comes_before_the_next_one_whatever_the_weights_are():
    world = World(model(ONE), model(TWO))
    picks = Counter(tuple(world.order()) for _ in range(40))
    assert picks == {
        ("one:a:m", "one:b:m", "two:c:m"): 30,
        ("one:b:m", "one:a:m", "two:c:m"): 10,
    }


def test_by_weight_all_models_and_credentials_share():
    world = World(model(ONE), model(TWO), rules=Rules(Policy.WEIGHTED))
    picks = Counter(world.first() for _ in range(2_000))
    assert picks == {"one:a:m": 1_200, "one:b:m": 400, "two:c:m": 400}


@pytest.mark.parametrize("policy", Policy)
def test_a_lower_priority_is_used_first(policy: Policy):
    owner = provider("p", low=(1, 0), high=(100, 1), low2=(1, 0))
    world = World(model(owner), rules=Rules(policy))
    for _ in range(10):
        assert set(world.order()[:2]) == {"p:low:m", "p:low2:m"}
        assert world.order()[2] == "p:high:m"


def test_the_lowest_price_comes_first():
    world = World(model(ONE, price=9), model(TWO, price=2), rules=Rules(Policy.PRICE))
    assert world.order()[0] == "two:c:m"
    assert set(world.order()[1:]) == {"one:a:m", "one:b:m"}


def test_an_alias_has_its_own_policy():
    cheap = Alias("cheap", "one/m", ("two/m",), Policy.PRICE)
    plain = Alias("plain", "one/m", ("two/m",))
    world = World(
        model(ONE, price=9),
        model(TWO, price=2),
        rules=Rules(Policy.WEIGHTED),
        cheap=cheap,
        plain=plain,
    )
    assert {world.first("cheap") for _ in range(9)} == {"two:c:m"}
    assert "two:c:m" not in {world.first("plain") for _ in range(9)}


def test_the_least_busy_for_its_weight_comes_first():
    world = World(model(ONE), model(TWO), rules=Rules(Policy.LEAST_OUTSTANDING))
    loads = {one.name: one.load for one in world.candidates()}
    loads["one:a:m"].outstanding = 4
    loads["two:c:m"].outstanding = 1
    assert world.order() == ["one:b:m", "one:a:m", "two:c:m"]


def test_of_two_at_random_the_quicker_comes_first():
    world = World(model(ONE), model(TWO), rules=Rules(Policy.LATENCY))
    for one in world.candidates():
        one.load.observe(1_000 if one.credential == "c" else 50_000, world.clock.us)
    picks = Counter(world.first() for _ in range(600))
    assert 350 < picks["two:c:m"] < 450
    assert picks["one:a:m"]


def test_who_is_barred_is_passed_over_and_comes_back_with_a_tenth_of_its_weight():
    owner = provider("p", a=100, b=100)
    world = World(model(owner))
    world.bar("p:a:m")
    assert {tuple(world.order()) for _ in range(20)} == {("p:b:m",)}
    world.clock.us += SECOND
    world.board.restore("p:a:m")
    picks = Counter(world.first() for _ in range(110))
    assert picks == {"p:a:m": 10, "p:b:m": 100}
    world.clock.us += RAMP_US
    world.board.settle()
    assert Counter(world.first() for _ in range(100)) == {"p:a:m": 50, "p:b:m": 50}


@pytest.mark.parametrize("target", ["p", "p:a", "p:a:m"])
def test_the_last_one_is_asked_whatever_bars_it(target: str):
    world = World(model(provider("p", a=1)))
    world.bar(target, Fault.REFUSED)
    assert world.order() == ["p:a:m"]


def test_when_all_are_barred_the_one_that_is_let_in_next_is_asked_first():
    world = World(model(provider("p", a=1, b=1)))
    world.bar("p:a:m", Fault.BROKEN)
    world.bar("p:b:m", Fault.THROTTLED)
    assert world.order() == ["p:b:m", "p:a:m"]


def test_exactly_one_call_is_let_through_as_a_probe():
    world = World(model(provider("p", a=1, b=1)))
    world.bar("p:a:m")
    world.clock.us += 60 * SECOND
    world.board.permit("p:a:m", world.clock.us + SECOND)
    first = world.candidates()[0]
    assert first.name == "p:a:m"
    assert first.targets.take_permit(world.clock.us)
    assert {world.first() for _ in range(100)} == {"p:b:m"}


def test_a_permit_that_nobody_used_in_time_is_void():
    world = World(model(provider("p", a=1, b=1)))
    world.bar("p:a:m")
    world.board.permit("p:a:m", world.clock.us + SECOND)
    world.clock.us += SECOND
    assert world.order() == ["p:b:m"]


def test_a_provider_that_changes_is_let_in_again():
    world = World(model(provider("p", a=1, b=1)))
    world.bar("p:a", Fault.REFUSED)
    changed = model(provider("p", a=2, b=1))
    world.snapshot = Snapshot.of(2, {"p": changed.provider}, {"p/m": changed}, {})
    world.router = Router(
        world.snapshot,
        Rules(),
        lambda _owner, _credential, _language: Unused(),
        world.board,
        world.clock,
        world.random.random,
        world.router,
    )
    assert "p:a:m" in world.order()


def test_a_conversation_stays_with_its_candidate_and_conversations_spread_by_weight():
    owner = provider("p", a=300, b=100)
    world = World(model(owner))
    homes = {}
    for number in range(400):
        key = f"conversation-{number}"
        found = {world.first(prompt_cache_key=key) for _ in range(3)}
        assert len(found) == 1
        homes[key] = found.pop()
    spread = Counter(homes.values())
    assert 260 < spread["p:a:m"] < 340
    world.bar("p:a:m")
    assert {world.first(prompt_cache_key=key) for key in homes} == {"p:b:m"}
    world.clock.us += 60 * SECOND
    world.board.restore("p:a:m")
    world.clock.us += RAMP_US
    assert all(world.first(prompt_cache_key=key) == home for key, home in homes.items())


def test_an_equal_beginning_of_a_thousand_tokens_is_a_conversation():
    world = World(model(provider("p", a=1, b=1, c=1)))
    turns = [{"role": "user", "content": LONG}]
    found = set()
    for number in range(10):
        found.add(world.first(messages=turns))
        turns = [*turns, {"role": "user", "content": str(number)}]
    assert len(found) == 1
    short = {world.first(messages=[{"role": "user", "content": "hi"}]) for _ in range(10)}
    assert len(short) == 3


def test_an_operator_can_do_without_conversations():
    world = World(model(provider("p", a=1, b=1)), rules=Rules(affinity=False))
    assert len({world.first(prompt_cache_key="one") for _ in range(4)}) == 2


def test_a_model_whose_window_is_too_small_is_passed_over():
    small, large = model(ONE, context=1_000), model(TWO)
    world = World(small, large)
    assert world.order(messages=[{"role": "user", "content": LONG}]) == ["two:c:m"]
    assert world.order(messages=[{"role": "user", "content": "hi"}])[0].startswith("one:")


def test_a_model_that_sees_no_pictures_is_passed_over():
    blind, seeing = model(ONE, "deepseek-chat"), model(TWO, "gpt-4o")
    alias = Alias("either", "one/deepseek-chat", ("two/gpt-4o",))
    world = World(blind, seeing, either=alias)
    picture = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert world.order("either", messages=[{"role": "user", "content": [picture]}]) == [
        "two:c:gpt-4o"
    ]
    quoted = [{"role": "user", "content": 'What is "image_url" in JSON?'}]
    assert world.first("either", messages=quoted).startswith("one:")


def test_keys_of_one_model_are_not_compared_by_what_it_can_serve(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("aigne_hub.gateway.router.misfits", lambda _request: pytest.fail("looked"))
    world = World(model(ONE, context=1_000))
    assert len(world.order(messages=[{"role": "user", "content": LONG}])) == 2


def test_when_nobody_seems_to_fit_everybody_is_asked():
    world = World(model(ONE, context=100), model(TWO, context=100))
    assert len(world.order(messages=[{"role": "user", "content": LONG}])) == 3


def test_a_caller_chooses_where_the_operator_allows_it():
    rules = Rules(hints=frozenset(Hint))
    world = World(model(ONE, price=1), model(TWO, price=9), rules=rules)
    assert world.order(wish="providers=two") == ["two:c:m"]
    assert world.order(wish="providers = two , one")[0] == "two:c:m"
    assert world.order(wish="policy=price; providers=one,two")[0].startswith("one:")


@pytest.mark.parametrize(
    ("wish", "said"),
    [
        ("policy=cheapest", "a policy is one of"),
        ("providers=three", "none of these providers"),
        ("two", "policy=NAME"),
        ("speed=high", "policy=NAME"),
        ("policy", "policy=NAME"),
        ("providers=" + "x," * WISHES_BYTES_MAX, "longer than"),
    ],
)
def test_a_wish_that_cannot_be_followed_is_refused(wish: str, said: str):
    world = World(model(ONE), model(TWO), rules=Rules(hints=frozenset(Hint)))
    with pytest.raises(InvalidRequest, match=said):
        world.order(wish=wish)


@pytest.mark.parametrize("wish", ["policy=price", "providers=one"])
def test_a_wish_that_the_operator_does_not_allow_is_refused(wish: str):
    with pytest.raises(InvalidRequest, match="does not let callers choose"):
        World(model(ONE)).order(wish=wish)


def test_five_errors_pass_over_one_model_of_a_credential_and_no_other():
    world = World(model(ONE, "m"), model(ONE, "n"))
    targets = world.candidates("one/m")[0].targets
    for _ in range(CONSECUTIVE_MAX):
        world.board.failed(targets, Fault.BROKEN, is_probe=False)
    assert world.order("one/m") == ["one:b:m"]
    assert len(world.order("one/n")) == 2
