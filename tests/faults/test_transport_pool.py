"""Connections: kept, shared, bounded, retried once, and never leaked."""

import asyncio
import time

import pytest
from tests.faults.fault_server import (
    FaultServer,
    call,
    calling,
    head_for,
    keeps_alive,
    until,
)

from aigne_hub.transport import (
    ConnectFailed,
    ConnectionCut,
    ConnectTimeout,
    Timeouts,
    TransportClosed,
)
from aigne_hub.transport.client import Client

STREAM = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n"


def closes_on_second_request(*, after: bytes, reset: bool = False):
    async def scenario(peer):
        await peer.request()
        await peer.respond()
        await peer.request()
        if after:
            await peer.send(after)
            await asyncio.sleep(0.02)
        if reset:
            peer.reset()

    return scenario


@pytest.mark.parametrize("reset", [False, True])
async def test_a_kept_connection_that_ends_without_a_byte_is_retried_on_a_new_one(reset):
    scenario = closes_on_second_request(after=b"", reset=reset)
    async with FaultServer(scenario, keeps_alive) as server, calling() as client:
        assert await (await call(client, server, b"1")).read() == b"ok"
        assert await (await call(client, server, b"2")).read() == b"ok"
        assert server.requests == [(1, b"1"), (1, b"2"), (2, b"2")]
        assert client.opened == 2


async def test_a_retry_happens_at_the_connection_limit_too():
    scenario = closes_on_second_request(after=b"")
    async with (
        FaultServer(scenario, keeps_alive) as server,
        calling(connections_max=1) as client,
    ):
        for body in (b"1", b"2", b"3"):
            assert await (await call(client, server, body)).read() == b"ok"
        assert client.open_now == 1


