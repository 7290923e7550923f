"""A user's own payments: buying credit, redeeming codes, automatic top-ups."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from pydantic import Field

from aigne_hub.domain.currencies import decimal_minor, parse_minor
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.domain.recharge import ATTEMPTS_A_DAY_DEFAULT, Rule
from aigne_hub.payments.cashier import Purchase
from aigne_hub.payments.documents import order_document
from aigne_hub.storage import codes, orders, recharges
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.orders import OrderRecord
from aigne_hub.web.api.access import Caller, Proven, actor
from aigne_hub.web.api.bodies import Body, CreditsText
from aigne_hub.web.api.once import OnceOnly
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.payment.pages import ACCOUNT, ORDER, RECEIPT

LIMIT_DEFAULT, LIMIT_MAX = 50, 1_000
Document = dict[str, Any]
Limit = Annotated[int, Query(ge=1, le=LIMIT_MAX, description="How many, newest first.")]


class NewCheckout(Body):
    """`provider` is the hub's first where it is not given."""

    credits: CreditsText
    provider: str | None = Field(default=None, max_length=64)
    save_card: bool = False
    lasting: bool = False


class Redeem(Body):
    code: str = Field(max_length=64)


class NewRule(Body):
    """Below `threshold` credits buy `credits`, at most so often and for so much a day."""

    enabled: bool
    threshold: str = Field(max_length=48)
    credits: CreditsText
    attempts_a_day: int = ATTEMPTS_A_DAY_DEFAULT
    amount_a_day: str | None = Field(default=None, max_length=48)
    provider: str | None = Field(default=None, max_length=64)


def order_shown(hub: Backend, record: OrderRecord) -> Document:
    """Return an order with the addresses of its page and its receipt."""
    order_id, root = record.order.id, hub.public_url()
    page = f"{root}/payment/checkout/pay/{hub.page_tokens.make(ORDER, order_id)}"
    receipt = f"{root}/payment/receipts/{hub.page_tokens.make(RECEIPT, order_id)}"
    return {
        **order_document(record),
        "page": page,
        "url": record.checkout_url,
        "receipt": receipt if record.order.paid else None,
    }


def list_payments(caller: Caller, hub: Hub, limit: Limit = LIMIT_DEFAULT) -> Document:
    """Return the caller's orders, newest first, and where they buy for their own account."""
    with hub.reading() as view:
        found = orders.listed(view, account_id=caller.user_id, limit=limit)
    account = hub.page_tokens.make(ACCOUNT, caller.user_id)
    buy = f"{hub.public_url()}/payment/checkout/pay/credits?account={account}"
    return {"payments": [order_shown(hub, record) for record in found], "buy": buy}


def checkout(body: NewCheckout, caller: Caller, hub: Hub, once: OnceOnly) -> Response:
    """Make an order, and the address at which it is paid."""
    wanted = Purchase(
        caller.user_id,
        parse_credits(body.credits),
        body.provider,
        save_card=body.save_card,
        lasting=body.lasting,
    )
    desk = hub.cashier

    def prepare(change: Changes) -> str:
        return desk.order(change, wanted).order.id

    def act(order_id: str) -> Document:
        with hub.reading() as view:
            record = orders.load(view, order_id)
        return order_shown(hub, desk.open(actor(caller), record, lasting=wanted.lasting))

    return once.outside(prepare, act)


def redeem(body: Redeem, caller: Caller, hub: Hub, once: OnceOnly) -> Response:
    """Give the caller the credit of a code. Ten wrong codes within an hour are the most."""
    if once.claim is None:
        with hub.reading() as view:
            refusal = codes.hopeless(view, hub.clock.now_us(), caller.user_id, body.code)
        if refusal is not None:
            raise refusal

    def effect(change: Changes) -> Document | HubError:
        made = codes.redeem(change, caller.user_id, body.code)
        if isinstance(made, HubError):
            return made
        return {
            "grant_id": made.id,
            "amount": format_credits(made.amount),
            "balance": format_credits(made.balance),
        }

    return once.change(effect)


def show_rule(caller: Caller, hub: Hub) -> Document:
    """Return what the caller agreed to about automatic top-ups."""
    with hub.reading() as view:
        rule = recharges.find(view, caller.user_id)
    if rule is None:
        raise NotFound("No automatic top-up is set up for this account.")
    return _rule(rule, hub.cashier.offer.currency)


def set_rule(body: NewRule, caller: Proven, hub: Hub) -> Document:
    """Agree to automatic top-ups with the card saved before, or switch them off."""
    desk = hub.cashier
    wanted, currency = parse_credits(body.credits), desk.offer.currency
    price = desk.offer.price(wanted)
    try:
        threshold = parse_credits(body.threshold)
        caps = 3 * price if body.amount_a_day is None else parse_minor(body.amount_a_day, currency)
    except ValueError as error:
        raise InvalidRequest(f"{error}.") from None
    provider = body.provider or next(iter(desk.providers), "")
    rule = Rule(
        account_id=caller.user_id,
        provider=provider,
        enabled=body.enabled,
        threshold=threshold,
        credits=wanted,
        attempts_a_day=body.attempts_a_day,
        amount_a_day=caps,
    )
    with hub.changing(actor(caller)) as change:
        return _rule(recharges.agree(change, rule, price), currency)


def _rule(rule: Rule, currency: str) -> Document:
    return {
        "enabled": rule.enabled,
        "provider": rule.provider,
        "threshold": format_credits(rule.threshold),
        "credits": format_credits(rule.credits),
        "attempts_a_day": rule.attempts_a_day,
        "amount_a_day": decimal_minor(rule.amount_a_day, currency),
        "currency": currency,
        "failures": rule.failures,
        "retry_at": None if rule.retry_us is None else format_instant(rule.retry_us),
        "disabled_reason": rule.disabled_reason,
    }


def payments_router() -> APIRouter:
    router = APIRouter(prefix="/api/user", tags=["Account"])
    router.get("/payments", operation_id="listPayments", summary="Own payments")(list_payments)
    router.post("/credit/checkout", operation_id="createCheckout", summary="Buy credit")(checkout)
    router.post("/credit/redeem", operation_id="redeemCode", summary="Redeem a code")(redeem)
    router.get(
        "/credit/auto-recharge", operation_id="getAutoRecharge", summary="Own automatic top-up"
    )(show_rule)
    router.put(
        "/credit/auto-recharge", operation_id="setAutoRecharge", summary="Top up automatically"
    )(set_rule)
    return router
