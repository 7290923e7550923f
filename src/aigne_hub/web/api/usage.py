"""`/api/usage/*`: what was used, in the shapes that existing clients read."""

import orjson
from fastapi import APIRouter, Response

from aigne_hub.domain.money import format_credits, round_half_up
from aigne_hub.storage import grants
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.account import CURRENCY, credit_of
from aigne_hub.web.backend import Hub

AVERAGED_DAYS = 30
# What an account is said to last that is not used.
DAYS_UNUSED = 999
_DAY_US = 24 * 3600 * 1_000_000


def days_left(remaining: int, spent: int) -> int:
    """Return how long credit lasts at the rate of the last AVERAGED_DAYS days, in whole days."""
    if remaining <= 0:
        return 0
    if spent <= 0:
        return DAYS_UNUSED
    return max(1, remaining * AVERAGED_DAYS // spent)


def quota(caller: Caller, hub: Hub) -> Response:
    """Return the caller's credit, what was used of it, and how long it will last.

    Amounts are JSON numbers of credits, exact to the last place.
    """
    since = hub.clock.now_us() - AVERAGED_DAYS * _DAY_US
    with hub.reading() as view:
        credit = credit_of(view, hub, caller.user_id)
        used = grants.balance(view, hub.clock, caller.user_id).spent
        spent = grants.spent_since(view, caller.user_id, since)
    body = {
        "total": _number(credit.total),
        "remaining": _number(credit.balance),
        "used": _number(used),
        "pendingCredit": _number(credit.pending),
        "estimatedDaysRemaining": days_left(credit.balance, spent),
        "dailyAvgCredits": _number(max(round_half_up(spent, AVERAGED_DAYS), 0)),
        "currency": CURRENCY,
    }
    return Response(orjson.dumps(body), media_type="application/json")


def _number(nano: int) -> orjson.Fragment:
    """Return credits as the text of a JSON number: a float would lose places."""
    return orjson.Fragment(format_credits(nano))


def usage_router() -> APIRouter:
    router = APIRouter(prefix="/api/usage", tags=["Account"])
    router.get("/quota", operation_id="getQuota", summary="How long credit lasts")(quota)
    return router
