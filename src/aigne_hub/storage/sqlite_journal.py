"""The journal's store on SQLite: one connection, statements on the event loop.

Statements run on the loop because handing each to a thread costs more than the statement.
The commit runs on the loop while the disk is quick, and in a thread once its measured time
would delay other calls.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from sqlalchemy.dialects import sqlite

from aigne_hub.domain.idempotency import Claimed
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.limits import Counter
from aigne_hub.domain.lots import Lot
from aigne_hub.storage.batch import Row
from aigne_hub.storage.fold import Fold, Operation
from aigne_hub.storage.journal import AlreadyResolvedError, StoreUnavailable
from aigne_hub.storage.ledger import lot_of
from aigne_hub.storage.statements import MUST_CHANGE, Statements

# A commit slower than this, on a moving average, leaves the loop; faster than half, it returns.
COMMIT_ON_LOOP_MAX_S = 0.003
_AVERAGE_WEIGHT = 0.1
# Another process may hold the write lock: try again this often, for this long.
BUSY_RETRY_S = 0.0005
BUSY_MAX_S = 5.0
# One that was held so long is not waited for as long again.
BUSY_AGAIN_S = 0.25

_BUSY = ("database is locked", "database table is locked", "database schema is locked")
# Texts of SQLite's results for a store that cannot write now (FULL, IOERR, READONLY, CANTOPEN).
_UNAVAILABLE = (
    "is full",
    "disk i/o error",
    "readonly",
    "unable to open",
    "malformed",
    "out of memory",
)


class SqliteStore:
    """storage.journal.Store on a raw SQLite connection in manual-commit mode."""

    def __init__(
        self,
        connection: Any,
        *,
        process_id: str,
        now_us: Callable[[], int],
        jitter: Callable[[], float],
    ) -> None:
        self._connection = connection
        self._process_id = process_id
        self._now_us = now_us
        self._jitter = jitter
        self._sql = Statements.compiled(sqlite.dialect(paramstyle="qmark"))
        self._view = _SqliteView(connection, self._sql)
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="commit")
        self._commit_average_s = 0.0
        self._in_thread = False
        self._patience_s = BUSY_MAX_S

    async def reach(self) -> None:
        """Nothing: the file is open."""

    async def commit(self, operations: Sequence[Operation], sent: Sequence[str]) -> list[Any]:
        await self._begin()
        try:
            fold = Fold(self._process_id, self._view)
            answers = fold.run(operations, self._now_us())
            for name, rows in fold.rows(sent).items():
                if rows:
                    self._execute(name, rows)
            await self._end()
        except BaseException as error:
            self._rollback()
            raise self._classified(error) from error
        return answers

    async def bury(self, letter_id: str, operation: str, payload: str, error: str) -> None:
        await self._begin()
        try:
            row = (letter_id, operation, payload, error, self._now_us())
            self._connection.execute(self._sql.dead_letter.sql, row)
            await self._end()
        except BaseException as failure:
            self._rollback()
            raise self._classified(failure) from failure

    async def close(self) -> None:
        self._thread.shutdown()
        self._connection.close()

    def _execute(self, name: str, rows: list[Row]) -> None:
        sql: str = getattr(self._sql, name).sql
        if len(rows) == 1:
            changed = self._connection.execute(sql, rows[0]).rowcount
        else:
            changed = self._connection.executemany(sql, rows).rowcount
        if name in MUST_CHANGE and changed != len(rows):
            raise AlreadyResolvedError(f"{name} changed {changed} of {len(rows)} rows")

    async def _begin(self) -> None:
        """Take the write lock. A busy wait inside SQLite would block every stream."""
        deadline = time.monotonic() + self._patience_s
        while True:
            try:
                self._connection.execute("BEGIN IMMEDIATE")
            except Exception as error:
                if not _is_busy(error):
                    raise self._classified(error) from error
                if time.monotonic() > deadline:
                    self._patience_s = BUSY_AGAIN_S
                    raise StoreUnavailable("the database is locked") from error
                await asyncio.sleep(BUSY_RETRY_S * (1 + self._jitter()))
            else:
                self._patience_s = BUSY_MAX_S
                return

    async def _end(self) -> None:
        if self._in_thread:
            loop = asyncio.get_running_loop()
            took = await loop.run_in_executor(self._thread, self._timed_commit)
        else:
            took = self._timed_commit()
        self._commit_average_s += _AVERAGE_WEIGHT * (took - self._commit_average_s)
        if self._in_thread:
            self._in_thread = self._commit_average_s > COMMIT_ON_LOOP_MAX_S / 2
        else:
            self._in_thread = self._commit_average_s > COMMIT_ON_LOOP_MAX_S

    def _timed_commit(self) -> float:
        started = time.perf_counter()
        self._connection.execute("COMMIT")
        return time.perf_counter() - started

    def _rollback(self) -> None:
        if self._connection.in_transaction:
            self._connection.execute("ROLLBACK")

    def _classified(self, error: BaseException) -> BaseException:
        text = str(error).lower()
        if _is_busy(error) or any(sign in text for sign in _UNAVAILABLE):
            return StoreUnavailable(str(error))
        return error


class _SqliteView:
    """storage.batch.View: reads on the journal's own connection, which holds the write lock."""

    def __init__(self, connection: Any, sql: Statements) -> None:
        self._connection = connection
        self._sql = sql

    def account(self, account_id: str) -> tuple[Account, int | None] | None:
        row = self._connection.execute(self._sql.select_account.sql, (account_id,)).fetchone()
        return None if row is None else (Account(*row[:4]), row[4])

    def lots(self, account_id: str) -> list[Lot]:
        rows = self._connection.execute(self._sql.select_lots.sql, (account_id,))
        return [lot_of(row) for row in rows]

    def counter(self, counter_id: str) -> Counter | None:
        row = self._connection.execute(self._sql.select_counter.sql, (counter_id,)).fetchone()
        return None if row is None else Counter(*row)

    def claim(self, key_digest: bytes) -> Claimed | None:
        row = self._connection.execute(self._sql.select_claim.sql, (key_digest,)).fetchone()
        if row is None:
            return None
        key, body, call_id, created_us, complete, kept = row
        return Claimed(key, body, call_id, created_us, bool(complete), bool(kept))


def _is_busy(error: BaseException) -> bool:
    return any(sign in str(error).lower() for sign in _BUSY)
