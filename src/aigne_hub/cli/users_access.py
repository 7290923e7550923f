"""How people get in: their passwords and sessions."""

import getpass
import os
import sys
from typing import Annotated

import typer

from aigne_hub.cli.context import Invocation
from aigne_hub.crypto.passwords import hashed
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.passwords import BYTES_MAX, require_good
from aigne_hub.storage import passwords, sessions, users

SESSION_COLUMNS = ("id", "method", "address", "used_at", "user_agent")

_Person = Annotated[str, typer.Argument(metavar="EMAIL", help="A user's e-mail, DID or id.")]


def set_password(cli: Invocation, email: _Person) -> None:
    """Give a user a password, asked for here or read from standard input; sessions end."""
    with cli.reading() as (_, connection):
        users.find(connection, email)
    new = _asked()
    with cli.changing() as (hub, change):
        user = users.find(change.connection, email)
        require_good(new, user.email)
        passwords.put(change, user, hashed(new, user.id, hub.pepper, os.urandom))
        ended = sessions.end_all(change, user)
    cli.output.document({"ok": True, "sessions_ended": ended})


def list_sessions(
    cli: Invocation,
    email: _Person,
    revoke: Annotated[
        str | None, typer.Option(metavar="ID", help="End this session instead.")
    ] = None,
    all_: Annotated[bool, typer.Option("--all", help="End every session instead.")] = False,
) -> None:
    """List where a user is signed in, or end sessions."""
    if revoke is not None and all_:
        raise InvalidRequest("Give --revoke or --all, not both.", param="--all")
    if revoke is None and not all_:
        with cli.reading() as (hub, connection):
            user = users.find(connection, email)
            found = sessions.listed(connection, user, hub.clock.now_us())
        cli.output.rows(map(document, found), SESSION_COLUMNS)
        return
    with cli.changing() as (_, change):
        user = users.find(change.connection, email)
        ended = 1
        if revoke is None:
            ended = sessions.end_all(change, user)
        else:
            sessions.end(change, user, revoke)
    cli.output.document({"ok": True, "sessions_ended": ended})


def document(session: sessions.Session) -> dict[str, object]:
    return {
        "id": session.id,
        "method": session.method,
        "user_agent": session.user_agent,
        "address": session.address,
        "created_at": format_instant(session.created_us),
        "used_at": format_instant(session.used_us),
        "expires_at": format_instant(session.expires_us),
    }


def _asked() -> bytes:
    """Ask a person twice, or read one line; a password on the command line would be seen."""
    if not sys.stdin.isatty():
        line = sys.stdin.buffer.readline(BYTES_MAX + 2)
        return line.removesuffix(b"\n").removesuffix(b"\r")
    first = getpass.getpass("New password: ")
    if first != getpass.getpass("The same again: "):
        raise InvalidRequest("The two passwords differ.", param="password")
    return first.encode("utf-8", "surrogateescape")
