"""`credits refund` and `credits revoke`: what was charged or granted, back again."""

from typing import Annotated

import typer

from aigne_hub.cli.arguments import amount
from aigne_hub.cli.context import Invocation
from aigne_hub.storage import refunds

Amount = Annotated[
    str | None, typer.Option("--amount", metavar="A", help="Only so many credits of it.")
]


def refund(
    cli: Invocation,
    call_id: Annotated[str, typer.Argument(metavar="CALL", help="The call's id.")],
    amount_: Amount = None,
) -> None:
    """Give back what a call was charged, to the grants it came from."""
    nano = None if amount_ is None else amount(amount_, "--amount")
    with cli.changing() as (_, change):
        made = refunds.refund(change, call_id, nano)
    cli.output.document(refunds.document(made))


def revoke(
    cli: Invocation,
    grant_id: Annotated[str, typer.Argument(metavar="GRANT", help="The grant's id.")],
    amount_: Amount = None,
) -> None:
    """Take a grant back. What was spent of it is owed, down to the overdraft limit."""
    nano = None if amount_ is None else amount(amount_, "--amount")
    with cli.changing() as (_, change):
        made = refunds.revoke(change, grant_id, nano)
    cli.output.document(refunds.document(made))
