"""Correct responses, however they are framed and however the network cuts them."""

import asyncio

import pytest
from tests.faults.fault_server import (
    SHORT,
    FaultServer,
    call,
    calling,
    head_for,
    keeps_alive,
    says,
    until,
)

from aigne_hub.transport import BodyTooLarge, TransportClosed
from aigne_hub.transport.answer import UNREAD_MAX

READ_MAX = 256 * 1024  # the most one read of either event loop delivers

FRAMINGS = {
    "chunked": (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n7;ext=1\r\n, world\r\n0\r\n\r\n"
    ),
    "chunked with trailers": (
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\ntransfer-encoding: chunked\r\n\r\n"
        b"c\r\nhello, world\r\n0\r\nx-a: trailer\r\nstatus: 500\r\n\r\n"
    ),
    "length": b"HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 12\r\n\r\nhello, world",
    "interim first": (
        b"HTTP/1.1 100 Continue\r\nx-a: no\r\n\r\nHTTP/1.1 103 Early Hints\r\nx-a: no\r\n\r\n"
        b"HTTP/1.1 200 OK\r\nX-A: 1\r\ncontent-length: 12\r\n\r\nhello, world"
    ),
}


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_response_split_at_every_byte_is_the_same_response(framing):
    response = FRAMINGS[framing]

    async def split(peer):
        for place in range(1, len(response)):
            await peer.request()
            await peer.send(response[:place])
            await asyncio.sleep(0.001)
            await peer.send(response[place:])

    async with FaultServer(split) as server, calling() as client:
        for _ in range(1, len(response)):
            answer = await call(client, server)
            assert (answer.status, answer.header(b"x-a")) == (200, b"1")
            assert await answer.read() == b"hello, world"
            assert answer.header(b"status") is None
        assert (client.opened, client.reused) == (1, len(response) - 2)


@pytest.mark.parametrize("framing", FRAMINGS)
async def test_a_response_in_single_bytes_is_the_same_response(framing):
    single = [bytes([byte]) for byte in FRAMINGS[framing]]
    async with FaultServer(says(*single)) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.read() == b"hello, world"


async def test_a_body_without_length_ends_with_the_connection():
    scenario = says(b"HTTP/1.1 200 OK\r\n\r\nhello", b", world", then="close")
    async with FaultServer(scenario) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.read() == b"hello, world"
        assert answer.complete
        await until(lambda: client.open_now == 0)


async def test_statuses_and_methods_without_a_body_leave_the_connection_usable():
    async def bodiless(peer):
        for status in (b"204 No Content", b"304 Not Modified", b"200 OK"):
            await peer.request()
            await peer.send(b"HTTP/1.1 %b\r\ncontent-length: 12\r\n\r\n" % status)
        await keeps_alive(peer)

    async with FaultServer(bodiless) as server, calling() as client:
        origin = server.origin()
        for status in (204, 304):
            answer = await client.send(origin, head_for(origin, "GET"))
            assert (answer.status, await answer.read()) == (status, b"")
        answer = await client.send(origin, head_for(origin, "HEAD"), head_only_method=True)
        assert (await answer.read(), answer.header(b"content-length")) == (b"", b"12")
        answer = await call(client, server)
        assert await answer.read() == b"ok"
        assert (client.opened, server.connections) == (1, 1)


async def test_the_request_arrives_exactly_as_built_with_its_length():
    seen = []

    async def record(peer):
        seen.append(await peer.head())
        await peer.respond()

    async with FaultServer(record) as server, calling() as client:
        origin = server.origin()
        await (await client.send(origin, head_for(origin), b"{}")).read()
    assert seen[0] == (
        b"POST /v1/chat HTTP/1.1\r\nhost: 127.0.0.1:%d\r\naccept-encoding: identity\r\n"
        b"content-type: application/json\r\nuser-agent: aigne-hub/0.1.0\r\n"
        b"content-length: 2\r\n\r\n" % server.port
    )


