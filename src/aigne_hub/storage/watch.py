"""Noticing within a second that another process changed the configuration."""

from pathlib import Path
from typing import Any, Protocol

from aigne_hub.storage.engine import sqlite_module

INTERVAL_S = 0.25


class Watch(Protocol):
    """Reads the configuration's version every INTERVAL_S, so it must be cheap."""

    async def version(self) -> int: ...

    async def close(self) -> None: ...


class SqliteWatch:
    """Reads the version on a connection of its own: one page, no lock."""

    def __init__(self, path: Path) -> None:
        module: Any = sqlite_module()
        self._connection = module.connect(str(path), isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA query_only=ON")
        self._connection.execute("PRAGMA busy_timeout=0")

    async def version(self) -> int:
        row = self._connection.execute("SELECT version FROM hub_state").fetchone()
        version: int = row[0]
        return version

    async def close(self) -> None:
        self._connection.close()
