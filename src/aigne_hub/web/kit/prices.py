"""`/products` and `/prices`: the hub sells one thing, credit, at the price of hub.yaml."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.bodies import KitBody
from aigne_hub.web.kit.currencies import CURRENCY_ID, money
from aigne_hub.web.kit.paging import Answer, Paging

PRODUCT_ID = "credits"
PRICE_ID = "price_credits"
# The second is what AIGNE Hub looks for since it counts credits in dollars.
UNIT_PRICE_KEYS = ("DEFAULT_CREDIT_UNIT_PRICE", "DEFAULT_CREDIT_UNIT_PRICE_V2")
QUANTITY_MAX = 100_000_000
_MADE_AT = format_instant(0)


class LineItem(KitBody):
    """One price, so many times: each time it is one credit."""

    price_id: str = Field(min_length=1, max_length=255)
    quantity: int = Field(default=1, ge=1, le=QUANTITY_MAX)


LineItems = Annotated[list[LineItem], Field(min_length=1, max_length=1)]


def credits_of(items: list[LineItem]) -> int:
    """Return how many nano-credits are sold. Raises InvalidRequest for another price."""
    (item,) = items
    if item.price_id not in {PRICE_ID, *UNIT_PRICE_KEYS}:
        raise InvalidRequest(
            f"This hub sells one price, {UNIT_PRICE_KEYS[0]}.", param="line_items.0.price_id"
        )
    return item.quantity * NANO_PER_CREDIT


def line_items(hub: Backend, credits_: int) -> list[dict[str, Any]]:
    """Return what is sold as line items; a part of a credit is not shown."""
    quantity = credits_ // NANO_PER_CREDIT
    return [{"price_id": PRICE_ID, "quantity": quantity, "price": price(hub)}]


def price(hub: Backend) -> dict[str, Any]:
    offer = hub.cashier.offer
    sold_in = money(hub)
    return {
        "id": PRICE_ID,
        "object": "price",
        "product_id": PRODUCT_ID,
        "product": _product(),
        "nickname": "One credit",
        "active": True,
        "livemode": True,
        "locked": True,
        "type": "one_time",
        "billing_scheme": "per_unit",
        "unit_amount": str(offer.credit_price),
        "recurring": None,
        "lookup_key": UNIT_PRICE_KEYS[0],
        "metadata": {"credit_config": {"currency_id": CURRENCY_ID, "credit_amount": "1"}},
        "currency_id": sold_in["id"],
        "currency": sold_in,
        "currency_options": [
            {"currency_id": sold_in["id"], "unit_amount": str(offer.credit_price)}
        ],
        "created_at": _MADE_AT,
        "updated_at": _MADE_AT,
    }


def list_prices(_: Caller, hub: Hub, paging: Paging) -> Answer:
    """Return the price of a credit."""
    return paging.answer(1, [price(hub)][paging.offset : paging.offset + paging.size])


def get_price(
    name: Annotated[str, Path(max_length=255, description="Id or lookup key of a price.")],
    _: Caller,
    hub: Hub,
) -> Answer:
    """Return the price of a credit. Its `unit_amount` has the 9 decimals of its currency."""
    if name not in {PRICE_ID, *UNIT_PRICE_KEYS}:
        raise NotFound(f"There is no price {name[:80]!r}.")
    return price(hub)


def list_products(_: Caller, hub: Hub, paging: Paging) -> Answer:
    """Return what is sold: credit."""
    shown = [{**_product(), "prices": [price(hub)], "default_price": price(hub)}]
    return paging.answer(1, shown[paging.offset : paging.offset + paging.size])


def _product() -> dict[str, Any]:
    return {
        "id": PRODUCT_ID,
        "object": "product",
        "active": True,
        "livemode": True,
        "locked": True,
        "type": "credit",
        "name": "AIGNE Hub Credits",
        "description": "Credit for calls of this hub",
        "images": [],
        "features": [],
        "unit_label": "credit",
        "default_price_id": PRICE_ID,
        "metadata": {},
        "created_at": _MADE_AT,
        "updated_at": _MADE_AT,
    }


def prices_routers() -> list[APIRouter]:
    products = APIRouter(prefix="/payment/api/products", tags=["Payment"])
    products.get("", operation_id="listProducts", summary="What is sold")(list_products)
    prices = APIRouter(prefix="/payment/api/prices", tags=["Payment"])
    prices.get("", operation_id="listPrices", summary="Prices")(list_prices)
    prices.get("/{name}", operation_id="getPrice", summary="The price of a credit")(get_price)
    return [products, prices]
