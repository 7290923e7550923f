"""`credits statement` and `credits import`: an account's history out of a hub, and into another."""

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.billing import statement_csv
from aigne_hub.billing.statement import Movement, Statement
from aigne_hub.cli.arguments import UserName, instant
from aigne_hub.cli.context import Invocation
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.storage import account_history, history_import, users

COLUMNS = ("at", "kind", "change", "balance", "model", "call_id", "grant_id")


class Format(StrEnum):
    TABLE = "table"
    CSV = "csv"


def statement(
    cli: Invocation,
    user: UserName,
    since: Annotated[str | None, typer.Option(metavar="ISO", help="From when on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="ISO", help="Until before when.")] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="What to print, without --json.")
    ] = Format.TABLE,
) -> None:
    """Print a user's credit at the beginning, every movement, and at the end.

    CSV without a period also has the grants, and can be imported.
    """
    since_us = None if since is None else instant(since, "--since")
    until_us = None if until is None else instant(until, "--until")
    with cli.reading() as (_, connection):
        holder = users.find(connection, user)
        found = account_history.statement(connection, holder.id, since_us, until_us)
        if cli.output.as_json:
            cli.output.document(_document(found))
        elif format_ is Format.CSV:
            for line in statement_csv.write(found):
                sys.stdout.write(line)
        else:
            cli.output.note(f"opening balance {format_credits(found.opening)}")
            cli.output.rows(map(_shown, found.movements), COLUMNS)


def import_(
    cli: Invocation,
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `credits statement --format csv` printed.")
    ],
    user: UserName,
) -> None:
    """Carry on an account of another hub: its grants, its history, its balance.

    The same file again changes nothing.
    """
    try:
        with file.open(encoding="utf-8", newline="") as lines:
            found, closing = statement_csv.read(lines)
    except (statement_csv.Unreadable, UnicodeDecodeError) as error:
        raise InvalidRequest(f"{file} is no statement: {error}.", param="FILE") from None
    with cli.changing() as (_, change):
        holder = users.find(change.connection, user)
        made = history_import.import_statement(change, holder.id, found, closing)
    cli.output.document(
        {
            "grants": made.grants,
            "transfers": made.transfers,
            "known": made.known,
            "balance": format_credits(made.balance),
        }
    )


def _document(found: Statement) -> dict[str, object]:
    movements = list(found.movements)
    closing = movements[-1].balance if movements else found.opening
    return {
        "since": None if found.since_us is None else format_instant(found.since_us),
        "until": None if found.until_us is None else format_instant(found.until_us),
        "opening_balance": format_credits(found.opening),
        "closing_balance": format_credits(closing),
        "transfers": [_shown(one) for one in movements],
    }


def _shown(one: Movement) -> dict[str, object]:
    return {
        "at": format_instant(one.at_us),
        "kind": one.kind,
        "operation_id": one.operation_id,
        "seq": one.seq,
        "amount": format_credits(one.amount),
        "change": format_credits(one.change),
        "balance": format_credits(one.balance),
        "debit": one.debit,
        "credit": one.credit,
        "grant_id": one.grant_id,
        "call_id": one.call_id,
        "model": one.model,
        "input_tokens": one.input_tokens,
        "output_tokens": one.output_tokens,
    }
