"""What serving from PostgreSQL rests on: plans, sessions, locks of processes, the clock."""

import asyncio
import json
import os
import time

import psycopg
import pytest
from psycopg import sql
from sqlalchemy.engine import make_url
from tests.integration.journaling import add_customer, journal, opening, query, settling

from aigne_hub.clock import SystemClock
from aigne_hub.domain.errors import InvalidRequest, Overloaded
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.windows import Window
from aigne_hub.storage import (
    postgres,
    postgres_session,
    postgres_statements,
    recovery,
)
from aigne_hub.storage.engine import StorageError, create_engine, require_usable
from aigne_hub.storage.journal import StoreUnavailable
from aigne_hub.storage.postgres_link import Link
from aigne_hub.storage.postgres_liveness import UNSEEN_S, SessionLocks, lock_of
from aigne_hub.storage.postgres_session import Lost, Refused

CLOCK = SystemClock()
SPEAK = {
    "one": "SELECT 1",
    "sleep": "SELECT pg_sleep(30)",
    "fail": "SELECT 1/0",
    "echo": "SELECT $1::text",
}


@pytest.fixture
def url(new_postgres):
    return new_postgres()


@pytest.fixture
def engine(url):
    opened = create_engine(url)
    yield opened
    opened.dispose()


@pytest.fixture
async def link(url):
    opened = Link(url, SPEAK, name="aigne-hub test", jitter=lambda: 0.5, lock=lock_of("test"))
    await opened.session(10)
    yield opened
    await opened.close()


def admin(url):
    return psycopg.connect(url, autocommit=True)


def store_of(url, process_id):
    return postgres.open_store(url, process_id=process_id, clock=CLOCK, jitter=lambda: 0.5)


def end_sessions(url, name="aigne-hub test"):
    with admin(url) as connection:
        connection.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = %s",
            [name],
        )


def test_a_database_that_has_no_place_for_every_text_is_refused(url):
    with admin(url) as connection:
        connection.execute(
            "CREATE DATABASE hub_latin1 ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0"
        )
    other = make_url(url).set(database="hub_latin1").render_as_string(hide_password=False)
    opened = create_engine(other)
    with pytest.raises(StorageError, match=r"LATIN1.*ENCODING 'UTF8'"):
        require_usable(opened)
    opened.dispose()


# -- plans ------------------------------------------------------------------------------


def test_no_statement_of_the_journal_reads_a_whole_table(url):
    statements = postgres_statements.compiled().texts
    connection = postgres_session.connect(postgres_session.conninfo(url, "plans"), statements)
    explained = 0
    try:
        for name, text in statements.items():
            if not text.startswith(("SELECT", "INSERT", "UPDATE", "DELETE", "WITH")):
                continue
            values = ["0" if "BIGINT" in cast else "[]" for cast in _parameters(text)]
            call = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {}({})").format(
                sql.Identifier(name), sql.SQL(", ").join(map(sql.Literal, values))
            )
            if not values:
                call = sql.SQL("EXPLAIN (FORMAT JSON) EXECUTE {}").format(sql.Identifier(name))
            plan = postgres_session.ask(connection, call.as_bytes(None), [])
            scanned = {
                node.get("Relation Name")
                for node in _nodes(json.loads(plan))
                if node["Node Type"] == "Seq Scan"
            }
            assert scanned == set(), name
            explained += 1
    finally:
        connection.finish()
    assert explained > 20


def _parameters(text):
    """Return the casts of a statement's parameters, in order."""
    found = []
    while (place := text.find(f"${len(found) + 1}::")) >= 0:
        found.append(text[place:].split("::")[1].split()[0])
    return found


def _nodes(plan):
    if isinstance(plan, list):
        for each in plan:
            yield from _nodes(each)
    elif isinstance(plan, dict):
        if "Node Type" in plan:
            yield plan
        for each in plan.values():
            yield from _nodes(each)


# -- sessions ---------------------------------------------------------------------------


async def test_a_refused_statement_is_named_and_keeps_the_others_from_running(link):
    session = await link.session()
    with pytest.raises(Refused) as caught:
        await session.run([("one", ()), ("fail", ()), ("one", ())])
    assert (caught.value.statement, caught.value.sqlstate) == ("fail", "22012")
    (result,) = await session.run([("one", ())])
    assert result.get_value(0, 0) == b"1"


