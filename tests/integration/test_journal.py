"""The journal on real databases: group commit, exactness, refusal and survival."""

import asyncio
from collections.abc import Iterable, Iterator

import pytest
from sqlalchemy import Engine, update
from tests.integration.journaling import (
    CLOCK,
    ONE,
    USER,
    ClockAhead,
    add_customer,
    assert_in_order,
    give,
    journal,
    new_id,
    opening,
    query,
    settling,
    whole,
)
from tests.patience import PATIENCE_S

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.errors import (
    Conflict,
    IdempotencyMismatch,
    InsufficientCredits,
    InvalidRequest,
    Overloaded,
    RateLimited,
)
from aigne_hub.domain.idempotency import KEPT_US, Answer, Claim
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.operations import Open, Progress
from aigne_hub.domain.windows import Window
from aigne_hub.storage import (
    engine,
    postgres_session,
    recovery,
    schema,
    sqlite_journal,
)
from aigne_hub.storage import journal as journal_module
from aigne_hub.storage.journal import (
    CommitUnknown,
    GroupCommitJournal,
    JournalRefused,
    StoreUnavailable,
)


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    add_customer(opened)
    yield opened
    opened.dispose()


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
        deadline = asyncio.get_running_loop().time() + PATIENCE_S
        while set(dict(query(database, "SELECT id, sent FROM model_call")).values()) != {1}:
            assert asyncio.get_running_loop().time() < deadline
            await asyncio.sleep(0.05)
    rows = dict(query(database, "SELECT id, sent FROM model_call"))
    assert rows == {quick.call_id: 1, slow.call_id: 1}


