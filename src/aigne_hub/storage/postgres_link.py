"""Keeping one session with PostgreSQL: connect again, later each time, and never twice at once."""

import asyncio
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor

from psycopg import pq

from aigne_hub.logs import get_logger
from aigne_hub.storage.journal import StoreUnavailable
from aigne_hub.storage.postgres_session import Session, ask, connect, conninfo

# Whoever needs the session waits this long for one that is being made.
PATIENCE_S = 0.25
RETRY_MIN_S = 0.05
RETRY_MAX_S = 2.0
# An earlier session of this process is ended, and waited for this long.
CLAIM_S = 2.0
_CLAIM_RETRY_S = 0.01

_END_EARLIER = (
    b"SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
    b" WHERE application_name = $1 AND usename = current_user AND pid <> pg_backend_pid()"
)
_TRY_LOCK = b"SELECT pg_try_advisory_lock($1::bigint)"


class Link:
    """A session that is there whenever the server is.

    `name` is what the server shows for it. With `lock` the session holds that advisory lock,
    and an earlier one of the same name has ended, with whatever it was doing.
    """

    def __init__(
        self,
        database_url: str,
        statements: Mapping[str, str],
        *,
        name: str,
        jitter: Callable[[], float],
        lock: int | None = None,
    ) -> None:
        self._info = conninfo(database_url, name)
        self._statements = statements
        self._name = name
        self._lock = lock
        self._jitter = jitter
        self._session: Session | None = None
        self._connecting: asyncio.Task[None] | None = None
        # Shown to anyone who asks for readiness, so it names no server.
        self._wrong = "the database was not reached yet"
        self._closed = False
        # Its own, because whoever else looks something up may be waiting for the server too.
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="connect")
        self._log = get_logger()

    async def session(self, patience_s: float = PATIENCE_S) -> Session:
        """Return the session; raises StoreUnavailable when there is none soon."""
        if self._session is None:
            await asyncio.wait([self._connect()], timeout=patience_s)
            if self._session is None:
                raise StoreUnavailable(self._wrong)
        return self._session

    def drop(self, session: Session) -> None:
        """End a session that is of no use any more, and make another."""
        session.close()
        if session is self._session:
            self._session = None
            self._connect()

    async def close(self) -> None:
        self._closed = True
        if self._connecting is not None:
            self._connecting.cancel()
            await asyncio.wait([self._connecting])
        if self._session is not None:
            self._session.close()
        self._thread.shutdown(wait=False)

    def _lost(self, session: Session) -> None:
        if session is not self._session:
            return
        self._session = None
        self._wrong = "the connection to the database was lost"
        if not self._closed:
            self._log.warning(self._wrong, session=self._name)
            self._connect()

    def _connect(self) -> asyncio.Task[None]:
        if self._connecting is None or self._connecting.done():
            self._connecting = asyncio.get_running_loop().create_task(self._until_connected())
        return self._connecting

    async def _until_connected(self) -> None:
        loop = asyncio.get_running_loop()
        wait_s = RETRY_MIN_S
        told = False
        while not self._closed:
            try:
                connection = await loop.run_in_executor(self._thread, self._open)
            except StoreUnavailable as error:
                self._wrong = "the database does not let the hub in"
                if not told:
                    self._log.warning(self._wrong, session=self._name, error=str(error))
                told = True
            else:
                self._session = Session(connection, self._lost)
                if told:
                    self._log.info("the database lets the hub in again", session=self._name)
                return
            await asyncio.sleep(wait_s * (1 + self._jitter()))
            wait_s = min(2 * wait_s, RETRY_MAX_S)

    def _open(self) -> pq.abc.PGconn:
        connection = connect(self._info, self._statements)
        try:
            if self._lock is not None:
                self._claim(connection, str(self._lock).encode())
        except BaseException:
            connection.finish()
            raise
        return connection

    def _claim(self, connection: pq.abc.PGconn, lock: bytes) -> None:
        """Take the lock. Once it is ours, the outcome of all that went before is settled."""
        ask(connection, _END_EARLIER, [self._name.encode()])
        deadline = time.monotonic() + CLAIM_S
        while ask(connection, _TRY_LOCK, [lock]) != b"t":
            if time.monotonic() > deadline:
                raise StoreUnavailable("an earlier connection of this process has not ended yet")
            time.sleep(_CLAIM_RETRY_S)
