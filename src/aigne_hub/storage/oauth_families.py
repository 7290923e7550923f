"""Families of tokens: what one authorization led to, refreshed again and again, ended at once.

A refresh token is used once. Whoever uses one again is either a thief or was robbed, so its
family ends (RFC 9700, 4.14.2). There is no grace for an answer that was lost: a client that
lost one asks its user again.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from aigne_hub.crypto.oauth_secret import Kind, digest, new_secret
from aigne_hub.domain.oauth.lifetimes import REFRESH_UNUSED_US, REFRESH_US
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

PRUNE_BATCH: Final = 5_000
_FAMILY: Final = schema.oauth_family.c
_TOKEN: Final = schema.refresh_token.c
_GRANT: Final = schema.oauth_grant.c


@dataclass(frozen=True, slots=True)
class Family:
    """An authorization at work. `authenticated_us` is when its user signed in."""

    id: str
    grant_id: str
    client_id: str
    user_id: str
    user_did: str
    scopes: tuple[str, ...]
    resource: str
    authenticated_us: int


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that exists. `is_live` when nothing but its use could refuse it."""

    family: Family
    is_used: bool
    is_live: bool
    digest: bytes = field(repr=False)


def begin(
    connection: Connection,
    now_us: int,
    family_id: str,
    *,
    grant_id: str,
    scopes: tuple[str, ...],
    resource: str,
    authenticated_us: int,
) -> None:
    """Record what an authorization leads to."""
    connection.execute(
        insert(schema.oauth_family).values(
            id=family_id,
            grant_id=grant_id,
            scopes=" ".join(scopes),
            resource=resource,
            authenticated_us=authenticated_us,
            created_us=now_us,
            expires_us=now_us + REFRESH_US,
        )
    )


def issue(
    connection: Connection,
    now_us: int,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    family_id: str,
) -> str:
    """Make the next refresh token of a family; its text exists nowhere else."""
    text = new_secret(Kind.REFRESH, randbytes)
    connection.execute(
        insert(schema.refresh_token).values(
            digest=digest(Kind.REFRESH, text, pepper),
            family_id=family_id,
            created_us=now_us,
            expires_us=now_us + REFRESH_UNUSED_US,
        )
    )
    return text


def presented(
    connection: Connection, now_us: int, pepper: bytes, text: str, client_id: str
) -> Presented | None:
    """Return a refresh token of a client; None for what is none, or another's.

    Somebody else's client learns nothing from a token and ends nothing with it.
    """
    mark = digest(Kind.REFRESH, text, pepper)
    row = connection.execute(
        select(
            schema.oauth_family,
            _GRANT.client_id,
            _GRANT.user_id,
            _GRANT.revoked_us.label("grant_revoked_us"),
            schema.user.c.did,
            schema.user.c.disabled_us,
            _TOKEN.used_us,
            _TOKEN.expires_us.label("token_expires_us"),
        )
        .select_from(schema.refresh_token)
        .join(schema.oauth_family, _FAMILY.id == _TOKEN.family_id)
        .join(schema.oauth_grant, _GRANT.id == _FAMILY.grant_id)
        .join(schema.user, schema.user.c.id == _GRANT.user_id)
        .where(_TOKEN.digest == mark, _GRANT.client_id == client_id)
    ).one_or_none()
    if row is None:
        return None
    ended = (row.revoked_us, row.grant_revoked_us, row.disabled_us)
    is_live = all(one is None for one in ended) and now_us < min(
        row.expires_us, row.token_expires_us
    )
    return Presented(_family(row), row.used_us is not None, is_live, mark)


def use(connection: Connection, now_us: int, found: Presented) -> bool:
    """Use a token up; False when somebody else was quicker. One UPDATE decides."""
    used = connection.execute(
        update(schema.refresh_token)
        .where(_TOKEN.digest == found.digest, _TOKEN.used_us.is_(None))
        .values(used_us=now_us)
    )
    return used.rowcount == 1


def revoke(change: Changes, family_id: str, reason: str) -> None:
    """End a family: its refresh tokens and its access tokens. Again changes nothing."""
    ended = change.connection.execute(
        update(schema.oauth_family)
        .where(_FAMILY.id == family_id, _FAMILY.revoked_us.is_(None))
        .values(revoked_us=change.clock.now_us())
    )
    if ended.rowcount:
        change.audit("oauth.family.revoke", family_id, {"reason": reason})


def end_of_user(change: Changes, user_id: str, reason: str) -> int:
    """End every family of a user, as when a password changes; return how many."""
    grants = select(_GRANT.id).where(_GRANT.user_id == user_id)
    ended = change.connection.execute(
        update(schema.oauth_family)
        .where(_FAMILY.grant_id.in_(grants), _FAMILY.revoked_us.is_(None))
        .values(revoked_us=change.clock.now_us())
    ).rowcount
    if ended:
        change.audit("oauth.family.revoke", user_id, {"reason": reason, "families": ended})
    return ended


def prune(connection: Connection, now_us: int) -> int:
    """Delete tokens that have expired, and families after them; return how many rows."""
    old = select(_TOKEN.digest).where(_TOKEN.expires_us <= now_us).limit(PRUNE_BATCH)
    tokens = connection.execute(delete(schema.refresh_token).where(_TOKEN.digest.in_(old)))
    held = select(_TOKEN.family_id)
    over = (
        select(_FAMILY.id)
        .where(_FAMILY.expires_us <= now_us, _FAMILY.id.not_in(held))
        .limit(PRUNE_BATCH)
    )
    families = connection.execute(delete(schema.oauth_family).where(_FAMILY.id.in_(over)))
    return tokens.rowcount + families.rowcount


def _family(row: Row[Any]) -> Family:
    return Family(
        id=row.id,
        grant_id=row.grant_id,
        client_id=row.client_id,
        user_id=row.user_id,
        user_did=row.did,
        scopes=tuple(row.scopes.split()),
        resource=row.resource,
        authenticated_us=row.authenticated_us,
    )
