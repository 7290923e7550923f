"""Several processes and one table of health: who tries what is barred, and how it comes back."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, nullcontext
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

import pytest
from sqlalchemy import Engine
from tests.caller import ask
from tests.conftest import config_for
from tests.faults.test_two_hubs import second
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

from aigne_hub.catalog.snapshot import Credential, Provider, Snapshot
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import PROBE_US, Standing
from aigne_hub.gateway.health import Board
from aigne_hub.server.checks import Checker
from aigne_hub.server.health_watch import PASSED_US, PATIENCE_US, HealthWatch
from aigne_hub.storage import engine, target_health

PROVIDER, MAIN, MODEL = "openai", "openai:main", "openai:main:gpt"
SECOND = 1_000_000
START = 1_000 * SECOND


class SetClock:
    """Stands where it is set."""

    us = START

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class Process:
    """What one serving process has of the health of targets."""

    def __init__(self, database: Engine, clock: SetClock, name: str, provider: Provider) -> None:
        self.board = Board(clock, lambda: 0.5)
        self.provider = provider
        self.checker = Checker(None)
        self.watch = HealthWatch(
            database,
            clock,
            self.board,
            self.checker,
            snapshot=self.snapshot,
            process_id=name,
        )
        self._clock = clock

    def snapshot(self) -> Snapshot:
        return Snapshot.of(1, MappingProxyType({PROVIDER: self.provider}), {}, {})

    def may_probe(self, target: str = MAIN) -> bool:
        return self.board.of(target).may_probe(self._clock.us)

    async def run(self) -> None:
        """Run the duty, and the checks that it began."""
        await self.watch.run()
        tasks = [t for t in asyncio.all_tasks() if t.get_name().startswith("check ")]
        await asyncio.gather(*tasks)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def clock() -> SetClock:
    return SetClock()


def provider(upstream: FakeUpstream, secret: str = "sk-good") -> Provider:
    key = Credential("id", "main", 1, secret)
    return Provider("id", PROVIDER, "openai", upstream.base_url, trusted=True, credentials=(key,))


@asynccontextmanager
async def processes(
    database: Engine, clock: SetClock, served: Provider, count: int = 2
) -> AsyncIterator[list[Process]]:
    made = [Process(database, clock, str(number), served) for number in range(count)]
    yield made
    for each in made:
        await each.checker.close()


def bar(process: Process, target: str, fault: Fault) -> None:
    process.board.bar(target, fault)


async def test_what_one_process_saw_another_knows(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream)) as (one, other):
        bar(one, MODEL, Fault.BROKEN)
        await one.run()
        await other.run()
        assert other.board.standings() == one.board.standings()
        assert other.board.of(MODEL).is_barred
        clock.us += SECOND
        other.board.restore(MODEL)
        await other.run()
        await one.run()
        assert not one.board.of(MODEL).is_barred
        assert one.board.of(MODEL).percent(clock.us) < 100


async def test_a_process_that_starts_knows_what_was_known(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream)) as (one, other):
        bar(one, MAIN, Fault.EXHAUSTED)
        await one.watch.tell()
        other.watch.load()
        assert other.board.of(MAIN).is_barred


async def test_one_process_of_all_lets_a_call_through(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream), 4) as many:
        bar(many[0], MODEL, Fault.BROKEN)
        for each in many:
            await each.run()
        assert not any(each.may_probe(MODEL) for each in many)
        clock.us += 10 * SECOND
        await asyncio.gather(*(each.run() for each in many))
        (prober,) = [each for each in many if each.may_probe(MODEL)]
        prober.board.of(MODEL).take_permit()
        for _ in range(9):
            clock.us += 3 * SECOND
            await asyncio.gather(*(each.run() for each in many))
            assert not any(each.may_probe(MODEL) for each in many)
        # That call never came back: another may be the probe.
        clock.us += PROBE_US
        await asyncio.gather(*(each.run() for each in many))
        assert sum(each.may_probe(MODEL) for each in many) == 1


async def test_a_process_that_no_call_reaches_passes_its_turn_on(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream)) as (one, other):
        bar(one, MODEL, Fault.BROKEN)
        clock.us += 10 * SECOND
        await one.run()
        await other.run()
        assert one.may_probe(MODEL)
        assert not other.may_probe(MODEL)
        clock.us += PATIENCE_US
        await one.run()
        assert not one.may_probe(MODEL)
        await other.run()
        assert other.may_probe(MODEL)
        clock.us += PATIENCE_US
        await other.run()
        clock.us += PASSED_US
        await one.run()
        assert one.may_probe(MODEL)


async def test_a_key_that_was_refused_is_checked_for_nothing_before_any_call(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    upstream.reset()
    async with processes(database, clock, provider(upstream, "bad-key")) as (one, other):
        bar(one, MAIN, Fault.REFUSED)
        for checked in range(1, 4):
            clock.us += 46 * SECOND
            await one.run()
            await other.run()
            assert len(upstream.log()) == checked
            assert not one.may_probe()
            assert not other.may_probe()
        good = provider(upstream)
        one.provider = other.provider = good
        clock.us += 60 * SECOND
        await one.run()
        await other.run()
        # The same request was refused before: that is proof, for all of them.
        assert not one.board.of(MAIN).is_barred
        await one.run()
        await other.run()
        assert not other.board.of(MAIN).is_barred
        assert len(upstream.log()) == 4


async def test_a_list_of_models_that_anybody_may_see_proves_nothing(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream), 1) as (one,):
        bar(one, MAIN, Fault.REFUSED)
        clock.us += 10 * SECOND
        await one.run()
        assert one.board.of(MAIN).is_barred
        assert one.may_probe()


async def test_a_check_that_cannot_be_made_leaves_it_to_a_call(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    served = replace(provider(upstream), base_url="http://127.0.0.1:1/v1")
    async with processes(database, clock, served, 1) as (one,):
        bar(one, MAIN, Fault.REFUSED)
        bar(one, MODEL, Fault.REFUSED)
        clock.us += 10 * SECOND
        await one.run()
        assert one.may_probe(MAIN)
        assert one.may_probe(MODEL)


async def test_what_is_not_configured_any_more_is_left_alone(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream), 1) as (one,):
        for target in ("gone", "gone:main", "openai:old", "openai:old:gpt", PROVIDER):
            bar(one, target, Fault.UNREACHABLE)
        clock.us += 60 * SECOND
        await one.run()
        permitted = [each.target for each in one.board.standings() if one.may_probe(each.target)]
        assert permitted == [PROVIDER]


async def test_what_an_old_key_did_is_forgotten_by_all_once_all_have_the_new_one(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    async with processes(database, clock, provider(upstream, "bad-key")) as (one, other):
        bar(one, MAIN, Fault.EXHAUSTED)
        await one.run()
        await other.run()
        clock.us += SECOND
        with engine.writing(database) as connection:
            target_health.forget(connection, PROVIDER, clock.us)
        one.provider = provider(upstream)
        one.board.forget(PROVIDER)
        await other.run()
        assert not other.board.of(MAIN).is_barred
        # It still calls with the old key.
        clock.us += 1
        bar(other, MAIN, Fault.EXHAUSTED)
        for each in (other, one):
            await each.run()
        assert one.board.of(MAIN).is_barred
        other.provider = one.provider
        clock.us += 1
        other.board.forget(PROVIDER)
        for each in (other, one):
            await each.run()
        assert not one.board.of(MAIN).is_barred
        assert not other.board.of(MAIN).is_barred


async def test_a_clock_that_is_ahead_bars_nothing_for_long(
    database: Engine, clock: SetClock, upstream: FakeUpstream
):
    ahead = clock.us + 3_600 * SECOND
    async with processes(database, clock, provider(upstream), 1) as (one,):
        target_health.record(database, [Standing(MAIN, Fault.BROKEN, ahead + 5, 1, ahead)])
        await one.run()
        assert not one.may_probe()
        clock.us += 60 * SECOND
        await one.run()
        assert one.may_probe()
        one.board.restore(MAIN)
        await one.run()
        (standing,) = target_health.known(database)
        assert (standing.fault, standing.changed_us) == (None, ahead + 1)


async def test_what_cannot_be_told_is_told_later(
    database: Engine, clock: SetClock, upstream: FakeUpstream, monkeypatch: pytest.MonkeyPatch
):
    async with processes(database, clock, provider(upstream), 1) as (one,):
        bar(one, MAIN, Fault.EXHAUSTED)

        def broken(*_: object) -> list[object]:
            raise engine.StorageError("away")

        with monkeypatch.context() as patch:
            patch.setattr(target_health, "record", broken)
            with pytest.raises(engine.StorageError):
                await one.run()
        assert target_health.known(database) == []
        await one.run()
        assert [each.target for each in target_health.known(database)] == [MAIN]


def checks(upstream: FakeUpstream) -> int:
    return len([call for call in upstream.log() if call["path"].endswith("/models")])


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_real_processes_check_a_refused_key_once_each_time(
    kind: str, new_hub: Callable[..., HubProcess], upstream: FakeUpstream, tmp_path: Path
):
    """Two workers over SQLite, two hubs over PostgreSQL: each check makes a bar longer by one."""
    upstream.reset()
    workers = 2 if kind == "sqlite" else 1
    hub = new_hub(workers=workers, database=kind, api_key="bad-key")
    database = engine.create_engine(hub.database_url)
    try:
        with second(hub, tmp_path / "elsewhere") if kind == "postgres" else nullcontext():
            target_health.record(database, [Standing(MAIN, Fault.REFUSED, 1, 1, 1)])
            until(lambda: target_health.known(database)[0].bars >= 3)
        hub.stop()
        # It survives a restart. One check may have been under way at the end.
        (standing,) = target_health.known(database)
        assert standing.fault is Fault.REFUSED
        assert standing.bars - 1 <= checks(upstream) <= standing.bars
    finally:
        database.dispose()


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
def test_of_many_callers_of_two_processes_one_is_the_probe(
    kind: str, new_hub: Callable[..., HubProcess], upstream: FakeUpstream, tmp_path: Path
):
    """What is known to be broken when they start is asked once, and nobody notices."""
    broken = "gpt-503"
    aliases = {"mini": {"model": f"openai/{broken}", "fallbacks": ["openai/gpt-4o-mini"]}}
    workers = 2 if kind == "sqlite" else 1
    hub = new_hub(workers=workers, database=kind, models=[broken, "gpt-4o-mini"], aliases=aliases)
    hub.stop()
    database = engine.create_engine(hub.database_url)
    target = f"{MAIN}:{broken}"
    try:
        target_health.record(database, [Standing(target, Fault.BROKEN, 1, 3, 1)])
        upstream.reset()
        hub.start()
        with second(hub, tmp_path / "elsewhere") if kind == "postgres" else nullcontext() as other:
            hubs = [hub] if other is None else [hub, other]

            def call(number: int) -> int:
                return ask(hubs[number % len(hubs)], "mini").status

            def is_probed() -> bool:
                with ThreadPoolExecutor(20) as callers:
                    assert set(callers.map(call, range(40))) == {200}
                return target_health.known(database)[0].bars > 3

            until(is_probed)
            asked = [each for each in upstream.log() if each["model"] == broken]
            assert len(asked) == target_health.known(database)[0].bars - 3
    finally:
        database.dispose()


def test_a_key_that_is_replaced_is_let_in_at_once(
    new_hub: Callable[..., HubProcess], upstream: FakeUpstream
):
    hub = new_hub(api_key="bad-key")
    database = engine.create_engine(hub.database_url)
    try:
        now = 4_000_000_000 * SECOND  # it would be barred for good
        target_health.record(database, [Standing(MAIN, Fault.REFUSED, now, 3, 1)])
        hub.configure(config_for(upstream, api_key="sk-good"))
        hub.stop()
        hub.start()
        (standing,) = target_health.known(database)
        assert standing.fault is None
    finally:
        database.dispose()
    assert "Traceback" not in hub.log()