@pytest.mark.parametrize("after", [b"H", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_nothing_is_retried_once_a_byte_has_arrived(after):
    scenario = closes_on_second_request(after=after)
    async with FaultServer(scenario, keeps_alive) as server, calling() as client:
        await (await call(client, server, b"1")).read()
        with pytest.raises(ConnectionCut) as raised:
            await call(client, server, b"2")
        assert raised.value.sent is True
        assert server.requests == [(1, b"1"), (1, b"2")]


async def test_a_retry_is_not_retried():
    async def end_at_once(peer):
        await peer.request()

    scenario = closes_on_second_request(after=b"")
    async with FaultServer(scenario, end_at_once) as server, calling() as client:
        await (await call(client, server, b"1")).read()
        with pytest.raises(ConnectionCut):
            await call(client, server, b"2")
        assert server.requests == [(1, b"1"), (1, b"2"), (2, b"2")]


async def test_a_new_connection_that_ends_is_not_retried():
    async def end_at_once(peer):
        await peer.request()

    async with FaultServer(end_at_once) as server, calling() as client:
        with pytest.raises(ConnectionCut):
            await call(client, server)
        assert len(server.requests) == 1


async def test_the_most_recent_connection_is_reused_first():
    async with FaultServer(keeps_alive) as server, calling() as client:
        answers = await asyncio.gather(*(call(client, server) for _ in range(3)))
        assert [await answer.read() for answer in answers] == [b"ok"] * 3
        last = server.last_number()
        for _ in range(5):
            await (await call(client, server)).read()
            assert server.last_number() == last
        assert (client.opened, client.reused, client.idle_now) == (3, 5, 3)


async def test_a_connection_is_not_kept_beyond_its_time():
    async with FaultServer(keeps_alive) as server, calling(idle_s=0.1) as client:
        await (await call(client, server)).read()
        assert client.idle_now == 1
        await until(lambda: client.open_now == 0)
        await (await call(client, server)).read()
        assert client.opened == 2


@pytest.mark.parametrize("closing", [b"connection: close", b"Connection: Close"])
async def test_a_connection_the_server_closes_is_not_kept(closing):
    async def once(peer):
        await peer.request()
        await peer.respond(b"ok", closing)
        await peer.eof()

    async with FaultServer(once) as server, calling() as client:
        for _ in range(3):
            assert await (await call(client, server)).read() == b"ok"
        assert (client.opened, client.reused) == (3, 0)


@pytest.mark.parametrize("pause", [0, 0.03])
@pytest.mark.parametrize(
    "junk", [b"H", b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nevil", b"\0\0"]
)
async def test_bytes_nobody_asked_for_end_the_connection(pause, junk):
    async def chatty(peer):
        await peer.request()
        await peer.send(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok" + (b"" if pause else junk)
        )
        await asyncio.sleep(pause)
        if pause:
            await peer.send(junk)
        await peer.eof()

    async with FaultServer(chatty, keeps_alive) as server, calling() as client:
        assert await (await call(client, server, b"1")).read() == b"ok"
        await until(lambda: client.open_now == 0)
        assert await (await call(client, server, b"2")).read() == b"ok"
        assert server.requests == [(1, b"1"), (2, b"2")]


async def test_the_limit_holds_and_waiting_callers_are_served_in_order():
    at_once = most = 0

    async def counted(peer):
        nonlocal at_once, most
        while True:
            await peer.request()
            at_once += 1
            most = max(most, at_once)
            await asyncio.sleep(0.005)
            at_once -= 1
            await peer.respond()

    async with FaultServer(counted) as server, calling(connections_max=3) as client:
        finished = []

        async def one(number):
            await (await call(client, server, b"%d" % number)).read()
            finished.append(number)

        await asyncio.gather(*(one(number) for number in range(30)))
        assert most == 3
        assert client.opened == 3
        arrived = [int(body) for _, body in server.requests]
        assert all(abs(place - number) < 3 for place, number in enumerate(arrived))
        assert sorted(finished) == list(range(30))


async def test_waiting_for_a_connection_counts_as_connecting():
    async def hold(peer):
        await peer.request()
        await peer.send(STREAM)
        await peer.eof()

    async with (
        FaultServer(hold) as server,
        calling(connections_max=1, timeouts={"connect": 0.2}) as client,
    ):
        answer = await call(client, server)
        started = time.monotonic()
        with pytest.raises(ConnectTimeout) as raised:
            await call(client, server)
        assert time.monotonic() - started > 0.15
        assert raised.value.sent is False
        answer.close()
        assert (await call(client, server)).status == 200


async def test_a_waiting_caller_that_leaves_takes_nothing_with_it():
    gate = asyncio.Event()

    async def gated(peer):
        while True:
            await peer.request()
            await gate.wait()
            await peer.respond()

    async with (
        FaultServer(gated) as server,
        calling(connections_max=1) as client,
    ):
        first = asyncio.ensure_future(call(client, server, b"1"))
        await asyncio.sleep(0.02)
        leaving = [asyncio.ensure_future(call(client, server, b"left")) for _ in range(3)]
        staying = asyncio.ensure_future(call(client, server, b"2"))
        await asyncio.sleep(0.02)
        leaving[0].cancel()
        gate.set()
        await first
        # The release of the first connection and these cancellations meet in one turn.
        for task in leaving[1:]:
            task.cancel()
        assert await (await staying).read() == b"ok"
        await asyncio.gather(*leaving, return_exceptions=True)
        assert client.open_now == client.idle_now == 1


async def test_three_hundred_abandoned_streams_leave_no_connection_behind():
    async def stream(peer):
        await peer.request()
        await peer.send(STREAM)
        await peer.eof()

    async with FaultServer(stream) as server, calling(connections_max=2) as client:
        for number in range(300):
            answer = await call(client, server)
            if number % 3 == 0:
                answer.close()
            elif number % 3 == 1:
                assert await answer.chunk() == b"a"
                answer.close()
            else:
                reader = asyncio.ensure_future(answer.read())
                await asyncio.sleep(0)
                reader.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await reader
        await asyncio.sleep(0.02)
        assert client.open_now == 0
        assert client.opened == server.connections == 300


@pytest.mark.parametrize("stage", ["head", "body", "whole body"])
async def test_cancelling_a_caller_closes_its_connection_at_once(stage):
    closed_at = []

    async def scenario(peer):
        await peer.request()
        if stage != "head":
            await peer.send(STREAM)
        closed_at.append(await peer.eof())

    async def caller():
        answer = await call(client, server)
        while await (answer.chunk() if stage == "body" else answer.read()):
            pass

    async with FaultServer(scenario) as server, calling() as client:
        task = asyncio.ensure_future(caller())
        await asyncio.sleep(0.05)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: bool(closed_at))
        assert client.open_now == 0


async def test_closing_the_client_ends_what_is_under_way_and_what_waits():
    async def stream(peer):
        await peer.request()
        await peer.send(STREAM)
        await peer.eof()

    async with FaultServer(stream) as server, calling(connections_max=1) as client:
        answer = await call(client, server)
        await answer.chunk()
        reading = asyncio.ensure_future(answer.chunk())
        waiting = asyncio.ensure_future(call(client, server))
        await asyncio.sleep(0.02)
        await client.close()
        for task in (reading, waiting):
            with pytest.raises(TransportClosed):
                await task
        with pytest.raises(TransportClosed):
            await call(client, server)
        await client.close()


async def test_an_origin_nobody_calls_any_more_is_forgotten():
    async with FaultServer(keeps_alive) as server, calling(idle_s=0.05) as client:
        await (await call(client, server)).read()
        assert len(client._pools) == 1
        await until(lambda: not client._pools)
        assert client._ticker is None
        await (await call(client, server)).read()
        assert client._ticker is not None


async def test_a_peer_that_is_gone_when_the_connection_is_made_costs_no_place():
    async with calling(connections_max=1) as client:
        async with FaultServer(keeps_alive) as server:
            origin = server.origin()
        for _ in range(3):
            with pytest.raises(ConnectFailed):
                await client.send(origin, head_for(origin))


@pytest.mark.parametrize(
    "wrong",
    [{"body_max": 0}, {"connections_max": 0}, {"idle_s": 0}, {"proxy": "socks5://127.0.0.1:1"}],
)
def test_a_client_refuses_limits_that_mean_nothing(wrong):
    with pytest.raises(ValueError, match=r"positive|proxy"):
        Client(**({"timeouts": Timeouts(), "body_max": 1} | wrong))


@pytest.mark.parametrize("name", ["connect", "first_byte", "idle", "total"])
@pytest.mark.parametrize("seconds", [0, -1, float("nan")])
def test_a_timeout_must_be_positive(name, seconds):
    with pytest.raises(ValueError, match=name):
        Timeouts(**{name: seconds})
