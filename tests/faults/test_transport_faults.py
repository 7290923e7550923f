"""Fault families: what a peer can do wrong, and the one error each of them becomes."""

import asyncio
import socket
import time

import pytest
from tests.faults.fault_server import SHORT, FaultServer, call, calling, head_for, says, until

from aigne_hub.transport import (
    ConnectFailed,
    ConnectionCut,
    ConnectTimeout,
    FirstByteTimeout,
    IdleTimeout,
    Origin,
    ProtocolError,
    TotalTimeout,
)

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
LENGTH_10 = OK + b"content-length: 10\r\n\r\n"


HEAD_FAULTS = {
    "silence": (says(), FirstByteTimeout),
    "reset before the head": (says(then="reset"), ConnectionCut),
    "end before the head": (says(then="close"), ConnectionCut),
    "part of a head, then the end": (says(OK + b"conte", then="close"), ConnectionCut),
    "part of a head, then silence": (says(OK + b"conte"), FirstByteTimeout),
    "a head that drips": (says(*[OK, *[b"x: 1\r\n"] * 200]), FirstByteTimeout),
    "one header of 70 KiB": (says(OK + b"x: " + b"a" * 70_000), ProtocolError),
    "one header of 70 KiB, complete": (
        says(OK + b"x: " + b"a" * 70_000 + b"\r\ncontent-length: 0\r\n\r\n"),
        ProtocolError,
    ),
    "an endless reason": (says(b"HTTP/1.1 200 " + b"a" * 70_000), ProtocolError),
    "5,000 headers": (says(OK + b"a: b\r\n" * 5000 + b"\r\n"), ProtocolError),
    "201 headers": (says(OK + b"a: b\r\n" * 201 + b"\r\n"), ProtocolError),
    "endless interim responses": (says(b"HTTP/1.1 103 Hint\r\n\r\n" * 4000), ProtocolError),
    "a switch of protocols": (
        says(b"HTTP/1.1 101 Go\r\nupgrade: x\r\nconnection: upgrade\r\n\r\nhello"),
        ProtocolError,
    ),
    "an interim response with a body": (
        says(b"HTTP/1.1 104 X\r\ncontent-length: 2\r\n\r\nhi" + OK + b"content-length: 0\r\n\r\n"),
        ProtocolError,
    ),
    "status 099": (says(b"HTTP/1.1 099 No\r\ncontent-length: 0\r\n\r\n"), ProtocolError),
    "status 999": (says(b"HTTP/1.1 999 No\r\ncontent-length: 0\r\n\r\n"), ProtocolError),
    "another protocol": (says(b"SSH-2.0-OpenSSH_9.2\r\n"), ProtocolError),
    "length and chunked": (
        says(
            OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        ProtocolError,
    ),
    "chunked and length": (
        says(
            OK + b"transfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n5\r\nhello\r\n0\r\n\r\n"
        ),
        ProtocolError,
    ),
    "two lengths": (
        says(OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!"),
        ProtocolError,
    ),
    "a signed length": (says(OK + b"content-length: +5\r\n\r\nhello"), ProtocolError),
    "another transfer coding": (
        says(OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n"),
        ProtocolError,
    ),
    "NUL in a header": (says(OK + b"x: a\0b\r\n\r\n"), ProtocolError),
    "a folded header": (says(OK + b"content-length: 0\r\n x: 1\r\n\r\n"), ProtocolError),
    "bare line feeds": (says(b"HTTP/1.1 200 OK\ncontent-length: 0\n\n"), ProtocolError),
}


@pytest.mark.parametrize("fault", HEAD_FAULTS)
async def test_a_bad_head_is_one_typed_error_and_closes_the_connection(fault):
    scenario, error = HEAD_FAULTS[fault]
    async with FaultServer(scenario) as server, calling(timeouts=SHORT) as client:
        with pytest.raises(error) as raised:
            await call(client, server)
        assert type(raised.value) is error
        assert raised.value.sent is True
        assert "\n" not in raised.value.message
        assert len(server.requests) == 1
        await until(lambda: client.open_now == 0)


BODY_FAULTS = {
    "a short length": (says(LENGTH_10 + b"half.", then="close"), b"half.", ConnectionCut),
    "a reset in the body": (says(LENGTH_10 + b"half.", then="reset"), b"half.", ConnectionCut),
    "silence in the body": (says(LENGTH_10, b"half."), b"half.", IdleTimeout),
    "silence before the body": (says(LENGTH_10), b"", IdleTimeout),
    "a bad chunk size": (says(CHUNKED + b"5\r\nhello\r\nZZ\r\n"), b"hello", ProtocolError),
    "a signed chunk size": (says(CHUNKED + b"+5\r\nhello\r\n"), b"", ProtocolError),
    "a huge chunk size": (says(CHUNKED + b"f" * 20 + b"\r\nhello"), b"", ProtocolError),
    "a chunk longer than it says": (says(CHUNKED + b"2\r\nhello\r\n"), b"he", ProtocolError),
    "half a chunk": (says(CHUNKED + b"a\r\nhalf.", then="close"), b"half.", ConnectionCut),
    "no last chunk": (says(CHUNKED + b"5\r\nhello\r\n", then="close"), b"hello", ConnectionCut),
    "no end after the last chunk": (
        says(CHUNKED + b"5\r\nhello\r\n0\r\n", then="close"),
        b"hello",
        ConnectionCut,
    ),
    "an endless chunk extension": (says(CHUNKED + b"5;" + b"x" * 600_000), b"", ProtocolError),
    "endless trailers": (says(CHUNKED + b"0\r\n" + b"x: 1\r\n" * 99_000), b"", ProtocolError),
}


async def drain(answer, body):
    while (data := await answer.chunk()) is not None:
        body += data


@pytest.mark.parametrize("fault", BODY_FAULTS)
async def test_a_bad_body_yields_what_arrived_and_then_one_typed_error(fault):
    scenario, arrived, error = BODY_FAULTS[fault]
    async with FaultServer(scenario) as server, calling(timeouts=SHORT) as client:
        answer = await call(client, server)
        assert answer.status == 200
        body = bytearray()
        with pytest.raises(error) as raised:
            await drain(answer, body)
        assert type(raised.value) is error
        assert raised.value.sent is True
        assert body == arrived
        with pytest.raises(error):
            await answer.read()
        with pytest.raises(error):
            answer.chunk_nowait()
        await until(lambda: client.open_now == 0)


async def test_a_refused_connection_fails_without_having_sent():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        origin = Origin.parse(f"http://127.0.0.1:{unused.getsockname()[1]}", trusted=True)
        async with calling() as client:
            with pytest.raises(ConnectFailed, match="refused") as raised:
                await client.send(origin, head_for(origin))
            assert raised.value.sent is False


async def test_a_peer_that_never_accepts_is_a_connect_timeout():
    # A full backlog drops the handshake, as a firewall would.
    with socket.socket() as listener, socket.socket() as first, socket.socket() as second:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for filler in (first, second):
            filler.setblocking(False)
            filler.connect_ex(listener.getsockname())
        origin = Origin.parse(f"http://127.0.0.1:{listener.getsockname()[1]}", trusted=True)
        async with calling(timeouts=SHORT) as client:
            started = time.monotonic()
            with pytest.raises(ConnectTimeout) as raised:
                await client.send(origin, head_for(origin))
            assert time.monotonic() - started > 0.15
            assert raised.value.sent is False


async def test_an_unknown_name_fails_without_having_sent():
    async def nowhere(host, port):
        raise socket.gaierror(socket.EAI_NONAME, "no such name")

    async with calling(resolver=nowhere) as client:
        origin = Origin.parse("http://nowhere.invalid", trusted=True)
        with pytest.raises(ConnectFailed, match="no address") as raised:
            await client.send(origin, head_for(origin))
        assert raised.value.sent is False


async def test_the_next_address_is_tried_when_the_first_refuses():
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        async with FaultServer(says(OK + b"content-length: 2\r\n\r\nok")) as server:

            async def two_addresses(host, port):
                return [
                    (socket.AF_INET, unused.getsockname()),
                    (socket.AF_INET, ("127.0.0.1", port)),
                ]

            async with calling(resolver=two_addresses) as client:
                answer = await call(client, server, host="two.test")
                assert await answer.read() == b"ok"


async def test_a_name_is_resolved_again_for_every_new_connection():
    async with FaultServer(says(OK + b"content-length: 0\r\nconnection: close\r\n\r\n")) as server:
        asked = []

        async def moving(host, port):
            asked.append(host)
            return [(socket.AF_INET, ("127.0.0.1", port))] if len(asked) == 1 else []

        async with calling(resolver=moving) as client:
            answer = await call(client, server, host="moving.test")
            assert await answer.read() == b""
            with pytest.raises(ConnectFailed):
                await call(client, server, host="moving.test")


async def test_a_slow_drip_is_fine_until_the_total_is_reached():
    drip = says(LENGTH_10, *[b"x"] * 10)

    async def slow(peer):
        await peer.request()
        await peer.send(OK + b"content-length: 1000\r\n\r\n")
        for _ in range(1000):
            await peer.send(b"x")
            await asyncio.sleep(0.04)

    async with FaultServer(drip, slow) as server:
        async with calling() as client:
            assert await (await call(client, server)).read() == b"x" * 10
        async with calling(timeouts={"total": 0.4}) as client:
            started = time.monotonic()
            answer = await call(client, server)
            with pytest.raises(TotalTimeout):
                await answer.read()
            assert time.monotonic() - started > 0.35


async def test_the_idle_bound_follows_the_last_byte_not_the_first_byte_bound():
    async with (
        FaultServer(says(CHUNKED + b"5\r\nhello\r\n")) as server,
        calling(timeouts={"first_byte": 3600, "idle": 0.1}) as client,
    ):
        answer = await call(client, server)
        with pytest.raises(IdleTimeout):
            await answer.read()
