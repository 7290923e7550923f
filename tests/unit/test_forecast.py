"""A dry run names the candidates that the next call is then tried at, and changes nothing."""

import asyncio
import json
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigne_hub.catalog.snapshot import Alias, Credential, Model, Provider, Snapshot
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import HubError, InvalidRequest, UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.operations import Open, Reason
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.routing import Hint, Origin, Policy, Rules
from aigne_hub.gateway.attempts import Tries
from aigne_hub.gateway.described import described
from aigne_hub.gateway.dialects.openai.chat import OpenAIChat
from aigne_hub.gateway.forecast import Forecast, foreseen
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.router import Router
from aigne_hub.providers.usage import OPENAI, Wire
from aigne_hub.usage.tracker import CallTracker, Tracker

CHAT = OpenAIChat()
ANYBODY = Principal("user", "did", "key", "app", Role.MEMBER, frozenset({Scope.INFERENCE}))
BEGAN_US = 1_000_000_000_000
PATH = "/v1/chat/completions"


@dataclass
class Clock:
    now: int = BEGAN_US

    def now_us(self) -> int:
        return self.now

    def monotonic_us(self) -> int:
        return self.now


class NotHere(UpstreamError):
    fault = Fault.REGION


@dataclass
class Broken:
    """An upstream that fails in a way that says nothing of its health."""

    limit_field: str = "max_completion_tokens"
    wire: Wire = OPENAI

    def serving(self, _model: str) -> "Broken":
        return self

    async def send(self, *_: object) -> Any:
        raise NotHere("not served where the hub is")


@dataclass
class Exchange:
    task: Any = None
    disconnected: bool = False
    interrupted: bool = False
    on_disconnect: Any = None


@dataclass
class PlaneSettings:
    routing: Rules


@dataclass
class Plane:
    settings: PlaneSettings
    clock: Clock
    board: Board

    def draw(self) -> float:
        return 0.25


class Journal:
    def sent(self, call_id: str) -> None:
        pass


@dataclass
class World:
    """Three providers, one of them of another format, and every knob of a choice."""

    rules: Rules
    clock: Clock = field(default_factory=Clock)

    def __post_init__(self) -> None:
        self.board = Board(self.clock, lambda: 0.25)
        one = provider("one", ("a", 3, 0), ("b", 1, 0), ("c", 2, 1))
        two = provider("two", ("d", 1, 0), ("e", 2, 1))
        claude = provider("claude", ("f", 1, 0), kind="anthropic")
        models = [
            model(one, "m", 3),
            model(two, "m", 1, context_tokens=100),
            model(claude, "m", 2),
            model(one, "other", 1),
            model(provider("bare"), "m", 1),
        ]
        owners = {each.provider.name: each.provider for each in models}
        aliases = {
            "both": Alias("both", "one/m", ("one/other", "two/m")),
            "quick": Alias("quick", "two/m", ("claude/m", "one/m"), Policy.LATENCY),
        }
        snapshot = Snapshot.of(1, owners, {each.ref: each for each in models}, aliases)
        self.router = Router(
            snapshot, self.rules, lambda *_: Broken(), self.board, self.clock, lambda: 0.25
        )

    def request(self, reference: str, **more: Any) -> Any:
        body = {"model": reference, "messages": [], **more}
        return described(
            self.router.snapshot,
            ANYBODY,
            reference,
            path=PATH,
            body=json.dumps(body).encode(),
            input_tokens=None,
            billing=False,
        )[0]

    def foreseen(self, reference: str, fields: dict[bytes, bytes], **more: Any) -> Forecast:
        return foreseen(self.router, self.request(reference, **more), CHAT, fields, "account")

    def called(self, reference: str, fields: dict[bytes, bytes], **more: Any) -> list[Any]:
        """Make a call that everybody fails, and return its tries."""
        request = self.request(reference, **more)
        opened = Open("call", "user", "did", "did", "key", "chat", "m", None, False, 1, "r", 0)
        call = CallTracker(Tracker(Journal(), self.clock), opened, None, 1)
        ways = self.router.ways(request, CHAT.language, fields, "account")

        async def run() -> None:
            exchange = Exchange(asyncio.current_task())
            plane: Any = Plane(PlaneSettings(self.rules), self.clock, self.board)
            await Tries(plane, exchange, CHAT, request.ask, call, None).first_answer(ways)

        with pytest.raises(HubError):
            asyncio.run(run())
        return [(each.model, each.credential, each.reason) for each in call.attempts]


