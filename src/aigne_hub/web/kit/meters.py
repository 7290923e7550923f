"""`/meters`: what programs may meter. Every meter counts credits of the one currency."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query

from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import meters
from aigne_hub.storage.meters import Meter
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayWriteMeters
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.bodies import KitBody, LongText, Metadata, Name
from aigne_hub.web.kit.currencies import CURRENCY_ID, currency, require_currency
from aigne_hub.web.kit.paging import Answer, Paging, Search

MeterName = Annotated[str, Path(max_length=255, description="Id or event name of a meter.")]


class NewMeter(KitBody):
    """`event_name` is what its events carry, and is unique."""

    name: Name
    event_name: Name
    unit: Name
    aggregation_method: Literal["sum"] = "sum"
    currency_id: str | None = None
    description: LongText = ""
    metadata: Metadata | None = None


class MeterChange(KitBody):
    """Members that are left out stay as they are; those of `metadata` too."""

    name: Name | None = None
    unit: Name | None = None
    description: LongText | None = None
    status: Literal["active", "inactive"] | None = None
    metadata: Metadata | None = None


def meter_shown(meter: Meter) -> dict[str, Any]:
    return {
        "id": meter.id,
        "object": "meter",
        "name": meter.name,
        "event_name": meter.event_name,
        "aggregation_method": "sum",
        "unit": meter.unit,
        "status": "active" if meter.active else "inactive",
        "description": meter.description,
        "livemode": True,
        "metadata": meter.metadata,
        "currency_id": CURRENCY_ID,
        "created_via": "api",
        "created_at": format_instant(meter.created_us),
        "updated_at": format_instant(meter.updated_us),
        "paymentCurrency": currency(),
    }


def create_meter(body: NewMeter, admin: MayWriteMeters, hub: Hub) -> Answer:
    """Make a meter. Its events are charged in credits, one for one."""
    require_currency(body.currency_id)
    with hub.changing(actor(admin)) as change:
        meter = meters.create(
            change,
            event_name=body.event_name,
            name=body.name,
            unit=body.unit,
            description=body.description,
            metadata=body.metadata,
        )
    return meter_shown(meter)


def list_meters(
    _: Caller,
    hub: Hub,
    paging: Paging,
    event_name: Annotated[str | None, Query(max_length=255, description="Only this.")] = None,
    q: Search = None,
) -> Answer:
    """Return the meters."""
    with hub.reading() as view:
        count, found = meters.listed(
            view, event_name=event_name, search=q, offset=paging.offset, limit=paging.size
        )
    return paging.answer(count, [meter_shown(meter) for meter in found])


def get_meter(name: MeterName, _: Caller, hub: Hub) -> Answer:
    """Return a meter by its id or its event name."""
    with hub.reading() as view:
        return meter_shown(meters.find(view, name))


def update_meter(name: MeterName, body: MeterChange, admin: MayWriteMeters, hub: Hub) -> Answer:
    """Change what a meter is called, or what is kept with it."""
    values = body.model_dump(exclude_none=True)
    status = values.pop("status", None)
    with hub.changing(actor(admin)) as change:
        meter = meters.find(change.connection, name)
        if "metadata" in values:
            values["metadata"] = {**meter.metadata, **values["metadata"]}
        active = None if status is None else status == "active"
        return meter_shown(meters.change_meter(change, meter, values, active=active))


def activate_meter(name: MeterName, admin: MayWriteMeters, hub: Hub) -> Answer:
    """Take events of a meter again."""
    return _switched(hub, name, actor(admin), active=True)


def deactivate_meter(name: MeterName, admin: MayWriteMeters, hub: Hub) -> Answer:
    """Refuse what programs report to a meter. The hub's own calls are charged all the same."""
    return _switched(hub, name, actor(admin), active=False)


def _switched(hub: Backend, name: str, who: str, *, active: bool) -> Answer:
    with hub.changing(who) as change:
        meter = meters.find(change.connection, name)
        return meter_shown(meters.change_meter(change, meter, {}, active=active))


def meters_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/meters", tags=["Payment"])
    router.post("", operation_id="createMeter", summary="Make a meter")(create_meter)
    router.get("", operation_id="listMeters", summary="Meters")(list_meters)
    one = "/{name}"
    router.get(one, operation_id="getMeter", summary="A meter")(get_meter)
    router.put(one, operation_id="updateMeter", summary="Change a meter")(update_meter)
    router.put(f"{one}/activate", operation_id="activateMeter", summary="Take events")(
        activate_meter
    )
    router.put(f"{one}/deactivate", operation_id="deactivateMeter", summary="Refuse events")(
        deactivate_meter
    )
    return router
