"""Every router of the control plane: the API, the pages, and what operators ask."""

from fastapi import APIRouter

from aigne_hub.web.account_page import account_page_router
from aigne_hub.web.aigne.approval import approval_router
from aigne_hub.web.api.routers import api_routers
from aigne_hub.web.did.account import account_wallet_router
from aigne_hub.web.did.pages import wallet_page_router
from aigne_hub.web.oauth.routers import oauth_routers
from aigne_hub.web.pages import pages_router
from aigne_hub.web.payment.pages import payment_pages_router
from aigne_hub.web.payment.webhooks import webhooks_router
from aigne_hub.web.probe_routes import operations_router
from aigne_hub.web.setup import setup_router
from aigne_hub.web.sign_in import sign_in_router


def every_router() -> list[APIRouter]:
    return [
        operations_router(),
        pages_router(),
        setup_router(),
        sign_in_router(),
        account_page_router(),
        wallet_page_router(),
        account_wallet_router(),
        approval_router(),
        payment_pages_router(),
        webhooks_router(),
        *oauth_routers(),
        *api_routers(),
    ]
