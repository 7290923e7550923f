import os
from typing import Annotated

import typer

from aigne_hub.cli import users_access, users_did
from aigne_hub.cli.arguments import UserName
from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.access import Role
from aigne_hub.storage import users

COLUMNS = ("email", "role", "disabled", "did", "id")

app = group("People and programs that call.")
command(app)(users_access.set_password)
command(app, "sessions")(users_access.list_sessions)
command(app)(users_did.export_did)


def document(user: users.User) -> dict[str, object]:
    return {
        "id": user.id,
        "did": user.did,
        "email": user.email,
        "role": user.role,
        "disabled": user.disabled,
    }


@command(app)
def create(
    cli: Invocation,
    email: Annotated[str, typer.Option(metavar="E", help="The user's e-mail.")],
    did: Annotated[
        str | None, typer.Option(metavar="D", help="A DID the user brings; else one is made.")
    ] = None,
    role: Annotated[Role, typer.Option(help="What the user may do.")] = Role.MEMBER,
) -> None:
    """Create a user, with the credit that new users are given."""
    with cli.changing() as (hub, change):
        user = users.create(change, hub.keyring, os.urandom, email=email, role=role, did=did)
    cli.output.document(document(user))


@command(app, "list")
def list_users(cli: Invocation) -> None:
    """List every user, oldest first."""
    with cli.reading() as (_, connection):
        cli.output.rows(map(document, users.listed(connection)), COLUMNS)


@command(app)
def set_role(
    cli: Invocation,
    role: Annotated[Role, typer.Argument(metavar="ROLE", help="owner, admin, member or guest.")],
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
