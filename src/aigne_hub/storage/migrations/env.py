"""Alembic's entry: runs revisions on the connection, and in the transaction, it was handed."""

from alembic import context

from aigne_hub.storage import triggers
from aigne_hub.storage.schema import metadata

_connection = context.config.attributes["connection"]

context.configure(
    connection=_connection,
    target_metadata=metadata,
    # storage.engine emits BEGIN itself, so SQLite's DDL is transactional here.
    transactional_ddl=True,
    on_version_apply=context.config.attributes["on_version_apply"],
)
with context.begin_transaction():
    # Revisions may rebuild tables and correct rows; afterwards the past is closed again.
    triggers.remove(_connection)
    context.run_migrations()
    triggers.install(_connection)
