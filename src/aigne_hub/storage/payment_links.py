"""Payment links: addresses of the pay page that suggest an amount, until they are archived."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update

from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import lists, schema
from aigne_hub.storage.changes import Changes

_LINK = schema.payment_link.c


@dataclass(frozen=True, slots=True)
class PaymentLink:
    """`credits` are the nano-credits that its page suggests."""

    id: str
    lookup_key: str | None
    name: str
    credits: int
    active: bool
    metadata: Mapping[str, Any]
    created_us: int
    updated_us: int


def create(
    change: Changes,
    *,
    name: str,
    credits_: int,
    lookup_key: str | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> PaymentLink:
    """Make a link. Raises Conflict when its lookup key is taken."""
    if lookup_key is not None and _found(change.connection, lookup_key) is not None:
        raise Conflict(f"There is a payment link {lookup_key[:80]!r} already.")
    link_id, now = change.ids(), change.clock.now_us()
    change.connection.execute(
        insert(schema.payment_link).values(
            id=link_id,
            lookup_key=lookup_key,
            name=name,
            credits=credits_,
            metadata=json.dumps(dict(metadata or {})),
            created_us=now,
            updated_us=now,
        )
    )
    change.audit("payment_link.create", link_id, {"credits": credits_, "lookup_key": lookup_key})
    return find(change.connection, link_id)


def find(connection: Connection, name: str) -> PaymentLink:
    """Return the link with this id or lookup key. Raises NotFound."""
    found = _found(connection, name)
    if found is None:
        raise NotFound(f"There is no payment link {name[:80]!r}.")
    return found


def archive(change: Changes, name: str) -> PaymentLink:
    """Sell nothing by a link any more. Archiving it again changes nothing."""
    link = find(change.connection, name)
    if not link.active:
        return link
    change.connection.execute(
        update(schema.payment_link)
        .where(_LINK.id == link.id)
        .values(active=False, updated_us=change.clock.now_us())
    )
    change.audit("payment_link.archive", link.id)
    return find(change.connection, link.id)


def listed(connection: Connection, *, offset: int, limit: int) -> tuple[int, list[PaymentLink]]:
    """Return how many links there are, and those from `offset` on, newest first."""
    query = select(schema.payment_link)
    count, rows = lists.paged(connection, query, _LINK.id.desc(), offset=offset, limit=limit)
    return count, [_link(row) for row in rows]


def _found(connection: Connection, name: str) -> PaymentLink | None:
    row = lists.named(connection, schema.payment_link, "lookup_key", name)
    return None if row is None else _link(row)


def _link(row: Row[Any]) -> PaymentLink:
    return PaymentLink(
        id=row.id,
        lookup_key=row.lookup_key,
        name=row.name,
        credits=row.credits,
        active=row.active,
        metadata=json.loads(row.metadata),
        created_us=row.created_us,
        updated_us=row.updated_us,
    )
