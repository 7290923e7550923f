"""Where the objects are that calls left at their providers.

The journal writes them as it settles the call; here they are read and pruned.
"""

import asyncio
from collections.abc import Callable

from sqlalchemy import Connection, Engine, delete, literal, select, text, tuple_
from sqlalchemy.exc import SQLAlchemyError

from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound, Overloaded
from aigne_hub.domain.objects import KNOWN_US, UpstreamObject
from aigne_hub.ports import Clock
from aigne_hub.storage import refunds, schema
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import reading

PRUNE_BATCH = 1_000

_OBJECT = schema.upstream_object.c
_FIELDS = [_OBJECT[name] for name in UpstreamObject._fields]


def find(connection: Connection, account_id: str, identifier: str) -> UpstreamObject | None:
    """Return an account's own object, None for one that is unknown or another's."""
    row = connection.execute(
        select(*_FIELDS).where(_OBJECT.account_id == account_id, _OBJECT.id == identifier)
    ).one_or_none()
    return None if row is None else UpstreamObject(*row)


def listed(
    connection: Connection, account_id: str, kind: str, after: UpstreamObject | None, limit: int
) -> list[UpstreamObject]:
    """Return an account's objects of a kind, newest first, at most `limit` behind `after`.

    Responses cannot be listed: they are not in the index of those that can.
    """
    age = tuple_(_OBJECT.created_us, _OBJECT.id)
    query = (
        select(*_FIELDS)
        .where(_OBJECT.account_id == account_id, _OBJECT.kind == kind, text("kind <> 'response'"))
        .order_by(_OBJECT.created_us.desc(), _OBJECT.id.desc())
        .limit(limit)
    )
    if after is not None:
        query = query.where(age < tuple_(literal(after.created_us), literal(after.id)))
    return [UpstreamObject(*row) for row in connection.execute(query)]


def prune(connection: Connection, now_us: int) -> int:
    """Forget what no provider keeps so long, at most PRUNE_BATCH; return how many."""
    key = tuple_(_OBJECT.account_id, _OBJECT.id)
    old = (
        select(_OBJECT.account_id, _OBJECT.id)
        .where(_OBJECT.created_us <= now_us - KNOWN_US)
        .limit(PRUNE_BATCH)
    )
    return connection.execute(delete(schema.upstream_object).where(key.in_(old))).rowcount


class StoredObjects:
    """gateway.objects.Objects over the database, read in a thread."""

    def __init__(self, engine: Engine, clock: Clock, ids: Callable[[], str]) -> None:
        self._engine = engine
        self._clock = clock
        self._ids = ids

    async def find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        try:
            return await asyncio.to_thread(self._find, account_id, identifier)
        except SQLAlchemyError as error:
            raise Overloaded("The hub cannot look this up right now. Retry shortly.") from error

    def _find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        with reading(self._engine) as connection:
            return find(connection, account_id, identifier)

    async def listed(
        self, account_id: str, kind: str, after: UpstreamObject | None, limit: int
    ) -> list[UpstreamObject]:
        try:
            return await asyncio.to_thread(self._listed, account_id, kind, after, limit)
        except SQLAlchemyError as error:
            raise Overloaded("The hub cannot list these right now. Retry shortly.") from error

    def _listed(
        self, account_id: str, kind: str, after: UpstreamObject | None, limit: int
    ) -> list[UpstreamObject]:
        with reading(self._engine) as connection:
            return listed(connection, account_id, kind, after, limit)

    async def give_back(self, found: UpstreamObject) -> None:
        try:
            await asyncio.to_thread(self._give_back, found)
        except SQLAlchemyError as error:
            raise Overloaded("The hub cannot refund this right now. Retry shortly.") from error

    def _give_back(self, found: UpstreamObject) -> None:
        with reading(self._engine) as connection:
            if refunds.is_given_back(connection, found.call_id):
                return
        try:
            with changes(self._engine, self._clock, self._ids, actor="hub") as change:
                refunds.give_back(change, found.call_id, f"the {found.kind} {found.id} failed")
        except (Conflict, NotFound, InvalidRequest):
            # Somebody was quicker; or nothing was charged, or nothing is left of it.
            return
