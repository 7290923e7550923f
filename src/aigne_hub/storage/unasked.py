"""Videos that nobody may have asked after: which of them to ask their providers about."""

from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Engine, select, update

from aigne_hub.domain.objects import UpstreamObject
from aigne_hub.storage import schema
from aigne_hub.storage.engine import reading, writing

_OBJECT = schema.upstream_object.c
_FIELDS = [_OBJECT[name] for name in UpstreamObject._fields]


class Unasked(NamedTuple):
    """An object and whose it is."""

    account_id: str
    object: UpstreamObject


def due(engine: Engine, now_us: int, limit: int) -> list[Unasked]:
    """Return what is to be asked after, the longest due first, at most `limit`."""
    query = (
        select(_OBJECT.account_id, *_FIELDS)
        .where(_is_due(now_us))
        .order_by(_OBJECT.ask_us)
        .limit(limit)
    )
    with reading(engine) as connection:
        rows: list[Any] = list(connection.execute(query))
    return [Unasked(account_id, UpstreamObject(*fields)) for account_id, *fields in rows]


def is_due(engine: Engine, now_us: int) -> bool:
    """Tell whether `due` would return anything."""
    with reading(engine) as connection:
        return connection.execute(select(1).where(_is_due(now_us)).limit(1)).first() is not None


def ask_again(engine: Engine, one: Unasked, ask_us: int | None) -> None:
    """Note when to ask the next time, None for never."""
    noted = (
        update(schema.upstream_object)
        .where(_OBJECT.account_id == one.account_id, _OBJECT.id == one.object.id)
        .values(ask_us=ask_us)
    )
    with writing(engine) as connection:
        connection.execute(noted)


def _is_due(now_us: int) -> ColumnElement[bool]:
    return _OBJECT.ask_us <= now_us
