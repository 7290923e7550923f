"""The journal on a real SQLite file: group commit, exactness, refusal and survival."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from aigne_hub.clock import SystemClock
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import InsufficientCredits, InvalidRequest, Overloaded
from aigne_hub.domain.ids import IdFactory
from aigne_hub.domain.operations import Attempt, Open, Progress, Settle
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import engine, grants, migrate, sqlite_journal, verify
from aigne_hub.storage import journal as journal_module
from aigne_hub.storage.journal import GroupCommitJournal, JournalRefused

CLOCK = SystemClock()
# Two SQLite libraries in one process do not see each other's locks: use the hub's own.
sqlite3 = engine.sqlite_module()
USER = "u1"
ONE = 1_000_000_000


def new_id() -> str:
    return make_id()


make_id = IdFactory(lambda: CLOCK.now_us() // 1000, lambda bits: CLOCK.now_us() % (1 << bits))


@pytest.fixture
def path(tmp_path: Path) -> Iterator[Path]:
    file = tmp_path / "hub.db"
    database = engine.create_engine(f"sqlite:///{file}")
    migrate.upgrade(database)
    with engine.writing(database) as connection:
        execute = connection.exec_driver_sql
        execute("INSERT INTO user(id,did,role,created_us) VALUES('u1','did:abt:z1','member',1)")
        execute("INSERT INTO process(id,host,pid,started_us) VALUES('p','h',1,1)")
        execute("INSERT INTO account(id,created_us) VALUES('u1',1)")
    yield file
    database.dispose()


def give(path: Path, nano: int) -> None:
    database = engine.create_engine(f"sqlite:///{path}")
    with engine.writing(database) as connection:
        grants.grant(connection, CLOCK, new_id, account=USER, amount=nano)
    database.dispose()


@asynccontextmanager
async def journal(path: Path, process_id: str = "p") -> AsyncIterator[GroupCommitJournal]:
    store = sqlite_journal.SqliteStore(
        engine.connect(path), process_id=process_id, now_us=CLOCK.now_us, jitter=lambda: 0.5
    )
    opened = GroupCommitJournal(store, new_id=new_id)
    opened.start()
    yield opened
    await opened.close()


def opening(quote: Quote | None = None, **more) -> Open:
    return Open(
        call_id=new_id(),
        account_id=USER,
        user_did="did:abt:z1",
        app_did="did:abt:zapp",
        key_id="k",
        type="chat",
        model="openai/m",
        rate_id=None,
        stream=False,
        input_counted=3,
        request_id="r",
        started_us=CLOCK.now_us(),
        quote=quote,
        **more,
    )


def whole(nano: int) -> Quote:
    return Quote(fixed=nano * 1_000_000, per_token=0, tokens_wanted=0, tokens_min=0)


def settling(opened: Open, held: int, charge: int, **more) -> Settle:
    now = CLOCK.now_us()
    values = {
        "outcome": Outcome.COMPLETED,
        "usage": Usage(input_tokens=1, output_tokens=2),
        "usage_source": UsageSource.PROVIDER,
        "attempts": [Attempt("openai", "main", 200, None, now, 5)],
        "billed": opened.quote is not None,
        "ttfb_us": 10,
    }
    values.update(more)
    return Settle(
        call_id=opened.call_id,
        account_id=USER,
        held=held,
        charge=charge,
        provider="openai",
        credential="main",
        ended_us=now,
        duration_us=20,
        model="openai/m",
        **values,
    )


def query(path: Path, sql: str) -> list[tuple]:
    with sqlite3.connect(path) as connection:
        return connection.execute(sql).fetchall()


def assert_in_order(path: Path) -> None:
    database = engine.create_engine(f"sqlite:///{path}")
    with engine.reading(database) as connection:
        wrong = [check for check in verify.verify(connection) if not check.ok]
    database.dispose()
    assert wrong == []


async def test_a_call_is_opened_held_settled_metered_and_released(path: Path):
    give(path, 10 * ONE)
    async with journal(path) as books:
        op = opening(whole(3 * ONE))
        admission = await books.open(op)
        assert admission.held == 3 * ONE
        assert query(path, "SELECT status, outcome FROM model_call") == [("processing", None)]
        assert query(path, "SELECT held FROM account") == [(3 * ONE,)]
        settled = await books.settle(settling(op, admission.held, ONE))
        assert (settled.charge, settled.written_off) == (ONE, 0)
    assert query(path, "SELECT status, charge, attempts FROM model_call") == [("success", ONE, 1)]
    assert query(path, "SELECT balance, held FROM account") == [(9 * ONE, 0)]
    assert query(path, "SELECT meter, value FROM meter_event") == [("AIGNE Hub AI Meter", ONE)]
    assert query(path, "SELECT state, captured FROM hold") == [("captured", ONE)]
    assert_in_order(path)


@pytest.mark.parametrize("racers", [500])
async def test_credit_for_exactly_k_admits_exactly_k(path: Path, racers: int):
    give(path, 100 * ONE)
    async with journal(path) as books:

        async def race() -> bool:
            op = opening(whole(ONE))
            try:
                admission = await books.open(op)
            except InsufficientCredits:
                return False
            await books.settle(settling(op, admission.held, ONE))
            return True

        served = sum(await asyncio.gather(*(race() for _ in range(racers))))
        assert books.batches < racers
    assert served == 100
    assert query(path, "SELECT balance, held FROM account") == [(0, 0)]
    assert query(path, "SELECT count(*) FROM model_call WHERE outcome='rejected'") == [(400,)]
    assert_in_order(path)


async def test_two_processes_share_one_balance_exactly(path: Path):
    give(path, 50 * ONE)
    async with journal(path, "p") as one, journal(path, "q") as two:

        async def race(books: GroupCommitJournal) -> bool:
            op = opening(whole(ONE))
            try:
                admission = await books.open(op)
            except InsufficientCredits:
                return False
            await books.settle(settling(op, admission.held, ONE))
            return True

        served = await asyncio.gather(*(race(books) for books in (one, two) * 100))
    assert sum(served) == 50
    assert_in_order(path)


async def test_a_refused_call_of_a_known_caller_is_one_row(path: Path):
    async with journal(path) as books:
        await books.open(opening(refusal=InvalidRequest("nope")))
    assert query(path, "SELECT status, outcome, charge, error_code FROM model_call") == [
        ("failed", "rejected", 0, "invalid_request")
    ]


async def test_a_stream_extends_its_hold_by_steps_and_then_by_what_is_left(path: Path):
    give(path, 10 * ONE)
    async with journal(path) as books:
        op = opening(whole(4 * ONE))
        admission = await books.open(op)
        assert await books.progress(Progress(op.call_id, USER, 5, 4 * ONE)) == 4 * ONE
        assert await books.progress(Progress(op.call_id, USER, 9, 4 * ONE)) == 2 * ONE
        assert await books.progress(Progress(op.call_id, USER, 10, 4 * ONE)) == 0
        assert query(path, "SELECT delivered_tokens FROM model_call") == [(10,)]
        await books.settle(settling(op, admission.held + 6 * ONE, 10 * ONE))
    assert query(path, "SELECT balance, held FROM account") == [(0, 0)]
    assert_in_order(path)


async def test_a_call_that_a_fallback_serves_takes_its_price(path: Path):
    give(path, 10 * ONE)
    async with journal(path) as books:
        killed, settled = opening(whole(ONE)), opening(whole(ONE))
        for op in (killed, settled):
            op.rate_id = "first"
            await books.open(op)
        await books.progress(Progress(killed.call_id, USER, 1))
        await books.progress(Progress(killed.call_id, USER, 2, rate_id="fallback"))
        await books.settle(settling(settled, ONE, ONE, rate_id="fallback"))
    rates = dict(query(path, "SELECT id, rate_id FROM model_call"))
    assert rates == {killed.call_id: "fallback", settled.call_id: "fallback"}


async def test_settling_twice_is_refused_and_changes_nothing(path: Path):
    give(path, 10 * ONE)
    async with journal(path) as books:
        op = opening(whole(ONE))
        admission = await books.open(op)
        await books.settle(settling(op, admission.held, ONE))
        with pytest.raises(JournalRefused):
            await books.settle(settling(op, 0, ONE))
        assert books.dead_letters == 1
    assert query(path, "SELECT balance, held FROM account") == [(9 * ONE, 0)]
    assert query(path, "SELECT count(*) FROM dead_letter") == [(1,)]
    assert_in_order(path)


async def test_a_poison_operation_fails_alone(path: Path):
    give(path, 100 * ONE)
    async with journal(path) as books:
        good = [opening(whole(ONE)) for _ in range(20)]
        bad = opening(whole(ONE))
        bad.model = None
        batch = [*good[:10], bad, *good[10:]]
        results = await asyncio.gather(*(books.open(op) for op in batch), return_exceptions=True)
        assert isinstance(results.pop(10), Overloaded)
        assert all(admission.held == ONE for admission in results)
    assert query(path, "SELECT operation FROM dead_letter") == [("Open",)]
    assert query(path, "SELECT held FROM account") == [(20 * ONE,)]


async def test_a_locked_database_refuses_new_calls_and_keeps_settlements(
    path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_journal, "BUSY_MAX_S", 0.2)
    give(path, 10 * ONE)
    async with journal(path) as books:
        op = opening(whole(ONE))
        admission = await books.open(op)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        settling_now = asyncio.ensure_future(books.settle(settling(op, admission.held, ONE)))
        await asyncio.sleep(0.05)
        with pytest.raises(Overloaded):
            await books.open(opening(whole(ONE)))
        assert books.unavailable == "the database is locked"
        assert not settling_now.done()
        other.execute("ROLLBACK")
        other.close()
        assert (await settling_now).charge == ONE
        assert books.unavailable is None
    assert_in_order(path)


async def test_a_full_disk_is_said_and_survived(path: Path):
    give(path, 1000 * ONE)
    async with journal(path) as books:
        connection = books._store._connection
        pages = connection.execute("PRAGMA page_count").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count={pages + 4}").fetchall()
        opened: list[Open] = []

        async def fill() -> None:
            for _ in range(2000):
                op = opening(whole(1))
                await books.open(op)
                opened.append(op)

        with pytest.raises(Overloaded):
            await fill()
        assert "full" in str(books.unavailable)
        connection.execute("PRAGMA max_page_count=1000000").fetchall()
        await books.probe()
        assert books.unavailable is None
        for op in opened:
            await books.settle(settling(op, 1, 1))
    assert query(path, "SELECT held FROM account") == [(0,)]
    assert_in_order(path)


async def test_sent_is_noted_without_a_commit_of_its_own_when_the_call_ends(path: Path):
    async with journal(path) as books:
        quick, slow = opening(), opening()
        for op in (quick, slow):
            await books.open(op)
            books.sent(op.call_id)
        await books.settle(settling(quick, 0, 0, billed=False))
        await asyncio.sleep(0.3)
    rows = dict(query(path, "SELECT id, sent FROM model_call"))
    assert rows == {quick.call_id: 1, slow.call_id: 1}


async def test_the_queue_has_a_limit(path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "QUEUE_MAX", 10)
    async with journal(path) as books:
        results = await asyncio.gather(
            *(books.open(opening()) for _ in range(50)), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 40
    assert query(path, "SELECT count(*) FROM model_call") == [(10,)]
