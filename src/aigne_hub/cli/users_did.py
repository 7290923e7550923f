"""How a person takes the key of their DID with them."""

import os
from pathlib import Path
from typing import Annotated

import typer

from aigne_hub.cli.arguments import UserName
from aigne_hub.cli.context import Invocation
from aigne_hub.crypto import did_export
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.storage import identities, users


def export_did(
    cli: Invocation,
    user: UserName,
    passphrase_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Seal it with the first line of this file."),
    ] = None,
) -> None:
    """Print the secret key of a user's DID, for their own wallet; in clear without a passphrase."""
    passphrase = None if passphrase_file is None else _first_line(passphrase_file)
    with cli.changing() as (hub, change):
        found = users.find(change.connection, user)
        did = identities.custodial_of(change.connection, found.id)
        if did is None:
            raise NotFound("The hub keeps no key of this user: their wallet has it.")
        secret = identities.secret_key(change.connection, hub.keyring, did)
        change.audit("user.export_did", found.id, {"did": did})
    if passphrase is None:
        cli.output.document(did_export.wallet_json(did, secret))
        return
    cli.output.document(did_export.sealed(did, secret, passphrase, os.urandom))


def _first_line(file: Path) -> bytes:
    least, most = did_export.PASSPHRASE_BYTES_MIN, did_export.PASSPHRASE_BYTES_MAX
    try:
        with file.open("rb") as opened:
            line = opened.readline(most + 2).removesuffix(b"\n").removesuffix(b"\r")
    except OSError as error:
        raise InvalidRequest(f"{file} cannot be read: {error.strerror}.") from None
    if not least <= len(line) <= most:
        raise InvalidRequest(f"A passphrase has {least} to {most} bytes.", param="passphrase_file")
    return line
