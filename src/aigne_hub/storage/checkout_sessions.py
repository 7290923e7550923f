"""Checkout sessions: orders that programs made, and what they said about them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.orders import OrderState
from aigne_hub.storage import lists, orders, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.orders import OrderRecord

_SESSION = schema.checkout_session.c
_ORDER = schema.payment_order.c


@dataclass(frozen=True, slots=True)
class Said:
    client_reference_id: str | None = None
    success_url: str | None = None
    cancel_url: str | None = None
    metadata: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class CheckoutSession:
    order: OrderRecord
    said: Said


def keep(change: Changes, order_id: str, said: Said) -> None:
    """Keep what a program says of an order, in the change that makes the order."""
    change.connection.execute(
        insert(schema.checkout_session).values(
            order_id=order_id,
            client_reference_id=said.client_reference_id,
            success_url=said.success_url,
            cancel_url=said.cancel_url,
            metadata=json.dumps(dict(said.metadata)),
        )
    )


def find(connection: Connection, order_id: str) -> CheckoutSession:
    """Return a session. Raises NotFound, for orders that no program made too."""
    row = connection.execute(
        select(schema.checkout_session).where(_SESSION.order_id == order_id)
    ).one_or_none()
    if row is None:
        raise unknown(order_id)
    return _session(connection, row)


def unknown(order_id: str) -> NotFound:
    """Return what is said of a session that is not there, or not the caller's."""
    return NotFound(f"There is no checkout session {order_id[:80]!r}.")


def page(
    connection: Connection,
    *,
    account_id: str | None,
    states: tuple[OrderState, ...],
    offset: int,
    limit: int,
) -> tuple[int, list[CheckoutSession]]:
    """Return how many sessions match, and those from `offset` on, newest first."""
    query = select(schema.checkout_session).join(
        schema.payment_order, _ORDER.id == _SESSION.order_id
    )
    if account_id is not None:
        query = query.where(_ORDER.account_id == account_id)
    if states:
        query = query.where(_ORDER.state.in_(states))
    newest = _SESSION.order_id.desc()
    count, rows = lists.paged(connection, query, newest, offset=offset, limit=limit)
    return count, [_session(connection, row) for row in rows]


def _session(connection: Connection, row: Row[Any]) -> CheckoutSession:
    return CheckoutSession(
        orders.load(connection, row.order_id),
        Said(row.client_reference_id, row.success_url, row.cancel_url, json.loads(row.metadata)),
    )
