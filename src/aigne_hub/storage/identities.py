"""Custodial identities: DIDs whose secret keys the hub keeps, sealed."""

from typing import Literal

from sqlalchemy import Connection, insert, select

from aigne_hub.crypto.custodial import Identity
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.errors import NotFound
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes


def keep(
    change: Changes,
    keyring: Keyring,
    identity: Identity,
    *,
    kind: Literal["user", "application"],
    user_id: str,
) -> None:
    """Store an identity that belongs to a user, its secret key sealed for this row."""
    change.connection.execute(
        insert(schema.identity).values(
            did=identity.did,
            kind=kind,
            user_id=user_id,
            public_key=identity.public_key,
            sealed_secret=keyring.seal(identity.secret_key, **_place(identity.did)),
            created_us=change.clock.now_us(),
        )
    )


def secret_key(connection: Connection, keyring: Keyring, did: str) -> bytes:
    """Return the secret key of a custodial identity. Raises NotFound for any other DID."""
    row = schema.identity
    sealed = connection.execute(
        select(row.c.sealed_secret).where(row.c.did == did)
    ).scalar_one_or_none()
    if sealed is None:
        raise NotFound(f"The hub keeps no identity {did!r}.")
    return keyring.open(sealed, **_place(did))


def _place(did: str) -> dict[str, str]:
    return {"table": "identity", "row": did, "column": "sealed_secret"}
