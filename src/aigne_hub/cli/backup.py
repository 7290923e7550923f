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
from tempfile import mkstemp
from urllib.parse import quote

from sqlalchemy import Engine

from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound
from aigne_hub.storage import liveness, migrate
from aigne_hub.storage.engine import (
    create_engine,
    driver_connection,
    reading,
    sqlite_module,
    sqlite_path,
)

PAGES_PER_STEP = 1_024  # 4 MiB between two reports of progress
LOCK_S = 1.0  # how long to wait for whoever has the database open
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


def back_up(database_url: str, target: Path, progress: Progress) -> Copied:
    """Copy a hub's SQLite database to a new file, readable by its owner only.

    Raises NotFound when there is no database, Conflict when the file exists, Corrupt, or
    InvalidRequest when the database is not a hub's.
    """
    source = sqlite_path(database_url)
    if not source.exists():
        raise NotFound(f"There is no database {source}. aigne-hub init makes one.")
    _require_absent(target)
    engine = create_engine(database_url)
    try:
        revision = _revision(engine, source)
        with _draft(target) as draft:
            with reading(engine) as connection:
                # The backup goes on in this read transaction, so that no writer restarts it.
                connection.exec_driver_sql("SELECT count(*) FROM sqlite_schema").scalar_one()
                _copy(driver_connection(connection), draft, progress)
            _require_sound(draft, source)
            _claim(target)
            draft.replace(target)
    finally:
        engine.dispose()
    _sync_directory(target.parent)
    return Copied(target, target.stat().st_size, revision)


def restore(source: Path, target: Path, processes: Path, progress: Progress) -> Path | None:
    """Put a backup, upgraded to this version, in the place of the database.

    Returns where the replaced one is kept, None when there was none. Raises NotFound,
    InvalidRequest, SchemaMismatch or Corrupt for a file that is not the sound database of a
    hub this version knows, and Conflict while anyone has the database open.
    """
    if not source.is_file():
        raise NotFound(f"There is no file {source}.")
    _require_stopped(processes)
    target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with _draft(target) as draft:
        try:
            with closing(_open_read_only(source)) as connection:
                _copy(connection, draft, progress)
            _require_sound(draft, source)
        except sqlite_module().DatabaseError as error:
            raise InvalidRequest(f"{source} is not a sound SQLite database: {error}.") from None
        engine = create_engine(f"sqlite:///{draft}")
        try:
            _revision(engine, source)
            migrate.upgrade(engine)
        finally:
            engine.dispose()
        _sync(draft)
        replaced = _set_aside(target) if target.exists() else None
        for suffix in _SIDECARS:  # SQLite would replay another database's log into this one
            target.with_name(f"{target.name}{suffix}").unlink(missing_ok=True)
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


def _require_sound(draft: Path, named: Path) -> None:
    """Check a finished copy and bring it to disk; `named` is what messages call it."""
    with closing(sqlite_module().connect(str(draft))) as copy:
        (verdict,) = copy.execute("PRAGMA integrity_check(1)").fetchone()
    if verdict != "ok":
        raise Corrupt(f"{named} is damaged: {verdict}. Use an earlier backup.")
    _sync(draft)


def _revision(engine: Engine, named: Path) -> str:
    revision = migrate.current(engine)
    if revision is None:
        raise InvalidRequest(f"{named} is not the database of a hub: its schema is missing.")
    return revision


@contextmanager
def _draft(target: Path) -> Iterator[Path]:
    """Give a private file beside the target to copy into; nothing of it is left behind."""
    fd, name = mkstemp(prefix=f".{target.name}.", dir=target.parent)
    os.close(fd)
    draft = Path(name)
    try:
        yield draft
    finally:
        draft.unlink(missing_ok=True)
        for suffix in _SIDECARS:
            draft.with_name(f"{draft.name}{suffix}").unlink(missing_ok=True)


def _open_read_only(path: Path) -> sqlite3.Connection:
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"
    connection: sqlite3.Connection = sqlite_module().connect(uri, uri=True)
    return connection


def _require_absent(target: Path) -> None:
    if not target.parent.is_dir():
        raise InvalidRequest(f"There is no directory {target.parent}. Make it first.")
    if target.exists():
        raise _exists(target)


def _claim(target: Path) -> None:
    """Make the file unless it exists; a hard link would do the same, but not on every disk."""
    try:
        os.close(os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
    except FileExistsError:
        raise _exists(target) from None


def _exists(target: Path) -> Conflict:
    return Conflict(f"{target} exists. Choose another name, or move it away first.")


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
    with closing(module.connect(str(target), isolation_level=None, timeout=LOCK_S)) as connection:
        try:
            connection.execute("PRAGMA journal_mode=DELETE").fetchone()
        except module.OperationalError as error:
            raise Conflict(
                f"{target} cannot be replaced: {error}. Stop every program that has it open."
            ) from None
        except module.DatabaseError:  # too damaged to be opened: perhaps why one restores
            return


def _sync(file: Path) -> None:
    with file.open("rb") as opened:
        os.fsync(opened.fileno())


def _sync_directory(directory: Path) -> None:
    """A new name is on disk only when its directory is."""
    fd = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