async def test_more_than_the_socket_takes_at_once_is_sent_and_received(link):
    session = await link.session()
    large = b"x" * 3_000_000
    results = await session.run([("echo", [large])] * 4)
    assert [result.get_value(0, 0) for result in results] == [large] * 4


async def test_a_session_that_ends_while_idle_is_made_again_by_itself(link, url):
    session = await link.session()
    end_sessions(url)
    deadline = asyncio.get_running_loop().time() + 60
    while link._session is session or link._session is None:
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.01)
    with pytest.raises(Lost):
        await session.run([("one", ())])
    await (await link.session()).run([("one", ())])


async def test_a_session_that_ends_in_mid_statement_is_lost(link, url):
    session = await link.session()
    running = asyncio.ensure_future(session.run([("sleep", ())]))
    await asyncio.sleep(0.5)
    end_sessions(url)
    with pytest.raises(Lost, match="administrator command"):
        await asyncio.wait_for(running, 60)


async def test_a_server_that_never_answers_is_given_up(link, monkeypatch):
    monkeypatch.setattr(postgres_session, "ANSWER_MAX_S", 0.2)
    session = await link.session()
    with pytest.raises(Lost, match="does not answer"):
        await session.run([("sleep", ())])


async def test_a_cancelled_request_ends_its_session(link):
    session = await link.session()
    running = asyncio.ensure_future(session.run([("sleep", ())]))
    await asyncio.sleep(0.05)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    link.drop(session)
    await (await link.session(60)).run([("one", ())])


async def test_a_new_session_ends_the_earlier_one_first(link):
    """As after a cut cable: the server still serves a session that this side has given up."""
    earlier = await link.session()
    at_work = asyncio.ensure_future(earlier.run([("sleep", ())]))
    link._session = None
    await (await link.session(60)).run([("one", ())])
    with pytest.raises(Lost, match="administrator command"):
        await at_work
    await (await link.session()).run([("one", ())])


async def test_an_unreachable_server_is_said_at_once_and_names_no_address():
    link = Link("postgresql://hub:secret@127.0.0.1:9/hub", SPEAK, name="x", jitter=lambda: 0.5)
    with pytest.raises(StoreUnavailable) as caught:
        await link.session()
    assert "127.0.0.1" not in str(caught.value)
    assert "secret" not in str(caught.value)
    await link.close()


# -- errors -----------------------------------------------------------------------------


async def test_a_text_that_postgres_cannot_keep_fails_alone(engine):
    add_customer(engine)
    async with journal(engine) as books:
        bad, good = opening(), opening()
        bad.request_id = "nul \0 character"
        refused, admitted = await asyncio.gather(
            books.open(bad), books.open(good), return_exceptions=True
        )
        assert isinstance(refused, Overloaded)
        assert admitted.held == 0
        await books.settle(settling(good, 0, 0))
        assert (books.dead_letters, books.unavailable) == (1, None)


async def test_a_changed_table_is_taken_up_by_a_new_session(engine, url):
    add_customer(engine)
    async with journal(engine) as books:
        await books.probe()
        with admin(url) as connection:
            connection.execute("ALTER TABLE process ALTER COLUMN batch TYPE numeric")
        for _ in range(600):
            try:
                await books.open(opening())
            except Overloaded:
                await asyncio.sleep(0.1)
            else:
                break
        assert books.unavailable is None
        assert books.dead_letters == 0
    assert query(engine, "SELECT count(*) FROM model_call") == [(1,)]


# -- time -------------------------------------------------------------------------------


class AnHourBehind(SystemClock):
    def now_us(self):
        return super().now_us() - 3_600_000_000


