"""How targets are shown: their state, what is above them, and since when."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.catalog.snapshot import Credential, Model, Provider, Snapshot
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import RAMP_US, Episode, State
from aigne_hub.domain.routing import Policy, Rules
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.live import Key, Seen, keys, seen
from aigne_hub.gateway.router import Router
from aigne_hub.web.api.routing_documents import page_of

BEGAN_US = 1_000_000_000_000


class Clock:
    def __init__(self) -> None:
        self.now = BEGAN_US

    def now_us(self) -> int:
        return self.now

    def monotonic_us(self) -> int:
        return self.now


class Unused:
    def serving(self, _model: str) -> "Unused":
        return self


@pytest.fixture
def router() -> Router:
    one, two = (
        Provider(
            name,
            name,
            "openai",
            None,
            trusted=True,
            credentials=tuple(Credential(key, key, 3, "secret", 1) for key in made),
        )
        for name, made in (("one", "ab"), ("two", ""))
    )
    models = [Model(f"one/{name}", name, "chat", one, 9, 9, None) for name in ("m:x", "n")]
    models.append(Model("two/m", "m", "chat", two, 9, 9, None))
    snapshot = Snapshot.of(1, {"two": two, "one": one}, {each.ref: each for each in models}, {})
    clock = Clock()
    board = Board(clock, lambda: 0.5)
    return Router(snapshot, Rules(), lambda *_: Unused(), board, clock, lambda: 0.5)


def shown(router: Router, **episodes: Episode) -> dict[str, Seen]:
    found = {name.replace("_", ":"): episode for name, episode in episodes.items()}
    return {one.key.target: one for one in seen(router, keys(router, None), found)}


def test_targets_are_listed_by_name_whether_or_not_they_were_called(router: Router) -> None:
    assert list(shown(router)) == [
        *("one", "one:a", "one:a:m:x", "one:a:n", "one:b", "one:b:m:x", "one:b:n"),
        "two",
    ]
    assert [key.target for key in keys(router, "two")] == ["two"]
    whole = shown(router)
    assert {one.state for one in whole.values()} == {State.HEALTHY}
    assert (whole["one:a"].weight, whole["one:a"].priority) == (3, 1)
    assert (whole["one"].weight, whole["one:a:n"].outstanding) == (None, None)
    assert Key.of("one:a:m:x") == Key("one", "a", "m:x")


def test_what_is_barred_shows_what_all_processes_know(router: Router) -> None:
    router.board.bar("one:a", Fault.REFUSED)
    whole = shown(router)
    assert (whole["one:a"].state, whole["one:a"].fault) == (State.BARRED, Fault.REFUSED)
    assert whole["one:a"].since_us == BEGAN_US
    assert (whole["one:a"].until_us or 0) > BEGAN_US
    # The model below is well, and has no weight while its credential has none.
    assert (whole["one:a:n"].state, whole["one:a:n"].percent) == (State.HEALTHY, 0)
    assert whole["one:b:n"].percent == 100
    whole = shown(router, one_a=Episode(BEGAN_US - 5, BEGAN_US))
    assert (whole["one:a"].state, whole["one:a"].since_us) == (State.BARRED, BEGAN_US - 5)
    # Another process probes.
    whole = shown(router, one_a=Episode(BEGAN_US - 5, BEGAN_US + 1))
    assert whole["one:a"].state is State.PROBING
    router.board.permit("one:a", BEGAN_US + 1)
    assert shown(router)["one:a"].state is State.PROBING


def test_what_was_let_in_recovers_and_is_well(router: Router) -> None:
    router.board.bar("one:a:n", Fault.BROKEN)
    assert isinstance(router.clock, Clock)
    changed = router.clock.now = BEGAN_US + 7
    router.board.restore("one:a:n")
    found = shown(router)["one:a:n"]
    assert (found.state, found.percent, found.fault) == (State.RECOVERING, 10, None)
    assert (found.since_us, found.until_us, found.bars) == (changed, changed + RAMP_US, 1)
    router.clock.now = changed + RAMP_US
    found = shown(router)["one:a:n"]
    assert (found.state, found.percent, found.until_us) == (State.HEALTHY, 100, None)


def test_loads_are_those_of_the_process(router: Router) -> None:
    (model,) = router.snapshot.by_name["n"]
    candidate, _ = router.line((model,), "openai", Policy.LATENCY)
    candidate.load.outstanding = 4
    candidate.load.observe(7, 1)
    found = shown(router)[candidate.name]
    assert (found.outstanding, found.latency_us) == (4, 7)


@given(st.sets(st.tuples(*[st.sampled_from(["a", "b", "c-d", "e+f"])] * 3)), st.integers(1, 5))
def test_pages_are_the_whole(names: set[tuple[str, str, str]], limit: int) -> None:
    whole = sorted(Key(*name) for name in names)
    pages: list[Key] = []
    after = None
    while True:
        page = page_of(whole, {}, after, limit)
        assert len(page.keys) <= limit
        pages += page.keys
        after = page.next
        if after is None:
            break
    assert pages == whole
