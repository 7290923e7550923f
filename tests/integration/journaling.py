"""Journals over real databases, and operations for them: one customer, calls of one model."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Engine, insert, text

from aigne_hub.clock import SystemClock
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.ids import IdFactory
from aigne_hub.domain.operations import Attempt, Open, Reason, Settle
from aigne_hub.domain.quotes import Quote
from aigne_hub.domain.usage import Usage
from aigne_hub.ports import Clock
from aigne_hub.storage import engine, grants, postgres, recovery, schema, sqlite_journal, verify
from aigne_hub.storage.journal import GroupCommitJournal, Store

CLOCK = SystemClock()
USER = "u1"
ONE = 1_000_000_000


def new_id() -> str:
    return make_id()


make_id = IdFactory(lambda: CLOCK.now_us() // 1000, lambda bits: CLOCK.now_us() % (1 << bits))


def add_customer(database: Engine) -> None:
    with engine.writing(database) as connection:
        user = {"id": USER, "did": "did:abt:z1", "role": "member", "created_us": 1}
        connection.execute(insert(schema.user).values(user))
        connection.execute(insert(schema.account).values(id=USER, created_us=1))


def give(database: Engine, nano: int) -> None:
    with engine.writing(database) as connection:
        grants.grant(connection, CLOCK, new_id, account=USER, amount=nano)


def address(database: Engine) -> str:
    return database.url.render_as_string(hide_password=False)


class ClockAhead:
    """The system's clock, so many microseconds ahead."""

    def __init__(self) -> None:
        self.us = 0

    def now_us(self) -> int:
        return CLOCK.now_us() + self.us

    def monotonic_us(self) -> int:
        return CLOCK.monotonic_us()


def store(database: Engine, process_id: str, clock: Clock = CLOCK) -> Store:
    url = address(database)
    if database.dialect.name == "sqlite":
        connection = engine.connect(engine.sqlite_path(url))
        return sqlite_journal.SqliteStore(
            connection, process_id=process_id, now_us=clock.now_us, jitter=lambda: 0.5
        )
    opened = postgres.open_store(url, process_id=process_id, clock=clock, jitter=lambda: 0.5)
    if clock is not CLOCK:

        async def now_us(_session: object) -> int:
            return clock.now_us()

        opened._now_us = now_us  # it would be the server's time
    return opened


@asynccontextmanager
async def journal(
    database: Engine, process_id: str = "p", clock: Clock = CLOCK
) -> AsyncIterator[GroupCommitJournal]:
    recovery.register(database, process_id, host="h", pid=1, now_us=1)
    opened = GroupCommitJournal(store(database, process_id, clock), new_id=new_id)
    await opened.reach()
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
        "attempts": [Attempt("openai", "main", 200, None, now, 5, "openai/m", Reason.CHOSEN, None)],
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
