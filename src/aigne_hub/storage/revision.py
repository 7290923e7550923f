"""Which schema a database has, told without loading the tool that changes it."""

from sqlalchemy import Connection, Engine, inspect, text

from aigne_hub.storage.engine import reading

# The newest revision in migrations/versions; a test keeps the two together.
HEAD = "0001_billing"
_TABLE = "alembic_version"


def found(engine: Engine) -> str | None:
    """Return the database's revision, None for an empty database."""
    with reading(engine) as connection:
        return on(connection)


def on(connection: Connection) -> str | None:
    """Return the revision that a connection sees, None for an empty database."""
    if not inspect(connection).has_table(_TABLE):
        return None
    revision: str | None = connection.execute(
        text("SELECT version_num FROM alembic_version")
    ).scalar_one_or_none()
    return revision
