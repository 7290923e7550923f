"""Calls page by page, filtered as their owner or an administrator asks."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, func, or_, select

from aigne_hub.storage import schema

# By what a search may look; `trace` is the caller's own id of a request.
SEARCHED = ("model", "id", "user", "trace")

_CALL = schema.model_call.c
_USER = schema.user.c
_COLUMNS: dict[str, ColumnElement[str]] = {
    "model": _CALL.model,
    "id": _CALL.id,
    "user": _CALL.user_did,
    "trace": _CALL.request_id,
}


@dataclass(frozen=True, slots=True)
class Filter:
    """Which calls; instants are Unix microseconds, `until_us` exclusive. None is any.

    `model` is a part of a reference, `search` a part of one of the columns `search_in`.
    """

    account_id: str | None = None
    since_us: int | None = None
    until_us: int | None = None
    status: str | None = None
    type: str | None = None
    model: str | None = None
    provider: str | None = None
    app_did: str | None = None
    duration_us: int | None = None
    search: str | None = None
    search_in: tuple[str, ...] = SEARCHED


def page(
    connection: Connection, wanted: Filter, *, offset: int, limit: int
) -> tuple[int, Sequence[Row[Any]]]:
    """Return how many calls match, and those from `offset` on with `email`, newest first."""
    query = _matching(wanted)
    count = connection.execute(
        query.with_only_columns(func.count(), maintain_column_froms=True)
    ).scalar_one()
    rows = connection.execute(query.order_by(_CALL.id.desc()).offset(offset).limit(limit)).all()
    return count, rows


def _matching(wanted: Filter) -> Select[Any]:
    query = select(schema.model_call, _USER.email).outerjoin(
        schema.user, _USER.id == _CALL.account_id
    )
    exact = {
        _CALL.account_id: wanted.account_id,
        _CALL.status: wanted.status,
        _CALL.type: wanted.type,
        _CALL.app_did: wanted.app_did,
        _CALL.provider: wanted.provider,
    }
    conditions: list[ColumnElement[bool]] = [
        column == value for column, value in exact.items() if value is not None
    ]
    if wanted.since_us is not None:
        conditions.append(_CALL.started_us >= wanted.since_us)
    if wanted.until_us is not None:
        conditions.append(_CALL.started_us < wanted.until_us)
    if wanted.duration_us is not None:
        conditions.append(_CALL.duration_us >= wanted.duration_us)
    if wanted.model:
        conditions.append(_CALL.model.icontains(wanted.model, autoescape=True))
    if wanted.search:
        columns = (_COLUMNS[name] for name in wanted.search_in)
        conditions.append(or_(*(c.icontains(wanted.search, autoescape=True) for c in columns)))
    return query.where(*conditions)
