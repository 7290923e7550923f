from typing import Annotated

import typer

from aigne_hub.cli.arguments import LIMIT_DEFAULT, Limit
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.failures import FAILED
from aigne_hub.cli.output import write_json
from aigne_hub.storage import audit

COLUMNS = ("created_at", "actor", "origin", "action", "object", "detail")
BREAKS_SHOWN_MAX = 20

app = group("Who changed what.")


@command(app, "list")
def list_entries(
    cli: Invocation,
    actor: Annotated[str | None, typer.Option(help="Only what this one did.")] = None,
    action: Annotated[
        str | None, typer.Option(help="Only this action, or those that begin so: key.")
    ] = None,
    object_: Annotated[
        str | None, typer.Option("--object", help="Only what was done to this object.")
    ] = None,
    limit: Limit = LIMIT_DEFAULT,
) -> None:
    """List changes, newest first."""
    with cli.reading() as (_, connection):
        wanted = audit.Wanted(actor, action, object_)
        cli.output.rows(audit.entries(connection, wanted, limit=limit), COLUMNS)


@command(app)
def export(cli: Invocation) -> None:
    """Print every change with its hash, oldest first, a line of JSON each."""
    with cli.reading() as (_, connection):
        for entry in audit.exported(connection):
            write_json(entry)


@command(app)
def verify(
    cli: Invocation,
    head: Annotated[
        str | None, typer.Option(metavar="HASH", help="A head noted before, which must be in it.")
    ] = None,
) -> None:
    """Prove that nobody changed the log; exits 1 when somebody did."""
    with cli.output.waiting("Reading every change"), cli.reading() as (_, connection):
        broken = audit.verify(connection)
        end = audit.head(connection)
        is_known = head is None or audit.has(connection, head)
    ok = not broken and is_known
    checks = [
        {
            "name": "every change is what was written",
            "ok": not broken,
            "detail": "; ".join(
                f"entry {one.seq}: {one.reason}" for one in broken[:BREAKS_SHOWN_MAX]
            ),
        }
    ]
    if head is not None:
        missing = "" if is_known else "the log does not have it"
        checks.append({"name": "the noted head is in it", "ok": is_known, "detail": missing})
    cli.output.checks({"ok": ok, "checks": checks, "entries": end.seq, "head": end.hash.hex()})
    cli.output.note(f"{end.seq} changes, head {end.hash.hex()}")
    if not ok:
        raise typer.Exit(FAILED)
