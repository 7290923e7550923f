"""Many accounts, each with a key and credit: `python -m bench.accounts --data-dir D --count N`.

One is made by the hub's own stores, the others are copies of its rows; ten thousand made one by
one would take a minute. Prints their keys, one a line.
"""

import argparse
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Table, insert, select

from aigne_hub.bootstrap import open_hub
from aigne_hub.crypto import api_key
from aigne_hub.domain.access import Role
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.settings import load_settings
from aigne_hub.storage import grants, keys, schema, users
from aigne_hub.storage.changes import changes

CREDIT = 1_000_000 * NANO_PER_CREDIT
# Those that belong to an account, in an order in which they can be inserted.
TABLES = (schema.user, schema.account, schema.api_key, schema.credit_grant, schema.transfer)

Row = dict[str, Any]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--data-dir", type=Path, required=True)
    arguments.add_argument("--count", type=int, required=True)
    given = arguments.parse_args()
    hub = open_hub(load_settings(os.environ, data_dir=given.data_dir), os.environ)
    with changes(hub.engine, hub.clock, hub.ids, actor="bench") as change:
        name = f"bench-{os.getpid()}@example.com"
        user = users.create(change, hub.keyring, os.urandom, email=name, role=Role.MEMBER)
        made = keys.create(change, hub.keyring, os.urandom, hub.pepper, user=user)
        granted = grants.grant(change.connection, hub.clock, hub.ids, user.id, CREDIT)
        print(made.text)
        first = _rows(change.connection, user.id)
        copied: dict[str, list[Row]] = {table.name: [] for table in TABLES}
        for _ in range(given.count - 1):
            text = api_key.new_key(os.urandom)
            print(text)
            digest = api_key.digest(text, hub.pepper)
            renamed = {user.id: hub.ids(), granted.id: hub.ids(), made.record.id: hub.ids()}
            for table, row in first.items():
                copied[table].append(dict(_copied(row, renamed, digest)))
        for table in TABLES:
            if copied[table.name]:
                change.connection.execute(insert(table), copied[table.name])


def _rows(connection: Connection, user_id: str) -> dict[str, Row]:
    """Return the row of each table that belongs to a user who has one key and one grant."""
    found = {}
    for table in TABLES:
        mine = _owner(table) == user_id
        found[table.name] = dict(connection.execute(select(table).where(mine)).mappings().one())
    return found


def _owner(table: Table) -> Any:
    return next(table.c[name] for name in ("account_id", "user_id", "id") if name in table.c)


def _copied(row: Row, renamed: dict[str, str], digest: bytes) -> Iterator[tuple[str, Any]]:
    """Yield a row's columns with its ids changed, and what must be unique made so."""
    for name, value in row.items():
        if name == "digest":
            yield name, digest
        elif name in {"did", "app_did"}:
            yield name, f"{value}{digest.hex()}"
        elif name == "email":
            yield name, f"{digest.hex()}@example.com"
        else:
            yield name, renamed.get(value, value) if isinstance(value, str) else value


if __name__ == "__main__":
    main()
