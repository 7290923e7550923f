"""The journal's store on PostgreSQL: a batch is one transaction in two journeys.

The first locks what the batch will change and reads it, the second writes all rows and
commits. Between them the batch is folded in memory and nothing else is waited for, so an
account is locked for two journeys, however many calls move it.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import msgspec

from aigne_hub.ports import Clock
from aigne_hub.storage import postgres_statements as sql
from aigne_hub.storage.batch import Row
from aigne_hub.storage.fold import Fold, Operation
from aigne_hub.storage.journal import AlreadyResolvedError, CommitUnknown, StoreUnavailable
from aigne_hub.storage.postgres_link import Link
from aigne_hub.storage.postgres_reads import loaded, reads, rows_of
from aigne_hub.storage.postgres_session import Lost, Refused, Request, Session
from aigne_hub.storage.postgres_statements import Compiled
from aigne_hub.storage.preload import needed

# At its start a hub waits this long for the server.
REACH_S = 10.0
# How long this machine's clock carries on from the database's before it is asked again.
CLOCK_KEPT_US = 5_000_000

# Classes of SQLSTATE for which a row is to blame; any other concerns the server or the whole
# connection, and the batch will do when that is well again.
_POISON = frozenset({"21", "22", "23", "54", "P0"})
# What the session was made with is gone: prepared statements, or the types they return.
_SPOILT = frozenset({"0A", "26", "42"})
# After these the same batch can be tried again at once: another transaction was in the way.
_TRANSIENT = frozenset({"40001", "40P01"})
_UNIQUE_VIOLATION = "23505"
# What `postgres_statements` raises unless each row was there.
_DIVISION_BY_ZERO = "22012"
# Statements that may be handed two rows for one call.
_REPEATING = frozenset({"progress", "extend_hold", "heartbeat"})

_encode = msgspec.json.encode


class PostgresStore:
    """storage.journal.Store over a Link whose lock is this process's own.

    Instants are the database's, so all processes see one time, however their own clocks
    differ: its clock is read now and then, and this machine's carries on from there.
    """

    def __init__(self, link: Link, compiled: Compiled, *, process_id: str, clock: Clock) -> None:
        self._link = link
        self._readers = compiled.readers
        self._process_id = process_id
        self._clock = clock
        self._batch = 0
        # What to add to the monotonic clock, and when that was last asked.
        self._ahead_us: int | None = None
        self._asked_us = 0

    async def reach(self) -> None:
        await self._link.session(REACH_S)

    async def commit(self, operations: Sequence[Operation], sent: Sequence[str]) -> list[Any]:
        try:
            return await self._attempt(operations, sent)
        except _Again:
            # A session that ended while idle is noticed by its next use.
            try:
                return await self._attempt(operations, sent)
            except _Again as again:
                raise StoreUnavailable(str(again)) from again

    async def bury(self, letter_id: str, operation: str, payload: str, error: str) -> None:
        session = await self._link.session()
        try:
            row = (letter_id, operation, payload, error, await self._now_us(session))
            letter: Request = ("dead_letter", [_encode([row])])
            await session.run([(sql.BEGIN, ()), letter, (sql.COMMIT, ())])
        except (Lost, Refused) as failure:
            self._link.drop(session)
            raise StoreUnavailable(str(failure)) from failure

    async def close(self) -> None:
        await self._link.close()

    async def _attempt(self, operations: Sequence[Operation], sent: Sequence[str]) -> list[Any]:
        session = await self._link.session()
        writes: list[Request] = []
        try:
            now_us = await self._now_us(session)
            need = needed(operations, now_us)
            asked = reads(need)
            begun: Request = (sql.BEGIN, ())
            results = []
            if asked:
                _, *results = await session.run([begun, *asked])
            else:
                writes.append(begun)
            view = loaded(need, self._readers, asked, results)
            fold = Fold(self._process_id, view, now_us - self._clock.now_us())
            answers = fold.run(operations, now_us)
            for name, rows in fold.rows(sent).items():
                writes += ((name, [_encode(each)]) for each in _rounds(name, rows))
            self._batch += 1
            writes.append((sql.MARK, [_encode([(self._batch, self._process_id)])]))
            writes.append((sql.COMMIT, ()))
        except Lost as lost:
            self._link.drop(session)
            raise _Again(str(lost)) from lost
        except BaseException as error:
            await self._roll_back(session, error)
            raise _classified(error) from error
        await self._finish(session, writes, answers)
        return answers

    async def _finish(
        self, session: Session, writes: Sequence[Request], answers: list[Any]
    ) -> None:
        try:
            await session.run(writes)
        except Lost as lost:
            self._link.drop(session)
            raise CommitUnknown(str(lost), answers, self._landed) from lost
        except Refused as refused:
            await self._roll_back(session, refused)
            raise _classified(refused) from refused

    async def _landed(self) -> bool:
        """Tell whether the last batch was committed. Its session has ended by now (Link)."""
        session = await self._link.session()
        try:
            (result,) = await session.run([(sql.READ_MARK, [self._process_id.encode()])])
        except (Lost, Refused) as error:
            self._link.drop(session)
            raise StoreUnavailable(str(error)) from error
        return rows_of(result, self._readers[sql.READ_MARK]) == [[self._batch]]

    async def _roll_back(self, session: Session, error: BaseException) -> None:
        """Undo what was begun; a session that may be broken is not used again."""
        try:
            await session.run([(sql.ROLLBACK, ())])
        except (Lost, Refused):
            self._link.drop(session)
        if isinstance(error, Refused) and error.sqlstate[:2] in _SPOILT:
            self._link.drop(session)

    async def _now_us(self, session: Session) -> int:
        """Return the database's time, as far as this process has learnt it."""
        here = self._clock.monotonic_us()
        if self._ahead_us is None or here - self._asked_us > CLOCK_KEPT_US:
            (result,) = await session.run([(sql.READ_CLOCK, ())])
            ((there,),) = rows_of(result, self._readers[sql.READ_CLOCK])
            self._asked_us = self._clock.monotonic_us()
            self._ahead_us = there - self._asked_us
        return self._clock.monotonic_us() + self._ahead_us


class _Again(Exception):
    """Nothing was committed, and a second attempt may well succeed."""


def _rounds(name: str, rows: list[Row]) -> Iterator[list[Row]]:
    """Yield the rows so that no statement is handed two for the same call.

    An UPDATE over rows applies only one of them to a row it finds twice.
    """
    if name in _REPEATING and len({row[-1] for row in rows}) < len(rows):
        for row in rows:
            yield [row]
    elif rows:
        yield rows


def _classified(error: BaseException) -> BaseException:
    """Return what the journal is to make of an error: poison is returned as it is."""
    if not isinstance(error, Refused):
        return error
    # Another process took the same idempotency key after this one looked: look again.
    taken = error.statement == "take_claim" and error.sqlstate == _UNIQUE_VIOLATION
    if taken or error.sqlstate in _TRANSIENT:
        return _Again(str(error))
    if error.sqlstate == _DIVISION_BY_ZERO:
        return AlreadyResolvedError(f"{error.statement} found fewer rows than it was to change")
    if error.sqlstate[:2] in _POISON:
        return error
    return StoreUnavailable(str(error))
