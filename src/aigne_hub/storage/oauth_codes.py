"""Authorization codes: a minute long, for one client at one address, used once."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from aigne_hub.crypto.oauth_secret import Kind, digest, new_secret
from aigne_hub.domain.oauth.lifetimes import ACCESS_US, CODE_US, LEEWAY_US
from aigne_hub.storage import schema

PRUNE_BATCH: Final = 5_000
# A used code is remembered for as long as what it gave may live, so that its reuse ends that.
_KEPT_US: Final = ACCESS_US + LEEWAY_US
_TABLE: Final = schema.oauth_code
_CODE: Final = schema.oauth_code.c
_GRANT: Final = schema.oauth_grant.c


@dataclass(frozen=True, slots=True)
class Asked:
    """What an authorization request asked for, and what its user granted."""

    client_id: str
    redirect_uri: str
    challenge: str
    scopes: tuple[str, ...]
    resource: str
    nonce: str | None
    authenticated_us: int


@dataclass(frozen=True, slots=True)
class Code:
    """A code that exists. `is_live` when nothing but its use could refuse it."""

    asked: Asked
    grant_id: str
    user_id: str
    user_did: str
    family_id: str
    is_used: bool
    is_live: bool
    digest: bytes = field(repr=False)


def issue(
    connection: Connection,
    now_us: int,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    *,
    family_id: str,
    grant_id: str,
    asked: Asked,
) -> str:
    """Make a code; its text exists nowhere else. `family_id` is what it will lead to."""
    text = new_secret(Kind.CODE, randbytes)
    connection.execute(
        insert(_TABLE).values(
            digest=digest(Kind.CODE, text, pepper),
            grant_id=grant_id,
            client_id=asked.client_id,
            redirect_uri=asked.redirect_uri,
            challenge=asked.challenge,
            scopes=" ".join(asked.scopes),
            resource=asked.resource,
            nonce=asked.nonce,
            authenticated_us=asked.authenticated_us,
            created_us=now_us,
            expires_us=now_us + CODE_US,
            family_id=family_id,
        )
    )
    return text


def find(
    connection: Connection, now_us: int, pepper: bytes, text: str, client_id: str
) -> Code | None:
    """Return a code of a client; None for what is none, or another's."""
    mark = digest(Kind.CODE, text, pepper)
    row = connection.execute(
        select(
            _TABLE,
            _GRANT.user_id,
            _GRANT.revoked_us,
            schema.user.c.did,
            schema.user.c.disabled_us,
        )
        .select_from(_TABLE)
        .join(schema.oauth_grant, _GRANT.id == _CODE.grant_id)
        .join(schema.user, schema.user.c.id == _GRANT.user_id)
        .where(_CODE.digest == mark, _CODE.client_id == client_id)
    ).one_or_none()
    return None if row is None else _code(row, now_us)


def use(connection: Connection, now_us: int, code: Code) -> bool:
    """Use a code up; False when somebody else was quicker. One UPDATE decides."""
    used = connection.execute(
        update(_TABLE)
        .where(_CODE.digest == code.digest, _CODE.used_us.is_(None))
        .values(used_us=now_us)
    )
    return used.rowcount == 1


def prune(connection: Connection, now_us: int) -> int:
    """Delete codes that nothing depends on any more; return how many."""
    old = select(_CODE.digest).where(_CODE.expires_us <= now_us - _KEPT_US).limit(PRUNE_BATCH)
    return connection.execute(delete(_TABLE).where(_CODE.digest.in_(old))).rowcount


def _code(row: Row[Any], now_us: int) -> Code:
    return Code(
        asked=Asked(
            client_id=row.client_id,
            redirect_uri=row.redirect_uri,
            challenge=row.challenge,
            scopes=tuple(row.scopes.split()),
            resource=row.resource,
            nonce=row.nonce,
            authenticated_us=row.authenticated_us,
        ),
        grant_id=row.grant_id,
        user_id=row.user_id,
        user_did=row.did,
        family_id=row.family_id,
        is_used=row.used_us is not None,
        is_live=row.revoked_us is None and row.disabled_us is None and now_us < row.expires_us,
        digest=row.digest,
    )
