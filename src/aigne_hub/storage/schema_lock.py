"""The right to change the schema of a database, for one process at a time."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, text

from aigne_hub.storage.engine import BUSY_TIMEOUT_MS, driver_connection, set_pragmas, writing

# How long one process waits for another's change of the same SQLite file.
WAIT_MS = 600_000
# Names the advisory lock of a PostgreSQL database ("aignehub").
_LOCK_KEY = int.from_bytes(b"aignehub")


@contextmanager
def alone(engine: Engine) -> Iterator[Connection]:
    """Give a write transaction that no other change of the schema shares."""
    if engine.dialect.name != "sqlite":
        with writing(engine) as connection:
            connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK_KEY})
            yield connection
        return
    # SQLite's write lock is the lock; its owner may need longer than an ordinary transaction.
    with engine.connect() as connection:
        driver = driver_connection(connection)
        set_pragmas(driver, busy_timeout=WAIT_MS)
        try:
            with connection.begin():
                yield connection
        finally:
            set_pragmas(driver, busy_timeout=BUSY_TIMEOUT_MS)
