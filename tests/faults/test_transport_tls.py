"""TLS: verified always, and never a reason to hang or to leak."""

import asyncio
import datetime as dt
import ssl

import pytest
import trustme
from tests.faults.fault_server import SHORT, FaultServer, call, calling, keeps_alive, until

from aigne_hub.transport import ConnectFailed, ConnectionCut, ConnectTimeout

NOW = dt.datetime.now(dt.UTC)
DAY = dt.timedelta(days=1)


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def trusting(authority):
    context = ssl.create_default_context()
    authority.configure_trust(context)
    return context


def serving(authority, name="localhost", **validity):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_alpn_protocols(["h2", "http/1.1"])
    authority.issue_cert(name, **validity).configure_cert(context)
    return context


async def secure(client, server, host="localhost"):
    return await call(client, server, host=host, scheme="https")


async def test_a_verified_connection_is_used_kept_and_negotiates_http_1_1(authority, trusting):
    negotiated = []

    async def scenario(peer):
        tls = peer._writer.get_extra_info("ssl_object")
        negotiated.append((tls.selected_alpn_protocol(), tls.version()))
        await keeps_alive(peer)

    async with (
        FaultServer(scenario, tls=serving(authority)) as server,
        calling(ssl_context=trusting) as client,
    ):
        for _ in range(3):
            assert await (await secure(client, server)).read() == b"ok"
        assert (
            await (
                await call(client, server, b"x" * 3_000_000, host="localhost", scheme="https")
            ).read()
            == b"ok"
        )
        assert (client.opened, client.reused) == (1, 3)
    assert negotiated == [("http/1.1", "TLSv1.3")]


async def test_an_address_is_verified_against_the_certificate_too(authority, trusting):
    async with (
        FaultServer(keeps_alive, tls=serving(authority, "127.0.0.1")) as server,
        calling(ssl_context=trusting) as client,
    ):
        assert await (await secure(client, server, "127.0.0.1")).read() == b"ok"


@pytest.mark.parametrize(
    ("name", "validity", "reason"),
    [
        ("other.test", {}, "Hostname mismatch"),
        ("localhost", {"not_before": NOW - 2 * DAY, "not_after": NOW - DAY}, "expired"),
        ("localhost", {"not_before": NOW + DAY, "not_after": NOW + 2 * DAY}, "not yet valid"),
    ],
)
async def test_a_certificate_that_does_not_fit_is_refused(
    authority, trusting, name, validity, reason
):
    async with (
        FaultServer(keeps_alive, tls=serving(authority, name, **validity)) as server,
        calling(ssl_context=trusting) as client,
    ):
        with pytest.raises(ConnectFailed, match=reason) as raised:
            await secure(client, server)
        assert raised.value.sent is False
        assert server.requests == []
        assert client.open_now == 0


async def test_an_authority_the_system_does_not_know_is_refused(authority):
    async with (
        FaultServer(keeps_alive, tls=serving(authority)) as server,
        calling(ssl_context=None) as client,
    ):
        with pytest.raises(ConnectFailed, match="certificate was refused"):
            await secure(client, server)


async def test_a_server_that_speaks_only_old_tls_is_refused(authority, trusting):
    old = serving(authority)
    old.set_ciphers("DEFAULT:@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    async with FaultServer(keeps_alive, tls=old) as server, calling(ssl_context=trusting) as client:
        with pytest.raises(ConnectFailed):
            await secure(client, server)


async def test_a_server_without_tls_is_refused(trusting):
    async def plain(peer):
        await peer.send(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")
        await peer.eof()

    async with FaultServer(plain) as server, calling(ssl_context=trusting) as client:
        with pytest.raises(ConnectFailed, match="TLS handshake failed") as raised:
            await secure(client, server)
        assert raised.value.sent is False


@pytest.mark.parametrize("reset", [False, True])
async def test_a_handshake_that_is_broken_off_fails_the_connection(trusting, reset):
    async def leave(peer):
        await peer._reader.read(100)
        if reset:
            peer.reset()

    async with FaultServer(leave) as server, calling(ssl_context=trusting) as client:
        with pytest.raises(ConnectFailed) as raised:
            await secure(client, server)
        assert raised.value.sent is False


async def test_a_handshake_that_stalls_is_a_connect_timeout_and_closes(trusting):
    closed = []

    async def silent(peer):
        closed.append(await peer.eof())

    async with (
        FaultServer(silent) as server,
        calling(ssl_context=trusting, connections_max=1, timeouts=SHORT) as client,
    ):
        for _ in range(2):  # at a limit of one, the second would wait if the first leaked
            with pytest.raises(ConnectTimeout):
                await secure(client, server)
        await until(lambda: len(closed) == 2)


async def test_a_caller_that_leaves_during_the_handshake_closes_and_frees_its_place(trusting):
    closed = []

    async def silent(peer):
        closed.append(await peer.eof())

    async with (
        FaultServer(silent) as server,
        calling(ssl_context=trusting, connections_max=1) as client,
    ):
        for count in (1, 2, 3):
            task = asyncio.ensure_future(secure(client, server))
            await until(lambda count=count: server.connections == count)
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
        await until(lambda: len(closed) == 3)


async def test_abandoned_secure_streams_leave_no_connection_behind(authority, trusting):
    async def stream(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n")
        await peer.eof()

    async with (
        FaultServer(stream, tls=serving(authority)) as server,
        calling(ssl_context=trusting, connections_max=2) as client,
    ):
        for _ in range(20):
            (await secure(client, server)).close()
        await until(lambda: client.open_now == 0)
        assert client.opened == 20


async def test_a_secure_body_cut_short_is_an_error(authority, trusting):
    async def short(peer):
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf.")

    async with (
        FaultServer(short, tls=serving(authority)) as server,
        calling(ssl_context=trusting) as client,
    ):
        with pytest.raises(ConnectionCut):
            await (await secure(client, server)).read()


async def test_a_slow_reader_stops_a_secure_sender_and_loses_nothing(authority, trusting):
    size = 12 << 20
    peers = []

    async def flood(peer):
        peers.append(peer)
        await peer.request()
        await peer.send(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % size)
        for _ in range(size >> 16):
            await peer.send(b"x" * 65536)

    async with (
        FaultServer(flood, tls=serving(authority)) as server,
        calling(ssl_context=trusting) as client,
    ):
        answer = await secure(client, server)
        await asyncio.sleep(0.3)
        assert answer.unread < 1 << 20
        assert peers[0].bytes_sent < size
        assert len(await answer.read()) == size


async def test_a_context_that_does_not_verify_is_not_accepted():
    blind = ssl.create_default_context()
    blind.check_hostname = False
    with pytest.raises(ValueError, match="must verify"):
        async with calling(ssl_context=blind):
            pass
    blind.verify_mode = ssl.CERT_NONE
    with pytest.raises(ValueError, match="must verify"):
        async with calling(ssl_context=blind):
            pass
