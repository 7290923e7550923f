"""`aigne-hub approve`: say yes for people without a browser."""

from typing import Annotated

import typer

from aigne_hub.cli.arguments import UserName
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.storage import connect_sessions, users

app = group("Approve what waits for a person.")


@command(app)
def connect(
    cli: Invocation,
    session_id: Annotated[str, typer.Argument(metavar="SESSION_ID", help="As its page shows it.")],
    user: UserName,
) -> None:
    """Let a waiting `aigne hub connect` have a key of a user."""
    with cli.changing() as (_, change):
        connect_sessions.approve(change, session_id, users.find(change.connection, user))
    cli.output.document({"ok": True})
