import os
from typing import Annotated

import typer

from aigne_hub.cli import users_access, users_did
from aigne_hub.cli.arguments import UserName
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.storage import users

COLUMNS = ("email", "role", "disabled", "did", "id")

app = group("People and programs that call.")
command(app)(users_access.set_password)
command(app, "sessions")(users_access.list_sessions)
command(app)(users_did.export_did)


def document(user: users.User) -> dict[str, object]:
    """Return a user; only a service account has `service`."""
    shown: dict[str, object] = {
        "id": user.id,
        "did": user.did,
        "email": user.email,
        "role": user.role,
        "disabled": user.disabled,
    }
    return shown if user.service is None else {**shown, "service": user.service}


@command(app)
def create(
    cli: Invocation,
    email: Annotated[
        str | None, typer.Option(metavar="E", help="The user's e-mail; every person has one.")
    ] = None,
    did: Annotated[
        str | None, typer.Option(metavar="D", help="A DID the user brings; else one is made.")
    ] = None,
    role: Annotated[
        str, typer.Option(metavar="ROLE", help="What the user may do: see roles list.")
    ] = Role.MEMBER,
    service: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="Make a program's own account, which never signs in."),
    ] = None,
) -> None:
    """Create a user or service account, with the credit that new users are given."""
    if (email is None) == (service is None):
        raise InvalidRequest(
            "Give --email for a person or --service for a program.", param="--email"
        )
    with cli.changing() as (hub, change):
        user = users.create(
            change, hub.keyring, os.urandom, email=email, role=role, did=did, service=service
        )
    cli.output.document(document(user))


@command(app, "list")
def list_users(cli: Invocation) -> None:
    """List every user, oldest first."""
    with cli.reading() as (_, connection):
        cli.output.rows(map(document, users.listed(connection)), COLUMNS)


@command(app)
def set_role(
    cli: Invocation,
    role: Annotated[str, typer.Argument(metavar="ROLE", help="One of those of roles list.")],
    user: UserName,
) -> None:
    """Give a user another role."""
    with cli.changing() as (_, change):
        changed = users.set_role(change, users.find(change.connection, user), role)
    cli.output.document(document(changed))


@command(app)
def disable(cli: Invocation, user: UserName) -> None:
    """Refuse everything the user's keys ask for from now on."""
    with cli.changing() as (_, change):
        changed = users.disable(change, users.find(change.connection, user))
    cli.output.document(document(changed))
