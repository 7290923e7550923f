"""Clients of the authorization server: registered by themselves, or by an administrator."""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, func, insert, select, update

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.crypto.oauth_secret import Kind, digest, new_secret
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.oauth.clients import Authentication, Client, Described, GrantType
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.storage import identities, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

# One address registers so many within this time, and strangers together so many in all.
RATE_US: Final = 3_600 * 1_000_000
REGISTERED_MAX: Final = 20
STRANGERS_MAX: Final = 10_000
_SHOWN_MAX: Final = 80

_TABLE: Final = schema.oauth_client
_CLIENT: Final = schema.oauth_client.c


@dataclass(frozen=True, slots=True)
class NewClient:
    """A client just made; the text of its secret exists only here, None for a public one."""

    client: Client
    secret: str | None = field(repr=False)


def require_room(connection: Connection, now_us: int, address: str) -> None:
    """Raise OAuthError when strangers registered as many clients as they may."""
    counts = select(func.count()).select_from(_TABLE)
    recent = (_CLIENT.address == address, _CLIENT.created_us > now_us - RATE_US)
    if connection.execute(counts.where(*recent)).scalar_one() >= REGISTERED_MAX:
        raise OAuthError(
            Refusal.TEMPORARILY_UNAVAILABLE,
            "Too many clients were registered from this address. Try again in an hour.",
            retry_after_s=RATE_US // 1_000_000,
        )
    if connection.execute(counts.where(_CLIENT.address.is_not(None))).scalar_one() >= STRANGERS_MAX:
        raise OAuthError(
            Refusal.TEMPORARILY_UNAVAILABLE,
            "Too many clients have registered. Ask the operator.",
            retry_after_s=RATE_US // 1_000_000,
        )


def create(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    about: Described,
    *,
    user: User | None = None,
    address: str | None = None,
) -> NewClient:
    """Make a client: with an `address` one that registered itself.

    `user` is for whom client credentials act. Raises OAuthError when strangers have too many.
    """
    now = change.clock.now_us()
    if address is not None:
        require_room(change.connection, now, address)
    secret = None
    if about.authentication is not Authentication.NONE:
        secret = new_secret(Kind.CLIENT, randbytes)
    application = new_identity(RoleType.APPLICATION, randbytes)
    client = Client(
        id=change.ids(),
        app_did=application.did,
        described=about,
        is_known=address is None,
        user_id=None if user is None else user.id,
        created_us=now,
        disabled=False,
    )
    identities.keep(change, keyring, application, kind="application", user_id=client.user_id)
    change.connection.execute(
        insert(_TABLE).values(
            id=client.id,
            app_did=client.app_did,
            secret_digest=None if secret is None else digest(Kind.CLIENT, secret, pepper),
            user_id=client.user_id,
            name=about.name,
            native=int(about.native),
            authentication=about.authentication.value,
            redirect_uris="\n".join(about.redirect_uris),
            grant_types=" ".join(sorted(about.grants)),
            scopes=" ".join(about.scopes),
            id_token_algorithm=about.id_token_algorithm,
            uri=about.uri,
            address=address,
            created_us=now,
        )
    )
    change.audit("oauth.client.create", client.id, {"name": about.name, "known": client.is_known})
    return NewClient(client, secret)


def find(connection: Connection, client_id: str) -> Client | None:
    """Return a client that may be used."""
    row = connection.execute(select(_TABLE).where(_CLIENT.id == client_id)).one_or_none()
    return None if row is None or row.disabled_us is not None else _client(row)


def authenticated(
    connection: Connection,
    pepper: bytes,
    client_id: str,
    secret: str | None,
    method: Authentication,
) -> Client | None:
    """Return the client that proved itself; None for any other, whatever is wrong.

    A client proves itself in the one way that it registered. The comparison takes the same
    time for an unknown client.
    """
    row = connection.execute(
        select(_TABLE).where(_CLIENT.id == client_id[:_SHOWN_MAX], _CLIENT.disabled_us.is_(None))
    ).one_or_none()
    given = digest(Kind.CLIENT, secret or "", pepper)
    stored = bytes(len(given)) if row is None or row.secret_digest is None else row.secret_digest
    is_same = hmac.compare_digest(given, stored)
    if row is None or row.authentication != method.value:
        return None
    is_public = method is Authentication.NONE
    return _client(row) if is_public or is_same else None


def listed(connection: Connection) -> list[Client]:
    """Return every client, oldest first, disabled ones included."""
    rows = connection.execute(select(_TABLE).order_by(_CLIENT.id))
    return [_client(row) for row in rows]


def disable(change: Changes, client_id: str) -> Client:
    """Refuse everything of a client from now on; for good. Raises NotFound."""
    row = change.connection.execute(select(_TABLE).where(_CLIENT.id == client_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no client {client_id[:_SHOWN_MAX]!r}.")
    if row.disabled_us is None:
        change.connection.execute(
            update(_TABLE).where(_CLIENT.id == client_id).values(disabled_us=change.clock.now_us())
        )
        change.audit("oauth.client.disable", client_id)
    row = change.connection.execute(select(_TABLE).where(_CLIENT.id == client_id)).one()
    return _client(row)


def _client(row: Row[Any]) -> Client:
    return Client(
        id=row.id,
        app_did=row.app_did,
        described=Described(
            name=row.name,
            native=bool(row.native),
            authentication=Authentication(row.authentication),
            redirect_uris=tuple(row.redirect_uris.split()),
            grants=frozenset(map(GrantType, row.grant_types.split())),
            scopes=tuple(row.scopes.split()),
            id_token_algorithm=row.id_token_algorithm,
            uri=row.uri,
        ),
        is_known=row.address is None,
        user_id=row.user_id,
        created_us=row.created_us,
        disabled=row.disabled_us is not None,
    )
