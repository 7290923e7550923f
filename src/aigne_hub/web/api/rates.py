"""Prices for administrators: what models earned, and charges corrected (`/api/admin/rates`)."""

from enum import Enum
from fractions import Fraction
from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import Field

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant, parse_instant
from aigne_hub.storage import margins, prices, rerating
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayCorrectCredits, MayReadRates
from aigne_hub.web.api.bodies import Body, InstantText, exact_number
from aigne_hub.web.backend import Hub

NAME_MAX = 256
# Calls that one request looks at.
RERATED_MAX = 5_000
DAY_US = 24 * 3600 * 1_000_000
DAYS_DEFAULT = 30
_ADMIN: list[str | Enum] = ["Administration"]


def margin_report(
    _: MayReadRates,
    hub: Hub,
    since: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
    until: Annotated[str | None, Query(max_length=64, description="RFC 3339")] = None,
    credit_price: Annotated[
        str | None, Query(max_length=32, description="Dollars; default: as credits are sold")
    ] = None,
) -> dict[str, Any]:
    """Return per model what calls brought and cost, and which prices are below cost.

    The period is the last 30 days by default. `margin_percent` is what was earned on the cost.
    """
    given = None if credit_price is None else _dollars(credit_price)
    until_us = hub.clock.now_us() if until is None else _instant(until, "until")
    since_us = until_us - DAYS_DEFAULT * DAY_US if since is None else _instant(since, "since")
    with hub.reading() as view:
        price = prices.credit_price(view, given)
        found = margins.report(view, since_us, until_us, price)
    return {
        "since": format_instant(since_us),
        "until": format_instant(until_us),
        "total": margins.total(found).document(price),
        "models": [margin.document(price) for margin in found],
    }


class Rerate(Body):
    """Which calls to price anew: those of a model that started in [since, until).

    `rate` is a version of its rates, by default the current one. `cursor` goes on where an
    earlier answer that was not `complete` ended.
    """

    model: Annotated[str, Field(max_length=NAME_MAX)]
    since: InstantText
    until: InstantText
    rate: Annotated[int, Field(ge=1)] | None = None
    dry_run: bool = False
    cursor: Annotated[str, Field(max_length=36)] | None = None


def rerate(admin: MayCorrectCredits, hub: Hub, body: Rerate) -> dict[str, Any]:
    """Correct what a period's calls were charged, some thousand calls a request.

    Each call is corrected once, however often this is asked; with `dry_run` nothing is.
    """
    since_us, until_us = parse_instant(body.since), parse_instant(body.until)
    with hub.reading() as view:
        plan = rerating.prepare(view, body.model, body.rate, since_us, until_us)
        # A request that goes on was shown the whole by the first one.
        seen = rerating.Preview() if body.cursor else rerating.preview(view, plan)
    if body.dry_run:
        return rerating.document(plan, seen, None, None)
    run_id, done = hub.ids(), rerating.Done(cursor=body.cursor)
    while True:
        with hub.changing(actor(admin)) as change:
            done.add(rerating.apply(change, run_id, plan, done.cursor))
        if done.cursor is None or done.examined >= RERATED_MAX:
            return rerating.document(plan, seen, done, run_id)


def rates_router() -> APIRouter:
    router = APIRouter(prefix="/api", tags=_ADMIN)
    router.get("/admin/rates/margins", operation_id="getMargins", summary="What each model earned")(
        margin_report
    )
    router.post(
        "/admin/rates/rerate", operation_id="rerate", summary="Correct charges of a period"
    )(rerate)
    return router


def _dollars(text: str) -> Fraction:
    try:
        number = exact_number(text)
    except ValueError as error:
        raise InvalidRequest(f"credit_price: {error}.", param="credit_price") from None
    if not number:
        raise InvalidRequest("credit_price: is more than 0.", param="credit_price")
    return number


def _instant(text: str, param: str) -> int:
    try:
        return parse_instant(text)
    except ValueError as error:
        raise InvalidRequest(f"{param}: {error}.", param=param) from None