@pytest.mark.parametrize("size", [0, 1, 64 * 1024, 64 * 1024 + 1, 8_000_000])
async def test_request_bodies_of_every_size_arrive_whole(size):
    body = bytes(range(256)) * (size // 256 + 1)
    body = body[:size]
    async with FaultServer(keeps_alive) as server, calling() as client:
        answer = await call(client, server, body)
        assert await answer.read() == b"ok"
        assert server.requests[0][1] == body
        assert answer.request_sent


async def test_a_response_before_the_whole_request_is_delivered_and_not_reused():
    async def early(peer):
        await peer.head()
        await peer.respond(b"too much")
        await peer.stall()

    async with FaultServer(early) as server, calling() as client:
        answer = await call(client, server, b"x" * 30_000_000)
        assert answer.request_sent is False
        assert await answer.read() == b"too much"
        await until(lambda: (client.open_now, client.idle_now) == (0, 0))


async def test_an_encoded_body_passes_untouched():
    response = b"HTTP/1.1 200 OK\r\ncontent-encoding: br\r\ncontent-length: 3\r\n\r\n\x01\x02\x03"
    async with FaultServer(says(response)) as server, calling() as client:
        answer = await call(client, server)
        assert answer.header(b"content-encoding") == b"br"
        assert await answer.read() == b"\x01\x02\x03"


async def test_a_redirect_is_an_answer_like_any_other():
    response = b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n"
    async with FaultServer(says(response)) as server, calling() as client:
        assert (await call(client, server)).status == 302
        assert server.connections == 1


async def test_headers_keep_their_order_and_their_values():
    response = (
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a\r\nX-E:\r\nset-cookie:  b \r\ncontent-length: 0\r\n\r\n"
    )
    async with FaultServer(says(response)) as server, calling() as client:
        answer = await call(client, server)
        assert answer.headers == [
            (b"set-cookie", b"a"),
            (b"x-e", b""),
            (b"set-cookie", b"b"),
            (b"content-length", b"0"),
        ]
        assert answer.header(b"set-cookie") == b"a"
        assert answer.header(b"absent") is None


@pytest.mark.parametrize(
    "response",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\ncontent-length: 99999999\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + b"x" * 1001,
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n" + b"2\r\nxx\r\n" * 501,
    ],
)
async def test_a_body_above_the_limit_is_refused_and_the_connection_closed(response):
    closed_at = []

    async def scenario(peer):
        await peer.request()
        await peer.send(response)
        closed_at.append(await peer.eof())

    async with FaultServer(scenario) as server, calling(body_max=1000) as client:
        answer = await call(client, server)
        with pytest.raises(BodyTooLarge) as raised:
            await answer.read()
        assert raised.value.sent is True
    assert closed_at


async def test_a_body_of_exactly_the_limit_is_read():
    blocks = [b"HTTP/1.1 200 OK\r\n\r\n", b"x" * 600, b"x" * 400]
    async with (
        FaultServer(says(*blocks, then="close")) as server,
        calling(body_max=1000) as client,
    ):
        assert await (await call(client, server)).read() == b"x" * 1000


async def test_chunks_are_handed_over_as_they_arrive_and_joined_when_late():
    gate = asyncio.Event()

    async def scenario(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await gate.wait()
        for part in (b"1\r\nb\r\n", b"1\r\nc\r\n", b"0\r\n\r\n"):
            await peer.send(part)
            await asyncio.sleep(0.005)

    async with FaultServer(scenario) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.chunk() == b"a"
        assert answer.chunk_nowait() is None
        gate.set()
        await until(lambda: answer.complete)
        assert answer.chunk_nowait() == b"bc"
        assert await answer.chunk() is None
        assert await answer.chunk() is None
        assert await answer.read() == b""


async def test_a_slow_reader_stops_the_sender():
    size = 24 << 20
    peers = []

    async def flood(peer):
        peers.append(peer)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            await peer.send(b"x" * 65536)

    async with FaultServer(flood) as server, calling(body_max=size, timeouts=SHORT) as client:
        answer = await call(client, server)
        await until(lambda: answer.unread > UNREAD_MAX)
        await asyncio.sleep(0.2)
        stopped_at = peers[0].bytes_sent
        assert UNREAD_MAX < answer.unread <= UNREAD_MAX + READ_MAX
        # The silence is the reader's: it is longer than the idle bound and no error.
        await asyncio.sleep(0.25)
        assert peers[0].bytes_sent == stopped_at < size
        received = 0
        while (data := await answer.chunk()) is not None:
            assert len(data) <= UNREAD_MAX + READ_MAX
            received += len(data)
        assert received == size


async def test_closing_an_answer_ends_the_connection_at_once_and_wakes_its_reader():
    closed_at = []

    async def stream(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        closed_at.append(await peer.eof())

    async with FaultServer(stream) as server, calling() as client:
        answer = await call(client, server)
        assert await answer.chunk() == b"a"
        reading = asyncio.ensure_future(answer.chunk())
        await asyncio.sleep(0.02)
        answer.close()
        answer.close()
        with pytest.raises(TransportClosed):
            await reading
        with pytest.raises(TransportClosed):
            answer.chunk_nowait()
        await until(lambda: bool(closed_at))
        assert client.open_now == 0


async def test_closing_a_complete_answer_keeps_its_connection_and_its_body():
    async with FaultServer(keeps_alive) as server, calling() as client:
        answer = await call(client, server)
        answer.close()
        assert await answer.read() == b"ok"
        assert client.idle_now == 1
