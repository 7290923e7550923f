"""Identities: DIDs whose secret keys the hub keeps, sealed, and applications with their own."""

from contextlib import suppress
from typing import Final, Literal

from sqlalchemy import Connection, func, insert, select
from sqlalchemy.exc import IntegrityError

from aigne_hub.crypto.custodial import Identity
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.errors import NotFound, Overloaded
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes


def keep(
    change: Changes,
    keyring: Keyring,
    identity: Identity,
    *,
    kind: Literal["user", "application", "hub"],
    user_id: str | None,
) -> None:
    """Store an identity, its secret key sealed for this row: a user's, a client's, the hub's."""
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


# Applications that registered themselves.
APPLICATIONS_MAX: Final = 10_000


def register(connection: Connection, now_us: int, did: str, public_key: bytes) -> None:
    """Keep the public key of an application that has its own secret key; once is enough.

    Raises Overloaded when too many have registered.
    """
    if known(connection, did):
        return
    table = schema.identity.c
    own = (table.kind == "application", table.sealed_secret.is_(None))
    count = connection.execute(select(func.count()).where(*own)).scalar_one()
    if count >= APPLICATIONS_MAX:
        raise Overloaded(
            "Too many applications have registered. Ask the operator.", retry_after_s=3600
        )
    put(connection, now_us, did, public_key)


def put(connection: Connection, now_us: int, did: str, public_key: bytes) -> None:
    """Keep the public key of an application that keeps its own secret key."""
    # Somebody else may be registering the same key at this moment.
    with suppress(IntegrityError), connection.begin_nested():
        connection.execute(
            insert(schema.identity).values(
                did=did, kind="application", public_key=public_key, created_us=now_us
            )
        )


def kept_by(connection: Connection, did: str) -> Literal["hub", "application"] | None:
    """Tell who has the secret key of an application's identity; None when nobody knows it."""
    table = schema.identity.c
    row = connection.execute(
        select(table.kind, table.sealed_secret).where(table.did == did)
    ).first()
    if row is None:
        return None
    return "application" if row.kind == "application" and row.sealed_secret is None else "hub"


def known(connection: Connection, did: str) -> bool:
    """Tell whether the hub knows the identity of an application."""
    table = schema.identity.c
    found = select(table.did).where(table.did == did, table.kind == "application")
    return connection.execute(found).first() is not None


def keep_wallet(change: Changes, did: str, public_key: bytes, user_id: str) -> None:
    """Store the public key of a wallet that a user brought; its secret key is not here."""
    known = select(schema.identity.c.did).where(schema.identity.c.did == did)
    if change.connection.execute(known).first() is None:
        change.connection.execute(
            insert(schema.identity).values(
                did=did,
                kind="user",
                user_id=user_id,
                public_key=public_key,
                created_us=change.clock.now_us(),
            )
        )


def custodial_of(connection: Connection, user_id: str) -> str | None:
    """Return the DID whose key the hub keeps for a user, also one that a wallet replaced."""
    table = schema.identity.c
    query = select(table.did).where(
        table.user_id == user_id, table.kind == "user", table.sealed_secret.is_not(None)
    )
    did: str | None = connection.execute(query).scalars().first()
    return did


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
