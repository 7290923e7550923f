"""A caller's own account in the shapes that existing clients read: `/api/user/*`.

`/credit/balance` has integer strings in the currency's smallest unit, nano-credits (wire:
`decimal` 9); `/info` decimal strings in credits.
"""

from typing import Any, NamedTuple

from fastapi import APIRouter

from aigne_hub.domain.money import format_credits
from aigne_hub.storage import credit_grants, grants, users
from aigne_hub.storage.engine import View
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Backend, Hub

DECIMALS = 9
CURRENCY = {
    "id": "credits",
    "name": "AIGNE Hub Credits",
    "symbol": "credits",
    "decimal": DECIMALS,
    "type": "credit",
}


class Credit(NamedTuple):
    """What an account can spend, in nano-credits, as these clients understand it.

    What is held for calls under way is in neither; what is owed is taken off the balance
    first, and only the rest is `pending`. `total` is what the live grants were, 0 while
    something is pending.
    """

    balance: int
    total: int
    pending: int
    grants: int


def credit_of(view: View, hub: Backend, account_id: str) -> Credit:
    account = grants.balance(view, hub.clock, account_id)
    summary = credit_grants.summary(view, hub.clock, account_id)
    free = max(account.balance - account.held, 0)
    balance, pending = max(free - summary.pending, 0), max(summary.pending - free, 0)
    return Credit(balance, 0 if pending else summary.granted, pending, summary.grants)


def balance(caller: Caller, hub: Hub) -> dict[str, Any]:
    """Return what the caller's account has."""
    with hub.reading() as view:
        credit = credit_of(view, hub, caller.user_id)
    return {
        "balance": str(credit.balance),
        "total": str(credit.total),
        "pendingCredit": str(credit.pending),
        "grantCount": credit.grants,
        "currency": CURRENCY,
    }


def info(caller: Caller, hub: Hub) -> dict[str, Any]:
    """Return who the caller is and, where billing is on, what credit there is."""
    with hub.reading() as view:
        user = users.find(view, caller.user_id)
        credit = credit_of(view, hub, caller.user_id)
    shown: dict[str, Any] = {
        "user": {
            "did": user.did,
            "fullName": (user.email or "").partition("@")[0],
            "email": user.email,
            "avatar": "",
        },
        "creditBalance": None,
        "paymentLink": None,
        "enableCredit": hub.billing,
        "profileLink": f"{hub.public_url()}/",
        # One of $, € and ¥, or none: clients refuse anything else.
        "creditPrefix": None,
    }
    if hub.billing:
        shown["creditBalance"] = {
            "balance": format_credits(credit.balance),
            "total": format_credits(credit.total),
            "grantCount": credit.grants,
            "pendingCredit": format_credits(credit.pending),
        }
        shown["paymentLink"] = hub.payment_link
        shown["currency"] = CURRENCY
    return shown


def payment_link(_: Caller, hub: Hub) -> str | None:
    """Return where credit is bought, null when billing is off."""
    return hub.payment_link if hub.billing else None


def account_router() -> APIRouter:
    router = APIRouter(prefix="/api/user", tags=["Account"])
    router.get("/info", operation_id="getUserInfo", summary="Who am I")(info)
    router.get("/credit/balance", operation_id="getCreditBalance", summary="Own credit")(balance)
    router.get("/credit/payment-link", operation_id="getPaymentLink", summary="Where to buy")(
        payment_link
    )
    return router
