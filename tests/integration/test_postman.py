"""The sending of events against receivers that fail in every way, on a clock of the test's own."""

import asyncio
import json
import socket
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import func, insert, select
from tests.faults.fault_server import FaultServer, calling, keeps_alive, says

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.access import Role
from aigne_hub.domain.events import (
    ATTEMPTS_MAX,
    JITTER_PERCENT_MAX,
    RETRY_DELAYS_S,
    EventType,
    event_id,
)
from aigne_hub.server import postman
from aigne_hub.server.postman import PLACES, Postman
from aigne_hub.storage import deliveries, schema, users, webhooks
from aigne_hub.storage.changes import changes
from aigne_hub.storage.deliveries import State
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.outbox import EVENTS_KEPT_US, Outbox

HANG_S = 6.0
BROKEN = b"HTTP/1.1 500 Broken\r\ncontent-length: 0\r\n\r\n"


async def breaks(peer):
    while True:
        await peer.request()
        await peer.send(BROKEN)


def user(hub, email="u@example.com"):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        made = users.create(change, hub.keyring, hub.randbytes, email=email, role=Role.MEMBER)
    return made.id


def endpoint(hub, url, *types, account_id=None, trusted=True):
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        made, _ = webhooks.create(
            change,
            hub.keyring,
            hub.randbytes,
            url=url,
            types=types,
            account_id=account_id,
            trusted=trusted,
        )
    return made.id


def happen(hub, *, kind=EventType.LIMIT_REACHED, account_id=None, payload="{}"):
    """Let something happen, as the journal would note it."""
    made = event_id(kind, hub.ids())
    with writing(hub.engine) as connection:
        connection.execute(
            insert(schema.event).values(
                id=made,
                type=kind.value,
                account_id=account_id,
                payload=payload,
                created_us=hub.clock.now_us(),
            )
        )
    return made


def sent(hub, endpoint_id):
    with reading(hub.engine) as view:
        return deliveries.of(view, 1000, endpoint_id=endpoint_id)[::-1]


def outbox(hub, percent=0, keyring=None):
    return Outbox(hub.engine, keyring or hub.keyring, hub.clock, lambda: percent)


@asynccontextmanager
async def alone():
    yield True


@asynccontextmanager
async def sending(hub, box=None, **options):
    """Yield a postman whose client is as patient as the tests are."""
    async with calling(**options) as client:
        yield Postman(box or outbox(hub), hub.clock, connect=lambda: client, alone=alone)


@pytest.mark.parametrize("percent", [0, JITTER_PERCENT_MAX])
async def test_a_dead_endpoint_is_tried_by_the_schedule_and_then_given_up(hub, percent):
    async with FaultServer(breaks) as server, sending(hub, outbox(hub, percent)) as man:
        dead = endpoint(hub, f"http://127.0.0.1:{server.port}/")
        event = happen(hub)
        waits = []
        while True:
            await man.run()
            (delivery,) = sent(hub, dead)
            if delivery.due_us is None:
                break
            waits.append(delivery.due_us - delivery.attempted_us)
            tries = len(server.requests)
            hub.clock.us = delivery.due_us - 2_000_000
            await man.run()
            assert len(server.requests) == tries  # not before its time
            hub.clock.us = delivery.due_us
        assert waits == [delay * 10_000 * (100 + percent) for delay in RETRY_DELAYS_S]
        assert (delivery.state, delivery.attempts) == (State.FAILED, ATTEMPTS_MAX)
        assert len(server.requests) == ATTEMPTS_MAX
        assert (man.delivered, man.failed, man.given_up) == (0, ATTEMPTS_MAX, 1)
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            deliveries.replay(change, event)
        await man.run()
        assert sent(hub, dead)[0].attempts == 1


