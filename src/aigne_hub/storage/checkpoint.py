"""Keeping SQLite's write-ahead log short, in a thread, on a connection of its own."""

import sqlite3
from pathlib import Path
from typing import Any

from aigne_hub.storage.engine import sqlite_module

# Above this the log is also truncated, which for a moment keeps writers waiting.
WAL_BYTES_MAX = 32 * 1024 * 1024
INTERVAL_S = 1.0


class Checkpointer:
    """Copies the log back into the database; call `run` from a thread every INTERVAL_S."""

    def __init__(self, path: Path) -> None:
        module: Any = sqlite_module()
        self._wal = Path(f"{path}-wal")
        self._connection: sqlite3.Connection = module.connect(
            str(path), isolation_level=None, check_same_thread=False
        )
        self._connection.execute("PRAGMA busy_timeout=0")
        self._connection.execute("PRAGMA synchronous=FULL")

    def run(self) -> None:
        """Copy what is new. A passive pass first, so that truncating has little left to do."""
        size = self._wal.stat().st_size if self._wal.exists() else 0
        if not size:
            return
        self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        if size > WAL_BYTES_MAX:
            self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()

    def close(self) -> None:
        self._connection.close()
