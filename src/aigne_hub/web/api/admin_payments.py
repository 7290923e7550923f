"""Everybody's orders and redemption codes, for administrators."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from aigne_hub.domain.currencies import parse_minor
from aigne_hub.domain.errors import Conflict, InvalidRequest
from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.orders import OrderState
from aigne_hub.payments.cashier import Purchase
from aigne_hub.payments.documents import code_document
from aigne_hub.storage import codes, orders, payment_events, users
from aigne_hub.storage.changes import Changes
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayReadCodes, MayReadPayments, MayWriteCodes, MayWritePayments
from aigne_hub.web.api.bodies import Body, CreditsText, InstantText
from aigne_hub.web.api.once import OnceOnly
from aigne_hub.web.api.payments import LIMIT_DEFAULT, Limit, order_shown
from aigne_hub.web.backend import Hub

Document = dict[str, Any]
Id = Annotated[str, Path(max_length=64, description="An order's id or reference.")]
CodeId = Annotated[str, Path(max_length=64, description="A code's id.")]
OfUser = Annotated[
    str | None, Query(max_length=320, description="Only those of a user: e-mail, DID or id.")
]
InState = Annotated[OrderState | None, Query(description="Only those in this state.")]
Refused = Annotated[bool, Query(description="Only those that could not be true.")]


class Rejection(Body):
    """`reason` is shown to the buyer."""

    reason: str = Field(default="the operator rejected it", min_length=1, max_length=200)


class Refund(Body):
    """`amount` in the order's currency; without it, all that is left."""

    amount: str | None = Field(default=None, max_length=48)


class NewLink(Body):
    """`user` is an e-mail, DID or id."""

    user: str = Field(max_length=320)
    credits: CreditsText
    provider: str | None = Field(default=None, max_length=64)


class NewCodes(Body):
    amount: CreditsText
    count: int = 1
    max_redemptions: int = 1
    expires_at: InstantText | None = None
    category: str = Field(default=Category.PROMOTIONAL.value, pattern="^(paid|promotional)$")


def list_all(
    _: MayReadPayments,
    hub: Hub,
    user: OfUser = None,
    state: InState = None,
    limit: Limit = LIMIT_DEFAULT,
) -> Document:
    """Return everybody's orders, newest first."""
    with hub.reading() as view:
        account = None if user is None else users.find(view, user).id
        found = orders.listed(view, account_id=account, state=state, limit=limit)
    return {"payments": [order_shown(hub, record) for record in found]}


def show(order: Id, _: MayReadPayments, hub: Hub) -> Document:
    """Return an order with its refunds and disputes, and what was reported of it."""
    with hub.reading() as view:
        record = orders.load(view, order)
        events = payment_events.listed(view, order_id=record.order.id)
    returns = [
        {"id": one.id, "kind": one.kind.value, "state": one.state.value}
        for one in record.order.returns
    ]
    return {**order_shown(hub, record), "returns": returns, "events": events}


def events(
    _: MayReadPayments, hub: Hub, limit: Limit = LIMIT_DEFAULT, *, refused: Refused = False
) -> Document:
    """Return what payment providers reported, newest first."""
    with hub.reading() as view:
        return {"events": payment_events.listed(view, refused=refused, limit=limit)}


def confirm(order: Id, admin: MayWritePayments, hub: Hub) -> Document:
    """Say that the money of a manual order came in. Said twice, it is credited once."""
    return order_shown(hub, hub.cashier.confirm(actor(admin), order))


def reject(order: Id, body: Rejection, admin: MayWritePayments, hub: Hub) -> Document:
    """Say that the money of a manual order will not come."""
    return order_shown(hub, hub.cashier.reject(actor(admin), order, body.reason))


def refund(order: Id, body: Refund, admin: MayWritePayments, hub: Hub, once: OnceOnly) -> Response:
    """Give money back and take the credits for it from the account."""
    desk = hub.cashier

    def prepare(change: Changes) -> str:
        """Name the refund by what was refunded before it: repeated, it is the same."""
        found = orders.load(change.connection, order).order
        if not found.paid:
            raise Conflict(f"The order is {found.state}: there is nothing to refund.")
        try:
            wanted = None if body.amount is None else parse_minor(body.amount, found.currency)
        except ValueError as error:
            raise InvalidRequest(f"{error}.", param="amount") from None
        left = found.amount - found.returned
        return f"{found.id}/{found.returned}/{left if wanted is None else wanted}"

    def act(target: str) -> Document:
        order_id, before, amount = target.split("/")
        with hub.reading() as view:
            record = orders.load(view, order_id)
        if record.order.returned == int(before):
            record = desk.refund(actor(admin), order_id, int(amount))
        return order_shown(hub, record)

    return once.outside(prepare, act)


def link(body: NewLink, admin: MayWritePayments, hub: Hub, once: OnceOnly) -> Response:
    """Make an order for a user, and an address at which it can be paid for days."""
    desk = hub.cashier
    with hub.reading() as view:
        account = users.find(view, body.user)
    wanted = Purchase(account.id, parse_credits(body.credits), body.provider, lasting=True)

    def prepare(change: Changes) -> str:
        return desk.order(change, wanted).order.id

    def act(order_id: str) -> Document:
        with hub.reading() as view:
            record = orders.load(view, order_id)
        return order_shown(hub, desk.open(actor(admin), record, lasting=True))

    return once.outside(prepare, act)


def list_codes(_: MayReadCodes, hub: Hub, limit: Limit = LIMIT_DEFAULT) -> Document:
    """Return redemption codes without their text, newest first."""
    with hub.reading() as view:
        return {"codes": [code_document(code) for code in codes.listed(view, limit)]}


def create_codes(body: NewCodes, _: MayWriteCodes, hub: Hub, once: OnceOnly) -> Response:
    """Make redemption codes. They are shown here and never again."""

    def effect(change: Changes) -> Document:
        made = codes.create(
            change,
            hub.randbytes,
            amount=parse_credits(body.amount),
            count=body.count,
            max_redemptions=body.max_redemptions,
            expires_us=None if body.expires_at is None else parse_instant(body.expires_at),
            category=Category(body.category),
        )
        return {"codes": [{"code": one.text, **code_document(one.code)} for one in made]}

    return once.change(effect)


def revoke_code(code: CodeId, admin: MayWriteCodes, hub: Hub) -> Document:
    """Make a code useless for good. What it gave stays."""
    with hub.changing(actor(admin)) as change:
        return code_document(codes.revoke(change, code))


def admin_payments_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin", tags=["Administration"])
    payments, one = "/payments", "/payments/{order}"
    router.get(payments, operation_id="listAllPayments", summary="Orders of credit")(list_all)
    router.get("/payments/events", operation_id="listPaymentEvents", summary="Reports")(events)
    router.post("/payments/links", operation_id="createPaymentLink", summary="Link to pay")(link)
    router.get(one, operation_id="getPayment", summary="An order of credit")(show)
    router.post(f"{one}/confirm", operation_id="confirmPayment", summary="Money came in")(confirm)
    router.post(f"{one}/reject", operation_id="rejectPayment", summary="No money comes")(reject)
    router.post(f"{one}/refund", operation_id="refundPayment", summary="Refund")(refund)
    router.get("/codes", operation_id="listCodes", summary="Redemption codes")(list_codes)
    router.post("/codes", operation_id="createCodes", summary="Make codes")(create_codes)
    router.post("/codes/{code}/revoke", operation_id="revokeCode", summary="Revoke")(revoke_code)
    return router