async def test_events_go_to_those_who_want_and_may_see_them(hub):
    ada, bob = user(hub), user(hub, "b@example.com")
    async with FaultServer(keeps_alive) as server, sending(hub) as man:
        url = f"http://127.0.0.1:{server.port}/"
        receivers = {
            "all": endpoint(hub, url),
            "low": endpoint(hub, url, "credits.low"),
            "ada": endpoint(hub, url, account_id=ada),
            "ada's low": endpoint(hub, url, "credits.low", account_id=ada),
            "bob": endpoint(hub, url, account_id=bob),
        }
        adas = happen(hub, account_id=ada)
        low = happen(hub, account_id=ada, kind=EventType.CREDITS_LOW)
        nobodys = happen(hub)
        await man.run()
        got = {
            name: [delivery.event_id for delivery in sent(hub, receiver)]
            for name, receiver in receivers.items()
        }
        assert got == {
            "all": [adas, low, nobodys],
            "low": [low],
            "ada": [adas, low],
            "ada's low": [low],
            "bob": [],
        }
        assert len(server.requests) == 7
        bodies = [json.loads(body) for _, body in server.requests]
        assert [body["data"] for body in bodies].count({"user_id": ada}) == 6
        assert not outbox(hub).waiting()


async def test_endpoints_that_hang_keep_no_living_one_waiting(hub):
    async with (
        FaultServer(keeps_alive) as alive,
        FaultServer(says()) as silent,
        sending(hub, timeouts={"first_byte": HANG_S}) as man,
    ):
        living = endpoint(hub, f"http://127.0.0.1:{alive.port}/")
        happen(hub)
        await man.run()
        hung = [
            endpoint(hub, f"http://127.0.0.1:{silent.port}/{n}", "credits.low")
            for n in range(webhooks.ENDPOINTS_MAX - 1)
        ]
        happen(hub, kind=EventType.CREDITS_LOW)
        run = asyncio.create_task(man.run())
        while len(silent.requests) < PLACES:
            await asyncio.sleep(0.01)
        before = len(alive.requests)
        happen(hub)
        async with asyncio.timeout(HANG_S):
            while len(alive.requests) == before:
                await asyncio.sleep(0.01)
        assert len(silent.requests) == PLACES
        assert all(delivery.attempts == 0 for each in hung for delivery in sent(hub, each))
        await asyncio.wait_for(run, 5 * HANG_S)
        assert [each.state for each in sent(hub, living)] == [State.DELIVERED] * 3
        assert all(delivery.attempts == 1 for each in hung for delivery in sent(hub, each))
        assert "no response head" in sent(hub, hung[0])[0].error


def test_endpoints_that_fail_take_turns(hub):
    box = outbox(hub)
    with_backlog = [endpoint(hub, f"https://{n}.example/") for n in range(3)]
    events = [happen(hub) for _ in range(3)]
    box.route()
    for _ in range(3):
        (due,) = box.due(1, proven=False, busy=())
        box.record([postman.Outcome(due, 500, "answered 500")])
    late = endpoint(hub, "https://late.example/")
    happen(hub)
    box.route()
    turns = [due.endpoint_id for due in box.due(9, proven=False, busy=())]
    assert turns == [late, *with_backlog]
    assert [sent(hub, each)[0].attempts for each in with_backlog] == [1, 1, 1]
    assert {due.event_id for due in box.due(9, proven=False, busy=[late])} == {events[1]}
    assert box.due(9, proven=True, busy=()) == []


async def test_a_name_that_leads_inside_is_not_called(hub):
    async with FaultServer(keeps_alive) as canary:

        async def inside(host, port):
            return [
                (socket.AF_INET, ("127.0.0.1", canary.port)),
                (socket.AF_INET, ("169.254.169.254", 80)),
            ]

        async with sending(hub, resolver=inside) as man:
            made = endpoint(hub, "https://rebinding.example/", trusted=False)
            happen(hub)
            await man.run()
            (delivery,) = sent(hub, made)
            assert delivery.status is None
            assert delivery.error.endswith("the host has no address the hub may call")
        assert canary.connections == 0


