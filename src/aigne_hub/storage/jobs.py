"""Periodic work that one process does for all: a lease in the database, and a record of runs."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, or_, select, update

from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import writing
from aigne_hub.storage.inserts import insert_for

# A holder that dies gives its job up after this long.
LEASE_US = 60 * 1_000_000
_ERROR_CHARS = 500


@contextmanager
def lease(
    engine: Engine,
    clock: Clock,
    name: str,
    holder: str,
    every_us: int,
    lasts_us: int = LEASE_US,
) -> Iterator[bool]:
    """Give whether this process is to run the job now: nobody has within `every_us`.

    The run is recorded at the end, with its error if it raised one. `lasts_us` is more than
    it can take.
    """
    if not _taken(engine, clock.now_us(), name, holder, every_us, lasts_us):
        yield False
        return
    error = None
    try:
        yield True
    except Exception as failure:
        error = f"{type(failure).__name__}: {failure}"[:_ERROR_CHARS]
        raise
    finally:
        _write(engine, name, lease_until_us=None, last_run_us=clock.now_us(), last_error=error)


def hasten(change: Changes, name: str) -> None:
    """Let a job run when somebody next looks whether it is due."""
    change.connection.execute(
        update(schema.job).where(schema.job.c.name == name).values(last_run_us=None)
    )
    change.audit("job.hasten", name)


def _taken(
    engine: Engine, now_us: int, name: str, holder: str, every_us: int, lasts_us: int
) -> bool:
    job = schema.job
    free = or_(job.c.lease_until_us.is_(None), job.c.lease_until_us < now_us)
    due = or_(job.c.last_run_us.is_(None), job.c.last_run_us <= now_us - every_us)
    with writing(engine) as connection:
        if connection.execute(select(job.c.name).where(job.c.name == name)).first() is None:
            insert = insert_for(engine.dialect)
            connection.execute(insert(job).values(name=name).on_conflict_do_nothing())
        taken = connection.execute(
            update(job)
            .where(job.c.name == name, free, due)
            .values(holder=holder, lease_until_us=now_us + lasts_us)
        )
    return taken.rowcount == 1


def _write(engine: Engine, name: str, **values: object) -> None:
    with writing(engine) as connection:
        connection.execute(update(schema.job).where(schema.job.c.name == name).values(**values))
