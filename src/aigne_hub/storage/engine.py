"""Connections: which SQLite, which PostgreSQL driver, and how transactions begin.

SQLite is opened in WAL mode with `synchronous=FULL`: a commit that returned has survived a
power cut. Python's own transaction control is switched off, because it begins transactions
late and never for reads; SQLAlchemy emits the BEGIN instead.
"""

import sqlite3
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType
from typing import TypeAlias, cast

import sqlalchemy
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine import URL, ExceptionContext, make_url
from sqlalchemy.exc import ArgumentError

from aigne_hub.domain.errors import InvalidRequest

# Before this version two connections that checkpoint and write at once can corrupt the
# database (the WAL-reset defect, present since 3.7.0).
SQLITE_VERSION_MIN = (3, 51, 3)
# The oldest that its makers still mend.
POSTGRES_VERSION_MIN = 14
BUSY_TIMEOUT_MS = 5_000
JOURNAL_STATEMENTS_MAX = 256
POSTGRES_CONNECT_TIMEOUT_S = 10

# A writer that freezes or loses its network keeps its locks no longer than this.
_NOT_FROZEN = "SET LOCAL idle_in_transaction_session_timeout = '15s'"

# How the driver refuses a text with one.
_NUL = "cannot contain NUL"

_BEGIN_OPTION = "sqlite_begin"
_WAL_RETRY_S = 0.01


# One consistent view of the database, for those who do not know what is beneath.
View: TypeAlias = Connection


class StorageError(Exception):
    """The database cannot be used as it is. The message says why and what to do."""


class UnfixedSqlite(StorageError):
    """Every SQLite library at hand is older than SQLITE_VERSION_MIN."""


def sqlite_module() -> ModuleType:
    """Return the SQLite driver to use: `pysqlite3`, which carries its library, or the stdlib's.

    Raises UnfixedSqlite rather than risk the database.
    """
    bundled = find_spec("pysqlite3") is not None
    module = import_module("pysqlite3" if bundled else "sqlite3")
    require_fixed(module.sqlite_version_info, driver=module.__name__)
    # Unless it is told how, the driver asks None and a bool at length how they want to be
    # bound: almost a microsecond each, and a call's rows have twenty. `{}.get(None)` is None.
    module.register_adapter(type(None), {}.get)
    module.register_adapter(bool, int)
    return module


def require_fixed(version: tuple[int, ...], *, driver: str) -> None:
    """Raise UnfixedSqlite for a library version with the WAL-reset defect."""
    if version >= SQLITE_VERSION_MIN:
        return
    found, needed = (".".join(map(str, each)) for each in (version, SQLITE_VERSION_MIN))
    raise UnfixedSqlite(
        f"The Python module {driver!r} uses SQLite {found}, which can corrupt a database in WAL "
        f"mode that several connections write and checkpoint (the WAL-reset defect). AIGNE Hub "
        f"needs SQLite {needed} or later: install pysqlite3 (pip install 'pysqlite3>=0.6.1'), a "
        f"Python built with a newer SQLite, or use PostgreSQL (--database-url postgresql://…)."
    )


def create_engine(database_url: str) -> Engine:
    """Return an engine for `sqlite:///path` or `postgresql://…`.

    Nothing is connected yet. Raises StorageError for any other address and for a driver
    that is missing or too old.
    """
    url = _parsed(database_url)
    match url.get_backend_name():
        case "sqlite":
            sqlite_path(database_url)
            return _sqlite_engine(url)
        case "postgresql" | "postgres":
            return _postgres_engine(url)
    raise StorageError(
        f"The database address begins with {url.drivername!r}. Use sqlite:///path or postgresql://…"
    )


def sqlite_path(database_url: str) -> Path:
    """Return the file behind a `sqlite:///…` address."""
    url = _parsed(database_url)
    if url.get_backend_name() != "sqlite":
        raise StorageError(f"{url.drivername!r} is not the address of a SQLite file.")
    if not url.database or url.database == ":memory:" or url.query:
        raise StorageError(
            "A SQLite database is a file, since every process and thread opens its own "
            "connection: give sqlite:///path/to/hub.db without options."
        )
    return Path(url.database)


def connect(path: Path) -> sqlite3.Connection:
    """Return the journal's own connection, in manual-commit mode.

    It never waits for a lock (the journal retries on its loop), leaves checkpoints to others,
    and does not check foreign keys: the rows it writes refer to each other by construction,
    and the checks would cost a look-up a row.
    """
    module = sqlite_module()
    connection: sqlite3.Connection = module.connect(
        str(path),
        isolation_level=None,
        cached_statements=JOURNAL_STATEMENTS_MAX,
        check_same_thread=False,
    )
    set_pragmas(connection, busy_timeout=BUSY_TIMEOUT_MS)
    _use_wal(connection)
    set_pragmas(
        connection, synchronous="FULL", foreign_keys="OFF", wal_autocheckpoint=0, busy_timeout=0
    )
    return connection


