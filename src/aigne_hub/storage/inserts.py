"""The INSERT that says what happens when its row is there already, of either database.

SQLAlchemy's support of a database brings all its drivers' with it: 4 MiB for PostgreSQL's.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy.engine import Dialect

from aigne_hub.at_first_use import at_first_use


def insert_for(dialect: Dialect) -> Callable[[Any], Any]:
    """Return the `insert` of a database, whose statements have `on_conflict_do_nothing`."""
    return _sqlite() if dialect.name == "sqlite" else _postgresql()


@at_first_use
def _sqlite() -> Callable[[Any], Any]:
    from sqlalchemy.dialects.sqlite import insert  # noqa: PLC0415 - at first use

    return insert


@at_first_use
def _postgresql() -> Callable[[Any], Any]:
    from sqlalchemy.dialects.postgresql import insert  # noqa: PLC0415 - at first use

    return insert
