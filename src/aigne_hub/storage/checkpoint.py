"""Keeping SQLite's write-ahead log short, in a thread, on a connection of its own.

A log that starts over is written into pages the kernel already holds; one that only grows
costs the commit an allocation and a zeroed page for each it appends.
"""

import sqlite3
import threading
from pathlib import Path
from typing import Any

from aigne_hub.storage.engine import sqlite_module

INTERVAL_S = 0.2
# From this many pages on the log is started over, which for a moment keeps writers waiting.
RESTART_PAGES = 1_000
# A journal that commits all the time leaves gaps of less than a millisecond.
WRITER_WAIT_MS = 100
# A log that a burst has left longer than this is cut back to nothing.
WAL_BYTES_MAX = 64 * 1024 * 1024


class Checkpointer:
    """Copies the log back into the database; call `run` from a thread every INTERVAL_S.

    `close` waits for a run: SQLite's Python driver crashes the process when a connection is
    closed that another thread is using.
    """

    def __init__(self, path: Path) -> None:
        module: Any = sqlite_module()
        self._wal = Path(f"{path}-wal")
        self._used = threading.Lock()
        self._closed = False
        self._connection: sqlite3.Connection = module.connect(
            str(path), isolation_level=None, check_same_thread=False
        )
        self._connection.execute(f"PRAGMA busy_timeout={WRITER_WAIT_MS}")
        self._connection.execute("PRAGMA synchronous=FULL")

    def run(self) -> None:
        """Copy what is new. A passive pass first, so that starting over has little left to do."""
        with self._used:
            if self._closed:
                return
            _, pages, _ = self._checkpoint("PASSIVE")
            if pages > RESTART_PAGES:
                self._checkpoint("TRUNCATE" if self._size() > WAL_BYTES_MAX else "RESTART")

    def close(self) -> None:
        with self._used:
            self._closed = True
            self._connection.close()

    def _checkpoint(self, mode: str) -> tuple[int, int, int]:
        """Return SQLite's own report: whether it was busy, pages in the log, pages copied."""
        sql = {
            "PASSIVE": "PRAGMA wal_checkpoint(PASSIVE)",
            "RESTART": "PRAGMA wal_checkpoint(RESTART)",
            "TRUNCATE": "PRAGMA wal_checkpoint(TRUNCATE)",
        }[mode]
        report: tuple[int, int, int] = self._connection.execute(sql).fetchone()
        return report

    def _size(self) -> int:
        return self._wal.stat().st_size if self._wal.exists() else 0
