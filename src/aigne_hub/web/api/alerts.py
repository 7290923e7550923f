"""When a user's webhooks are told that credit runs low: `/api/user/alerts`."""

from typing import Any

from fastapi import APIRouter
from pydantic import Field

from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.storage import low_balance
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.bodies import Body, CreditsText
from aigne_hub.web.backend import Backend, Hub


class Alerts(Body):
    """Thresholds in credits; an empty list for no alerts, null for the hub's own."""

    low_balance: list[CreditsText] | None = Field(max_length=low_balance.THRESHOLDS_MAX)


def get_alerts(caller: Caller, hub: Hub) -> dict[str, Any]:
    """Return below which credit the caller is told that it runs low."""
    with hub.reading() as view:
        own = low_balance.thresholds(view, caller.user_id)
    return _alerts(hub, own)


def set_alerts(body: Alerts, caller: Caller, hub: Hub) -> dict[str, Any]:
    """Set below which credit the caller is told that it runs low."""
    amounts = None if body.low_balance is None else [parse_credits(a) for a in body.low_balance]
    with hub.changing(actor(caller)) as change:
        low_balance.set_thresholds(change, caller.user_id, amounts)
        own = low_balance.thresholds(change.connection, caller.user_id)
    return _alerts(hub, own)


def _alerts(hub: Backend, own: tuple[int, ...] | None) -> dict[str, Any]:
    in_force = hub.low_balance if own is None else own
    return {
        "low_balance": [format_credits(amount) for amount in in_force],
        "default": own is None,
    }


def alerts_router() -> APIRouter:
    router = APIRouter(prefix="/api/user", tags=["Account"])
    router.get("/alerts", operation_id="getAlerts", summary="When credit is low")(get_alerts)
    router.put("/alerts", operation_id="setAlerts", summary="Set when credit is low")(set_alerts)
    return router
