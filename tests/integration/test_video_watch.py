"""When videos are asked after, and what becomes of those that cannot be."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import Engine
from tests.integration.journaling import (
    USER,
    ClockAhead,
    add_customer,
    give,
    journal,
    opening,
    query,
    settling,
    whole,
)

from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.objects import (
    ASK_AFTER_US,
    ASKED_US,
    RESPONSE,
    VIDEO,
    Made,
    UpstreamObject,
    next_ask_us,
)
from aigne_hub.server.video_watch import BATCH, VideoWatch
from aigne_hub.storage import engine, unasked

MINUTE_US = 60 * 1_000_000


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    add_customer(opened)
    give(opened, 1_000)
    yield opened
    opened.dispose()


@asynccontextmanager
async def alone() -> AsyncIterator[bool]:
    yield True


@asynccontextmanager
async def not_alone() -> AsyncIterator[bool]:
    yield False


class SetClock:
    """Stands where it is set."""

    us = 0

    def now_us(self) -> int:
        return self.us

    def monotonic_us(self) -> int:
        return self.us


class Provider:
    """Answers as `standing` says: over, not over, or not at all."""

    def __init__(self) -> None:
        self.standing: dict[str, bool | None] = {}
        self.asked: list[str] = []

    async def is_over(self, found: UpstreamObject) -> bool:
        self.asked.append(found.id)
        standing = self.standing.get(found.id, False)
        if standing is None:
            raise UpstreamError("It does not say.")
        return standing


async def make(database: Engine, *ids: str, charge: int = 1, kind: str = VIDEO) -> None:
    async with journal(database, kind) as books:
        for identifier in ids:
            call = opening(whole(charge))
            await books.open(call)
            await books.settle(settling(call, charge, charge, made=Made(kind, identifier)))


def asked_at(database: Engine, identifier: str = "v1") -> int | None:
    """Return when a video is asked after next."""
    rows = dict(query(database, "SELECT id, ask_us FROM upstream_object"))
    return rows[identifier]


@pytest.mark.parametrize("standing", [False, None], ids=["lasts", "silent"])
async def test_a_job_is_asked_after_at_twice_its_age_each_time_for_a_day(
    database: Engine, standing: bool | None
):
    provider, clock = Provider(), SetClock()
    provider.standing["v1"] = standing
    watch = VideoWatch(database, clock, is_over=provider.is_over, alone=alone)
    await make(database, "v1")
    minutes = []
    while (ask_us := asked_at(database)) is not None:
        clock.us = ask_us - 1
        await watch.run()
        assert len(provider.asked) == len(minutes)
        clock.us = ask_us
        await watch.run()
        ((made_us,),) = query(database, "SELECT created_us FROM upstream_object")
        minutes.append((ask_us - made_us) / MINUTE_US)
        assert len(provider.asked) == len(minutes)
    assert minutes == [10, 20, 40, 80, 160, 320, 640, 1280]


async def test_what_is_over_is_asked_after_no_more(database: Engine):
    provider, clock = Provider(), ClockAhead()
    watch = VideoWatch(database, clock, is_over=provider.is_over, alone=alone)
    provider.standing["v1"] = True
    await make(database, "v1", "v2")
    clock.us = ASK_AFTER_US
    await watch.run()
    assert asked_at(database) is None
    assert asked_at(database, "v2") is not None


async def test_what_cost_nothing_and_what_is_no_video_is_not_asked_after(database: Engine):
    await make(database, "v1", charge=0)
    await make(database, "resp_1", kind=RESPONSE)
    assert (asked_at(database), asked_at(database, "resp_1")) == (None, None)


async def test_one_process_asks_and_after_so_many_at_once(database: Engine):
    provider, clock = Provider(), ClockAhead()
    await make(database, *(f"v{number:03}" for number in range(BATCH + 1)))
    clock.us = ASK_AFTER_US
    idle = VideoWatch(database, clock, is_over=provider.is_over, alone=not_alone)
    await idle.run()
    assert provider.asked == []
    watch = VideoWatch(database, clock, is_over=provider.is_over, alone=alone)
    await watch.run()
    assert len(provider.asked) == BATCH
    await watch.run()
    assert sorted(provider.asked) == [f"v{number:03}" for number in range(BATCH + 1)]
    (one, *_) = unasked.due(database, clock.now_us() + ASKED_US, 1)
    assert one.account_id == USER


def test_a_job_that_was_forgotten_for_days_is_asked_after_once():
    made_us = 5
    assert next_ask_us(made_us, made_us + 3 * ASKED_US) is None
    assert next_ask_us(made_us, made_us) == made_us + ASK_AFTER_US
