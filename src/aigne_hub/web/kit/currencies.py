"""`/payment-currencies`: the hub has one, credits."""

from typing import Annotated, Any

from fastapi import APIRouter, Path

from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.account import CURRENCY
from aigne_hub.web.api.allowed import MayWriteSettings
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.bodies import KitBody, Name

# What it is to Payment Kit's programs: paid by credit alone, never by a chain.
PAYMENT_METHOD = "credit"
CURRENCY_ID = str(CURRENCY["id"])
UNIT_PRICE_KEY = "DEFAULT_CREDIT_UNIT_PRICE"
PAYMENT_LINK_KEY = "DEFAULT_CREDIT_PAYMENT_LINK"
_MADE_AT = format_instant(0)

# Money is shown as finely as prices are kept: in 10^-9 of the currency.
MONEY_DECIMALS = 9

CurrencyId = Annotated[str, Path(max_length=255, description="Id of a currency.")]


class CurrencyChange(KitBody):
    """The name and symbol it has already: programs that insist on them may."""

    name: Name | None = None
    symbol: Name | None = None


def currency() -> dict[str, Any]:
    """Return the hub's only currency."""
    return {
        **CURRENCY,
        "object": "payment_currency",
        "description": "Credits of this hub",
        "active": True,
        "livemode": True,
        "locked": True,
        "is_base_currency": False,
        "logo": "",
        "payment_method_id": PAYMENT_METHOD,
        "minimum_payment_amount": "1",
        "maximum_payment_amount": "0",
        "contract": None,
        "metadata": {},
        "created_at": _MADE_AT,
        "updated_at": _MADE_AT,
    }


def money(hub: Backend) -> dict[str, Any]:
    """Return the currency that credit is sold in."""
    code = hub.cashier.offer.currency
    return {
        **currency(),
        "id": code,
        "name": code.upper(),
        "symbol": code.upper(),
        "description": "What credit is paid with",
        "decimal": MONEY_DECIMALS,
        "type": "standard",
        "is_base_currency": True,
        "payment_method_id": "checkout",
    }


def require_currency(currency_id: str | None) -> None:
    """Raise NotFound for a currency that is not the hub's."""
    if currency_id is not None and currency_id != CURRENCY_ID:
        raise NotFound(f"There is no currency {currency_id[:80]!r}.")


def recharge_config(hub: Backend) -> dict[str, Any]:
    return {
        "base_price_id": UNIT_PRICE_KEY,
        "payment_link_id": PAYMENT_LINK_KEY,
        "checkout_url": hub.payment_link,
    }


def list_currencies(_: Caller, hub: Hub) -> list[dict[str, Any]]:
    """Return what credit is paid with, and credit, as a plain list."""
    return [money(hub), currency()]


def get_currency(currency_id: CurrencyId, _: Caller, hub: Hub) -> dict[str, Any]:
    """Return a currency."""
    if currency_id == hub.cashier.offer.currency:
        return money(hub)
    require_currency(currency_id)
    return currency()


def update_currency(
    currency_id: CurrencyId, body: CurrencyChange, _: MayWriteSettings
) -> dict[str, Any]:
    """Agree to the name and symbol the currency has."""
    require_currency(currency_id)
    if not {body.name, body.symbol} <= {None, CURRENCY["name"], CURRENCY["symbol"]}:
        raise Conflict("The hub's credits keep their name and symbol.")
    return currency()


def get_recharge_config(currency_id: CurrencyId, hub: Hub, _: Caller) -> dict[str, Any]:
    """Return a currency with where it is bought."""
    require_currency(currency_id)
    return {**currency(), "recharge_config": recharge_config(hub)}


def currencies_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/payment-currencies", tags=["Payment"])
    router.get("", operation_id="listCurrencies", summary="Currencies")(list_currencies)
    one = "/{currency_id}"
    router.get(one, operation_id="getCurrency", summary="A currency")(get_currency)
    router.put(one, operation_id="updateCurrency", summary="Name a currency")(update_currency)
    router.get(f"{one}/recharge-config", operation_id="getRechargeConfig", summary="Where to buy")(
        get_recharge_config
    )
    return router
