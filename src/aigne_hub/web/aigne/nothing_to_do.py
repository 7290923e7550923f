"""What AIGNE Hub has routes for and this hub has nothing to do for (wire/aigne.md, section 1).

It calls providers itself, computes statistics from the calls, and sells no subscriptions of
applications: clients and scripts that ask are told so, in the shapes that they read.
"""

from typing import Any, Final

from fastapi import APIRouter

from aigne_hub.domain.errors import NotFound
from aigne_hub.web.api.account import balance, payment_link
from aigne_hub.web.api.allowed import MayWriteSettings
from aigne_hub.web.api.credit_lists import own_grants, own_transactions
from aigne_hub.web.declared import open_to_all

_COMPUTED: Final = "Statistics are summed from the calls when they are asked for."


def backfill(_: MayWriteSettings) -> dict[str, Any]:
    """Rebuild statistics: there are none that could be missing."""
    return {"message": _COMPUTED, "processed": 0, "ranges": []}


def clean_up(_: MayWriteSettings) -> dict[str, Any]:
    """Delete statistics: there are none that could be wrong."""
    return {"message": _COMPUTED, "deleted": 0}


def subscribed() -> None:
    """Refuse to lead on from a payment: this hub sells no subscription, and trusts no address."""
    raise NotFound(
        "Applications have no subscriptions here: calls are paid from the credit of whoever "
        "calls. GET /api/user/credit/payment-link says where to buy some."
    )


def nothing_to_do_routers() -> list[APIRouter]:
    serving = APIRouter(prefix="/api/user/service/credit", tags=["Account"])
    # The hub whose credit is spent is this one.
    serving.get("/balance", operation_id="getServiceBalance", summary="Own credit")(balance)
    serving.get("/grants", operation_id="listServiceGrants", summary="Own grants")(own_grants)
    serving.get(
        "/transactions", operation_id="listServiceTransactions", summary="Own credit history"
    )(own_transactions)
    serving.get("/payment-link", operation_id="getServicePaymentLink", summary="Where to buy")(
        payment_link
    )
    statistics = APIRouter(prefix="/api", tags=["Administration"])
    statistics.post(
        "/usage/stats/backfill", operation_id="backfillStatistics", summary="Rebuild statistics"
    )(backfill)
    statistics.post(
        "/user/cleanup-daily-stats", operation_id="cleanUpStatistics", summary="Delete statistics"
    )(clean_up)
    applications = APIRouter(prefix="/api/app", tags=["Clients"])
    applications.get(
        "/client/subscription/success",
        operation_id="afterSubscription",
        summary="After a subscription",
        openapi_extra={"security": []},
        dependencies=[open_to_all("it refuses everybody")],
    )(subscribed)
    return [serving, statistics, applications]
