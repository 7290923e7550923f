"""Access tokens as the database sees them: who stands behind one, and which were revoked."""

from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, delete, insert, select

from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.limits import Subject
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.access_token import AccessToken
from aigne_hub.domain.permissions import Permissions
from aigne_hub.domain.roles import role_named
from aigne_hub.storage import limits, roles, schema
from aigne_hub.storage.changes import Changes

PRUNE_BATCH: Final = 5_000
_GRANT: Final = schema.oauth_grant.c
_FAMILY: Final = schema.oauth_family.c
_REVOKED: Final = schema.revoked_token.c


@dataclass(frozen=True, slots=True)
class Bearer:
    """Whose a live access token is."""

    user_id: str
    user_did: str
    email: str | None
    role: str
    permissions: Permissions
    app_did: str
    scopes: tuple[str, ...]


def bearer(connection: Connection, token: AccessToken) -> Bearer | None:
    """Return whose a token is; None when it, its family, grant, client or user has ended.

    The token's signature and claims are checked already. It allows no more than its grant
    still does.
    """
    row = connection.execute(
        select(
            _GRANT.scopes,
            _GRANT.user_id,
            schema.user.c.did,
            schema.user.c.email,
            schema.user.c.role,
            schema.oauth_client.c.app_did,
        )
        .select_from(schema.oauth_grant)
        .join(schema.user, schema.user.c.id == _GRANT.user_id)
        .join(schema.oauth_client, schema.oauth_client.c.id == _GRANT.client_id)
        .where(
            _GRANT.id == token.grant_id,
            _GRANT.client_id == token.client_id,
            _GRANT.revoked_us.is_(None),
            schema.user.c.disabled_us.is_(None),
            schema.oauth_client.c.disabled_us.is_(None),
        )
    ).one_or_none()
    if row is None or _is_over(connection, token):
        return None
    if token.subject != (row.did if token.family_id else token.client_id):
        return None
    granted = set(row.scopes.split())
    scopes = tuple(scope for scope in token.scopes if scope in granted)
    return Bearer(
        row.user_id,
        row.did,
        row.email,
        role_named(row.role),
        roles.permissions_of(connection, row.role),
        row.app_did,
        scopes,
    )


def principal(connection: Connection, token: AccessToken) -> Principal | None:
    """Return who calls with a token; None as `bearer` does."""
    found = bearer(connection, token)
    if found is None:
        return None
    hub_scopes: frozenset[Scope] = scopes_of.hub_scopes(found.scopes)
    return Principal(
        user_id=found.user_id,
        user_did=found.user_did,
        key_id=f"oauth:{token.grant_id}",
        app_did=found.app_did,
        role=found.role,
        scopes=hub_scopes,
        expires_us=token.expires_us,
        limits=limits.of(
            connection, (Subject.GRANT, token.grant_id), (Subject.USER, found.user_id)
        ),
        app_is_verified=True,
        permissions=found.permissions,
    )


def revoke(change: Changes, token: AccessToken) -> None:
    """Make one access token void (RFC 7009). Again changes nothing."""
    known = select(_REVOKED.id).where(_REVOKED.id == token.token_id)
    if change.connection.execute(known).first() is not None:
        return
    change.connection.execute(
        insert(schema.revoked_token).values(id=token.token_id, expires_us=token.expires_us)
    )
    change.audit("oauth.token.revoke", token.token_id, {"client": token.client_id})


def prune(connection: Connection, now_us: int) -> int:
    """Forget revoked tokens that have expired; return how many."""
    old = select(_REVOKED.id).where(_REVOKED.expires_us <= now_us).limit(PRUNE_BATCH)
    return connection.execute(delete(schema.revoked_token).where(_REVOKED.id.in_(old))).rowcount


def _is_over(connection: Connection, token: AccessToken) -> bool:
    """Tell whether a token was revoked, alone or with its family."""
    alone: Any = select(_REVOKED.id).where(_REVOKED.id == token.token_id)
    if connection.execute(alone).first() is not None:
        return True
    if token.family_id is None:
        return False
    live = select(_FAMILY.id).where(
        _FAMILY.id == token.family_id,
        _FAMILY.grant_id == token.grant_id,
        _FAMILY.revoked_us.is_(None),
    )
    return connection.execute(live).first() is None