def require_usable(engine: Engine) -> None:
    """Raise StorageError for a PostgreSQL server that is too old, or a database not in UTF-8.

    SQLite is looked at before it is opened.
    """
    if engine.dialect.name == "sqlite":
        return
    query = (
        "SELECT current_setting('server_version_num')::int / 10000,"
        " current_setting('server_version'), current_setting('server_encoding')"
    )
    with reading(engine) as connection:
        major, version, encoding = connection.exec_driver_sql(query).one()
    if major < POSTGRES_VERSION_MIN:
        raise StorageError(
            f"The server is PostgreSQL {version}. AIGNE Hub needs {POSTGRES_VERSION_MIN} or later: "
            "upgrade it, or name another with --database-url."
        )
    if encoding != "UTF8":
        raise StorageError(
            f"The database keeps text as {encoding}, which has no place for most characters. "
            "Create one with: CREATE DATABASE … ENCODING 'UTF8' TEMPLATE template0."
        )


@contextmanager
def reading(engine: Engine) -> Iterator[Connection]:
    """Give a connection that sees one consistent state of the database and cannot write."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            with _query_only(driver_connection(connection)):
                yield connection.execution_options(**{_BEGIN_OPTION: "BEGIN"})
        else:
            yield connection.execution_options(
                isolation_level="REPEATABLE READ", postgresql_readonly=True
            )


@contextmanager
def writing(engine: Engine) -> Iterator[Connection]:
    """Give a connection in a write transaction: committed at the end, rolled back on an error.

    SQLite takes the write lock at once, so that nothing read before a write can be stale.
    """
    with engine.connect() as connection, connection.begin():
        if engine.dialect.name != "sqlite":
            connection.exec_driver_sql(_NOT_FROZEN)
        yield connection


def driver_connection(connection: Connection) -> sqlite3.Connection:
    """Return the SQLite connection beneath, without beginning a transaction on it."""
    return cast("sqlite3.Connection", connection.connection.driver_connection)


def set_pragmas(connection: sqlite3.Connection, **pragmas: str | int) -> None:
    for name, value in pragmas.items():
        connection.execute(f"PRAGMA {name}={value}").close()


def _use_wal(connection: sqlite3.Connection) -> None:
    """Switch a new file to WAL. SQLite does not wait for the lock that takes, so this does."""
    deadline = time.monotonic() + BUSY_TIMEOUT_MS / 1000
    while True:
        try:
            set_pragmas(connection, journal_mode="WAL")
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(_WAL_RETRY_S)
        else:
            return


@contextmanager
def _query_only(connection: sqlite3.Connection) -> Iterator[None]:
    set_pragmas(connection, query_only="ON")
    try:
        yield
    finally:
        set_pragmas(connection, query_only="OFF")


def _parsed(database_url: str) -> URL:
    try:
        return make_url(database_url)
    except ArgumentError:
        # The address may hold a password, so the message must not repeat it.
        raise StorageError(
            "The database address is not a URL. Use sqlite:///path or postgresql://…"
        ) from None


def _sqlite_engine(url: URL) -> Engine:
    engine = sqlalchemy.create_engine(url.set(drivername="sqlite"), module=sqlite_module())

    @event.listens_for(engine, "connect")
    def configure(connection: sqlite3.Connection, _record: object) -> None:
        connection.isolation_level = None
        set_pragmas(connection, busy_timeout=BUSY_TIMEOUT_MS)
        _use_wal(connection)
        set_pragmas(connection, synchronous="FULL", foreign_keys="ON")

    @event.listens_for(engine, "begin")
    def begin(connection: Connection) -> None:
        options = connection.get_execution_options()
        connection.exec_driver_sql(options.get(_BEGIN_OPTION, "BEGIN IMMEDIATE"))

    return engine


def _postgres_engine(url: URL) -> Engine:
    if find_spec("psycopg") is None:
        raise StorageError(
            "PostgreSQL needs its driver: install it with pip install 'aigne-hub[postgres]'."
        )
    engine = sqlalchemy.create_engine(
        url.set(drivername="postgresql+psycopg"),
        isolation_level="READ COMMITTED",
        pool_pre_ping=True,
        connect_args={"connect_timeout": POSTGRES_CONNECT_TIMEOUT_S},
    )

    @event.listens_for(engine, "handle_error")
    def refuse_nul(context: ExceptionContext) -> None:
        """Blame the one text that PostgreSQL cannot take on who sent it: nothing is so named."""
        if _NUL in str(context.original_exception):
            raise InvalidRequest(
                "A text of this request has a NUL character in it, which no name and no id has."
            )

    return engine
