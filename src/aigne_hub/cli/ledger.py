from dataclasses import asdict

import typer

from aigne_hub.cli import reconciling
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.cli.failures import FAILED
from aigne_hub.storage import verify as books

app = group("Prove that the books agree.")


@command(app)
def verify(cli: Invocation) -> None:
    """Check every invariant of the ledger; exits 1 when one is broken."""
    with cli.output.waiting("Reading every transfer"), cli.reading() as (_, connection):
        checks = books.verify(connection)
        transfers = books.count_transfers(connection)
    ok = all(check.ok for check in checks)
    cli.output.checks(
        {"ok": ok, "checks": [asdict(check) for check in checks], "transfers": transfers}
    )
    cli.output.note(f"{transfers} transfers")
    if not ok:
        raise typer.Exit(FAILED)


command(app)(reconciling.reconcile)
