"""What calls leave at their providers: kept with the settlement, its account's own, forgotten."""

import asyncio
from collections.abc import Iterator

import pytest
from sqlalchemy import Engine
from tests.integration.journaling import (
    USER,
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

from aigne_hub.clock import SystemClock
from aigne_hub.domain.objects import KNOWN_US, RESPONSE, VIDEO, Made, UpstreamObject, made
from aigne_hub.storage import engine, objects


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    add_customer(opened)
    yield opened
    opened.dispose()


async def test_an_object_is_known_once_its_call_is_settled(database: Engine):
    found = objects.StoredObjects(database, SystemClock(), str)
    async with journal(database) as books:
        call = opening()
        await books.open(call)
        assert await found.find(USER, "resp_1") is None
        settlement = settling(call, 0, 0, made=Made(RESPONSE, "resp_1"))
        await books.settle(settlement)
        kept = UpstreamObject(
            "resp_1", "response", "openai", "main", "openai/m", call.call_id, settlement.ended_us
        )
        assert await found.find(USER, "resp_1") == kept
        assert await found.find("somebody else", "resp_1") is None


async def test_an_id_given_twice_is_the_first_calls(database: Engine):
    async with journal(database) as books:
        calls = [opening() for _ in range(3)]
        await asyncio.gather(*(books.open(call) for call in calls))
        named = Made(RESPONSE, "resp_1")
        await asyncio.gather(*(books.settle(settling(call, 0, 0, made=named)) for call in calls))
    assert query(database, "SELECT call_id FROM upstream_object") == [(calls[0].call_id,)]
    assert query(database, "SELECT count(*) FROM model_call WHERE status = 'success'") == [(3,)]


async def test_objects_are_forgotten_when_no_provider_keeps_them(database: Engine):
    async with journal(database) as books:
        call = opening()
        await books.open(call)
        settlement = settling(call, 0, 0, made=Made(RESPONSE, "resp_1"))
        await books.settle(settlement)
    end = settlement.ended_us + KNOWN_US
    with engine.writing(database) as connection:
        assert objects.prune(connection, end - 1) == 0
        assert objects.prune(connection, end) == 1
    assert query(database, "SELECT id FROM upstream_object") == []


async def test_the_call_of_an_object_that_failed_is_given_back_once(database: Engine):
    give(database, 100)
    found = objects.StoredObjects(database, SystemClock(), new_id)
    async with journal(database) as books:
        charged, free = opening(whole(60)), opening(whole(0))
        for call, charge in ((charged, 60), (free, 0)):
            await books.open(call)
            named = Made(VIDEO, f"video_{charge}")
            await books.settle(settling(call, charge, charge, made=named))
    kept = [await found.find(USER, f"video_{charge}") for charge in (60, 0)]
    await asyncio.gather(*(found.give_back(each) for each in kept * 4 if each is not None))
    refunds = "SELECT operation_id, amount FROM transfer WHERE kind = 'refund'"
    assert query(database, refunds) == [(f"refund/{charged.call_id}/failed", 60)]
    assert len(query(database, "SELECT id FROM audit_log WHERE action = 'credits.refund'")) == 1
    assert_in_order(database)


async def test_objects_are_listed_newest_first_and_responses_are_not(database: Engine):
    found = objects.StoredObjects(database, SystemClock(), new_id)
    async with journal(database) as books:
        for number in range(4):
            call = opening()
            await books.open(call)
            kind = RESPONSE if number == 3 else VIDEO
            await books.settle(settling(call, 0, 0, made=Made(kind, f"o_{number}")))
    videos = await found.listed(USER, VIDEO, None, 10)
    assert [video.id for video in videos] == ["o_2", "o_1", "o_0"]
    assert await found.listed(USER, VIDEO, videos[0], 1) == videos[1:2]
    assert await found.listed(USER, RESPONSE, None, 10) == []
    assert await found.listed("somebody else", VIDEO, None, 10) == []


@pytest.mark.parametrize(
    "identifier", [None, 1, "", "..", "a/b", "a b", "é", "a\n", "resp_1?x", "r" * 257, ["resp"]]
)
def test_what_cannot_be_an_id_is_none(identifier: object):
    assert made(RESPONSE, identifier) is None


@pytest.mark.parametrize("identifier", ["resp_67ab-C", "gen-1.2:3", "7", "r" * 256])
def test_ids_of_many_vendors_are_ids(identifier: str):
    assert made(RESPONSE, identifier) == Made(RESPONSE, identifier)
