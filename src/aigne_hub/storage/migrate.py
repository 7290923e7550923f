"""Bring a database to the schema of this version, once, whoever asks and however often."""

from collections.abc import Callable
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine

from aigne_hub.storage.engine import StorageError, reading
from aigne_hub.storage.schema_lock import alone

_SCRIPTS = "aigne_hub.storage:migrations"


class SchemaMismatch(StorageError):
    """The database has another schema than this version of the hub."""


def upgrade(engine: Engine, *, progress: Callable[[str], None] | None = None) -> list[str]:
    """Apply every missing revision in one transaction; return those applied, oldest first.

    `progress` is told each one before the next begins. Safe to run in several processes at
    once: one upgrades, the others wait and then find nothing to do. Raises SchemaMismatch
    for a database that a newer version has upgraded.
    """
    applied: list[str] = []

    def note(*, step: Any, **_: Any) -> None:
        applied.append(step.up_revision_id)
        if progress is not None:
            progress(step.up_revision_id)

    with alone(engine) as connection:
        found = _revision(connection)
        if found == head():
            return []
        _refuse_newer(found)
        config = _config()
        config.attributes["connection"] = connection
        config.attributes["on_version_apply"] = note
        command.upgrade(config, "head")
    return applied


def current(engine: Engine) -> str | None:
    """Return the revision of the database, None for an empty one."""
    with reading(engine) as connection:
        return _revision(connection)


def head() -> str:
    """Return the revision this version of the hub needs."""
    newest = _scripts().get_current_head()
    assert newest is not None
    return newest


def require_current(engine: Engine) -> None:
    """Raise SchemaMismatch unless the database has exactly the schema of this version."""
    found = current(engine)
    if found == head():
        return
    _refuse_newer(found)
    state = "is empty" if found is None else f"has the older schema {found}"
    raise SchemaMismatch(
        f"The database {state}; this version of AIGNE Hub needs {head()}. Run: aigne-hub db upgrade"
    )


def _refuse_newer(found: str | None) -> None:
    known = {script.revision for script in _scripts().walk_revisions()}
    if found is not None and found not in known:
        raise SchemaMismatch(
            f"The database has schema {found}, which this version of AIGNE Hub does not know: a "
            f"newer version upgraded it. Install that version here (its aigne-hub db upgrade has "
            f"run already), or restore the backup made before the upgrade."
        )


def _revision(connection: Connection) -> str | None:
    return MigrationContext.configure(connection).get_current_revision()


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", _SCRIPTS)
    return config


def _scripts() -> ScriptDirectory:
    return ScriptDirectory.from_config(_config())
