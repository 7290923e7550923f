"""Apply journal operations to a database without a journal: one batch, one transaction."""

import asyncio
from collections.abc import Sequence
from typing import Any, Self

from aigne_hub.domain.errors import HubError
from aigne_hub.storage import engine, postgres, recovery, sqlite_journal
from aigne_hub.storage.journal import Store

PROCESS = "p"


class Batches:
    """A database's own store, and a loop to run it on."""

    def __init__(self, hub: Any) -> None:
        recovery.register(hub.engine, PROCESS, host="h", pid=1, now_us=1)
        self._runner = asyncio.Runner()
        self._store: Store = self._runner.run(_opened(hub))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._store.close())
        self._runner.close()

    def apply(self, *operations: Any) -> Any:
        """Commit operations and return their answers; raise what was refused."""
        answers = self._runner.run(self._committed(operations))
        for answer in answers:
            if isinstance(answer, HubError):
                raise answer
        return answers

    async def _committed(self, operations: Sequence[Any]) -> list[Any]:
        return await self._store.commit(operations, [])


async def _opened(hub: Any) -> Store:
    url = hub.engine.url.render_as_string(hide_password=False)
    if hub.is_sqlite:
        return sqlite_journal.SqliteStore(
            engine.connect(engine.sqlite_path(url)),
            process_id=PROCESS,
            now_us=hub.clock.now_us,
            jitter=lambda: 0.5,
        )
    return postgres.open_store(url, process_id=PROCESS, clock=hub.clock, jitter=lambda: 0.5)
