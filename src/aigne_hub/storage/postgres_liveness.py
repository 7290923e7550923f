"""Which processes live on a PostgreSQL database: session locks, and files where they are seen.

The journal's session holds an advisory lock for its process. A lock file in the data
directory says more, where it can be seen: the kernel knows for certain whether a process of
this machine has died, while one elsewhere that holds no lock may be about to take it again.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from hashlib import sha256
from pathlib import Path

from sqlalchemy import Connection, Engine, func, select, text

from aigne_hub.storage.engine import reading
from aigne_hub.storage.liveness import RETRY_S, ProcessLock, ended

# A process of another machine is dead once it has been seen without its lock for so long.
# One that lost its connection takes the lock again as soon as the server lets it in.
UNSEEN_S = 10.0

_HELD = text(
    "SELECT (classid::bigint << 32) | objid::bigint FROM pg_locks WHERE locktype = 'advisory'"
    " AND granted AND objsubid = 1"
    " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"
)


class SessionLocks:
    """Liveness over advisory locks and the lock files of this data directory."""

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        process_id: str,
        *,
        monotonic_us: Callable[[], int],
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._own = ProcessLock(folder, process_id)
        self._monotonic_us = monotonic_us
        # Since when each process has been without its lock, as seen from here.
        self._unseen: dict[str, int] = {}
        self._gone: set[str] = set()

    def dead(self, process_ids: Iterable[str]) -> list[str]:
        asked = set(process_ids)
        try:
            held = self._held()
        except Exception:
            # Whoever cannot see the locks has not seen anyone without one.
            self._unseen.clear()
            raise
        without = [each for each in asked if lock_of(each) not in held]
        return self._known_dead(without)

    @asynccontextmanager
    async def alone(self, task: str, *, wait: bool = True) -> AsyncIterator[bool]:
        with self._engine.connect() as connection:
            mine = await asyncio.to_thread(_taken, connection, task)
            while wait and not mine:
                await asyncio.sleep(RETRY_S)
                mine = await asyncio.to_thread(_taken, connection, task)
            try:
                yield mine
            finally:
                # The session goes, and its lock with it.
                connection.invalidate()

    def release(self) -> None:
        self._own.release()

    def _held(self) -> set[int]:
        with reading(self._engine) as connection:
            return set(connection.execute(_HELD).scalars())

    def _known_dead(self, without: list[str]) -> list[str]:
        now, found = self._monotonic_us(), []
        since: Mapping[str, int] = self._unseen
        self._unseen = {}
        for each in without:
            here = each in self._gone or ended(self._folder, each)
            if here is None:
                self._unseen[each] = since.get(each, now)
                here = now - self._unseen[each] > UNSEEN_S * 1_000_000
            if here:
                self._gone.add(each)
                found.append(each)
        return found


def lock_of(name: str) -> int:
    """Return the advisory lock of a process or a task: 64 bits that belong to its name."""
    digest = sha256(f"aigne-hub {name}".encode()).digest()
    return int.from_bytes(digest[:8], "big", signed=True)


def _taken(connection: Connection, task: str) -> bool:
    taken: bool = connection.execute(select(func.pg_try_advisory_lock(lock_of(task)))).scalar_one()
    connection.commit()
    return taken
