"""Applications that call with signatures, each paid for by a user."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from sqlalchemy import Connection, Row, Select, insert, select, update

from aigne_hub.auth.signed.claims import Application
from aigne_hub.crypto.did import DidType, InvalidDid, RoleType, address_of, did_of, parse
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.limits import Subject
from aigne_hub.storage import identities, schema, users
from aigne_hub.storage import limits as limits_of
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

NAME_MAX: Final = 100
# A sibling's signature does not say whose it is: each of their keys is tried.
SIBLINGS_MAX: Final = 8

_TYPE: Final = DidType(RoleType.APPLICATION)
_SCOPES: Final = frozenset({Scope.INFERENCE, Scope.MODELS})
_TABLE = schema.application
_APP = _TABLE.c
_USER = schema.user.c


@dataclass(frozen=True, slots=True)
class Registered:
    """An application that was let in. Its calls are charged to `user`."""

    did: str
    user: User
    name: str
    sibling: bool
    created_us: int
    revoked_us: int | None


def add(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    *,
    did: str,
    public_key: bytes | None = None,
    user: User | None = None,
    name: str = "",
    sibling: bool = False,
) -> Registered:
    """Let an application call, at the expense of `user`, else of an account of its own.

    `public_key` is not needed of one that registered itself. Raises InvalidRequest, NotFound or
    Conflict.
    """
    did = _application_did(did)
    if len(name) > NAME_MAX or not name.isprintable():
        raise InvalidRequest(f"A name is at most {NAME_MAX} characters.", param="name")
    connection = change.connection
    if connection.execute(select(_APP.did).where(_APP.did == did)).first() is not None:
        raise Conflict(
            "This application was added before. One that was revoked needs a new key, and has a "
            "new DID with it."
        )
    if sibling and len(siblings(connection)) >= SIBLINGS_MAX:
        raise Conflict(f"At most {SIBLINGS_MAX} applications have components that may call.")
    _keep_key(change, did, public_key)
    payer = user or _account_of(change, keyring, randbytes, did)
    now = change.clock.now_us()
    values = {"did": did, "user_id": payer.id, "name": name, "sibling": sibling}
    connection.execute(insert(_TABLE).values(**values, created_us=now))
    change.audit("application.add", did, {"user": payer.id, "name": name, "sibling": sibling})
    return Registered(did, payer, name, sibling, now, None)


def listed(connection: Connection) -> list[Registered]:
    """Return every application that was added, oldest first, revoked ones included."""
    rows = connection.execute(select(_TABLE).order_by(_APP.created_us, _APP.did)).all()
    payers = users.named(connection, {row.user_id for row in rows})
    return [_registered(row, payers[row.user_id]) for row in rows]


def find(connection: Connection, did: str) -> Registered:
    """Return an application, revoked or not. Raises NotFound."""
    try:
        known = did_of(did)
    except InvalidDid:
        known = did
    row = connection.execute(select(_TABLE).where(_APP.did == known)).one_or_none()
    if row is None:
        raise NotFound(f"There is no application {did[:80]!r}. See: aigne-hub apps list")
    return _registered(row, users.named(connection, [row.user_id])[row.user_id])


def revoke(change: Changes, did: str) -> Registered:
    """Refuse an application for good; again changes nothing. Raises NotFound."""
    found = find(change.connection, did)
    if found.revoked_us is not None:
        return found
    now = change.clock.now_us()
    change.connection.execute(update(_TABLE).where(_APP.did == found.did).values(revoked_us=now))
    change.audit("application.revoke", found.did, {"user": found.user.id})
    return replace(found, revoked_us=now)


def caller(connection: Connection, did: str) -> Application | None:
    """Return an application that may call; None when unknown, revoked or its user disabled."""
    row = connection.execute(_callers().where(_APP.did == did)).one_or_none()
    return None if row is None else _caller(connection, row)


def siblings(connection: Connection) -> list[Application]:
    """Return the applications whose components may call."""
    rows = connection.execute(_callers().where(_APP.sibling).order_by(_APP.did)).all()
    return [_caller(connection, row) for row in rows]


def _callers() -> Select[Any]:
    return (
        select(_TABLE, schema.identity.c.public_key, _USER.did.label("user_did"), _USER.role)
        .join(schema.identity, schema.identity.c.did == _APP.did)
        .join(schema.user, _USER.id == _APP.user_id)
        .where(_APP.revoked_us.is_(None), _USER.disabled_us.is_(None))
    )


def _caller(connection: Connection, row: Row[Any]) -> Application:
    principal = Principal(
        user_id=row.user_id,
        user_did=row.user_did,
        key_id=row.did,
        app_did=row.did,
        role=row.role,
        scopes=_SCOPES,
        limits=limits_of.of(connection, (Subject.USER, row.user_id)),
        app_is_verified=True,
    )
    return Application(row.public_key, principal)


def _application_did(text: str) -> str:
    try:
        found = parse(text)
    except InvalidDid as error:
        raise InvalidRequest(f"{text[:80]!r} is not a DID: {error.cause}.", param="did") from None
    if found.type != _TYPE:
        raise InvalidRequest(
            "An application has a DID of role application, Ed25519 and SHA3: did:abt:zNK…",
            param="did",
        )
    return did_of(found.address)


def _keep_key(change: Changes, did: str, public_key: bytes | None) -> None:
    if public_key is not None and did_of(address_of(public_key, _TYPE)) != did:
        raise InvalidRequest("The DID is not of this public key.", param="public_key")
    known = identities.kept_by(change.connection, did)
    if known == "hub":
        raise Conflict("This DID is that of an API key.")
    if known is None and public_key is None:
        raise InvalidRequest(
            "This application has not registered itself: give its public key.", param="public_key"
        )
    if known is None and public_key is not None:
        identities.put(change.connection, change.clock.now_us(), did, public_key)


def _account_of(
    change: Changes, keyring: Keyring, randbytes: Callable[[int], bytes], did: str
) -> User:
    """Return the user an application is itself."""
    known = users.of_dids(change.connection, [did]).get(did)
    if known is not None:
        return known
    return users.create(change, keyring, randbytes, email=None, role=Role.GUEST, did=did)


def _registered(row: Row[Any], user: User) -> Registered:
    return Registered(row.did, user, row.name, bool(row.sibling), row.created_us, row.revoked_us)
