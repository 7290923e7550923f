"""A new database, made as all migrations together would make it, without loading their tool.

That tool would stay in the memory of the process that made it: 10 MiB for as long as it serves.
A test compares what the two make.
"""

from sqlalchemy import Engine, text

from aigne_hub.storage import revision, triggers
from aigne_hub.storage.schema import metadata
from aigne_hub.storage.schema_lock import alone


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
