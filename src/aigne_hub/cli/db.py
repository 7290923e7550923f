from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.cli import backup as copies
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.settings import Settings
from aigne_hub.storage import engine, liveness, migrate

app = group("Upgrade, back up and restore the database.")

KEEP_THE_KEY = (
    "The secret key is not in the backup: keep secret.key (or AIGNE_HUB_SECRET_KEY) with it."
)

File = Annotated[Path, typer.Argument(metavar="FILE", help="The backup.")]


@command(app)
def upgrade(cli: Invocation) -> None:
    """Bring the database to the schema of this version, making it when it is new."""
    settings = cli.settings()
    if settings.database_url.startswith("sqlite:"):
        path = engine.sqlite_path(settings.database_url)
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    database = engine.create_engine(settings.database_url)
    try:
        with cli.output.waiting("Upgrading the database"):
            applied = migrate.upgrade(
                database, progress=lambda revision: cli.output.note(f"applying {revision}")
            )
    finally:
        database.dispose()
    text = f"applied {', '.join(applied)}" if applied else "nothing to do"
    head = migrate.head()
    cli.output.document(
        {"ok": True, "applied": applied, "revision": head}, f"{text}; the schema is {head}"
    )


@command(app)
def backup(cli: Invocation, file: File) -> None:
    """Copy the database to a new file, also while the hub serves, and check the copy."""
    settings = _sqlite_settings(cli, "pg_dump")
    with _bar(cli, "Copying") as progress:
        made = copies.back_up(settings.database_url, file, progress)
    document = {"ok": True, "file": str(file), "bytes": made.size, "revision": made.revision}
    cli.output.document(document, f"{file}: {made.size} bytes, schema {made.revision}, sound")
    cli.output.note(KEEP_THE_KEY)


@command(app)
def restore(cli: Invocation, file: File) -> None:
    """Put a backup in the place of the database, which is kept under another name."""
    settings = _sqlite_settings(cli, "pg_restore")
    target = engine.sqlite_path(settings.database_url)
    with _bar(cli, "Restoring") as progress:
        kept = copies.restore(file, target, liveness.folder_of(target), progress)
    replaced = None if kept is None else str(kept)
    text = f"restored {target} from {file}"
    if replaced:
        text += f"\nthe replaced database is {replaced}"
    cli.output.document(
        {"ok": True, "file": str(file), "database": str(target), "replaced": replaced}, text
    )
    cli.output.note(
        "Start it with the secret key it was made with (secret.key or AIGNE_HUB_SECRET_KEY); "
        "aigne-hub doctor says whether it fits."
    )


def _sqlite_settings(cli: Invocation, instead: str) -> Settings:
    settings = cli.settings()
    if not settings.database_url.startswith("sqlite:"):
        raise InvalidRequest(f"This works with SQLite only. For PostgreSQL use {instead}.")
    return settings


@contextmanager
def _bar(cli: Invocation, what: str) -> Iterator[Callable[[int, int], None]]:
    """Show a progress bar; give what moves it."""
    with cli.output.progress() as bar:
        task = bar.add_task(what, total=None)
        yield lambda remaining, total: bar.update(task, completed=total - remaining, total=total)