@pytest.mark.parametrize(
    ("answer", "status"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999\r\n\r\n" + b"x" * 100_000, 200),
        (b"HTTP/1.1 202 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n", 202),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1/\r\ncontent-length: 0\r\n\r\n", 302),
        (b"HTTP/1.1 429 Slow\r\nretry-after: 9999999999\r\ncontent-length: 0\r\n\r\n", 429),
        (b"HTTP/1.1 200 OK\r\nx: " + b"y" * 100_000, None),
        (b"220 mail.example ESMTP\r\n", None),
        (b"", None),
    ],
)
async def test_whatever_a_receiver_answers_is_an_answer_or_a_failure(sqlite_hub, answer, status):
    hub = sqlite_hub
    async with (
        FaultServer(says(answer, then="close" if not answer else "stall")) as server,
        sending(hub, timeouts={"first_byte": 0.5}) as man,
    ):
        made = endpoint(hub, f"http://127.0.0.1:{server.port}/")
        happen(hub)
        await asyncio.wait_for(man.run(), 5)
        (delivery,) = sent(hub, made)
        taken = status is not None and status < 300
        assert (delivery.status, delivery.attempts) == (status, 1)
        assert (delivery.delivered_us is not None) is taken
        assert (delivery.error is None) is taken


async def test_what_cannot_be_sent_keeps_nothing_else_from_being_sent(hub):
    other = Keyring(b"o" * 32, key_id="other", randbytes=hub.randbytes)
    async with FaultServer(keeps_alive) as server, sending(hub) as man:
        url = f"http://127.0.0.1:{server.port}/"
        ours, hub.keyring = hub.keyring, other
        sealed_elsewhere = endpoint(hub, url)
        hub.keyring = ours
        good = endpoint(hub, url)
        broken = happen(hub, payload="{")
        event = happen(hub)
        await man.run()
        assert [(d.event_id, d.state) for d in sent(hub, good)] == [
            (broken, State.PENDING),
            (event, State.DELIVERED),
        ]
        assert {d.error for d in sent(hub, sealed_elsewhere)} == {
            "its secret does not open under this hub's key"
        }


async def test_a_closed_port_is_a_failure_and_a_removed_endpoint_gets_nothing(hub):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    async with sending(hub) as man:
        made = endpoint(hub, f"http://127.0.0.1:{port}/")
        happen(hub)
        await man.run()
        assert "refused" in sent(hub, made)[0].error
        with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
            webhooks.remove(change, webhooks.find(change.connection, made))
        hub.clock.advance(10)
        happen(hub)
        assert outbox(hub).waiting()  # an event that is to be handed to nobody
        await man.run()
        assert not outbox(hub).waiting()
        assert [each.state for each in sent(hub, made)] == [State.FAILED]
        with reading(hub.engine) as view:
            secret = view.execute(select(schema.webhook_endpoint.c.sealed_secret)).scalar_one()
        assert secret == b""


async def test_nothing_is_sent_while_another_process_does(hub):
    @asynccontextmanager
    async def not_alone():
        yield False

    async with FaultServer(keeps_alive) as server, calling() as client:
        endpoint(hub, f"http://127.0.0.1:{server.port}/")
        happen(hub)
        man = Postman(outbox(hub), hub.clock, connect=lambda: client, alone=not_alone)
        await man.run()
        assert server.requests == []


def test_events_of_long_ago_are_deleted_with_their_deliveries(hub):
    box = outbox(hub)
    endpoint(hub, "https://example.com/")
    happen(hub)
    box.route()
    hub.clock.us += EVENTS_KEPT_US
    kept = happen(hub)
    box.route()
    assert box.prune() == 1
    assert box.prune() == 0
    with reading(hub.engine) as view:
        assert view.execute(select(schema.event.c.id)).scalars().all() == [kept]
        count = select(func.count()).select_from(schema.webhook_delivery)
        assert view.execute(count).scalar_one() == 1


def test_an_event_without_an_id_of_its_kind_is_refused(hub):
    with pytest.raises(Exception, match="ck_event_id"), writing(hub.engine) as connection:
        connection.execute(
            insert(schema.event).values(id="key:1/50", type="x", payload="{}", created_us=1)
        )
