from collections.abc import Mapping
from typing import Annotated

import typer

from aigne_hub.cli.context import Invocation, command, group
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import roles
from aigne_hub.storage.declarations import Origin

COLUMNS = ("name", "origin", "permissions")

app = group("What users may be.")

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The role's name.")]


@command(app)
def add(
    cli: Invocation,
    name: _Name,
    permission: Annotated[
        list[Permission] | None, typer.Option(help="What it may do; given once for each.")
    ] = None,
) -> None:
    """Make a role, or give one other permissions."""
    with cli.changing() as (_, change):
        roles.put(change, name, permission or (), origin=Origin.API)
        made = roles.find(change.connection, name)
    cli.output.document(document(made))


@command(app, "list")
def list_roles(cli: Invocation) -> None:
    """List every role: the four that every hub has, then others by name."""
    with cli.reading() as (_, connection):
        cli.output.rows(map(document, roles.listed(connection)), COLUMNS)


@command(app)
def remove(cli: Invocation, name: _Name) -> None:
    """Remove a role that nobody has."""
    with cli.changing() as (_, change):
        roles.remove(change, name)
    cli.output.document({"ok": True})


def document(role: roles.NamedRole) -> Mapping[str, object]:
    return {
        "name": role.name,
        "origin": "built-in" if role.origin is None else role.origin.value,
        "permissions": sorted(role.permissions),
    }
