"""`/meter-events`: usage that programs report, and the hub's own calls, as one list."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import parse_amount
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import credit_grants, metering, meters, usage_events, users
from aigne_hub.storage.engine import View
from aigne_hub.storage.meters import OWN_EVENT_NAME, Meter
from aigne_hub.storage.usage_events import Filter, UsageEvent
from aigne_hub.web.api.account import DECIMALS
from aigne_hub.web.api.allowed import MayReportUsage
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.bodies import (
    AmountText,
    Document,
    KitBody,
    Metadata,
    Name,
    Reference,
    Seconds,
)
from aigne_hub.web.kit.currencies import CURRENCY_ID, currency, require_currency
from aigne_hub.web.kit.customers import customers_shown
from aigne_hub.web.kit.meters import meter_shown
from aigne_hub.web.kit.paging import Answer, CustomerName, End, Paging, Search, Start

Guest = Annotated[Visitor, own_or(Permission.METERS_READ)]

BUCKETS_MAX = 10_000
_GRANULARITY_S = {"minute": 60, "hour": 3_600, "day": 86_400}


class Payload(KitBody):
    """Who used how much: a customer by id or DID, and credits."""

    customer_id: Reference
    value: AmountText
    subscription_id: Name | None = None


class NewMeterEvent(KitBody):
    """`identifier` makes it happen once: reported again, it is answered and not charged."""

    event_name: Name
    payload: Payload
    identifier: Annotated[str, Field(min_length=1, max_length=metering.IDENTIFIER_MAX)]
    timestamp: Seconds | None = None
    metadata: Metadata | None = None
    source_data: Document = None


def create_meter_event(body: NewMeterEvent, admin: MayReportUsage, hub: Hub) -> Answer:
    """Charge usage to a customer, once for each identifier.

    What the customer cannot pay is `credit_pending`, and taken from the credit it gets next.
    The same identifier with another payload is a conflict.
    """
    now = hub.clock.now_us()
    with hub.posting() as connection:
        meter = meters.find(connection, body.event_name)
        if meter.event_name != body.event_name:
            raise NotFound(f"There is no meter for {body.event_name[:80]!r}.")
        if not meter.active:
            raise InvalidRequest("This meter is not active.", param="event_name")
        customer = users.find_customer(connection, body.payload.customer_id)
        if customer is None:
            raise NotFound(f"There is no customer {body.payload.customer_id[:80]!r}.")
        if not body.identifier.isprintable():
            raise InvalidRequest("An identifier is printable.", param="identifier")
        event_id = metering.record(
            connection,
            now,
            hub.ids,
            metering.Usage(
                identifier=body.identifier,
                meter_id=meter.id,
                account_id=customer.id,
                value=parse_amount(body.payload.value),
                timestamp=now // 1_000_000 if body.timestamp is None else body.timestamp,
                created_by=admin.user_did,
                subscription_id=body.payload.subscription_id,
                metadata=body.metadata,
                source_data=body.source_data,
            ),
        )
        event = usage_events.find(connection, event_id)
        assert event is not None
        return _shown(connection, [event])[0]


def list_meter_events(
    guest: Guest,
    hub: Hub,
    paging: Paging,
    customer_id: CustomerName = None,
    meter_id: Annotated[str | None, Query(max_length=255, description="Only this meter.")] = None,
    event_name: Annotated[str | None, Query(max_length=255, description="Only this.")] = None,
    start: Start = None,
    end: End = None,
    q: Search = None,
) -> Answer:
    """Return what was metered: calls of the hub that cost something, and what was reported."""
    with hub.reading() as view:
        wanted = _filter(view, guest, customer_id, meter_id or event_name, start, end, q)
        count, found = usage_events.page(view, wanted, offset=paging.offset, limit=paging.size)
        return paging.answer(count, _shown(view, found))


def get_meter_event(
    event_id: Annotated[str, Path(max_length=255, description="Id of an event.")],
    guest: Guest,
    hub: Hub,
) -> Answer:
    """Return one event; a call's has the call's id."""
    with hub.reading() as view:
        event = usage_events.find(view, event_id)
        if event is None or not guest.sees(event.account_id):
            raise NotFound(f"There is no meter event {event_id[:80]!r}.")
        return _shown(view, [event])[0]


def meter_event_stats(
    guest: Guest,
    hub: Hub,
    meter_id: Annotated[str, Query(max_length=255, description="Id or event name of a meter.")],
    start: Annotated[int, Query(ge=0, description="From this Unix second on.")],
    end: Annotated[int, Query(ge=0, description="Up to this Unix second.")],
    customer_id: CustomerName = None,
    granularity: Annotated[
        Literal["minute", "hour", "day"], Query(description="Length of an interval, in UTC.")
    ] = "day",
) -> Answer:
    """Return how much was metered by interval; intervals without any are left out."""
    seconds = _GRANULARITY_S[granularity]
    if (end - start) // seconds > BUCKETS_MAX:
        raise InvalidRequest(f"That is more than {BUCKETS_MAX:,} intervals.", param="granularity")
    with hub.reading() as view:
        wanted = _filter(view, guest, customer_id, meter_id, start, end, None)
        found = usage_events.buckets(view, wanted, seconds)
    rows = [
        {
            "date": format_instant(bucket.start * 1_000_000)[:10],
            "timestamp": str(bucket.start),
            "event_count": bucket.count,
            "total_value": str(bucket.value),
        }
        for bucket in found
    ]
    return {"count": len(rows), "list": rows}


def pending_amount(
    guest: Guest,
    hub: Hub,
    customer_id: CustomerName = None,
    currency_id: Annotated[str | None, Query(max_length=255, description="The currency.")] = None,
) -> dict[str, str]:
    """Return what a customer was metered beyond its credit, by currency; its debt included."""
    require_currency(currency_id)
    with hub.reading() as view:
        account = guest.customer(view, customer_id or guest.principal.user_id)
        return {CURRENCY_ID: str(credit_grants.summary(view, hub.clock, account.id).pending)}


def _filter(
    view: View,
    guest: Visitor,
    customer: str | None,
    meter: str | None,
    start: int | None,
    end: int | None,
    search: str | None,
) -> Filter:
    account_id = guest.account(view, customer)
    if meter is None:
        return Filter(account_id, start=start, end=end, search=search)
    found = meters.find(view, meter)
    own = found.event_name == OWN_EVENT_NAME
    return Filter(account_id, found.id, own, start, end, search)


def _shown(view: View, events: Iterable[UsageEvent]) -> list[dict[str, Any]]:
    listed = list(events)
    known = meters.by_id(view)
    own = next((meter for meter in known.values() if meter.event_name == OWN_EVENT_NAME), None)
    customers = customers_shown(view, {event.account_id for event in listed})
    shown = []
    for event in listed:
        meter = own if event.meter_id is None else known[event.meter_id]
        shown.append(_event_shown(event, meter, customers[event.account_id]))
    return shown


def _event_shown(
    event: UsageEvent, meter: Meter | None, customer: dict[str, Any]
) -> dict[str, Any]:
    value = str(event.value)
    return {
        "id": event.id,
        "object": "meter_event",
        "event_name": OWN_EVENT_NAME if meter is None else meter.event_name,
        "payload": {
            "customer_id": event.account_id,
            "value": value,
            "subscription_id": event.subscription_id,
            "currency_id": CURRENCY_ID,
            "decimal": DECIMALS,
        },
        "identifier": event.identifier,
        "timestamp": event.timestamp,
        "livemode": True,
        "status": "requires_capture" if event.pending else "completed",
        "processed_at": event.created_us // 1_000_000,
        "attempt_count": 1,
        "credit_consumed": str(event.consumed),
        "credit_pending": str(event.pending),
        "metadata": event.metadata,
        "source_data": event.source_data,
        "created_by": event.created_by,
        "created_via": "api",
        "created_at": format_instant(event.created_us),
        "updated_at": format_instant(event.created_us),
        "customer": customer,
        "meter": None if meter is None else meter_shown(meter),
        "paymentCurrency": currency(),
    }


def meter_events_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/meter-events", tags=["Payment"])
    router.post("", operation_id="createMeterEvent", summary="Charge usage once")(
        create_meter_event
    )
    router.get("", operation_id="listMeterEvents", summary="What was metered")(list_meter_events)
    router.get("/stats", operation_id="getMeterEventStats", summary="Usage by interval")(
        meter_event_stats
    )
    router.get("/pending-amount", operation_id="getPendingAmount", summary="What is owed")(
        pending_amount
    )
    router.get("/{event_id}", operation_id="getMeterEvent", summary="A meter event")(
        get_meter_event
    )
    return router
