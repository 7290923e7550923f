"""The unit of work of every administrative change: one transaction, audited, announced."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, select, update

from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.engine import writing


class Changes:
    """An open administrative change: a write transaction and who makes it.

    Whatever alters a row calls `audit`. A change that audited nothing is rolled back when it
    ends, so nothing can be altered without a trace or without other processes noticing.
    """

    def __init__(
        self, connection: Connection, clock: Clock, ids: Callable[[], str], actor: str
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.ids = ids
        self.actor = actor
        self.audited = 0

    def audit(self, action: str, target: str, detail: Mapping[str, object] | None = None) -> None:
        """Record that `action` was done to `target`. `detail` is JSON and holds no secret."""
        self.audited += 1
        self.connection.execute(
            insert(schema.audit_log).values(
                id=self.ids(),
                actor=self.actor,
                action=action,
                object=target,
                detail=json.dumps(detail or {}, sort_keys=True),
                created_us=self.clock.now_us(),
            )
        )


@contextmanager
def changes(
    engine: Engine, clock: Clock, ids: Callable[[], str], *, actor: str
) -> Iterator[Changes]:
    """Give one administrative change, made by `actor` (such as `cli:root`).

    Changes are made one at a time over all processes, so what one reads stays true until it
    ends. At the end the configuration's version grows by one, which servers watch.
    """
    state = schema.hub_state
    with writing(engine) as connection:
        connection.execute(select(state.c.version).with_for_update()).one()
        change = Changes(connection, clock, ids, actor)
        yield change
        if change.audited:
            connection.execute(update(state).values(version=state.c.version + 1))
        else:
            connection.rollback()


def version(connection: Connection) -> int:
    """Return the configuration's version: it grows with every administrative change."""
    current: int = connection.execute(select(schema.hub_state.c.version)).scalar_one()
    return current
