from dataclasses import asdict
from typing import Annotated

import typer

from aigne_hub.cli import codes as code_commands
from aigne_hub.cli import corrections, statements
from aigne_hub.cli.arguments import LIMIT_DEFAULT, Limit, UserName, amount, instant
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import codes, grants, low_balance, users

COLUMNS = ("created_at", "kind", "change", "amount", "grant_id", "call_id")

app = group("Grant credit and see where it went.")


@command(app)
def grant(
    cli: Invocation,
    user: UserName,
    amount_: Annotated[str, typer.Option("--amount", metavar="A", help="Credits, such as 12.5.")],
    expires_at: Annotated[
        str | None, typer.Option(metavar="ISO", help="When what is left of it goes, with its zone.")
    ] = None,
    effective_at: Annotated[
        str | None, typer.Option(metavar="ISO", help="From when on it can be spent.")
    ] = None,
    priority: Annotated[
        int,
        typer.Option(min=0, max=grants.PRIORITY_MAX, help="Grants of a lower one are spent first."),
    ] = grants.PRIORITY_DEFAULT,
    category: Annotated[Category, typer.Option(help="Where it comes from.")] = Category.PAID,
) -> None:
    """Give a user credit. A debt is repaid from it first."""
    nano = amount(amount_, "--amount")
    expires_us = None if expires_at is None else instant(expires_at, "--expires-at")
    effective_us = None if effective_at is None else instant(effective_at, "--effective-at")
    with cli.changing() as (_, change):
        holder = users.find(change.connection, user)
        made = grants.grant(
            change.connection,
            change.clock,
            change.ids,
            holder.id,
            nano,
            grants.Terms(
                category=category,
                priority=priority,
                effective_us=effective_us,
                expires_us=expires_us,
            ),
        )
        detail = {"grant": made.id, "amount": nano, "category": category.value}
        change.audit("credits.grant", holder.id, detail)
    cli.output.document(
        {
            "grant_id": made.id,
            "amount": format_credits(made.amount),
            "remaining": format_credits(made.remaining),
            "balance": format_credits(made.balance),
        }
    )


@command(app)
def balance(cli: Invocation, user: UserName) -> None:
    """Show what a user has, holds, may spend, was granted and has spent."""
    with cli.reading() as (hub, connection):
        holder = users.find(connection, user)
        account = grants.balance(connection, hub.clock, holder.id)
    cli.output.document({name: format_credits(nano) for name, nano in asdict(account).items()})


@command(app)
def history(cli: Invocation, user: UserName, limit: Limit = LIMIT_DEFAULT) -> None:
    """List a user's ledger entries, newest first."""
    with cli.reading() as (_, connection):
        holder = users.find(connection, user)
        entries = grants.history(connection, holder.id, limit)
    cli.output.rows(map(_document, entries), COLUMNS)


@command(app)
def alerts(
    cli: Invocation,
    user: UserName,
    below: Annotated[
        list[str] | None,
        typer.Option(metavar="A", help="Tell when less than this can be spent; repeatable."),
    ] = None,
    *,
    never: Annotated[bool, typer.Option("--never", help="Tell nothing.")] = False,
    default: Annotated[
        bool, typer.Option("--default", help="Tell what billing.low_balance says.")
    ] = False,
) -> None:
    """Show or set when a user's webhooks are told that credit runs low."""
    if bool(below) + never + default > 1:
        raise InvalidRequest("Give one of --below, --never and --default.")
    if not (below or never or default):
        with cli.reading() as (hub, connection):
            holder = users.find(connection, user)
            own = low_balance.thresholds(connection, holder.id)
    else:
        wanted = [amount(text, "--below") for text in below or ()]
        with cli.changing() as (hub, change):
            holder = users.find(change.connection, user)
            low_balance.set_thresholds(change, holder.id, None if default else wanted)
            own = low_balance.thresholds(change.connection, holder.id)
    in_force = hub.hub_file.billing.low_balance if own is None else own
    cli.output.document(
        {"low_balance": [format_credits(nano) for nano in in_force], "default": own is None}
    )


@command(app)
def redeem(
    cli: Invocation,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code, as it was given.")],
    user: UserName,
) -> None:
    """Give a user the credit of a code."""
    with cli.changing() as (_, change):
        holder = users.find(change.connection, user)
        made = codes.redeem(change, holder.id, code)
    if isinstance(made, HubError):
        raise made
    cli.output.document(
        {
            "grant_id": made.id,
            "amount": format_credits(made.amount),
            "remaining": format_credits(made.remaining),
            "balance": format_credits(made.balance),
        }
    )


command(app)(corrections.refund)
command(app)(corrections.revoke)
command(app)(statements.statement)
command(app, "import")(statements.import_)
app.add_typer(code_commands.app, name="codes")


def _document(entry: grants.Entry) -> dict[str, object]:
    return {
        "operation_id": entry.operation_id,
        "kind": entry.kind,
        "amount": format_credits(entry.amount),
        "change": format_credits(entry.change),
        "debit": entry.debit,
        "credit": entry.credit,
        "grant_id": entry.grant_id,
        "call_id": entry.call_id,
        "created_at": format_instant(entry.created_us),
    }