def provider(name: str, *keys: tuple[str, int, int], kind: str = "openai") -> Provider:
    credentials = tuple(
        Credential(f"{name}-{key}", key, weight, f"secret-{key}", priority)
        for key, weight, priority in keys
    )
    return Provider(f"id-{name}", name, kind, None, trusted=True, credentials=credentials)


def model(owner: Provider, name: str, price: int, context_tokens: int = 10_000) -> Model:
    rates = RateCard.of(f"{owner.name}/{name}", {"input": price})
    return Model(f"{owner.name}/{name}", name, "chat", owner, 100, context_tokens, rates)


NAMES = ["one:a", "one:b", "one:c", "two:d", "two:e", "claude:f"]
TARGETS = ["one", "two", "claude", *NAMES, *(f"{name}:m" for name in NAMES), "one:a:other"]
EVENTS = st.one_of(
    st.tuples(st.just("bar"), st.sampled_from(TARGETS), st.sampled_from(Fault)),
    st.tuples(st.just("permit"), st.sampled_from(TARGETS), st.none()),
    st.tuples(st.just("restore"), st.sampled_from(TARGETS), st.none()),
    st.tuples(st.just("load"), st.sampled_from(NAMES), st.integers(0, 9)),
    st.tuples(st.just("wait"), st.just(""), st.integers(1, 20)),
)
WISHES = st.sampled_from(
    ["", "policy=weighted", "policy=least_outstanding", "providers=two,claude", "policy=price"]
)


def happen(world: World, events: list[tuple[str, str, Any]]) -> None:
    for what, target, value in events:
        if what == "bar":
            world.board.bar(target, value)
        elif what == "permit":
            world.board.permit(target, world.clock.now + 30_000_000)
        elif what == "restore":
            world.board.restore(target)
        elif what == "wait":
            world.clock.now += value * 1_000_000
        else:
            owner, _, key = target.partition(":")
            for candidate in world.router.line(
                tuple(world.router.snapshot.by_name["m"][:3]), CHAT.language, Policy.WEIGHTED
            ):
                if candidate.name == f"{owner}:{key}:m":
                    candidate.load.outstanding = value
                    candidate.load.observe(value * 100_000 + 1, world.clock.now)


@settings(max_examples=150, deadline=None)
@given(
    policy=st.sampled_from(Policy),
    reference=st.sampled_from(["m", "both", "quick", "one/m", "claude/m"]),
    wishes=WISHES,
    session=st.sampled_from(["", "s1", "s2"]),
    attempts=st.sampled_from([2, 8]),
    text=st.sampled_from(["hi", "long " * 200, "longer " * 1_000]),
    rounds=st.lists(st.lists(EVENTS, max_size=4), min_size=1, max_size=4),
)
def test_what_is_foreseen_is_what_the_next_call_does(
    policy: Policy,
    reference: str,
    wishes: str,
    session: str,
    attempts: int,
    text: str,
    rounds: list[list[tuple[str, str, Any]]],
) -> None:
    world = World(Rules(policy, attempts=attempts, hints=frozenset(Hint)))
    fields = {b"x-aigne-hub-session": session.encode()} if session else {}
    if wishes and "/" not in reference:
        fields[b"x-aigne-hub-routing"] = wishes.encode()
    body = {"messages": [{"role": "user", "content": text}]}
    for events in rounds:
        happen(world, events)
        seen = world.foreseen(reference, fields, **body)
        assert world.foreseen(reference, fields, **body) == seen
        expected = [
            (each.candidate.model.ref, each.candidate.credential, each.reason)
            for each in seen.places
            if each.reason is not None
        ]
        done = world.called(reference, fields, **body)
        assert done == expected[: 1 + seen.room.left]


