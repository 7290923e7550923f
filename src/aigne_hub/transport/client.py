import asyncio
import ssl

from aigne_hub.transport.answer import Answer
from aigne_hub.transport.connection import Connection
from aigne_hub.transport.dial import Dialer, Resolver, system_resolver
from aigne_hub.transport.errors import ConnectionCut, ConnectTimeout, TransportClosed
from aigne_hub.transport.origin import Origin
from aigne_hub.transport.pool import Pool
from aigne_hub.transport.proxy import Proxy
from aigne_hub.transport.timeouts import Timeouts
from aigne_hub.transport.tls import verified_context

TICK_S = 0.05  # how late a deadline may be noticed
CLOSE_S = 1.0  # how long `close` waits for the event loop to close the sockets


class Client:
    """Sends requests over kept-alive HTTP/1.1 connections.

    `connections_max` bounds the connections of one origin, `idle_s` how long one is kept
    unused, `body_max` what `Answer.read` may hold. `proxy` is an http:// URL through which
    every connection is tunnelled, except to the hosts in `direct`. `resolver` maps
    (host, port) to socket addresses.
    `ssl_context` replaces the system's trust and is set up here for HTTP/1.1.
    Raises ValueError for limits that are not positive, an unusable proxy URL, or a TLS
    context that does not verify. Belongs to the first event loop it sends on.
    """

    def __init__(
        self,
        *,
        timeouts: Timeouts,
        body_max: int,
        connections_max: int = 1000,
        idle_s: float = 60.0,
        ssl_context: ssl.SSLContext | None = None,
        proxy: str | None = None,
        direct: frozenset[str] = frozenset(),
        resolver: Resolver | None = None,
    ) -> None:
        if body_max < 1 or connections_max < 1 or not idle_s > 0:
            raise ValueError("body_max, connections_max and idle_s must be positive")
        self.opened = 0
        self.reused = 0
        self._timeouts = timeouts
        self._body_max = body_max
        self._connections_max = connections_max
        self._idle_s = idle_s
        self._dialer = Dialer(
            context=verified_context(ssl_context),
            proxy=None if proxy is None else Proxy.parse(proxy),
            direct=direct,
            resolver=resolver or system_resolver,
        )
        self._pools: dict[str, Pool] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ticker: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def open_now(self) -> int:
        return sum(len(pool.connections) for pool in self._pools.values())

    @property
    def idle_now(self) -> int:
        return sum(len(pool.idle) for pool in self._pools.values())

    async def send(
        self, origin: Origin, head: bytes, body: bytes = b"", *, head_only_method: bool = False
    ) -> Answer:
        """Send one request and return its answer when the response head has arrived.

        `head` is what `request_head` builds; the content-length is added here.
        `head_only_method` says that the response has no body whatever it announces (HEAD).
        A request is written a second time only when a kept-alive connection ended without
        a byte of response. Cancelling the caller closes the connection at once.
        Raises a TransportError.
        """
        loop = self._loop or self._bind()
        now = loop.time()
        total_at = now + self._timeouts.total
        stale = False
        while True:
            if self._closed:
                raise TransportClosed("the transport is shutting down")
            pool = self._pools.get(origin.key) or self._pool(origin)
            connection = None if stale else pool.take(now)
            fresh = False
            if connection is None:
                connection, fresh = await self._open(pool, total_at, renewed=stale)
            if not fresh:
                self.reused += 1
            answer = connection.start(head, body, total_at=total_at, bodiless=head_only_method)
            try:
                await answer.waiter
            except BaseException:
                answer.close()
                raise
            error = answer.error
            if error is None or answer.status:
                return answer
            if fresh or connection.heard or not isinstance(error, ConnectionCut):
                raise error
            stale = True

    async def close(self) -> None:
        """Close every connection; exchanges under way fail with TransportClosed."""
        self._closed = True
        if self._ticker is not None:
            self._ticker.cancel()
        gone = [connection.gone for pool in self._pools.values() for connection in pool.connections]
        for pool in self._pools.values():
            pool.shut()
        if gone:
            await asyncio.wait(gone, timeout=CLOSE_S)
        self._pools.clear()

    async def _open(self, pool: Pool, total_at: float, *, renewed: bool) -> tuple[Connection, bool]:
        """Return a connection and whether it is new; with `renewed` it always is."""
        timeouts = self._timeouts
        deadline = min(asyncio.get_running_loop().time() + timeouts.connect, total_at)
        try:
            async with asyncio.timeout_at(deadline):
                released = await pool.place(fresh=renewed)
                if released is not None:
                    return released, False
                connection = await self._dial(pool, deadline)
        except TimeoutError:
            limit = min(timeouts.connect, timeouts.total)
            message = f"{pool.origin.authority}: no connection within {limit:g} s"
            raise ConnectTimeout(message) from None
        return connection, True

    async def _dial(self, pool: Pool, deadline: float) -> Connection:
        loop = asyncio.get_running_loop()

        def factory() -> Connection:
            return Connection(
                pool,
                loop,
                timeouts=self._timeouts,
                keep_alive_s=self._idle_s,
                body_max=self._body_max,
            )

        try:
            connection = await self._dialer.dial(pool.origin, factory, deadline=deadline)
        except BaseException:
            pool.forfeit()
            raise
        pool.adopt(connection)
        self.opened += 1
        if self._closed:
            connection.abort()
            raise TransportClosed("the transport is shutting down")
        return connection

    def _bind(self) -> asyncio.AbstractEventLoop:
        self._loop = asyncio.get_running_loop()
        return self._loop

    def _pool(self, origin: Origin) -> Pool:
        pool = self._pools[origin.key] = Pool(origin, self._connections_max)
        if self._ticker is None:
            self._ticker = asyncio.get_running_loop().call_later(TICK_S, self._tick)
        return pool

    def _tick(self) -> None:
        """Look at every connection's deadline; one timer for all, and none per request."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for key, pool in tuple(self._pools.items()):
            for connection in tuple(pool.connections):
                if now >= connection.deadline:
                    connection.expire(now)
            if pool.unused:
                del self._pools[key]
        self._ticker = loop.call_later(TICK_S, self._tick) if self._pools else None
