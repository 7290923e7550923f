"""The DID of the hub itself: what it signs its answers to wallets with."""

from collections.abc import Callable
from contextlib import AbstractContextManager

from sqlalchemy import Connection, select

from aigne_hub.crypto.custodial import Identity, new_identity
from aigne_hub.crypto.did import RoleType, parse
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.storage import identities, schema
from aigne_hub.storage.changes import Changes

ACTOR = "hub"

_IDENTITY = schema.identity.c


def find(connection: Connection, keyring: Keyring) -> Identity | None:
    """Return the hub's identity with its secret key, None before it was made."""
    found = connection.execute(
        select(_IDENTITY.did, _IDENTITY.public_key).where(_IDENTITY.kind == "hub")
    ).one_or_none()
    if found is None:
        return None
    did, public_key = found
    secret_key = identities.secret_key(connection, keyring, did)
    return Identity(did, parse(did).address, public_key, secret_key)


def find_or_make(
    reading: Callable[[], AbstractContextManager[Connection]],
    changing: Callable[[str], AbstractContextManager[Changes]],
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
) -> Identity:
    """Return the hub's identity; the first who asks for it makes it."""
    with reading() as connection:
        found = find(connection, keyring)
    if found is not None:
        return found
    # Changes are made one at a time, so one of several processes makes it.
    with changing(ACTOR) as change:
        found = find(change.connection, keyring)
        if found is None:
            found = new_identity(RoleType.APPLICATION, randbytes)
            identities.keep(change, keyring, found, kind="hub", user_id=None)
            change.audit("hub.identity", found.did)
    return found
