"""Serving from PostgreSQL: what one process opens. Imported only when it does."""

from collections.abc import Callable

from aigne_hub.ports import Clock
from aigne_hub.storage import postgres_statements
from aigne_hub.storage.postgres_journal import PostgresStore
from aigne_hub.storage.postgres_link import Link
from aigne_hub.storage.postgres_liveness import SessionLocks, lock_of
from aigne_hub.storage.postgres_watch import PostgresWatch

__all__ = ["SessionLocks", "open_store", "open_watch"]


def open_store(
    database_url: str,
    *,
    process_id: str,
    clock: Clock,
    jitter: Callable[[], float],
) -> PostgresStore:
    """Return the journal's store. Its session holds the lock that says this process lives."""
    compiled = postgres_statements.compiled()
    link = Link(
        database_url,
        compiled.texts,
        name=f"aigne-hub {process_id}",
        lock=lock_of(process_id),
        jitter=jitter,
    )
    return PostgresStore(link, compiled, process_id=process_id, clock=clock)


def open_watch(database_url: str, *, jitter: Callable[[], float]) -> PostgresWatch:
    return PostgresWatch(database_url, name="aigne-hub watch", jitter=jitter)
