"""Events on their way out: what is due, one delivery an endpoint, and what came of it.

Used by one process at a time (`storage.liveness`). A delivery stays due until its outcome is
recorded, so a process that dies in between sends it again: at least once.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    delete,
    func,
    insert,
    not_,
    select,
    update,
)

from aigne_hub.crypto.envelope import Keyring, SealBroken
from aigne_hub.domain.events import retry_after_us
from aigne_hub.ports import Clock
from aigne_hub.storage import schema
from aigne_hub.storage.deliveries import wants
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.webhooks import drop_due, listed, open_secret

# Events that one transaction hands out, and that one deletes.
ROUTE_BATCH = 500
PRUNE_BATCH = 5_000
# Events and their deliveries are kept this long, to be looked at and replayed.
EVENTS_KEPT_US = 90 * 24 * 3600 * 1_000_000
GONE = 410

_EVENT, _DELIVERY = schema.event.c, schema.webhook_delivery.c
_ENDPOINT = schema.webhook_endpoint.c


@dataclass(frozen=True, slots=True)
class Due:
    """A delivery to make now. `secret` is None when it does not open under this hub's key."""

    event_id: str
    type: str
    account_id: str | None
    payload: str
    created_us: int
    endpoint_id: str
    url: str
    trusted: bool
    secret: str | None = field(repr=False)
    proven: bool
    attempts: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an attempt ended: the receiver's status, or why there is none."""

    due: Due
    status: int | None
    error: str | None

    @property
    def delivered(self) -> bool:
        return self.status is not None and 200 <= self.status < 300


class Outbox:
    """The database's part of sending. Every method waits for the database: call it in a thread.

    `percent()` gives a random number of 0 to `domain.events.JITTER_PERCENT_MAX`.
    """

    def __init__(
        self, engine: Engine, keyring: Keyring, clock: Clock, percent: Callable[[], int]
    ) -> None:
        self._engine = engine
        self._keyring = keyring
        self._clock = clock
        self._percent = percent

    def waiting(self) -> bool:
        """Tell whether anything is to be done now. Reads two short indexes."""
        with reading(self._engine) as connection:
            return _unrouted(connection) or bool(_due_rows(connection, self._clock.now_us(), 1))

    def route(self) -> int:
        """Hand new events to the endpoints that want them; return how many events that were.

        Nobody's event is not kept waiting: it is handed out to no one.
        """
        with reading(self._engine) as connection:
            if not _unrouted(connection):
                return 0
        now = self._clock.now_us()
        with writing(self._engine) as connection:
            events = connection.execute(
                select(schema.event)
                .where(_EVENT.routed_us.is_(None))
                .order_by(_EVENT.created_us, _EVENT.id)
                .limit(ROUTE_BATCH)
            ).all()
            ids = [event.id for event in events]
            known = connection.execute(
                select(_DELIVERY.event_id, _DELIVERY.endpoint_id).where(_DELIVERY.event_id.in_(ids))
            )
            replayed = {(row.event_id, row.endpoint_id) for row in known}
            endpoints = listed(connection)
            rows = [
                {
                    "event_id": event.id,
                    "endpoint_id": endpoint.id,
                    "due_us": min(event.created_us, now),
                }
                for event in events
                for endpoint in endpoints
                if wants(endpoint, event) and (event.id, endpoint.id) not in replayed
            ]
            if rows:
                connection.execute(insert(schema.webhook_delivery), rows)
            connection.execute(update(schema.event).where(_EVENT.id.in_(ids)).values(routed_us=now))
        return len(events)

    def due(self, limit: int, *, proven: bool, busy: Collection[str]) -> list[Due]:
        """Return what is due first at each of at most `limit` endpoints that are not busy.

        A proven endpoint took what it was last sent. The others have places of their own, by
        turns, so that they can wait for each other only.
        """
        with reading(self._engine) as connection:
            took = and_(
                _ENDPOINT.succeeded_us.is_not(None),
                func.coalesce(_ENDPOINT.failed_us, 0) < _ENDPOINT.succeeded_us,
            )
            rows = _due_rows(
                connection,
                self._clock.now_us(),
                limit,
                took if proven else not_(took),
                _ENDPOINT.id.not_in(busy),
            )
        return [self._due(row, proven=proven) for row in rows]

    def record(self, outcomes: Sequence[Outcome]) -> list[Outcome]:
        """Write down how attempts ended; return those that are given up."""
        now = self._clock.now_us()
        given_up = []
        with writing(self._engine) as connection:
            live = {e.id for e in listed(connection) if e.disabled_us is None}
            for outcome in outcomes:
                values, of_endpoint = self._values(outcome, now)
                due = outcome.due
                if due.endpoint_id not in live:
                    values["due_us"] = None
                if values["due_us"] is None and not outcome.delivered:
                    given_up.append(outcome)
                connection.execute(
                    update(schema.webhook_delivery)
                    .where(
                        _DELIVERY.event_id == due.event_id,
                        _DELIVERY.endpoint_id == due.endpoint_id,
                    )
                    .values(attempts=_DELIVERY.attempts + 1, attempted_us=now, **values)
                )
                connection.execute(
                    update(schema.webhook_endpoint)
                    .where(_ENDPOINT.id == due.endpoint_id)
                    .values(**of_endpoint)
                )
                if "disabled_us" in of_endpoint:
                    live.discard(due.endpoint_id)
                    drop_due(connection, due.endpoint_id)
        return given_up

    def prune(self) -> int:
        """Delete events of long ago with their deliveries, at most PRUNE_BATCH; return how many."""
        before = self._clock.now_us() - EVENTS_KEPT_US
        with writing(self._engine) as connection:
            old = (
                connection.execute(
                    select(_EVENT.id)
                    .where(_EVENT.created_us < before, _EVENT.routed_us.is_not(None))
                    .limit(PRUNE_BATCH)
                )
                .scalars()
                .all()
            )
            connection.execute(delete(schema.webhook_delivery).where(_DELIVERY.event_id.in_(old)))
            connection.execute(delete(schema.event).where(_EVENT.id.in_(old)))
        return len(old)

    def _values(self, outcome: Outcome, now_us: int) -> tuple[dict[str, object], dict[str, object]]:
        """Return what changes of the delivery and of its endpoint."""
        if outcome.delivered:
            taken: dict[str, object] = {
                "due_us": None,
                "delivered_us": now_us,
                "status": outcome.status,
                "error": None,
            }
            return taken, {"succeeded_us": now_us}
        failed: dict[str, object] = {"status": outcome.status, "error": outcome.error}
        if outcome.status == GONE:
            return {**failed, "due_us": None}, {"failed_us": now_us, "disabled_us": now_us}
        wait = retry_after_us(outcome.due.attempts + 1, self._percent())
        return {**failed, "due_us": None if wait is None else now_us + wait}, {"failed_us": now_us}

    def _due(self, row: Row[tuple[object, ...]], *, proven: bool) -> Due:
        try:
            secret = open_secret(self._keyring, row.endpoint_id, row.sealed_secret)
        except SealBroken:
            secret = None
        return Due(
            row.id,
            row.type,
            row.account_id,
            row.payload,
            row.created_us,
            row.endpoint_id,
            row.url,
            row.trusted,
            secret,
            proven,
            row.attempts,
        )


