"""Asking a database again until it answers, so that its absence is never taken for its answer."""

import asyncio
import time

import psycopg
from sqlalchemy import insert, select, update
from sqlalchemy.exc import DBAPIError

from aigne_hub.storage import engine, schema
from aigne_hub.storage.journal import CommitUnknown, StoreUnavailable

TRIES = 480
RETRY_S = 0.25
# Classes of SQLSTATE that speak of the server or the connection, and not of what was asked.
_ELSEWHERE = {None, "08", "25", "40", "53", "55", "57"}


class DatabaseUnavailable(BaseException):
    """The database could not be asked, so nothing is known. No handler of errors swallows it."""

    def __init__(self):
        super().__init__(f"the database was unavailable, {TRIES} times in a row")


def absent(error):
    """Tell whether an error means that the database did not do what it was asked."""
    cause = error.orig if isinstance(error, DBAPIError) else error
    if isinstance(cause, psycopg.Error):
        state = cause.sqlstate
        known = isinstance(cause, psycopg.OperationalError | psycopg.InternalError)
        return known and (state and state[:2]) in _ELSEWHERE
    return isinstance(cause, StoreUnavailable)


def patiently(ask):
    """Return what `ask` returns, which changes nothing or does the same when done twice."""
    for _ in range(TRIES):
        try:
            return ask()
        except Exception as error:
            if not absent(error):
                raise
            last = error
        time.sleep(RETRY_S)
    raise DatabaseUnavailable from last


async def patiently_await(ask):
    """Do as `patiently` does, on a loop."""
    for _ in range(TRIES):
        try:
            return await ask()
        except Exception as error:
            if not absent(error):
                raise
            last = error
        await asyncio.sleep(RETRY_S)
    raise DatabaseUnavailable from last


class MarkedWrites:
    """Transactions that happen once, also when the answer to a COMMIT was lost.

    Each leaves its number in `hub_state`. The next attempt waits for that row, and so for the
    end of the one before.
    """

    def __init__(self, database):
        self._database = database
        self._mark = 1

    def write(self, change):
        self._mark += 1
        version = schema.hub_state.c.version
        take = update(schema.hub_state).where(version < self._mark).values(version=self._mark)
        answer = None

        def attempt():
            nonlocal answer
            with engine.writing(self._database) as connection:
                if connection.execute(take).rowcount:
                    answer = change(connection)
            return answer

        return patiently(attempt)


class PatientStore:
    """storage.journal.Store over another, which is asked again while it is unavailable.

    The journal refuses a call then, which is right for a hub and says nothing of the ledger.
    """

    def __init__(self, store, database):
        self._store, self._database = store, database

    async def reach(self):
        await patiently_await(self._store.reach)

    async def commit(self, operations, sent):
        try:
            return await patiently_await(lambda: self._store.commit(operations, sent))
        except CommitUnknown as doubt:
            landed = doubt.landed
            doubt.landed = lambda: patiently_await(landed)
            raise

    async def bury(self, letter_id, operation, payload, error):
        async def attempt():
            if not await asyncio.to_thread(self._buried, letter_id):
                await self._store.bury(letter_id, operation, payload, error)

        await patiently_await(attempt)

    async def close(self):
        await self._store.close()

    def _buried(self, letter_id):
        letter = schema.dead_letter.c.id
        with engine.reading(self._database) as connection:
            return connection.execute(select(letter).where(letter == letter_id)).first() is not None


class PatientOrphans:
    """usage.cleanup.StaleCalls over another."""

    def __init__(self, orphans):
        self._orphans = orphans

    async def stale_calls(self):
        return await patiently_await(self._orphans.stale_calls)


async def answered(journal, steps):
    """Return the answers of a journal, errors among them; say why if it stopped writing."""
    asked = asyncio.gather(*steps, return_exceptions=True)
    await asyncio.wait([asked, journal._writer], return_when=asyncio.FIRST_COMPLETED)
    if not asked.done():
        journal._writer.result()
    return await asked


def register(connection, process_id):
    row = {"id": process_id, "host": "h", "pid": 1, "started_us": 1}
    connection.execute(insert(schema.process).values(row))