async def test_windows_are_those_of_the_servers_clock(engine, url):
    add_customer(engine)
    behind = AnHourBehind()
    recovery.register(engine, "p", host="h", pid=1, now_us=1)
    store = postgres.open_store(url, process_id="p", clock=behind, jitter=lambda: 0.5)
    limit = Limit(Subject.KEY, "k", Measure.REQUESTS, Window.MINUTE, 5)
    counted, refused = opening(limits=(limit,)), opening(refusal=InvalidRequest("nope"))
    counted.started_us = refused.started_us = behind.now_us()
    await store.commit([counted, refused], [])
    await store.close()
    ((name,),) = query(engine, "SELECT id FROM limit_counter")
    assert abs(int(name.rpartition("@")[2]) - time.time()) < 120
    ((took_us,),) = query(engine, "SELECT duration_us FROM model_call WHERE outcome = 'rejected'")
    assert took_us < 60_000_000


# -- liveness ---------------------------------------------------------------------------


class Ticking:
    us = 0

    def __call__(self):
        return self.us


@pytest.fixture
def ticking():
    return Ticking()


@pytest.fixture
def locks(engine, tmp_path, ticking):
    held = SessionLocks(engine, tmp_path / "here", "own", monotonic_us=ticking)
    yield held
    held.release()


async def test_a_process_elsewhere_is_dead_once_it_was_without_its_lock_for_long(
    locks, url, ticking
):
    store = store_of(url, "other")
    await store.reach()
    assert locks.dead(["other"]) == []
    ticking.us += int(2 * UNSEEN_S * 1_000_000)
    assert locks.dead(["other"]) == []
    await store.close()
    await until(lambda: locks.dead(["other"]) == [] and "other" in locks._unseen)
    ticking.us += int(UNSEEN_S * 1_000_000) - 1
    assert locks.dead(["other"]) == []
    ticking.us += 2
    assert locks.dead(["other"]) == ["other"]


async def test_a_process_that_takes_its_lock_again_was_never_dead(locks, url, ticking):
    assert locks.dead(["other"]) == []
    store = store_of(url, "other")
    await store.reach()
    ticking.us += int(UNSEEN_S * 1_000_000) + 1
    assert locks.dead(["other"]) == []
    await store.close()
    await until(lambda: locks.dead(["other"]) == [] and "other" in locks._unseen)
    assert locks.dead(["other"]) == []


async def test_a_process_of_this_data_directory_is_dead_when_the_kernel_says_so(
    locks, engine, url, tmp_path
):
    neighbour = SessionLocks(engine, tmp_path / "here", "near", monotonic_us=Ticking())
    assert locks.dead(["near"]) == []  # it lives, although it has no session at the moment
    store = store_of(url, "near")
    await store.reach()
    os.close(neighbour._own._fd)  # as the kernel does when a process is killed
    assert locks.dead(["near"]) == []  # but its last session may still be at work
    await store.close()
    await until(lambda: locks.dead(["near"]) == ["near"])
    assert locks.dead(["near"]) == ["near"]


async def test_a_task_is_done_by_one_process_at_a_time(locks, engine, tmp_path):
    other = SessionLocks(engine, tmp_path / "there", "else", monotonic_us=Ticking())
    order = []

    async def wait_for_it():
        async with other.alone("recovery") as mine:
            order.append(mine)

    async with locks.alone("recovery", wait=False) as mine:
        assert mine
        async with other.alone("recovery", wait=False) as also_mine:
            assert not also_mine
        async with other.alone("other task", wait=False) as another:
            assert another
        waiting = asyncio.ensure_future(wait_for_it())
        await asyncio.sleep(0.2)
        assert order == []
    await asyncio.wait_for(waiting, 60)
    assert order == [True]
    other.release()


async def until(condition, within_s=60.0):
    deadline = asyncio.get_running_loop().time() + within_s
    while not condition():
        assert asyncio.get_running_loop().time() < deadline
        await asyncio.sleep(0.02)


# -- the configuration's version --------------------------------------------------------


async def test_the_version_is_seen_and_seen_again_after_a_lost_session(engine, url):
    watch = postgres.open_watch(url, jitter=lambda: 0.5)
    before = await watch.version()
    with admin(url) as connection:
        connection.execute("UPDATE hub_state SET version = version + 1")
    assert await watch.version() == before + 1
    end_sessions(url, "aigne-hub watch")
    for _ in range(1_000):
        try:
            assert await watch.version() == before + 1
        except StoreUnavailable:
            await asyncio.sleep(0.05)
        else:
            break
    else:
        pytest.fail("no session for the watch")
    await watch.close()
