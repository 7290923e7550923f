"""`/auto-recharge-configs`: automatic top-ups with the card a customer saved before."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain.currencies import exponent, parse_minor
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.money import NANO_PER_CREDIT, parse_amount
from aigne_hub.domain.permissions import Permission
from aigne_hub.domain.recharge import ATTEMPTS_A_DAY_DEFAULT, ATTEMPTS_A_DAY_MAX, Rule
from aigne_hub.storage import recharges, users
from aigne_hub.storage.engine import View
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayWritePayments
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.bodies import AmountText, KitBody, Name, Reference
from aigne_hub.web.kit.currencies import CURRENCY_ID, MONEY_DECIMALS, require_currency
from aigne_hub.web.kit.paging import Answer
from aigne_hub.web.kit.prices import PRICE_ID, QUANTITY_MAX, LineItem, credits_of

Guest = Annotated[Visitor, own_or(Permission.PAYMENTS_READ)]

Customer = Annotated[str, Path(max_length=255, description="Id or DID of a customer.")]
# Without a limit of its own, a day allows this many top-ups.
TOP_UPS_A_DAY = 3


class DailyLimits(KitBody):
    """`max_amount` is money, as a decimal string of the currency credit is sold in."""

    max_attempts: int = Field(default=ATTEMPTS_A_DAY_DEFAULT, ge=1, le=ATTEMPTS_A_DAY_MAX)
    max_amount: AmountText | None = None


class NewConfig(KitBody):
    """Below `threshold` credits, buy `quantity` credits; the customer has saved a card."""

    customer_id: Reference
    currency_id: str | None = None
    enabled: bool = True
    threshold: AmountText = "0"
    price_id: Name = PRICE_ID
    quantity: int = Field(default=1, ge=1, le=QUANTITY_MAX)
    daily_limits: DailyLimits = DailyLimits()


def get_config_of(
    name: Customer,
    guest: Guest,
    hub: Hub,
    currency_id: Annotated[str | None, Query(max_length=255, description="The currency.")] = None,
) -> Answer:
    """Return what a customer agreed to; nothing yet is shown as switched off."""
    require_currency(currency_id)
    with hub.reading() as view:
        return _shown(view, hub, guest.customer(view, name).id)


def get_config(
    config_id: Annotated[str, Path(max_length=255, description="Id of a configuration.")],
    guest: Guest,
    hub: Hub,
) -> Answer:
    """Return a configuration; its id is the customer's."""
    with hub.reading() as view:
        return _shown(view, hub, guest.customer(view, config_id).id)


def submit_config(body: NewConfig, admin: MayWritePayments, hub: Hub) -> Answer:
    """Set what is bought for a customer, or switch it off. Its card was saved before."""
    require_currency(body.currency_id)
    desk = hub.cashier
    wanted = credits_of([LineItem(price_id=body.price_id, quantity=body.quantity)])
    price = desk.offer.price(wanted)
    caps = TOP_UPS_A_DAY * price
    if body.daily_limits.max_amount is not None:
        try:
            caps = parse_minor(body.daily_limits.max_amount, desk.offer.currency)
        except ValueError as error:
            raise InvalidRequest(f"{error}.", param="daily_limits.max_amount") from None
    with hub.changing(actor(admin)) as change:
        found = users.find_customer(change.connection, body.customer_id)
        if found is None:
            raise NotFound(f"There is no customer {body.customer_id[:80]!r}.")
        account_id = found.id
        rule = Rule(
            account_id=account_id,
            provider=next(iter(desk.providers), ""),
            enabled=body.enabled,
            threshold=parse_amount(body.threshold),
            credits=wanted,
            attempts_a_day=body.daily_limits.max_attempts,
            amount_a_day=caps,
        )
        recharges.agree(change, rule, price)
        return _shown(change.connection, hub, account_id)


def recharges_now(view: View, hub: Backend, account_id: str) -> bool:
    """Tell whether a customer's next top-up may be made: agreed to, rested, within its caps."""
    rule = recharges.find(view, account_id)
    now = hub.clock.now_us()
    if rule is None or not rule.enabled or (rule.retry_us is not None and rule.retry_us > now):
        return False
    attempts, spent = recharges.used_today(view, account_id, now)
    offer = hub.cashier.offer
    return rule.refusal(attempts, spent, offer.price(rule.credits), offer.currency) is None


def _shown(view: View, hub: Backend, account_id: str) -> dict[str, Any]:
    currency = hub.cashier.offer.currency
    rule = recharges.find(view, account_id)
    attempts, spent = recharges.used_today(view, account_id, hub.clock.now_us())
    limits = None
    if rule is not None:
        most = _money(rule.amount_a_day, currency)
        limits = {"max_attempts": rule.attempts_a_day, "max_amount": most}
    return {
        "id": account_id,
        "object": "auto_recharge_config",
        "customer_id": account_id,
        "livemode": True,
        "enabled": rule is not None and rule.enabled,
        "threshold": str(rule.threshold if rule else 0),
        "currency_id": CURRENCY_ID,
        "recharge_currency_id": currency,
        "price_id": PRICE_ID,
        "quantity": rule.credits // NANO_PER_CREDIT if rule else 0,
        "daily_limits": limits,
        "daily_stats": {"attempt_count": attempts, "total_amount": _money(spent, currency)},
        "metadata": {"disabled_reason": rule.disabled_reason if rule else None},
    }


def _money(minor: int, currency: str) -> str:
    return str(minor * 10 ** (MONEY_DECIMALS - exponent(currency)))


def auto_recharge_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/auto-recharge-configs", tags=["Payment"])
    router.get(
        "/customer/{name}", operation_id="getCustomerRecharge", summary="A customer's top-ups"
    )(get_config_of)
    router.get("/retrieve/{config_id}", operation_id="getRecharge", summary="Top-ups")(get_config)
    router.post("/submit", operation_id="submitRecharge", summary="Top up automatically")(
        submit_config
    )
    return router