def _unrouted(connection: Connection) -> bool:
    query = select(_EVENT.id).where(_EVENT.routed_us.is_(None)).limit(1)
    return connection.execute(query).first() is not None


def _due_rows(
    connection: Connection, now_us: int, limit: int, *which: ColumnElement[bool]
) -> Sequence[Row[tuple[object, ...]]]:
    """Return the first due delivery of each of at most `limit` endpoints that take any.

    Endpoints that failed longest ago come first, so that each has its turn.
    """
    mine = schema.webhook_delivery.alias("mine").c
    first = (
        select(mine.event_id)
        .where(mine.endpoint_id == _ENDPOINT.id, mine.due_us <= now_us)
        .order_by(mine.due_us, mine.event_id)
        .limit(1)
        .correlate(schema.webhook_endpoint)
        .scalar_subquery()
    )
    rows = connection.execute(
        select(
            schema.event,
            _ENDPOINT.id.label("endpoint_id"),
            _ENDPOINT.url,
            _ENDPOINT.trusted,
            _ENDPOINT.sealed_secret,
            _DELIVERY.attempts,
        )
        .join_from(
            schema.webhook_endpoint,
            schema.webhook_delivery,
            and_(_DELIVERY.endpoint_id == _ENDPOINT.id, _DELIVERY.event_id == first),
        )
        .join(schema.event, _EVENT.id == _DELIVERY.event_id)
        .where(_ENDPOINT.removed_us.is_(None), _ENDPOINT.disabled_us.is_(None), *which)
        .order_by(func.coalesce(_ENDPOINT.failed_us, 0), _DELIVERY.due_us, _ENDPOINT.id)
        .limit(limit)
    )
    return rows.all()
