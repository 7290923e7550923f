"""The unit of work of every administrative change: one transaction, audited, announced."""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from sqlalchemy import Connection, Engine, insert, select, update

from aigne_hub.domain.audit import Entry, Head, follow
from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.engine import writing


class Changes:
    """An open administrative change: a write transaction and who makes it.

    Whatever alters a row calls `audit`. A change that audited nothing is rolled back when it
    ends, so nothing can be altered without a trace or without other processes noticing.
    """

    def __init__(
        self,
        connection: Connection,
        clock: Clock,
        ids: Callable[[], str],
        actor: str,
        origin: str,
        head: Head,
    ) -> None:
        self.connection = connection
        self.clock = clock
        self.ids = ids
        self.actor = actor
        self.head = head
        self.audited = 0
        self._origin = origin

    def audit(self, action: str, target: str, detail: Mapping[str, object] | None = None) -> None:
        """Record that `action` was done to `target`. `detail` is JSON and holds no secret."""
        self.audited += 1
        entry = Entry(
            seq=self.head.seq + 1,
            id=self.ids(),
            actor=self.actor,
            origin=self._origin,
            action=action,
            object=target,
            detail=json.dumps(detail or {}, sort_keys=True),
            created_us=self.clock.now_us(),
        )
        self.head = Head(entry.seq, follow(self.head.hash, entry))
        self.connection.execute(
            insert(schema.audit_log).values(hash=self.head.hash, **entry._asdict())
        )


@contextmanager
def changes(
    engine: Engine, clock: Clock, ids: Callable[[], str], *, actor: str, origin: str = ""
) -> Iterator[Changes]:
    """Give one administrative change, made by `actor` (such as `cli:root`) from an address.

    Changes are made one at a time over all processes, so what one reads stays true until it
    ends. At the end the configuration's version grows by one, which servers watch.
    """
    state = schema.hub_state
    with writing(engine) as connection:
        found = select(state.c.audit_seq, state.c.audit_hash).with_for_update()
        seq, digest = connection.execute(found).one()
        head = Head() if digest is None else Head(seq, bytes(digest))
        change = Changes(connection, clock, ids, actor, origin, head)
        yield change
        if change.audited:
            connection.execute(
                update(state).values(
                    version=state.c.version + 1,
                    audit_seq=change.head.seq,
                    audit_hash=change.head.hash,
                )
            )
        else:
            connection.rollback()


def version(connection: Connection) -> int:
    """Return the configuration's version: it grows with every administrative change."""
    current: int = connection.execute(select(schema.hub_state.c.version)).scalar_one()
    return current
