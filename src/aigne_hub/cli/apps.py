import os
from typing import Annotated

import typer

from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.crypto.custodial import public_key_of_text
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import applications, users

COLUMNS = ("name", "did", "sibling", "created_at", "revoked_at")

app = group("Applications that sign their calls.")

Did = Annotated[str, typer.Argument(metavar="DID", help="The application's DID.")]


def _document(found: applications.Registered) -> dict[str, object]:
    revoked = found.revoked_us
    return {
        "did": found.did,
        "name": found.name,
        "user": {"id": found.user.id, "did": found.user.did, "email": found.user.email},
        "sibling": found.sibling,
        "created_at": format_instant(found.created_us),
        "revoked_at": None if revoked is None else format_instant(revoked),
    }


@command(app)
def add(
    cli: Invocation,
    did: Did,
    public_key: Annotated[
        str | None,
        typer.Option(metavar="K", help="Its key, in hex or base58; else it has registered itself."),
    ] = None,
    user: Annotated[
        str | None,
        typer.Option(metavar="U", help="Who pays: e-mail, DID or id. Else an account of its own."),
    ] = None,
    name: Annotated[str, typer.Option(metavar="N", help="What people call it.")] = "",
    *,
    sibling: Annotated[
        bool, typer.Option("--sibling", help="Its Blocklet's components may call, too.")
    ] = False,
) -> None:
    """Let an application call."""
    key = None if public_key is None else _key(public_key)
    with cli.changing() as (hub, change):
        payer = None if user is None else users.find(change.connection, user)
        made = applications.add(
            change,
            hub.keyring,
            os.urandom,
            did=did,
            public_key=key,
            user=payer,
            name=name,
            sibling=sibling,
        )
    cli.output.document(_document(made))


@command(app, "list")
def list_apps(cli: Invocation) -> None:
    """List every application that was added, oldest first."""
    with cli.reading() as (_, connection):
        cli.output.rows(map(_document, applications.listed(connection)), COLUMNS)


@command(app)
def revoke(cli: Invocation, did: Did) -> None:
    """Refuse an application's calls for good."""
    with cli.changing() as (_, change):
        revoked = applications.revoke(change, did)
    cli.output.document(_document(revoked))


def _key(text: str) -> bytes:
    try:
        return public_key_of_text(text)
    except ValueError:
        raise InvalidRequest(
            "--public-key is an Ed25519 key: 32 bytes in hex, or in base58 behind a z.",
            param="--public-key",
        ) from None
