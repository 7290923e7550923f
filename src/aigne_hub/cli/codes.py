"""`credits codes`: codes that give credit to whoever redeems them."""

import os
from typing import Annotated

import typer

from aigne_hub.cli.arguments import LIMIT_DEFAULT, Limit, amount, instant
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.lots import Category
from aigne_hub.payments.documents import code_document
from aigne_hub.storage import codes

COLUMNS = ("prefix", "amount", "category", "redeemed", "max_redemptions", "expires_at", "id")

app = group("Codes that give credit to whoever redeems them.")


@command(app)
def create(
    cli: Invocation,
    *,
    amount_: Annotated[
        str, typer.Option("--amount", metavar="A", help="Credits that a redemption gives.")
    ],
    count: Annotated[
        int, typer.Option(min=1, max=codes.COUNT_MAX, help="How many codes to make.")
    ] = 1,
    max_redemptions: Annotated[
        int,
        typer.Option(min=1, max=codes.REDEMPTIONS_MAX, help="How many accounts may redeem each."),
    ] = 1,
    expires_at: Annotated[
        str | None, typer.Option(metavar="ISO", help="Until when they can be redeemed.")
    ] = None,
    category: Annotated[
        Category, typer.Option(help="What kind of credit they give.")
    ] = Category.PROMOTIONAL,
) -> None:
    """Make codes. They are shown here and never again."""
    nano = amount(amount_, "--amount")
    expires_us = None if expires_at is None else instant(expires_at, "--expires-at")
    with cli.changing() as (_, change):
        made = codes.create(
            change,
            os.urandom,
            amount=nano,
            count=count,
            max_redemptions=max_redemptions,
            expires_us=expires_us,
            category=category,
        )
    rows = [{"code": one.text, **code_document(one.code)} for one in made]
    cli.output.rows(rows, ("code", "amount", "max_redemptions", "expires_at", "id"))
    cli.output.note("The codes are not shown again.")


@command(app, "list")
def list_codes(cli: Invocation, limit: Limit = LIMIT_DEFAULT) -> None:
    """List codes, newest first, by how they begin."""
    with cli.reading() as (_, connection):
        found = codes.listed(connection, limit)
    cli.output.rows(map(code_document, found), COLUMNS)


@command(app)
def revoke(
    cli: Invocation, code: Annotated[str, typer.Argument(metavar="ID", help="A code's id.")]
) -> None:
    """Make a code useless for good. What it gave stays."""
    with cli.changing() as (_, change):
        revoked = codes.revoke(change, code)
    cli.output.document(code_document(revoked))
