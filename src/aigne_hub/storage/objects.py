"""Where the objects are that calls left at their providers.

The journal writes them as it settles the call; here they are read and pruned.
"""

import asyncio

from sqlalchemy import Connection, Engine, delete, select, tuple_
from sqlalchemy.exc import SQLAlchemyError

from aigne_hub.domain.errors import Overloaded
from aigne_hub.domain.objects import KNOWN_US, UpstreamObject
from aigne_hub.storage import schema
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

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    async def find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        try:
            return await asyncio.to_thread(self._find, account_id, identifier)
        except SQLAlchemyError as error:
            raise Overloaded("The hub cannot look this up right now. Retry shortly.") from error

    def _find(self, account_id: str, identifier: str) -> UpstreamObject | None:
        with reading(self._engine) as connection:
            return find(connection, account_id, identifier)
