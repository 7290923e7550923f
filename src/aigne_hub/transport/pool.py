import asyncio
from collections import deque
from contextlib import suppress

from aigne_hub.transport.connection import Connection
from aigne_hub.transport.errors import ConnectFailed, TransportClosed
from aigne_hub.transport.origin import Origin

WAITERS_MAX = 10_000  # callers queued for one origin


class Pool:
    """The connections of one origin, at most `connections_max` of them.

    A place is taken before a connection is made and given back when it is lost. The
    most recently used idle connection is taken first; callers that find no place wait in
    the order they came.
    """

    def __init__(self, origin: Origin, connections_max: int) -> None:
        self.origin = origin
        self.connections: set[Connection] = set()
        self.idle: dict[Connection, None] = {}  # oldest first
        self._connections_max = connections_max
        self._places = 0
        self._waiters: deque[asyncio.Future[Connection | None]] = deque()

    @property
    def unused(self) -> bool:
        return not self._places and not self._waiters

    def take(self, now: float) -> Connection | None:
        """Return an idle connection that is still open and fresh enough, if there is one."""
        while self.idle:
            connection, _ = self.idle.popitem()
            if connection.closed:  # between its release and this caller's turn
                continue
            if now < connection.deadline:
                return connection
            connection.abort()
        return None

    async def place(self, *, fresh: bool) -> Connection | None:
        """Wait for a connection or the right to make one.

        Returns a connection another caller released, or None: a place is held for the caller,
        who calls `adopt` with a new connection or `forfeit`. With `fresh` it is always None.
        """
        loop = asyncio.get_running_loop()
        while self._places >= self._connections_max:
            connection = self.take(loop.time()) or await self._turn(loop.create_future())
            if connection is None:
                return None
            if connection.closed:  # between its release and this caller's turn
                continue
            if not fresh:
                return connection
            # Its place stays taken: closing it is what makes room for a new one.
            self._places += 1
            connection.abort()
            return None
        self._places += 1
        return None

    def adopt(self, connection: Connection) -> None:
        self.connections.add(connection)

    def forfeit(self) -> None:
        """Give a place back that no connection came to fill."""
        self._places -= 1
        self._pass_on()

    def shut(self) -> None:
        """Close every connection and turn every waiting caller away."""
        for waiter in self._waiters:
            if not waiter.done():
                waiter.set_exception(TransportClosed("the transport is shutting down"))
        self._waiters.clear()
        for connection in tuple(self.connections):
            connection.fail(TransportClosed("the transport is shutting down", sent=True))

    # Keeper

    def release(self, connection: Connection) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(connection)
                return
        self.idle[connection] = None

    def lost(self, connection: Connection) -> None:
        # One that broke before it was adopted is accounted for by who was making it.
        if connection in self.connections:
            self.connections.discard(connection)
            self.idle.pop(connection, None)
            self.forfeit()

    async def _turn(self, waiter: asyncio.Future[Connection | None]) -> Connection | None:
        if len(self._waiters) >= WAITERS_MAX:
            raise ConnectFailed(f"{self.origin.authority}: too many calls wait already")
        self._waiters.append(waiter)
        try:
            return await waiter
        except asyncio.CancelledError:
            with suppress(ValueError):
                self._waiters.remove(waiter)
            # Served and cancelled in one turn of the loop: the next caller gets it.
            if waiter.done() and not waiter.cancelled() and waiter.exception() is None:
                connection = waiter.result()
                if connection is None:
                    self.forfeit()
                elif not connection.closed:
                    self.release(connection)
            raise

    def _pass_on(self) -> None:
        while self._waiters and self._places < self._connections_max:
            waiter = self._waiters.popleft()
            if not waiter.done():
                self._places += 1
                waiter.set_result(None)
