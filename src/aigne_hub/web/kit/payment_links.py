"""`/payment-links`: addresses of the hub's own pay page."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from aigne_hub.domain.errors import Conflict
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import payment_links
from aigne_hub.storage.payment_links import PaymentLink
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayReadPayments, MayWritePayments
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.bodies import KitBody, Metadata, Name
from aigne_hub.web.kit.currencies import money
from aigne_hub.web.kit.paging import Answer, Paging
from aigne_hub.web.kit.prices import LineItems, credits_of, line_items

# The hub's own page, which any amount can be chosen on; programs look for it by these keys.
OWN_ID = "credits"
OWN_KEYS = ("DEFAULT_CREDIT_PAYMENT_LINK", "DEFAULT_CREDIT_PAYMENT_LINK_V2")

LinkName = Annotated[str, Path(max_length=255, description="Id or lookup key of a link.")]


class NewLink(KitBody):
    name: Name = "Credits"
    line_items: LineItems
    lookup_key: Name | None = None
    metadata: Metadata | None = None


def create_link(body: NewLink, admin: MayWritePayments, hub: Hub) -> Answer:
    """Make a link to the pay page that suggests an amount."""
    credits_ = credits_of(body.line_items)
    hub.cashier.offer.price(credits_)
    if body.lookup_key in {OWN_ID, *OWN_KEYS}:
        raise Conflict("This payment link is the hub's own.")
    with hub.changing(actor(admin)) as change:
        link = payment_links.create(
            change,
            name=body.name,
            credits_=credits_,
            lookup_key=body.lookup_key,
            metadata=body.metadata,
        )
    return _shown(hub, link)


def list_links(_: MayReadPayments, hub: Hub, paging: Paging) -> Answer:
    """Return the links that were made."""
    with hub.reading() as view:
        count, found = payment_links.listed(view, offset=paging.offset, limit=paging.size)
    return paging.answer(count, [_shown(hub, link) for link in found])


def get_link(name: LinkName, _: Caller, hub: Hub) -> Answer:
    """Return a link. Its page is `/payment/checkout/pay/{id}`."""
    if name in {OWN_ID, *OWN_KEYS}:
        own = PaymentLink(OWN_ID, OWN_KEYS[0], "Credits", hub.cashier.offer.default, True, {}, 0, 0)  # noqa: FBT003 - it is always active
        return _shown(hub, own)
    with hub.reading() as view:
        return _shown(hub, payment_links.find(view, name))


def archive_link(name: LinkName, admin: MayWritePayments, hub: Hub) -> Answer:
    """Sell nothing by a link any more."""
    if name in {OWN_ID, *OWN_KEYS}:
        raise Conflict("The hub's own payment link cannot be archived.")
    with hub.changing(actor(admin)) as change:
        return _shown(hub, payment_links.archive(change, name))


def _shown(hub: Backend, link: PaymentLink) -> dict[str, Any]:
    return {
        "id": link.id,
        "object": "payment_link",
        "active": link.active,
        "livemode": True,
        "name": link.name,
        "lookup_key": link.lookup_key,
        "line_items": line_items(hub, link.credits),
        "currency_id": money(hub)["id"],
        "url": f"{hub.public_url()}/payment/checkout/pay/{link.id}",
        "metadata": link.metadata,
        "created_via": "api",
        "created_at": format_instant(link.created_us),
        "updated_at": format_instant(link.updated_us),
    }


def payment_links_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/payment-links", tags=["Payment"])
    router.post("", operation_id="createKitPaymentLink", summary="Make a payment link")(create_link)
    router.get("", operation_id="listKitPaymentLinks", summary="Payment links")(list_links)
    one = "/{name}"
    router.get(one, operation_id="getKitPaymentLink", summary="A payment link")(get_link)
    router.put(f"{one}/archive", operation_id="archiveKitPaymentLink", summary="End a link")(
        archive_link
    )
    return router
