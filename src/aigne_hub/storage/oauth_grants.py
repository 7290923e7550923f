"""What users let clients do: scopes, and how much of their credit.

A grant is remembered until it is revoked; then every token that it led to is void. Its limits
are checked in the journal, as those of a key are.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, insert, select, update

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.clients import Client
from aigne_hub.domain.windows import Window
from aigne_hub.storage import limits, schema
from aigne_hub.storage.changes import Changes

_SHOWN_MAX: Final = 80
_TABLE: Final = schema.oauth_grant
_GRANT: Final = schema.oauth_grant.c
_CLIENT: Final = schema.oauth_client.c
_ALL = select(_TABLE, _CLIENT.name.label("client_name")).join(
    schema.oauth_client, _CLIENT.id == _GRANT.client_id
)


@dataclass(frozen=True, slots=True)
class Allowance:
    """How many nano-credits a client may spend in each window; None for no limit of its own."""

    amount: int | None = None
    window: Window = Window.MONTH


@dataclass(frozen=True, slots=True)
class Grant:
    """A grant as its user sees it, with the limits that bind it."""

    id: str
    user_id: str
    client_id: str
    client_name: str
    scopes: tuple[str, ...]
    limits: tuple[Limit, ...]
    created_us: int
    updated_us: int
    revoked: bool


def allow(
    change: Changes,
    user_id: str,
    client: Client,
    scopes: Collection[str],
    allowance: Allowance | None,
) -> Grant:
    """Let a client do more, or begin to let it; return the grant. None keeps its allowance."""
    now = change.clock.now_us()
    found = current(change.connection, user_id, client.id)
    if found is None:
        grant_id, granted = change.ids(), scopes_of.ordered(scopes)
        change.connection.execute(
            insert(_TABLE).values(
                id=grant_id,
                user_id=user_id,
                client_id=client.id,
                scopes=" ".join(granted),
                created_us=now,
                updated_us=now,
            )
        )
    else:
        grant_id, granted = found.id, scopes_of.ordered({*found.scopes, *scopes})
        change.connection.execute(
            update(_TABLE)
            .where(_GRANT.id == grant_id)
            .values(scopes=" ".join(granted), updated_us=now)
        )
    if allowance is not None:
        _set_allowance(change, grant_id, allowance)
    detail = {"user": user_id, "client": client.id, "scopes": list(granted)}
    change.audit("oauth.grant", grant_id, detail)
    return find(change.connection, grant_id)


def current(connection: Connection, user_id: str, client_id: str) -> Grant | None:
    """Return what a user lets a client do now."""
    row = connection.execute(
        _ALL.where(
            _GRANT.user_id == user_id, _GRANT.client_id == client_id, _GRANT.revoked_us.is_(None)
        )
    ).one_or_none()
    return None if row is None else _grant(connection, row)


def find(connection: Connection, grant_id: str) -> Grant:
    """Return a grant, revoked or not. Raises NotFound."""
    row = connection.execute(_ALL.where(_GRANT.id == grant_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no grant {grant_id[:_SHOWN_MAX]!r}.")
    return _grant(connection, row)


def listed(connection: Connection, user_id: str) -> list[Grant]:
    """Return what a user lets clients do now, oldest first."""
    rows = connection.execute(
        _ALL.where(_GRANT.user_id == user_id, _GRANT.revoked_us.is_(None)).order_by(_GRANT.id)
    )
    return [_grant(connection, row) for row in rows.all()]


def revoke(change: Changes, grant_id: str, *, user_id: str) -> None:
    """Make void every token that a grant of a user led to. Raises NotFound."""
    ended = change.connection.execute(
        update(_TABLE)
        .where(_GRANT.id == grant_id, _GRANT.user_id == user_id, _GRANT.revoked_us.is_(None))
        .values(revoked_us=change.clock.now_us())
    )
    if not ended.rowcount:
        raise NotFound(f"There is no grant {grant_id[:_SHOWN_MAX]!r}.")
    change.audit("oauth.grant.revoke", grant_id, {"user": user_id})


def set_allowance(change: Changes, grant_id: str, allowance: Allowance, *, user_id: str) -> Grant:
    """Let a client spend another amount from now on. Raises NotFound."""
    found = find(change.connection, grant_id)
    if found.user_id != user_id or found.revoked:
        raise NotFound(f"There is no grant {grant_id[:_SHOWN_MAX]!r}.")
    _set_allowance(change, grant_id, allowance)
    change.audit("oauth.grant.allowance", grant_id, {"user": user_id})
    return find(change.connection, grant_id)


def allowance_of(grant: Grant) -> Allowance:
    """Return what a client may spend of a user's credit."""
    for limit in grant.limits:
        if limit.measure is Measure.CREDITS:
            return Allowance(limit.amount, limit.window)
    return Allowance()


def _set_allowance(change: Changes, grant_id: str, allowance: Allowance) -> None:
    for limit in limits.of(change.connection, (Subject.GRANT, grant_id)):
        if limit.measure is Measure.CREDITS and limit.window is not allowance.window:
            limits.remove(change, Subject.GRANT, grant_id, Measure.CREDITS, limit.window)
    if allowance.amount is not None:
        amount, window = allowance.amount, allowance.window
        limits.put(change, Subject.GRANT, grant_id, Measure.CREDITS, window, amount)
        return
    for limit in limits.of(change.connection, (Subject.GRANT, grant_id)):
        if limit.measure is Measure.CREDITS:
            limits.remove(change, Subject.GRANT, grant_id, Measure.CREDITS, limit.window)


def _grant(connection: Connection, row: Row[Any]) -> Grant:
    return Grant(
        id=row.id,
        user_id=row.user_id,
        client_id=row.client_id,
        client_name=row.client_name,
        scopes=tuple(row.scopes.split()),
        limits=limits.of(connection, (Subject.GRANT, row.id)),
        created_us=row.created_us,
        updated_us=row.updated_us,
        revoked=row.revoked_us is not None,
    )
