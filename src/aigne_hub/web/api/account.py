"""A user's own credit: `/api/user/credit/*`, in the shapes that existing clients read.

Amounts are integer strings in the currency's smallest unit, nano-credits (wire: `decimal` 9).
"""

from typing import Any

from fastapi import APIRouter

from aigne_hub.storage import grants
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Hub

DECIMALS = 9
CURRENCY = {
    "id": "credits",
    "name": "AIGNE Hub Credits",
    "symbol": "credits",
    "decimal": DECIMALS,
    "type": "credit",
}


def balance(caller: Caller, hub: Hub) -> dict[str, Any]:
    """Return what the caller's account has."""
    with hub.reading() as view:
        account = grants.balance(view, hub.clock, caller.user_id)
    return {
        "balance": str(max(account.available, 0)),
        "total": str(account.granted),
        "pendingCredit": str(max(-account.balance, 0)),
        "currency": CURRENCY,
    }


def account_router() -> APIRouter:
    router = APIRouter(prefix="/api/user", tags=["Account"])
    router.get("/credit/balance", operation_id="getCreditBalance", summary="Own credit")(balance)
    return router