def test_who_is_passed_over_is_told_why() -> None:
    world = World(Rules(hints=frozenset(Hint)))
    world.foreseen("m", {})
    world.board.bar("one:b", Fault.REFUSED)
    text = {"messages": [{"role": "user", "content": "word " * 200}]}
    seen = world.foreseen("m", {}, **text)
    told = {each.candidate.name: (each.reason, each.why) for each in seen.places}
    assert told["one:a:m"][0] is Reason.CHOSEN
    assert told["one:c:m"] == (Reason.FAILOVER, "it is asked when those before it fail")
    assert told["one:b:m"] == (
        None,
        "its credential is barred (refused) until 1970-01-12T13:46:40.900000Z",
    )
    assert told["two:d:m"][0] is None
    assert "its context holds 100 tokens" in told["two:d:m"][1]
    assert [(each.model.ref, each.why) for each in seen.skipped] == [
        ("bare/m", "its provider has no credential")
    ]
    wished = world.foreseen("m", {b"x-aigne-hub-routing": b"providers=two"})
    assert {each.model.ref for each in wished.skipped} == {"one/m", "claude/m", "bare/m"}
    assert (wished.policy, wished.origin, wished.affinity) == (Policy.ORDER, Origin.RULES, None)
    assert world.foreseen("quick", {b"session_id": b"s"})[:3] == (
        Policy.LATENCY,
        Origin.ALIAS,
        "session",
    )
    with pytest.raises(InvalidRequest, match="cannot be followed"):
        world.foreseen("m", {b"x-aigne-hub-routing": b"providers=nobody"})


@pytest.mark.parametrize(
    ("path", "language"),
    [
        (None, "openai"),
        ("/v1/chat/completions", "openai"),
        ("/v1/responses", "openai-responses"),
        ("/v1/messages", "anthropic"),
        ("/v1beta/models/{model}:generateContent", "gemini"),
    ],
)
def test_a_call_is_described_by_its_path_alone(path: str | None, language: str) -> None:
    world = World(Rules())
    request, dialect = described(
        world.router.snapshot,
        ANYBODY,
        "one/m",
        path=path,
        body=None,
        input_tokens=5_000,
        billing=True,
    )
    assert (dialect.language, request.ask.model) == (language, "one/m")
    assert request.size.tokens_bound == 5_000
    assert foreseen(world.router, request, dialect, {}, "account").places[0].reason is not None


@pytest.mark.parametrize(
    ("path", "body"),
    [
        (None, {"messages": []}),
        ("/v1/messages", {"messages": [], "max_tokens": 5}),
        ("/v1beta/models/{model}:streamGenerateContent", {"contents": []}),
    ],
)
def test_a_body_is_given_its_model_where_it_names_one(
    path: str | None, body: dict[str, Any]
) -> None:
    request, _ = described(
        World(Rules()).router.snapshot,
        ANYBODY,
        "m",
        path=path,
        body=body,
        input_tokens=None,
        billing=False,
    )
    assert request.ask.model == "m"
    named = {} if path and "{" in path else {"model": "m"}
    assert json.loads(request.ask.body) == {**body, **named}


def test_a_path_that_cannot_be_explained_is_refused() -> None:
    world = World(Rules())
    for path in ("/v1/files", "v1beta", "/v1/audio/transcriptions"):
        with pytest.raises(InvalidRequest, match="can be explained"):
            described(
                world.router.snapshot,
                ANYBODY,
                "one/m",
                path=path,
                body=None,
                input_tokens=None,
                billing=False,
            )
