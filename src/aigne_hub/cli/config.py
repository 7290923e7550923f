from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.bootstrap import provider_problems
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.failures import BAD_ARGUMENTS
from aigne_hub.cli.output import write_json
from aigne_hub.hub_file import check_hub_file, hub_file_schema, load_hub_file
from aigne_hub.problems import ConfigError

app = group("Check hub.yaml.")


@command(app)
def check(
    cli: Invocation,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to check.")],
) -> None:
    """Report everything that would keep a file from being loaded, with its line."""
    problems = check_hub_file(file, cli.environ)
    if not problems:
        problems = provider_problems(load_hub_file(file, cli.environ))
    errors = [
        {"path": problem.path, "line": problem.line, "message": problem.message}
        for problem in problems
    ]
    text = str(ConfigError(str(file), problems)) if problems else f"{file} is valid"
    cli.output.document({"ok": not problems, "errors": errors}, text)
    if problems:
        raise typer.Exit(BAD_ARGUMENTS)


@command(app)
def schema(cli: Invocation) -> None:  # noqa: ARG001 - every command takes its options
    """Print the JSON Schema of hub.yaml, for editors."""
    write_json(hub_file_schema())
