"""Rows of a query by the page, and a row by its id or by another name of it."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, Table, func, or_, select


def counted(connection: Connection, query: Select[Any]) -> int:
    """Return how many rows a query has."""
    count: int = connection.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    return count


def paged(
    connection: Connection,
    query: Select[Any],
    *order: ColumnElement[Any],
    offset: int,
    limit: int,
) -> tuple[int, Sequence[Any]]:
    """Return how many rows a query has, and at most `limit` from `offset` on, in an order."""
    rows = connection.execute(query.order_by(*order).offset(offset).limit(limit)).all()
    return counted(connection, query), rows


def named(connection: Connection, table: Table, other: str, name: str) -> Row[Any] | None:
    """Return the row whose id or whose column `other` is `name`.

    Should one row be named as another's id, the id wins.
    """
    rows = connection.execute(
        select(table).where(or_(table.c.id == name, table.c[other] == name))
    ).all()
    return min(rows, key=lambda row: row.id != name, default=None)
