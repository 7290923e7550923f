"""A new database, made as all migrations together would make it, without loading their tool.

That tool would stay in the memory of the process that made it: 10 MiB for as long as it serves.
A test compares what the two make.
"""

from types import ModuleType

from sqlalchemy import Engine, text

from aigne_hub.at_first_use import at_first_use
from aigne_hub.storage import revision, triggers
from aigne_hub.storage.schema import metadata
from aigne_hub.storage.schema_lock import alone


def bring_up_to_date(engine: Engine) -> None:
    """Make or upgrade what a first start needs; PostgreSQL is only made.

    Raises SchemaMismatch for a database of another version that is not upgraded here.
    """
    found = revision.found(engine)
    if found is None:
        create(engine)
        found = revision.found(engine)
    if found == revision.HEAD:
        return
    migrate = _migrate()
    if engine.dialect.name == "sqlite":
        migrate.upgrade(engine)
    migrate.require_current(engine)


@at_first_use
def _migrate() -> ModuleType:
    from aigne_hub.storage import migrate  # noqa: PLC0415 - at first use

    return migrate


def create(engine: Engine) -> None:
    """Make the schema of this version in an empty database, unless another process just did."""
    with alone(engine) as connection:
        if revision.on(connection) is not None:
            return
        metadata.create_all(connection)
        connection.execute(text("INSERT INTO hub_state (id, version) VALUES (1, 1)"))
        # Alembic's own table, which tells it later where to go on.
        connection.execute(
            text(
                "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL,"
                " CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
            )
        )
        connection.execute(
            text("INSERT INTO alembic_version (version_num) VALUES (:head)"),
            {"head": revision.HEAD},
        )
        triggers.install(connection)
