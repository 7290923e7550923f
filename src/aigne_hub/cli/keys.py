import os
from collections.abc import Mapping
from typing import Annotated

import typer

from aigne_hub.cli.arguments import UserName, amount, duration
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.access import DEFAULT_SCOPES, Scope
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.windows import Window
from aigne_hub.storage import keys, users

COLUMNS = ("name", "prefix", "scopes", "models", "created_at", "expires_at", "revoked_at", "id")

app = group("API keys.")


@command(app)
def create(
    cli: Invocation,
    *,
    user: UserName,
    name: Annotated[str, typer.Option(metavar="N", help="What the key is for.")] = "",
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it may do (default: inference, models).")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="PATTERN", help="Models it may use, such as 'openai/*'."),
    ] = None,
    expires_in: Annotated[
        str | None, typer.Option(metavar="SPAN", help="How long it works, such as 30d.")
    ] = None,
    credit_limit: Annotated[
        str | None, typer.Option(metavar="A", help="Credits it may spend per window.")
    ] = None,
    limit_window: Annotated[
        Window | None, typer.Option(help="What --credit-limit is counted over.")
    ] = None,
    rpm: Annotated[int | None, typer.Option(metavar="N", help="Calls per minute.")] = None,
    tpm: Annotated[int | None, typer.Option(metavar="N", help="Tokens per minute.")] = None,
    streams: Annotated[int | None, typer.Option(metavar="N", help="Streams at once.")] = None,
) -> None:
    """Make a key. It is shown here and never again."""
    limits = keys.Limits(
        None if credit_limit is None else amount(credit_limit, "--credit-limit"),
        limit_window,
        rpm,
        tpm,
        streams,
    )
    lasts = None if expires_in is None else duration(expires_in, "--expires-in")
    with cli.changing() as (hub, change):
        holder = users.find(change.connection, user)
        made = keys.create(
            change,
            hub.keyring,
            os.urandom,
            hub.pepper,
            user=holder,
            name=name,
            scopes=scope or DEFAULT_SCOPES,
            models=model or (),
            limits=limits,
            expires_us=None if lasts is None else change.clock.now_us() + lasts,
        )
    shown = _identified(made.record, holder)
    cli.output.document({"id": shown.pop("id"), "key": made.text, **shown})
    cli.output.note("The key is not shown again.")


@command(app, "list")
def list_keys(cli: Invocation, user: UserName) -> None:
    """List a user's keys, oldest first, revoked ones included."""
    with cli.reading() as (_, connection):
        holder = users.find(connection, user)
        found = [_document(key, holder) for key in keys.listed(connection, holder)]
    cli.output.rows(found, COLUMNS)


@command(app)
def revoke(
    cli: Invocation, key_id: Annotated[str, typer.Argument(metavar="ID", help="The key's id.")]
) -> None:
    """Make a key useless for good."""
    with cli.changing() as (_, change):
        key = keys.revoke(change, key_id)
        holder = users.find(change.connection, key.user_id)
    cli.output.document(_document(key, holder))


def _identified(key: keys.ApiKey, holder: users.User) -> dict[str, object]:
    return {
        "id": key.id,
        "prefix": key.prefix,
        "user": {"did": holder.did, "email": holder.email},
        "name": key.name,
        "expires_at": _instant(key.expires_us),
    }


def _document(key: keys.ApiKey, holder: users.User) -> Mapping[str, object]:
    limits = key.limits
    limit = None if limits.credit_limit is None else format_credits(limits.credit_limit)
    return {
        **_identified(key, holder),
        "app_did": key.app_did,
        "scopes": sorted(scope.value for scope in key.scopes),
        "models": list(key.models),
        "credit_limit": limit,
        "limit_window": None if limits.window is None else limits.window.value,
        "rpm": limits.rpm,
        "tpm": limits.tpm,
        "streams": limits.streams,
        "created_at": _instant(key.created_us),
        "revoked_at": _instant(key.revoked_us),
    }


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)
