"""Tunnels through a proxy, and what a proxy can do wrong."""

import asyncio
import socket
import ssl

import pytest
import trustme
from tests.faults.fault_server import SHORT, FaultServer, call, calling, keeps_alive, until

from aigne_hub.transport import ConnectFailed, ConnectTimeout
from aigne_hub.transport.proxy import REPLY_MAX, Proxy

ESTABLISHED = b"HTTP/1.1 200 Connection established\r\n\r\n"


def tunnelling(asked, port=None):
    async def scenario(peer):
        asked.append(await peer.head())
        await peer.send(ESTABLISHED)
        await (keeps_alive(peer) if port is None else peer.pipe(port))

    return scenario


async def test_a_tunnel_is_asked_for_once_and_then_carries_every_request():
    asked = []
    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(tunnelling(asked)) as proxy,
        calling(proxy=f"http://us%65r:p%40ss@127.0.0.1:{proxy.port}") as client,
    ):
        for _ in range(3):
            assert await (await call(client, origin)).read() == b"ok"
        assert origin.connections == 0
        assert proxy.connections == 1
        target = f"127.0.0.1:{origin.port}".encode()
        assert asked == [
            b"CONNECT %b HTTP/1.1\r\nhost: %b\r\n" % (target, target)
            + b"proxy-authorization: Basic dXNlcjpwQHNz\r\n\r\n"
        ]


async def test_a_secure_origin_is_verified_through_the_tunnel():
    authority = trustme.CA()
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    served = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("localhost").configure_cert(served)
    asked = []
    async with (
        FaultServer(keeps_alive, tls=served) as origin,
        FaultServer(tunnelling(asked, origin.port)) as proxy,
        calling(proxy=f"http://127.0.0.1:{proxy.port}", ssl_context=trusting) as client,
    ):
        answer = await call(client, origin, host="localhost", scheme="https")
        assert await answer.read() == b"ok"
        assert asked[0].startswith(b"CONNECT localhost:%d " % origin.port)
        assert b"authorization" not in asked[0]
        with pytest.raises(ConnectFailed, match="certificate"):
            await call(client, origin, host="127.0.0.1", scheme="https")


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "status 407"),
        (b"HTTP/1.1 502 Bad Gateway\r\ncontent-length: 2\r\n\r\nno", "status 502"),
        (b"HTTP/1.1 302 Found\r\nlocation: http://x/\r\n\r\n", "status 302"),
        (b"SSH-2.0-OpenSSH\r\n\r\n", "HTTP/1.1"),
        (b"HTTP/1.1 200 OK\r\n", "complete"),
        (b"", "complete"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"a" * REPLY_MAX, "complete"),
        (ESTABLISHED + b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n", "after its response"),
    ],
)
async def test_a_proxy_that_refuses_or_lies_fails_the_connection(reply, reason):
    async def scenario(peer):
        await peer.head()
        await peer.send(reply)

    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(scenario) as proxy,
        calling(proxy=f"http://user:secret@127.0.0.1:{proxy.port}", connections_max=1) as client,
    ):
        for _ in range(2):
            with pytest.raises(ConnectFailed, match=reason) as raised:
                await call(client, origin)
            assert raised.value.sent is False
            assert "secret" not in raised.value.message


async def test_a_silent_proxy_is_a_connect_timeout_and_is_left():
    closed = []

    async def silent(peer):
        closed.append(await peer.eof())

    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(silent) as proxy,
        calling(proxy=f"http://127.0.0.1:{proxy.port}", timeouts=SHORT) as client,
    ):
        with pytest.raises(ConnectTimeout):
            await call(client, origin)
        await until(lambda: bool(closed))


async def test_a_caller_that_leaves_while_the_proxy_thinks_closes_the_connection():
    closed = []

    async def silent(peer):
        closed.append(await peer.eof())

    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(silent) as proxy,
        calling(proxy=f"http://127.0.0.1:{proxy.port}") as client,
    ):
        task = asyncio.ensure_future(call(client, origin))
        await until(lambda: proxy.connections == 1)
        await asyncio.sleep(0.02)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await until(lambda: bool(closed))


async def test_a_guarded_name_is_checked_here_and_tunnelled_by_address():
    asked = []
    answers = {"inside.test": "127.0.0.1", "outside.test": "93.184.216.34"}

    async def resolver(host, port):
        return [(socket.AF_INET, (answers.get(host, "127.0.0.1"), port))]

    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(tunnelling(asked)) as proxy,
        calling(proxy=f"http://127.0.0.1:{proxy.port}", resolver=resolver) as client,
    ):
        with pytest.raises(ConnectFailed, match="no address the hub may call"):
            await call(client, origin, host="inside.test", trusted=False)
        assert proxy.connections == 0
        # The "outside" is the fault proxy itself: nothing leaves this machine.
        answer = await call(client, origin, host="outside.test", trusted=False)
        assert await answer.read() == b"ok"
        assert asked[0].startswith(b"CONNECT 93.184.216.34:%d " % origin.port)


@pytest.mark.parametrize(
    "url",
    [
        "https://127.0.0.1:3128",
        "http://127.0.0.1:3128/path",
        "socks5://secret:secret@127.0.0.1:1080",
        "http://secret:secret@",
        "127.0.0.1:3128",
        "http://secret@127.0.0.1:99999",
    ],
)
def test_a_proxy_url_that_cannot_work_is_refused_without_its_credentials(url):
    with pytest.raises(ValueError, match="proxy URL") as raised:
        Proxy.parse(url)
    assert "secret" not in str(raised.value)


def test_a_proxy_does_not_show_its_credentials():
    assert "c2VjcmV0" not in repr(Proxy.parse("http://secret:secret@127.0.0.1:3128"))


async def test_a_host_that_is_reached_directly_never_meets_the_proxy():
    asked = []
    async with (
        FaultServer(keeps_alive) as origin,
        FaultServer(tunnelling(asked)) as proxy,
        calling(proxy=f"http://127.0.0.1:{proxy.port}", direct=frozenset({"127.0.0.1"})) as client,
    ):
        assert await (await call(client, origin)).read() == b"ok"
        assert origin.connections == 1
        assert asked == []
