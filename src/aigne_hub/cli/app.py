"""The command tree. A command's module is imported when it is run, so `--help` is fast."""

from collections.abc import Mapping
from importlib import import_module
from typing import Annotated, Any, Final

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from aigne_hub import __version__

NAME: Final = "aigne-hub"

# Top-level command -> what `--help` says. Its module in this package has the same name.
COMMANDS: Final[Mapping[str, str]] = {
    "init": "Create the owner and the first API key.",
    "serve": "Run the hub until it is stopped.",
    "doctor": "Check everything a hub needs, and say how to mend what fails.",
    "users": "People and programs that call.",
    "roles": "What users may be.",
    "keys": "API keys.",
    "apps": "Applications that sign their calls.",
    "oauth": "OAuth clients, and the keys that tokens are signed with.",
    "approve": "Approve what waits for a person.",
    "credits": "Grant credit and see where it went.",
    "explain": "Say why calls are refused, and what would be allowed.",
    "limits": "What keys, users and projects may use.",
    "payments": "Orders of credit: who paid, who is to pay, what went back.",
    "calls": "What was called, and what it cost.",
    "providers": "Where calls go.",
    "routing": "Where calls would go, and what is barred.",
    "rates": "What models cost.",
    "webhooks": "Tell other programs what happened.",
    "ledger": "Prove that the books agree.",
    "audit": "Who changed what, and proof that the log is whole.",
    "config": "Check hub.yaml.",
    "db": "Upgrade, back up and restore the database.",
    "openapi": "Print the OpenAPI document.",
    "snippet": "Print the set-up of a client.",
}


class LazyGroup(TyperGroup):
    """The top level: stands in for every command until one is asked for."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        for name, summary in COMMANDS.items():
            self.commands[name] = TyperCommand(name, help=summary)

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name = args[0]
        if name in COMMANDS:
            command = get_command(import_module(f"aigne_hub.cli.{name}").app)
            command.name = name
            self.commands[name] = command
        return super().resolve_command(ctx, args)


app = typer.Typer(
    cls=LazyGroup,
    help="One exact, fast gateway in front of every AI provider.",
    no_args_is_help=True,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(__version__)
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Say which.")
    ] = False,
) -> None:
    """Take the options that stand before a command."""
