"""Deliveries of events as people see and repeat them; `storage.outbox` is what sends them."""

import json
from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, Row, and_, insert, or_, select, update

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.webhooks import Endpoint, listed

LIMIT_MAX = 1_000
_SHOWN_MAX = 80

_EVENT, _DELIVERY = schema.event.c, schema.webhook_delivery.c


class State(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"  # given up


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event for one endpoint, and how its last attempt ended.

    `status` is the receiver's, None when there was no answer. `due_us` is the next attempt.
    """

    event_id: str
    type: str
    endpoint_id: str
    attempts: int
    status: int | None
    error: str | None
    due_us: int | None
    attempted_us: int | None
    delivered_us: int | None
    created_us: int

    @property
    def state(self) -> State:
        if self.delivered_us is not None:
            return State.DELIVERED
        return State.FAILED if self.due_us is None else State.PENDING

    def document(self) -> dict[str, object]:
        """Return what people and programs are shown of it."""
        return {
            "event": self.event_id,
            "type": self.type,
            "endpoint": self.endpoint_id,
            "state": self.state.value,
            "attempts": self.attempts,
            "status": self.status,
            "error": self.error,
            "created_at": format_instant(self.created_us),
            "attempted_at": _instant(self.attempted_us),
            "delivered_at": _instant(self.delivered_us),
            "due_at": _instant(self.due_us),
        }


def of(
    connection: Connection,
    limit: int,
    *,
    endpoint_id: str | None = None,
    failed: bool = False,
) -> list[Delivery]:
    """Return the newest `limit` (1 to LIMIT_MAX) deliveries, newest event first.

    `failed` leaves those whose last attempt failed, given up or not.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidRequest(f"A limit is 1 to {LIMIT_MAX}.", param="limit")
    wanted: list[ColumnElement[bool]] = []
    if endpoint_id is not None:
        wanted.append(_DELIVERY.endpoint_id == endpoint_id)
    if failed:
        unsent = or_(_DELIVERY.attempts > 0, _DELIVERY.due_us.is_(None))
        wanted.append(and_(_DELIVERY.delivered_us.is_(None), unsent))
    return _read(connection, *wanted, limit=limit)


def one(connection: Connection, event: str, endpoint_id: str) -> Delivery:
    """Return the delivery of one event to one endpoint. Raises NotFound."""
    found = _read(
        connection, _DELIVERY.event_id == event, _DELIVERY.endpoint_id == endpoint_id, limit=1
    )
    if not found:
        raise NotFound("There is no such delivery.")
    return found[0]


def send_test(change: Changes, endpoint: Endpoint) -> Delivery:
    """Have an event sent to one endpoint alone, whatever types it wants."""
    _require_enabled(endpoint)
    now = change.clock.now_us()
    event = event_id(EventType.WEBHOOK_TEST, change.ids())
    change.connection.execute(
        insert(schema.event).values(
            id=event,
            type=EventType.WEBHOOK_TEST.value,
            account_id=endpoint.account_id,
            payload=json.dumps({"endpoint_id": endpoint.id}),
            created_us=now,
            routed_us=now,
        )
    )
    _send(change.connection, event, endpoint.id, now)
    change.audit("webhook.test", endpoint.id, {"event": event})
    return one(change.connection, event, endpoint.id)


def replay(change: Changes, event: str, endpoint: Endpoint | None = None) -> list[Delivery]:
    """Have an event sent again under its id, from a first attempt on.

    It goes to one endpoint that may see it, or to all that want it now. Raises NotFound when
    there is no such event for the endpoint, InvalidRequest when nobody wants it.
    """
    connection = change.connection
    row = connection.execute(select(schema.event).where(_EVENT.id == event)).one_or_none()
    if row is None or (endpoint is not None and endpoint.account_id not in {None, row.account_id}):
        raise NotFound(f"There is no event {event[:_SHOWN_MAX]!r}.")
    if endpoint is not None:
        _require_enabled(endpoint)
        receivers = [endpoint]
    else:
        receivers = [found for found in listed(connection) if wants(found, row)]
    if not receivers:
        raise InvalidRequest("No endpoint wants this event.", param="event")
    now = change.clock.now_us()
    for receiver in receivers:
        _send(connection, event, receiver.id, now)
    change.audit("webhook.replay", event, {"endpoints": [found.id for found in receivers]})
    return [one(connection, event, receiver.id) for receiver in receivers]


def wants(endpoint: Endpoint, event: Row[tuple[object, ...]]) -> bool:
    """Tell whether an endpoint gets an event: it may see it, asked for it, and takes any."""
    return (
        endpoint.disabled_us is None
        and endpoint.account_id in {None, event.account_id}
        and (not endpoint.types or event.type in endpoint.types)
    )


def _instant(us: int | None) -> str | None:
    return None if us is None else format_instant(us)


def _send(connection: Connection, event: str, endpoint_id: str, now_us: int) -> None:
    anew = {"attempts": 0, "due_us": now_us, "delivered_us": None, "status": None, "error": None}
    this = (_DELIVERY.event_id == event, _DELIVERY.endpoint_id == endpoint_id)
    if not connection.execute(update(schema.webhook_delivery).where(*this).values(**anew)).rowcount:
        connection.execute(
            insert(schema.webhook_delivery).values(event_id=event, endpoint_id=endpoint_id, **anew)
        )


def _require_enabled(endpoint: Endpoint) -> None:
    if endpoint.disabled_us is not None:
        raise InvalidRequest(
            "This endpoint answered 410 and gets nothing any more. Make a new one.",
            param="endpoint",
        )


def _read(connection: Connection, *wanted: ColumnElement[bool], limit: int) -> list[Delivery]:
    rows = connection.execute(
        select(schema.webhook_delivery, _EVENT.type, _EVENT.created_us)
        .join_from(schema.webhook_delivery, schema.event, _EVENT.id == _DELIVERY.event_id)
        .where(*wanted)
        .order_by(_EVENT.created_us.desc(), _EVENT.id, _DELIVERY.endpoint_id)
        .limit(limit)
    )
    return [
        Delivery(
            row.event_id,
            row.type,
            row.endpoint_id,
            row.attempts,
            row.status,
            row.error,
            row.due_us,
            row.attempted_us,
            row.delivered_us,
            row.created_us,
        )
        for row in rows
    ]
