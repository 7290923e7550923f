"""The journal on real databases: group commit, exactness, refusal and survival."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Engine, insert, text, update

from aigne_hub.clock import SystemClock
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.errors import InsufficientCredits, InvalidRequest, Overloaded
from aigne_hub.domain.ids import IdFactory
from aigne_hub.domain.operations import Attempt, Open, Progress, Settle
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import (
    engine,
    grants,
    postgres,
    postgres_session,
    recovery,
    schema,
    sqlite_journal,
    verify,
)
from aigne_hub.storage import journal as journal_module
from aigne_hub.storage.journal import GroupCommitJournal, JournalRefused, Store

CLOCK = SystemClock()
USER = "u1"
ONE = 1_000_000_000


def new_id() -> str:
    return make_id()


make_id = IdFactory(lambda: CLOCK.now_us() // 1000, lambda bits: CLOCK.now_us() % (1 << bits))


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    with engine.writing(opened) as connection:
        user = {"id": USER, "did": "did:abt:z1", "role": "member", "created_us": 1}
        connection.execute(insert(schema.user).values(user))
        connection.execute(insert(schema.account).values(id=USER, created_us=1))
    yield opened
    opened.dispose()


def give(database: Engine, nano: int) -> None:
    with engine.writing(database) as connection:
        grants.grant(connection, CLOCK, new_id, account=USER, amount=nano)


def address(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)


def store(database: Engine, process_id: str) -> Store:
    url = address(database)
    if database.dialect.name == "sqlite":
        connection = engine.connect(engine.sqlite_path(url))
        return sqlite_journal.SqliteStore(
            connection, process_id=process_id, now_us=CLOCK.now_us, jitter=lambda: 0.5
        )
    return postgres.open_store(
        url, process_id=process_id, monotonic_us=CLOCK.monotonic_us, jitter=lambda: 0.5
    )


@asynccontextmanager
async def journal(database: Engine, process_id: str = "p") -> AsyncIterator[GroupCommitJournal]:
    recovery.register(database, process_id, host="h", pid=1, now_us=1)
    opened = GroupCommitJournal(store(database, process_id), new_id=new_id)
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


def query(database: Engine, sql: str) -> list[tuple]:
    with engine.reading(database) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def assert_in_order(database: Engine) -> None:
    with engine.reading(database) as connection:
        wrong = [check for check in verify.verify(connection) if not check.ok]
    assert wrong == []


async def test_a_call_is_opened_held_settled_metered_and_released(database: Engine):
    give(database, 10 * ONE)
    async with journal(database) as books:
        op = opening(whole(3 * ONE))
        admission = await books.open(op)
        assert admission.held == 3 * ONE
        assert query(database, "SELECT status, outcome FROM model_call") == [("processing", None)]
        assert query(database, "SELECT held FROM account") == [(3 * ONE,)]
        settled = await books.settle(settling(op, admission.held, ONE))
        assert (settled.charge, settled.written_off) == (ONE, 0)
    assert query(database, "SELECT status, charge, attempts FROM model_call") == [
        ("success", ONE, 1)
    ]
    assert query(database, "SELECT balance, held FROM account") == [(9 * ONE, 0)]
    assert query(database, "SELECT meter, value FROM meter_event") == [("AIGNE Hub AI Meter", ONE)]
    assert query(database, "SELECT state, captured FROM hold") == [("captured", ONE)]
    assert_in_order(database)


@pytest.mark.parametrize("racers", [500])
async def test_credit_for_exactly_k_admits_exactly_k(database: Engine, racers: int):
    give(database, 100 * ONE)
    async with journal(database) as books:

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
    assert query(database, "SELECT balance, held FROM account") == [(0, 0)]
    assert query(database, "SELECT count(*) FROM model_call WHERE outcome='rejected'") == [(400,)]
    assert_in_order(database)


async def test_two_processes_share_one_balance_exactly(database: Engine):
    give(database, 50 * ONE)
    async with journal(database, "p") as one, journal(database, "q") as two:

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
    assert_in_order(database)


async def test_a_refused_call_of_a_known_caller_is_one_row(database: Engine):
    async with journal(database) as books:
        await books.open(opening(refusal=InvalidRequest("nope")))
    assert query(database, "SELECT status, outcome, charge, error_code FROM model_call") == [
        ("failed", "rejected", 0, "invalid_request")
    ]


async def test_a_stream_extends_its_hold_by_steps_and_then_by_what_is_left(database: Engine):
    give(database, 10 * ONE)
    async with journal(database) as books:
        op = opening(whole(4 * ONE))
        admission = await books.open(op)
        assert await books.progress(Progress(op.call_id, USER, 5, 4 * ONE)) == 4 * ONE
        assert await books.progress(Progress(op.call_id, USER, 9, 4 * ONE)) == 2 * ONE
        assert await books.progress(Progress(op.call_id, USER, 10, 4 * ONE)) == 0
        assert query(database, "SELECT delivered_tokens FROM model_call") == [(10,)]
        await books.settle(settling(op, admission.held + 6 * ONE, 10 * ONE))
    assert query(database, "SELECT balance, held FROM account") == [(0, 0)]
    assert_in_order(database)


async def test_a_call_that_a_fallback_serves_takes_its_price(database: Engine):
    give(database, 10 * ONE)
    async with journal(database) as books:
        killed, settled = opening(whole(ONE)), opening(whole(ONE))
        for op in (killed, settled):
            op.rate_id = "first"
            await books.open(op)
        await books.progress(Progress(killed.call_id, USER, 1))
        await books.progress(Progress(killed.call_id, USER, 2, rate_id="fallback"))
        await books.settle(settling(settled, ONE, ONE, rate_id="fallback"))
    rates = dict(query(database, "SELECT id, rate_id FROM model_call"))
    assert rates == {killed.call_id: "fallback", settled.call_id: "fallback"}


async def test_settling_twice_is_refused_and_changes_nothing(database: Engine):
    give(database, 10 * ONE)
    async with journal(database) as books:
        op = opening(whole(ONE))
        admission = await books.open(op)
        await books.settle(settling(op, admission.held, ONE))
        with pytest.raises(JournalRefused):
            await books.settle(settling(op, 0, ONE))
        assert books.dead_letters == 1
    assert query(database, "SELECT balance, held FROM account") == [(9 * ONE, 0)]
    assert query(database, "SELECT count(*) FROM dead_letter") == [(1,)]
    assert_in_order(database)


async def test_a_poison_operation_fails_alone(database: Engine):
    give(database, 100 * ONE)
    async with journal(database) as books:
        good = [opening(whole(ONE)) for _ in range(20)]
        bad = opening(whole(ONE))
        bad.model = None
        batch = [*good[:10], bad, *good[10:]]
        results = await asyncio.gather(*(books.open(op) for op in batch), return_exceptions=True)
        assert isinstance(results.pop(10), Overloaded)
        assert all(admission.held == ONE for admission in results)
    assert query(database, "SELECT operation FROM dead_letter") == [("Open",)]
    assert query(database, "SELECT held FROM account") == [(20 * ONE,)]


async def test_a_locked_database_refuses_new_calls_and_keeps_settlements(
    database: Engine, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sqlite_journal, "BUSY_MAX_S", 0.2)
    monkeypatch.setattr(postgres_session, "LOCK_MAX_S", 0.2)
    give(database, 10 * ONE)
    async with journal(database) as books:
        op = opening(whole(ONE))
        admission = await books.open(op)
        with engine.writing(database) as other:
            other.execute(update(schema.account).values(held=schema.account.c.held))
            settling_now = asyncio.ensure_future(books.settle(settling(op, admission.held, ONE)))
            await asyncio.sleep(0.05)
            with pytest.raises(Overloaded):
                await books.open(opening(whole(ONE)))
            assert "lock" in str(books.unavailable)
            assert not settling_now.done()
        assert (await settling_now).charge == ONE
        assert books.unavailable is None
    assert_in_order(database)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_full_disk_is_said_and_survived(database: Engine):
    give(database, 1000 * ONE)
    async with journal(database) as books:
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
    assert query(database, "SELECT held FROM account") == [(0,)]
    assert_in_order(database)


async def test_sent_is_noted_without_a_commit_of_its_own_when_the_call_ends(database: Engine):
    async with journal(database) as books:
        quick, slow = opening(), opening()
        for op in (quick, slow):
            await books.open(op)
            books.sent(op.call_id)
        await books.settle(settling(quick, 0, 0, billed=False))
        await asyncio.sleep(0.3)
    rows = dict(query(database, "SELECT id, sent FROM model_call"))
    assert rows == {quick.call_id: 1, slow.call_id: 1}


async def test_the_queue_has_a_limit(database: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "QUEUE_MAX", 10)
    async with journal(database) as books:
        results = await asyncio.gather(
            *(books.open(opening()) for _ in range(50)), return_exceptions=True
        )
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 40
    assert query(database, "SELECT count(*) FROM model_call") == [(10,)]
