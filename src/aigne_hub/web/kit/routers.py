"""Every router of Payment Kit's API."""

from fastapi import APIRouter

from aigne_hub.web.kit.auto_recharge import auto_recharge_router
from aigne_hub.web.kit.checkout_sessions import checkout_sessions_router
from aigne_hub.web.kit.credit_grants import credit_grants_router
from aigne_hub.web.kit.credit_transactions import credit_transactions_router
from aigne_hub.web.kit.currencies import currencies_router
from aigne_hub.web.kit.customers import customers_router
from aigne_hub.web.kit.meter_events import meter_events_router
from aigne_hub.web.kit.meters import meters_router
from aigne_hub.web.kit.payment_links import payment_links_router
from aigne_hub.web.kit.prices import prices_routers
from aigne_hub.web.kit.settings import settings_router


def kit_routers() -> list[APIRouter]:
    return [
        customers_router(),
        currencies_router(),
        meters_router(),
        meter_events_router(),
        credit_grants_router(),
        credit_transactions_router(),
        *prices_routers(),
        payment_links_router(),
        checkout_sessions_router(),
        auto_recharge_router(),
        settings_router(),
    ]
