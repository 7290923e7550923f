"""Two things in one turn of the event loop: the orders a real network rarely shows."""

import asyncio

import pytest
from tests.faults.fault_server import SHORT, FaultServer, call, calling, keeps_alive, until

from aigne_hub.transport import ConnectFailed, ConnectTimeout, Timeouts, TransportClosed
from aigne_hub.transport.connection import Connection
from aigne_hub.transport.dial import Dialer, system_resolver
from aigne_hub.transport.pool import Pool
from aigne_hub.transport.tls import verified_context


async def taken(client, server):
    """Return the pool and its only connection, taken as if an exchange used it."""
    await (await call(client, server)).read()
    (pool,) = client._pools.values()
    return pool, pool.take(asyncio.get_running_loop().time())


async def waiting(pool, *, fresh=False):
    task = asyncio.ensure_future(pool.place(fresh=fresh))
    await asyncio.sleep(0)
    assert not task.done()
    return task


async def test_a_place_granted_to_a_caller_that_leaves_goes_back():
    async with FaultServer(keeps_alive) as server:
        pool = Pool(server.origin(), 1)
        assert await pool.place(fresh=False) is None
        leaving = await waiting(pool)
        staying = await waiting(pool)
        pool.forfeit()
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert await staying is None
        pool.forfeit()
        assert pool.unused


async def test_a_connection_handed_to_a_caller_that_leaves_goes_back():
    async with FaultServer(keeps_alive) as server, calling(connections_max=1) as client:
        pool, connection = await taken(client, server)
        leaving = await waiting(pool)
        pool.release(connection)
        leaving.cancel()
        with pytest.raises(asyncio.CancelledError):
            await leaving
        assert client.idle_now == 1


async def test_a_connection_that_dies_on_its_way_to_a_caller_is_replaced_by_its_place():
    async with FaultServer(keeps_alive) as server, calling(connections_max=1) as client:
        pool, connection = await taken(client, server)
        task = await waiting(pool)
        pool.release(connection)
        connection.abort()
        assert await task is None
        pool.forfeit()
        assert pool.unused


async def test_who_needs_a_new_connection_gets_the_place_of_a_released_one():
    async with FaultServer(keeps_alive) as server, calling(connections_max=1) as client:
        pool, connection = await taken(client, server)
        task = await waiting(pool, fresh=True)
        pool.release(connection)
        assert await task is None
        assert connection.closed
        await asyncio.wait_for(connection.gone, 1)
        assert not pool.unused
        pool.forfeit()
        assert pool.unused


async def test_a_retry_behind_a_waiting_caller_still_gets_a_new_connection():
    async def stale(peer):
        await peer.request()
        await peer.respond()
        await peer.request()
        await asyncio.sleep(0.05)

    async with (
        FaultServer(stale, keeps_alive) as server,
        calling(connections_max=1) as client,
    ):
        await (await call(client, server, b"first")).read()
        retried = asyncio.ensure_future(call(client, server, b"retried"))
        await asyncio.sleep(0.02)
        queued = asyncio.ensure_future(call(client, server, b"queued"))
        for task in (queued, retried):
            assert await (await task).read() == b"ok"
        assert server.requests == [
            (1, b"first"),
            (1, b"retried"),
            (2, b"queued"),
            (3, b"retried"),
        ]


async def test_a_connection_that_is_over_before_its_first_request_was_never_made():
    made = []

    class Departed(Connection):
        __slots__ = ()

        def connection_made(self, transport):
            super().connection_made(transport)
            # uvloop adopts the socket after this callback: not before that can it close it.
            loop.call_soon(self.abort)
            made.append(self)

    async with FaultServer(keeps_alive) as server:
        loop = asyncio.get_running_loop()
        pool = Pool(server.origin(), 1)

        def factory():
            return Departed(pool, loop, timeouts=Timeouts(), keep_alive_s=1, body_max=1)

        dialer = Dialer(context=verified_context(None), proxy=None, resolver=system_resolver)
        with pytest.raises(ConnectFailed, match="closed the new connection"):
            await dialer.dial(server.origin(), factory, deadline=loop.time() + 1)
        await made[0].gone
        assert pool.unused


async def test_a_client_closed_while_it_connects_keeps_nothing():
    gate = asyncio.Event()

    async def slow(host, port):
        await gate.wait()
        return await system_resolver(host, port)

    async with FaultServer(keeps_alive) as server, calling(resolver=slow) as client:
        task = asyncio.ensure_future(call(client, server))
        await asyncio.sleep(0.02)
        await client.close()
        gate.set()
        with pytest.raises(TransportClosed):
            await task
        assert server.requests == []
        await until(lambda: client._ticker is None or client._ticker.cancelled())


async def test_the_queue_of_one_origin_is_bounded(monkeypatch):
    monkeypatch.setattr("aigne_hub.transport.pool.WAITERS_MAX", 2)
    async with (
        FaultServer(keeps_alive) as server,
        calling(connections_max=1, timeouts=SHORT) as client,
    ):
        _, connection = await taken(client, server)
        queued = [asyncio.ensure_future(call(client, server)) for _ in range(2)]
        await asyncio.sleep(0)
        with pytest.raises(ConnectFailed, match="wait already"):
            await call(client, server)
        for task in queued:
            with pytest.raises(ConnectTimeout):
                await task
        connection.abort()
        assert await (await call(client, server)).read() == b"ok"


async def test_what_expired_or_closed_between_two_ticks_is_not_taken():
    async with FaultServer(keeps_alive) as server, calling() as client:
        pool, connection = await taken(client, server)
        pool.release(connection)
        assert pool.take(connection.deadline) is None
        assert connection.closed
        pool, connection = await taken(client, server)
        pool.release(connection)
        connection.abort()
        assert pool.take(0.0) is None
        await connection.gone
        assert client.open_now == client.idle_now == 0


async def test_each_event_loop_is_really_the_one_the_test_is_named_after(request):
    kind = type(asyncio.get_running_loop()).__module__.partition(".")[0]
    assert f"[{kind}" in request.node.name