async def test_the_queue_has_a_limit(database: Engine, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(journal_module, "QUEUE_MAX", 10)
    async with journal(database) as books:

        async def open_one() -> object:
            return await books.open(opening())

        results = await asyncio.gather(*(open_one() for _ in range(50)), return_exceptions=True)
    refused = [result for result in results if isinstance(result, Overloaded)]
    assert len(refused) == 40
    assert query(database, "SELECT count(*) FROM model_call") == [(10,)]


class NobodyAlive:
    def dead(self, process_ids: Iterable[str]) -> list[str]:
        return list(process_ids)


async def test_calls_of_the_dead_are_closed_oldest_first(database: Engine):
    """What an earlier call releases pays for what a later one delivered."""
    give(database, 10 * ONE)
    calls = [opening(whole(1)) for _ in range(3)]
    for call, owner in zip(calls, "qpr", strict=True):
        async with journal(database, owner) as books:
            await books.open(call)
    orphans = recovery.Orphans(database, NobodyAlive(), "s", open_here=dict, now_us=CLOCK.now_us)
    stale = await orphans.stale_calls()
    assert [each.call_id for each in stale] == [call.call_id for call in calls]


async def test_two_processes_count_the_first_calls_of_a_window_exactly(database: Engine):
    async with journal(database, "p") as one, journal(database, "q") as two:

        async def race(books: GroupCommitJournal, limit: Limit) -> bool:
            op = opening(limits=(limit,))
            try:
                admission = await books.open(op)
            except RateLimited:
                return False
            await books.settle(settling(op, 0, 0, counters=admission.counters))
            return True

        for number in range(10):
            limit = Limit(Subject.KEY, f"k{number}", Measure.REQUESTS, Window.DAY, 5)
            served = await asyncio.gather(*(race(books, limit) for books in (one, two) * 10))
            assert sum(served) == 5
    assert query(database, "SELECT used, held FROM limit_counter") == [(5, 0)] * 10


async def test_two_processes_take_an_idempotency_key_once(database: Engine):
    async with journal(database, "p") as one, journal(database, "q") as two:

        async def race(books: GroupCommitJournal, claim: Claim) -> bool:
            try:
                await books.open(opening(claim=claim))
            except Conflict:
                return False
            return True

        for number in range(20):
            claim = Claim(number.to_bytes(32, "big"), b"b" * 32)
            assert sorted(await asyncio.gather(race(one, claim), race(two, claim))) == [False, True]
        assert (one.dead_letters, two.dead_letters) == (0, 0)


async def test_an_answer_is_kept_byte_for_byte_with_its_key(database: Engine):
    body = bytes(range(256)) * 4096
    async with journal(database) as books:
        claim = Claim(b"k" * 32, b"b" * 32)
        op = opening(claim=claim)
        await books.open(op)
        answer = Answer(200, "application/json", "openai/m", body)
        await books.settle(settling(op, 0, 0, claimed=True, answer=answer))
        replay = await books.open(opening(claim=claim))
        assert replay.replay == op.call_id
        with pytest.raises(IdempotencyMismatch):
            await books.open(opening(claim=Claim(b"k" * 32, b"c" * 32)))
    assert query(database, "SELECT body FROM idempotency_key") == [(body,)]


@pytest.mark.parametrize("old_ends", ["before the new", "after the new"])
@pytest.mark.parametrize("old_served", [True, False])
async def test_a_call_that_outlives_its_key_leaves_the_next_claim_alone(
    database: Engine, old_ends: str, old_served: bool
):
    give(database, 10 * ONE)
    clock = ClockAhead()
    claim = Claim(b"k" * 32, b"b" * 32)
    async with journal(database, clock=clock) as books:
        old, new = (opening(whole(3 * ONE), claim=claim) for _ in range(2))
        held = (await books.open(old)).held
        clock.us = KEPT_US - 60_000_000
        with pytest.raises(Conflict):
            await books.open(opening(whole(ONE), claim=claim))
        clock.us = KEPT_US
        assert (await books.open(new)).replay is None

        async def end_old() -> None:
            served = {"answer": Answer(200, "application/json", "openai/m", b"old")}
            unserved = {"usage": None, "usage_source": None, "outcome": Outcome.UPSTREAM_FAILED}
            more = served if old_served else unserved
            charge = 2 * ONE if old_served else 0
            await books.settle(settling(old, held, charge, claimed=True, **more))

        async def end_new() -> None:
            answer = Answer(200, "application/json", "openai/m", b"new")
            await books.settle(settling(new, held, ONE, claimed=True, answer=answer))

        if old_ends == "before the new":
            await end_old()
            with pytest.raises(Conflict):  # the new call still runs
                await books.open(opening(whole(ONE), claim=claim))
            await end_new()
        else:
            await end_new()
            await end_old()
        assert (await books.open(opening(whole(ONE), claim=claim))).replay == new.call_id
    assert query(database, "SELECT call_id, body FROM idempotency_key") == [(new.call_id, b"new")]
    charged = query(database, "SELECT id, charge FROM model_call WHERE status <> 'failed'")
    expected = {old.call_id: 2 * ONE, new.call_id: ONE} if old_served else {new.call_id: ONE}
    assert dict(charged) == expected
    left = 10 * ONE - sum(expected.values())
    assert query(database, "SELECT balance, held FROM account") == [(left, 0)]
    assert_in_order(database)


async def test_two_notes_of_one_call_in_a_batch_are_both_kept(database: Engine):
    give(database, 10 * ONE)
    async with journal(database) as books:
        op = opening(whole(ONE))
        await books.open(op)
        added = await asyncio.gather(
            books.progress(Progress(op.call_id, USER, 3)),
            books.progress(Progress(op.call_id, USER, 5, ONE)),
            books.progress(Progress(op.call_id, USER, 8, 2 * ONE)),
        )
        assert added == [0, ONE, 2 * ONE]
        assert query(database, "SELECT delivered_tokens FROM model_call") == [(8,)]
        assert query(database, "SELECT amount FROM hold") == [(4 * ONE,)]
        await books.settle(settling(op, 4 * ONE, ONE))
    assert_in_order(database)


@pytest.mark.parametrize("landed", [True, False])
async def test_a_lost_answer_is_looked_up_before_anything_is_tried_again(landed: bool):
    """The store is a stand-in: which answer is lost cannot be chosen on a real one."""
    store = DoubtfulStore(landed)
    books = GroupCommitJournal(store, new_id=new_id)
    books.start()
    opened = asyncio.ensure_future(books.open(opening()))
    await store.lost.wait()
    with pytest.raises(Overloaded):  # what was not under way begins nothing meanwhile
        await books.open(opening())
    assert books.unavailable == "still away"
    assert not opened.done()
    store.back.set()
    assert await opened == "answer"
    assert store.commits == (1 if landed else 2)
    assert books.unavailable is None
    await books.close()


class DoubtfulStore:
    """Loses the answer to its first commit, and cannot say what became of it until `back`."""

    def __init__(self, landed: bool) -> None:
        self.landed = landed
        self.commits = 0
        self.lost, self.back = asyncio.Event(), asyncio.Event()

    async def commit(self, operations, _sent):
        self.commits += 1
        if self.commits == 1:
            raise CommitUnknown("lost", ["answer"], self.ask)
        return ["answer"] * len(operations)

    async def ask(self) -> bool:
        self.lost.set()
        if not self.back.is_set():
            raise StoreUnavailable("still away")
        return self.landed

    async def close(self) -> None:
        pass
