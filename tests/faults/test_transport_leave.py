"""Answers that their reader leaves: what matters was read, and the end may still be on its way."""

import asyncio

import pytest
from tests.faults.fault_server import FaultServer, call, calling, until

from aigne_hub.transport.connection import LEAVE_MAX

HEAD = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nover\r\n"
LAST = b"0\r\n\r\n"


def ends(*, after: asyncio.Event, with_: bytes):
    """Answer each request, and end the answer once the event is set."""

    async def scenario(peer):
        while True:
            await peer.request()
            await peer.send(HEAD)
            await after.wait()
            await peer.send(with_)

    return scenario


@pytest.mark.parametrize("rest", [LAST, b"3\r\nand\r\n" + LAST])
async def test_a_connection_whose_end_comes_soon_is_used_again(rest):
    end = asyncio.Event()
    async with FaultServer(ends(after=end, with_=rest)) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.chunk() == b"over"
        answer.leave()
        assert (client.open_now, client.idle_now) == (1, 0)
        end.set()
        await until(lambda: client.idle_now == 1)
        again = await call(client, server)
        assert (await again.read()).startswith(b"over")
        assert (client.opened, client.reused) == (1, 1)


async def test_a_connection_whose_end_does_not_come_is_closed():
    never = asyncio.Event()
    async with FaultServer(ends(after=never, with_=LAST)) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.chunk() == b"over"
        answer.leave()
        await until(lambda: client.open_now == 0)
        never.set()


async def test_an_answer_that_goes_on_is_not_waited_for():
    more = b"%x\r\n%b\r\n" % (LEAVE_MAX + 1, bytes(LEAVE_MAX + 1))
    end = asyncio.Event()
    async with FaultServer(ends(after=end, with_=more)) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.chunk() == b"over"
        answer.leave()
        end.set()
        await until(lambda: client.open_now == 0)
        assert client.opened == 1


async def test_leaving_an_answer_that_is_complete_is_nothing():
    end = asyncio.Event()
    end.set()
    async with FaultServer(ends(after=end, with_=LAST)) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.read() == b"over"
        answer.leave()
        assert (client.open_now, client.idle_now) == (1, 1)
