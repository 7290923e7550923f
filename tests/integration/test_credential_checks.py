"""Free checks of credentials, on request and on a schedule, and what calls make of them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pytest
from sqlalchemy import select
from tests.api import Api, admin_of
from tests.caller import ask
from tests.conftest import config_for
from tests.faults.server import RIGHT, FaultServer
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream
from tests.upstream.server import BAD_KEY

from aigne_hub.catalog.snapshot import Credential, Provider, Snapshot
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.routing import Rules
from aigne_hub.gateway.health import Board
from aigne_hub.server.backend import TRIES_A_MINUTE
from aigne_hub.server.check_rounds import AT_ONCE, PER_ROUND_MAX, CheckRounds
from aigne_hub.server.checks import Checker
from aigne_hub.server.probe import fault_in
from aigne_hub.storage import engine, schema, target_health

SECOND = 1_000_000
GOOD, BAD = "openai:good", "openai:bad"
KEYS = [{"name": "good", "api_key": "sk-good"}, {"name": "bad", "api_key": BAD_KEY}]
MODEL = "openai/gpt-4o-mini"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: Any, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(upstream, credentials=KEYS)
    with HubProcess(tmp_path_factory.mktemp("checks") / "hub", config) as running:
        yield running
        assert BAD_KEY not in running.log()


@pytest.fixture(scope="module")
def admin(hub: HubProcess) -> Api:
    return admin_of(hub)


@pytest.fixture
def database(hub: HubProcess) -> Iterator[Any]:
    opened = engine.create_engine(hub.database_url)
    yield opened
    opened.dispose()


def barred(database: Any) -> set[str]:
    return {each.target for each in target_health.known(database) if each.fault is not None}


def test_a_check_on_request_says_what_each_key_showed_and_bars_what_is_refused(
    hub: HubProcess, admin: Api, database: Any
):
    path = "/api/admin/providers/openai/check"
    answer = admin.post(path, model=MODEL)
    assert answer.status == 200, answer.text
    assert (answer.json["provider"], answer.json["ok"]) == ("openai", False)
    good, bad = answer.json["results"]
    assert (good["credential"], good["ok"], good["status"]) == ("good", True, 200)
    assert (bad["credential"], bad["ok"], bad["status"]) == ("bad", False, 401)
    assert bad["fix"]
    assert BAD_KEY not in answer.text
    until(lambda: barred(database) == {BAD})
    assert admin.send("POST", path).status == 200  # no body is needed
    assert [one["credential"] for one in admin.post(path, credential="good").json["results"]] == [
        "good"
    ]


def test_only_administrators_check(hub: HubProcess, admin: Api):
    path = "/api/admin/providers/openai/check"
    assert Api(hub).post(path).status == 401
    assert Api(hub, hub.key).post(path).status == 403
    assert admin.post("/api/admin/providers/other/check").status == 404
    assert admin.post(path, credential="other").status == 404
    assert admin.post(path, secret="x").status == 400


def test_the_command_is_heard_by_a_running_hub(hub: HubProcess, database: Any):
    hub.run("providers", "test", "openai")
    until(lambda: barred(database) == {BAD})
    before = [call["id"] for call in hub.calls()]
    # No caller finds out: the call goes to the other key.
    until(lambda: {ask(hub, MODEL).status for _ in range(3)} == {200})
    made = [call for call in hub.calls() if call["id"] not in before]
    assert made
    now = max(each.changed_us for each in target_health.known(database)) + 1
    empty = target_health.Standing(GOOD, Fault.EXHAUSTED, 4 * now, 1, now)
    target_health.record(database, [empty])
    hub.run("providers", "test", "openai", "--credential", "good")
    assert barred(database) == {BAD}


def test_a_key_is_barred_once_it_was_refused_and_its_owner_is_told(
    new_hub: Callable[..., HubProcess], upstream: FakeUpstream
):
    hub = new_hub(credentials=KEYS)
    database = engine.create_engine(hub.database_url)
    try:
        assert {ask(hub, MODEL).status for _ in range(4)} == {200}
        until(lambda: any(e.target == BAD and e.bars >= 2 for e in target_health.known(database)))
        until(lambda: "a credential is disabled" in hub.log())
        # Calls ask the good key alone.
        upstream.reset()
        assert {ask(hub, MODEL).status for _ in range(6)} == {200}
        assert {call["key"] for call in upstream.log() if call["method"] == "POST"} == {"sk-good"}
        hub.configure(config_for(upstream, credentials=[KEYS[0], {**KEYS[1], "api_key": "sk-new"}]))
        hub.stop()
        hub.start()
        assert barred(database) == set()
    finally:
        database.dispose()


def test_an_account_without_credit_is_told_of_and_used_again_once_it_is_topped_up(
    new_hub: Callable[..., HubProcess], tmp_path: Path
):
    def told() -> list[str]:
        with engine.reading(database) as connection:
            rows = connection.execute(select(schema.event.c.type).order_by(schema.event.c.id))
            return sorted(row.type for row in rows if row.type.startswith("credential"))

    def call() -> int:
        return ask(hub, MODEL).status

    with FaultServer(tmp_path) as faults:
        faults.set("sk-empty", "F13-402")
        keys = [{"name": "empty", "api_key": "sk-empty"}, {"name": "full", "api_key": "sk-full"}]
        served = {"name": "openai", "base_url": faults.base_url(RIGHT), "credentials": keys}
        hub = new_hub(providers=[served])
        database = engine.create_engine(hub.database_url)
        try:
            until(lambda: call() == 200 and told() == ["credential.disabled"])
            faults.lift("sk-empty")
            both = ["credential.disabled", "credential.restored"]
            until(lambda: call() == 200 and told() == both)
            assert hub.log().count("a credential is disabled") == 1
            assert hub.log().count("a credential works again") == 1
            assert "sk-empty" not in hub.log()
        finally:
            database.dispose()
            hub.stop()


def test_keys_are_tried_so_many_times_a_minute(new_hub: Callable[..., HubProcess]):
    hub = new_hub()
    admin = admin_of(hub)
    for _ in range(2 * TRIES_A_MINUTE + 1):  # a minute may end meanwhile
        answer = admin.post("/api/admin/providers/openai/check")
        if answer.status == 429:
            break
    assert (answer.status, answer.code) == (429, "rate_limited")
    assert 1 <= int(answer.headers["retry-after"]) <= 60


@pytest.mark.parametrize(
    ("status", "body", "fault"),
    [
        (200, b"{}", None),
        (401, b'{"error":"Incorrect API key provided"}', Fault.REFUSED),
        (401, b'{"error":"Missing scopes: api.model.read"}', None),
        (402, b"", Fault.EXHAUSTED),
        (403, b'{"error":"The key was revoked"}', Fault.REFUSED),
        (403, b'{"error":{"status":"PERMISSION_DENIED"}}', None),
        (403, b'{"error":"Your country is not served"}', None),
        (400, b'{"reason":"API_KEY_INVALID"}', Fault.REFUSED),
        (400, b"{}", None),
        (404, b"", None),
        (429, b"", None),
        (500, b"", None),
    ],
)
def test_what_an_answer_says_of_the_key(status: int, body: bytes, fault: Fault | None):
    assert fault_in(status, body) is fault


# -- on a schedule ------------------------------------------------------------------------


class SetClock:
    """Stands where it is set."""

    us = 1_000 * SECOND

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class Routed:
    """The data plane, as far as rounds know it."""

    def __init__(self, clock: SetClock, provider: Provider, every_s: int) -> None:
        self.board = Board(clock, lambda: 0.5)
        self.rules = Rules(check_every_s=every_s)
        self.snapshot = Snapshot.of(1, MappingProxyType({provider.name: provider}), {}, {})


def served(upstream: FakeUpstream, secrets: dict[str, str]) -> Provider:
    keys = tuple(Credential(name, name, 1, secret) for name, secret in secrets.items())
    return Provider("id", "openai", "openai", upstream.base_url, trusted=True, credentials=keys)


@pytest.fixture
async def checker() -> AsyncIterator[Checker]:
    made = Checker(None)
    yield made
    await made.close()


def rounds(
    hub: Any, clock: SetClock, routed: Routed, checker: Checker, process_id: str = "a"
) -> CheckRounds:
    return CheckRounds(
        hub.engine,
        clock,
        routed,
        checker,
        process_id=process_id,
        draw=lambda: 0.5,
        spread_s=0.001,
    )


async def test_keys_without_a_success_are_checked_by_one_process_of_all(
    sqlite_hub: Any, upstream: FakeUpstream, checker: Checker
):
    upstream.reset()
    clock = SetClock()
    secrets = {"good": "sk-good", "bad": BAD_KEY, "busy": "sk-busy"}
    routed = Routed(clock, served(upstream, secrets), every_s=60)
    one = rounds(sqlite_hub, clock, routed, checker)
    other = rounds(sqlite_hub, clock, routed, checker, "b")
    routed.board.of("openai:busy:gpt").successes += 1
    clock.us += 60 * SECOND
    await one.run()
    assert upstream.log() == []  # it comes a little later
    clock.us += 6 * SECOND
    await one.run()
    await other.run()
    assert {call["key"] for call in upstream.log()} == {"sk-good", BAD_KEY}
    assert len(upstream.log()) == 2
    assert routed.board.of(BAD).standing.fault is Fault.REFUSED
    assert not routed.board.of(GOOD).is_barred
    upstream.reset()
    clock.us += 66 * SECOND
    await other.run()
    # The one that is barred is tried as all barred ones are.
    assert {call["key"] for call in upstream.log()} == {"sk-good", "sk-busy"}


async def test_no_round_asks_after_more_than_so_many_and_the_next_one_goes_on(
    sqlite_hub: Any, upstream: FakeUpstream, checker: Checker, monkeypatch: pytest.MonkeyPatch
):
    clock = SetClock()
    secrets = {f"k{number}": f"sk-{number}" for number in range(PER_ROUND_MAX + 1)}
    routed = Routed(clock, served(upstream, secrets), every_s=30)
    made = rounds(sqlite_hub, clock, routed, checker)
    asked: list[str] = []
    at_once = most = 0

    async def check(target: Any, _: str | None = None) -> Any:
        nonlocal at_once, most
        at_once += 1
        most = max(most, at_once)
        await asyncio.sleep(0)
        at_once -= 1
        asked.append(target.credential.name)
        return type("Answer", (), {"fault": None})

    monkeypatch.setattr(checker, "check", check)
    clock.us += 40 * SECOND
    await made.run()
    assert len(asked) == PER_ROUND_MAX
    assert most == AT_ONCE
    clock.us += 40 * SECOND
    await made.run()
    assert set(asked) == set(secrets)


async def test_nothing_is_checked_where_the_operator_wants_none(
    sqlite_hub: Any, upstream: FakeUpstream, checker: Checker
):
    upstream.reset()
    clock = SetClock()
    routed = Routed(clock, served(upstream, {"good": "sk-good"}), every_s=0)
    made = rounds(sqlite_hub, clock, routed, checker)
    clock.us += 100_000 * SECOND
    await made.run()
    assert upstream.log() == []
