"""`/checkout-sessions`: orders of credit for a customer, paid at the hub's own checkout."""

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain.currencies import exponent
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.orders import OrderState
from aigne_hub.domain.permissions import Permission
from aigne_hub.payments.cashier import Purchase
from aigne_hub.storage import checkout_sessions
from aigne_hub.storage.checkout_sessions import CheckoutSession, Said
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayWritePayments
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.bodies import KitBody, LongText, Metadata, Name
from aigne_hub.web.kit.currencies import MONEY_DECIMALS
from aigne_hub.web.kit.customers import ensured
from aigne_hub.web.kit.paging import Answer, CustomerName, Paging
from aigne_hub.web.kit.prices import LineItems, credits_of, line_items

Guest = Annotated[Visitor, own_or(Permission.PAYMENTS_READ)]

SessionId = Annotated[str, Path(max_length=255, description="Id of a session.")]
Status = Literal["open", "complete", "expired"]

# An order that was paid stays complete, whatever happens to the money later.
_STATES: dict[Status, tuple[OrderState, ...]] = {
    "open": (OrderState.OPEN,),
    "complete": (OrderState.PAID, OrderState.REFUNDED, OrderState.DISPUTED),
    "expired": (OrderState.EXPIRED, OrderState.FAILED),
}


class NewSession(KitBody):
    """Who gets the credit is said here: the pay page asks nobody to log in."""

    mode: Literal["payment"] = "payment"
    line_items: LineItems
    customer_id: Name | None = None
    customer_did: Name | None = None
    client_reference_id: Name | None = None
    success_url: LongText | None = None
    cancel_url: LongText | None = None
    metadata: Metadata = Field(default_factory=dict)


def create_session(body: NewSession, admin: MayWritePayments, hub: Hub) -> Answer:
    """Make an order for a customer; `url` is where it is paid."""
    customer = body.customer_id or body.customer_did
    if customer is None:
        raise InvalidRequest("Say who gets the credit.", param="customer_id")
    credits_ = credits_of(body.line_items)
    said = Said(body.client_reference_id, body.success_url, body.cancel_url, body.metadata)
    who = actor(admin)
    with hub.changing(who) as change:
        account_id = ensured(hub, change, customer).id
        record = hub.cashier.order(change, Purchase(account_id, credits_))
        checkout_sessions.keep(change, record.order.id, said)
    hub.cashier.open(who, record)
    return _session_of(hub, record.order.id)


def get_session(session_id: SessionId, guest: Guest, hub: Hub) -> Answer:
    """Return a session."""
    with hub.reading() as view:
        found = checkout_sessions.find(view, session_id)
        if not guest.sees(found.order.order.account_id):
            raise checkout_sessions.unknown(session_id)
    return _shown(hub, found)


def list_sessions(
    guest: Guest,
    hub: Hub,
    paging: Paging,
    customer_id: CustomerName = None,
    status: Annotated[Status | None, Query(description="Only of this status.")] = None,
) -> Answer:
    """Return sessions."""
    states = () if status is None else _STATES[status]
    with hub.reading() as view:
        count, found = checkout_sessions.page(
            view,
            account_id=guest.account(view, customer_id),
            states=states,
            offset=paging.offset,
            limit=paging.size,
        )
    return paging.answer(count, [_shown(hub, session) for session in found])


def expire_session(session_id: SessionId, admin: MayWritePayments, hub: Hub) -> Answer:
    """End a session that nobody paid. Money that comes later counts all the same."""
    with hub.reading() as view:
        checkout_sessions.find(view, session_id)
    hub.cashier.cancel(actor(admin), session_id)
    return _session_of(hub, session_id)


def _session_of(hub: Backend, session_id: str) -> Answer:
    with hub.reading() as view:
        return _shown(hub, checkout_sessions.find(view, session_id))


def _shown(hub: Backend, session: CheckoutSession) -> dict[str, Any]:
    record, said = session.order, session.said
    order = record.order
    amount = str(order.amount * 10 ** (MONEY_DECIMALS - exponent(order.currency)))
    status = next(status for status, states in _STATES.items() if record.state in states)
    return {
        "id": order.id,
        "object": "checkout_session",
        "livemode": True,
        "mode": "payment",
        "status": status,
        "payment_status": "paid" if order.paid else "unpaid",
        "customer_id": order.account_id,
        "customer_did": record.did.removeprefix("did:abt:"),
        "client_reference_id": said.client_reference_id,
        "line_items": line_items(hub, order.credits),
        "currency_id": order.currency,
        "amount_subtotal": amount,
        "amount_total": amount,
        "url": hub.cashier.page_url(order.id),
        "success_url": said.success_url,
        "cancel_url": said.cancel_url,
        "expires_at": record.expires_us // 1_000_000,
        "metadata": said.metadata,
        "created_via": "api",
        "created_at": format_instant(record.created_us),
        "updated_at": format_instant(record.updated_us),
    }


def checkout_sessions_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/checkout-sessions", tags=["Payment"])
    router.post("", operation_id="createCheckoutSession", summary="Sell credit")(create_session)
    router.get("", operation_id="listCheckoutSessions", summary="Sessions")(list_sessions)
    one = "/{session_id}"
    router.get(one, operation_id="getCheckoutSession", summary="A session")(get_session)
    router.put(f"{one}/expire", operation_id="expireCheckoutSession", summary="End a session")(
        expire_session
    )
    return router
