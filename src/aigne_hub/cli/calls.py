from typing import Annotated

import typer

from aigne_hub.cli.arguments import LIMIT_DEFAULT, Limit
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.calls import Status
from aigne_hub.storage import calls, users

COLUMNS = (
    "started_at",
    "status",
    "outcome",
    "model",
    "provider",
    "input_tokens",
    "output_tokens",
    "credits",
    "duration_ms",
    "id",
)

ATTEMPT_COLUMNS = (
    "model",
    "credential",
    "reason",
    "status",
    "duration_ms",
    "cost",
    "error",
)

app = group("What was called, and what it cost.")


@command(app, "list")
def list_calls(
    cli: Invocation,
    user: Annotated[
        str | None, typer.Option(metavar="U", help="Only those of a user: e-mail, DID or id.")
    ] = None,
    status: Annotated[Status | None, typer.Option(help="Only those with this status.")] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> None:
    """List calls, newest first."""
    with cli.reading() as (_, connection):
        caller = None if user is None else users.find(connection, user)
        found = calls.list_calls(connection, user=caller, status=status, limit=limit)
        cli.output.rows(found, COLUMNS)


@command(app)
def show(
    cli: Invocation, call_id: Annotated[str, typer.Argument(metavar="ID", help="The call's id.")]
) -> None:
    """Show one call and its attempts at upstreams."""
    with cli.reading() as (_, connection):
        found = calls.show_call(connection, call_id)
    if cli.output.as_json:
        cli.output.document(found)
        return
    attempts = found.pop("attempts")
    assert isinstance(attempts, list)
    cli.output.document(found)
    cli.output.rows(attempts, ATTEMPT_COLUMNS)
