"""Copy a SQLite hub database out and back, whole or not at all.

Both ways go through SQLite's online backup: the copy is one consistent state, whatever is
written meanwhile, and a single file without its write-ahead log.
"""

import os
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound
from aigne_hub.storage import liveness, migrate
from aigne_hub.storage.engine import create_engine, driver_connection, reading, sqlite_module

PAGES_PER_STEP = 1_024  # 4 MiB between two reports of progress
REPLACED_MAX = 10_000
_SIDECARS = ("-wal", "-shm")

# Told how many pages remain, and of how many.
Progress = Callable[[int, int], None]


class Corrupt(HubError):
    """A copy does not pass SQLite's integrity check."""

    code = "corrupt_database"


@dataclass(frozen=True, slots=True)
class Copied:
    """A finished copy: its size and the schema revision it holds."""

    path: Path
    size: int
    revision: str


def back_up(database_url: str, source: Path, target: Path, progress: Progress) -> Copied:
    """Copy the database to a new file. Raises Conflict when the file exists, else NotFound,
    Corrupt, or InvalidRequest when there is no hub in the database.
    """
    if not source.exists():
        raise NotFound(f"There is no database {source}. aigne-hub init makes one.")
    _require_absent(target)
    engine = create_engine(database_url)
    try:
        with _draft(target) as draft:
            with reading(engine) as connection:
                # The backup takes over this read transaction: writers never restart it.
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
                _copy(driver_connection(connection), draft, progress)
            copied = _checked(draft, target)
            try:
                target.hardlink_to(draft)
            except FileExistsError:
                _require_absent(target)
        _sync_directory(target.parent)
    finally:
        engine.dispose()
    return copied


def restore(source: Path, target: Path, processes: Path, progress: Progress) -> Path | None:
    """Put a backup in the place of the database; return where the replaced one is kept.

    Raises NotFound, InvalidRequest or Corrupt for a file that is not a sound hub database,
    and Conflict while a server or another program has the database open.
    """
    if not source.is_file():
        raise NotFound(f"There is no file {source}.")
    _require_stopped(processes)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(target) as draft:
        try:
            with closing(_open_read_only(source)) as connection:
                _copy(connection, draft, progress)
            _checked(draft, source)
        except sqlite_module().DatabaseError as error:
            raise InvalidRequest(f"{source} is not a SQLite database. ({error})") from None
        replaced = _set_aside(target) if target.exists() else None
        draft.replace(target)
        _sync_directory(target.parent)
    return replaced


def _copy(source: sqlite3.Connection, draft: Path, progress: Progress) -> None:
    with closing(sqlite_module().connect(str(draft))) as copy:
        source.backup(
            copy,
            pages=PAGES_PER_STEP,
            progress=lambda _status, remaining, total: progress(remaining, total),
        )
        # A copy of a database in WAL mode would make its sidecar files wherever it is opened.
        copy.execute("PRAGMA journal_mode=DELETE").close()


def _checked(draft: Path, named: Path) -> Copied:
    """Check a finished copy and bring it to disk; `named` is what messages call it."""
    with closing(sqlite_module().connect(str(draft))) as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
        if verdict != "ok":
            raise Corrupt(f"{named} is damaged: {verdict}. Use an earlier backup.")
    engine = create_engine(f"sqlite:///{draft}")
    try:
        revision = migrate.current(engine)
    finally:
        engine.dispose()
    if revision is None:
        raise InvalidRequest(f"{named} is not the database of a hub. Its schema is missing.")
    if not migrate.is_known(revision):
        raise InvalidRequest(
            f"{named} has schema {revision}, which this version does not know. "
            f"Install the version of AIGNE Hub that wrote it."
        )
    with draft.open("rb") as file:
        os.fsync(file.fileno())
    return Copied(named, draft.stat().st_size, revision)


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Give a private file beside the target to copy into; nothing of it is left behind."""
    draft = target.with_name(f".{target.name}.{os.getpid()}")
    os.close(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    try:
        yield draft
    finally:
        for name in (draft.name, *(f"{draft.name}{suffix}" for suffix in _SIDECARS)):
            draft.with_name(name).unlink(missing_ok=True)


def _open_read_only(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection: sqlite3.Connection = sqlite_module().connect(uri, uri=True)
    return connection


def _require_absent(target: Path) -> None:
    if target.exists():
        raise Conflict(f"{target} exists. Choose another name, or move it away first.")


def _require_stopped(processes: Path) -> None:
    ids = [path.stem for path in processes.glob("*.lock")]
    if len(liveness.dead(processes, ids)) < len(ids):
        raise Conflict("A server is running on this data directory. Stop it first.")


def _set_aside(target: Path) -> Path:
    """Keep the present database under another name; its own stays until it is replaced."""
    _fold_log(target)
    for number in range(1, REPLACED_MAX):
        kept = target.with_name(f"{target.name}.before-restore-{number}")
        with suppress(FileExistsError):
            kept.hardlink_to(target)
            break
    else:
        raise Conflict(f"{REPLACED_MAX} replaced databases are kept. Move some of them away.")
    for suffix in _SIDECARS:  # left over when the log could not be folded in
        with suppress(FileNotFoundError):
            target.with_name(f"{target.name}{suffix}").rename(f"{kept}{suffix}")
    return kept


def _fold_log(target: Path) -> None:
    """Fold the write-ahead log into the file, which also proves that nobody has it open."""
    module = sqlite_module()
    with closing(module.connect(str(target), isolation_level=None)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        except module.OperationalError:
            raise Conflict(f"Another program has {target} open. Stop it first.") from None
        except module.DatabaseError:  # too damaged to be opened: perhaps why one restores
            return


def _sync_directory(directory: Path) -> None:
    """A new name is on disk only when its directory is."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
