"""A peer that says exactly what a scenario tells it to, however broken.

A scenario is a coroutine function over a `Peer`; the server runs one for each connection.
It lives on the client's own event loop, on a real socket of the loopback interface.
"""

import asyncio
import contextlib
import socket
import ssl
import struct
import time
from collections.abc import Awaitable, Callable

from aigne_hub.transport import Client, Origin, Timeouts, request_head

PATIENCE_S = 60.0
# For the tests in which a bound is what ends the exchange.
SHORT = {"connect": 0.2, "first_byte": 0.15, "idle": 0.15}


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: "FaultServer", reader, writer) -> None:
        self.number = server.connections
        self.bytes_sent = 0
        self._server = server
        self._reader = reader
        self._writer = writer

    async def head(self) -> bytes:
        return await self._reader.readuntil(b"\r\n\r\n")

    async def request(self) -> bytes:
        """Read one whole request and return its body."""
        head = await self.head()
        length = int(head.rsplit(b"content-length: ", 1)[1])
        body = await self._reader.readexactly(length)
        self._server.requests.append((self.number, body))
        return body

    async def send(self, data: bytes) -> None:
        if self._writer.is_closing():
            raise ConnectionResetError("the client has left")
        self._writer.write(data)
        await self._writer.drain()
        self.bytes_sent += len(data)

    async def respond(self, body: bytes = b"ok", *headers: bytes) -> None:
        lines = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *headers]
        await self.send(b"\r\n".join(lines) + b"\r\n\r\n" + body)

    async def eof(self) -> float:
        """Wait until the client has closed the connection and return when that was seen."""
        with contextlib.suppress(ConnectionError):
            while await asyncio.wait_for(self._reader.read(65536), PATIENCE_S):
                pass
        return time.monotonic()

    def reset(self) -> None:
        linger = struct.pack("ii", 1, 0)
        sock = self._writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        self._writer.transport.abort()

    async def stall(self) -> None:
        await self._server.stopped.wait()

    async def pipe(self, port: int) -> None:
        """Copy bytes both ways between this connection and a local port."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(self._reader, writer), _copy(reader, self._writer))


async def _settle() -> None:
    for _ in range(8):
        await asyncio.sleep(0)


async def _copy(reader, writer) -> None:
    with contextlib.suppress(ConnectionError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    writer.close()


Scenario = Callable[[Peer], Awaitable[None]]


class FaultServer:
    def __init__(self, *scenarios: Scenario, tls: ssl.SSLContext | None = None) -> None:
        """The n-th connection follows the n-th scenario, later ones the last."""
        self.connections = 0
        self.requests: list[tuple[int, bytes]] = []
        self.stopped = asyncio.Event()
        self.failures: list[BaseException] = []
        self.port = 0
        self._scenarios = scenarios
        self._tls = tls
        self._tasks: set[asyncio.Task] = set()

    async def __aenter__(self):
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, kind, error, trace) -> None:
        self.stopped.set()
        await _settle()  # what is half accepted gets its scenario
        self._server.close()
        if self._tasks:
            await asyncio.wait(self._tasks, timeout=PATIENCE_S)
        await _settle()  # what was just closed gives its socket back
        if error is None and self.failures:
            raise self.failures[0]

    async def _serve(self, reader, writer) -> None:
        self._tasks.add(asyncio.current_task())
        scenario = self._scenarios[min(self.connections, len(self._scenarios) - 1)]
        self.connections += 1
        try:
            await scenario(Peer(self, reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        except BaseException as failure:  # noqa: BLE001  a scenario's assertion must fail its test
            self.failures.append(failure)
        finally:
            writer.close()
            self._tasks.discard(asyncio.current_task())

    def origin(self, host: str = "127.0.0.1", *, scheme: str = "http", trusted=True) -> Origin:
        return Origin.parse(f"{scheme}://{host}:{self.port}/v1", trusted=trusted)

    def last_number(self) -> int:
        return self.requests[-1][0]


def says(*blocks: bytes, then: str = "stall") -> Scenario:
    """Return a scenario that reads a request, sends the blocks, and ends as told."""

    async def scenario(peer: Peer) -> None:
        await peer.request()
        for block in blocks:
            await peer.send(block)
            await asyncio.sleep(0.001)
        if then == "reset":
            peer.reset()
        elif then == "stall":
            await peer.stall()

    return scenario


async def keeps_alive(peer: Peer) -> None:
    while True:
        await peer.request()
        await peer.respond()


@contextlib.asynccontextmanager
async def calling(**options):
    """Yield a client, closed at the end, with bounds only a hanging test would reach."""
    bounds = dict.fromkeys(("connect", "first_byte", "idle", "total"), PATIENCE_S)
    bounds |= options.pop("timeouts", {})
    # Verifies like the default one, without the time it takes to load the system's trust.
    trust_nobody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    options = {"body_max": 1 << 24, "ssl_context": trust_nobody} | options
    client = Client(timeouts=Timeouts(**bounds), **options)
    surprises = []
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda _, context: surprises.append(context))
    try:
        yield client
    finally:
        await client.close()
        assert client.open_now == client.idle_now == 0
    assert surprises == []


def head_for(origin: Origin, method: str = "POST") -> bytes:
    return request_head(method, origin, "/chat", [("content-type", "application/json")])


async def call(client: Client, server: FaultServer, body: bytes = b"{}", **origin):
    where = server.origin(**origin)
    return await client.send(where, head_for(where), body)


async def until(condition: Callable[[], bool], within: float = PATIENCE_S) -> None:
    limit = time.monotonic() + within
    while not condition():
        assert time.monotonic() < limit, "the condition was not met in time"
        await asyncio.sleep(0.005)
