"""What the tables share: naming, and the kinds of column and index the hub has."""

from typing import Any

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Text,
    TextClause,
    event,
)

_ONLY = "only"

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


def identifier(name: str = "id") -> Column[str]:
    return Column(name, Text, primary_key=True)


def instant(name: str, *, nullable: bool = False) -> Column[int]:
    return Column(name, BigInteger, nullable=nullable)


def amount(name: str, default: str | None = None) -> Column[int]:
    return Column(name, BigInteger, nullable=False, server_default=default)


def one_of(column: str, *values: str, name: str | None = None) -> CheckConstraint:
    """Constrain a column to some values; SQLite builds a table a row for IN, none for OR."""
    return CheckConstraint(" OR ".join(f"{column} = '{v}'" for v in values), name=name or column)


def only(condition: TextClause | ColumnElement[bool]) -> dict[str, Any]:
    """Return the arguments of an index of the rows that meet a condition.

    PostgreSQL is told when its tables are made: naming it here would load all its drivers.
    """
    return {"sqlite_where": condition, "info": {_ONLY: condition}}


@event.listens_for(metadata, "before_create")
def _tell_postgresql(target: MetaData, connection: Connection, **_: object) -> None:
    if connection.dialect.name != "postgresql":
        return
    for table in target.tables.values():
        for index in table.indexes:
            if _ONLY in index.info:
                index.dialect_kwargs["postgresql_where"] = index.info[_ONLY]
