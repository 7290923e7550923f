"""What every command is handed: where the hub's data is, and how to print."""

import inspect
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import Annotated, Any, Concatenate, ParamSpec

import typer

from aigne_hub.bootstrap import Hub, open_hub
from aigne_hub.cli.output import Output
from aigne_hub.settings import Settings, load_settings
from aigne_hub.storage import engine
from aigne_hub.storage.changes import Changes, changes

DataDir = Annotated[
    Path | None,
    typer.Option(metavar="DIR", help="Where the hub keeps its data (AIGNE_HUB_DATA_DIR)."),
]
DatabaseUrl = Annotated[
    str | None,
    typer.Option(metavar="URL", help="sqlite:///… or postgresql://… (AIGNE_HUB_DATABASE_URL)."),
]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]

P = ParamSpec("P")


@dataclass(frozen=True, slots=True)
class Invocation:
    """One run of one command."""

    data_dir: Path | None
    database_url: str | None
    environ: Mapping[str, str]
    output: Output

    def settings(self) -> Settings:
        """Return the settings in force. Raises ConfigError."""
        return load_settings(self.environ, data_dir=self.data_dir, database_url=self.database_url)

    @contextmanager
    def hub(self) -> Iterator[Hub]:
        """Open the hub, making it when it is new; raises what `bootstrap.open_hub` does."""
        settings = self.settings()
        if is_new(settings):
            self.output.note(f"Making a new hub in {settings.data_dir}.")
        hub = open_hub(settings, self.environ)
        try:
            yield hub
        finally:
            hub.engine.dispose()

    @contextmanager
    def reading(self) -> Iterator[tuple[Hub, Any]]:
        """Open the hub and give one consistent view of its database."""
        with self.hub() as hub, engine.reading(hub.engine) as connection:
            yield hub, connection

    @contextmanager
    def changing(self) -> Iterator[tuple[Hub, Changes]]:
        """Open the hub and make one administrative change, which servers notice."""
        with self.hub() as hub, self.changing_of(hub) as change:
            yield hub, change

    def changing_of(self, hub: Hub) -> AbstractContextManager[Changes]:
        """Make one administrative change of a hub that is open."""
        return changes(hub.engine, hub.clock, hub.ids, actor=login())


def is_new(settings: Settings) -> bool:
    """Tell whether the database is a SQLite file that does not exist yet."""
    if not settings.database_url.startswith("sqlite:"):
        return False
    return not engine.sqlite_path(settings.database_url).exists()


def group(summary: str) -> typer.Typer:
    """Return a command that only has commands below it."""
    app = typer.Typer(help=summary, add_completion=False)
    # Typer makes a lone command stand for its group, unless the group has a callback.
    app.callback()(lambda: None)
    return app


def single() -> typer.Typer:
    """Return a holder for a command that stands at the top level."""
    return typer.Typer(add_completion=False)


def command(
    app: typer.Typer, name: str | None = None
) -> Callable[[Callable[Concatenate[Invocation, P], None]], Callable[..., None]]:
    """Register a command that also takes --data-dir, --database-url and --json.

    They reach it as its first argument, an Invocation; the others are typer's.
    """

    def register(function: Callable[Concatenate[Invocation, P], None]) -> Callable[..., None]:
        @wraps(function)
        def run(
            *,
            data_dir: Path | None,
            database_url: str | None,
            as_json: bool,
            **arguments: Any,
        ) -> None:
            output = Output(as_json=as_json)
            function(Invocation(data_dir, database_url, os.environ, output), **arguments)  # type: ignore[call-arg]  # typer fills in the parameters of the signature below

        _, *own = inspect.signature(function).parameters.values()
        run.__signature__ = inspect.Signature([*map(_named, own), *_SHARED])  # type: ignore[attr-defined]  # inspect reads it, functions do not declare it
        app.command(name)(run)
        return run

    return register


def _named(parameter: inspect.Parameter) -> inspect.Parameter:
    return parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY)


_SHARED = tuple(
    inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)
    for name, default, annotation in (
        ("data_dir", None, DataDir),
        ("database_url", None, DatabaseUrl),
        ("as_json", False, Json),
    )
)


def login() -> str:
    """Return who runs the command, for the audit log; a bare container may have no name for it."""
    uid = os.geteuid()
    try:
        return f"cli:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"cli:{uid}"
