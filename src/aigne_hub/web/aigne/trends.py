"""`/api/usage`: what was used by application and over time (wire/aigne.md, section 1.8).

Every answer is summed from the recorded calls when it is asked for; periods are bounded.
"""

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, NamedTuple

import orjson
from fastapi import APIRouter, Depends, Query, Response

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import call_pages, usage_totals
from aigne_hub.storage.engine import View
from aigne_hub.storage.usage_totals import DAY_US, HOUR_US, NOTHING, Period, Totals, Wanted
from aigne_hub.web.aigne.periods import (
    SECOND_US,
    Within,
    application_shown,
    credits_number,
    percent,
    seconds_of,
)
from aigne_hub.web.api.access import Caller
from aigne_hub.web.api.allowed import MayReadUsage
from aigne_hub.web.api.model_calls import Wanted as Calls
from aigne_hub.web.api.model_calls import call_shown
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.paging import Paging

# So many applications are drawn one by one, those that called last.
DRAWN_MAX: Final = 20
# Minutes that a place's clock can differ from UTC.
ZONE_MINUTES_MAX: Final = 14 * 60
# Members of a call that this page does not have.
_OF_A_PAGE_ONLY: Final = ("provider", "appInfo", "userInfo", "requestId", "credentialId")
_MINUTE_US: Final = 60 * SECOND_US

Everybody = Annotated[bool, Query(alias="allUsers", description="Everybody's; for administrators.")]
Zone = Annotated[
    int,
    Query(
        alias="timezoneOffset",
        ge=-ZONE_MINUTES_MAX,
        le=ZONE_MINUTES_MAX,
        description="Minutes that UTC is ahead of the caller's clock.",
    ),
]
AppDid = Annotated[str, Query(alias="appDid", max_length=256, description="Which application.")]


class _Buckets(NamedTuple):
    """A period cut into hours or, if it is longer than a day, into days of the caller's clock."""

    period: Period
    size_us: int
    shift_us: int

    @property
    def granularity(self) -> str:
        return "hour" if self.size_us == HOUR_US else "day"

    def starts(self) -> range:
        first = (self.period.since_us - self.shift_us) // self.size_us * self.size_us
        return range(first + self.shift_us, self.period.until_us, self.size_us)


def _buckets(period: Within, zone: Zone = 0) -> _Buckets:
    # Bounds are inclusive, so a whole day may be a second longer.
    size_us = HOUR_US if period.until_us - period.since_us <= DAY_US + SECOND_US else DAY_US
    return _Buckets(period, size_us, zone * _MINUTE_US)


Cut = Annotated[_Buckets, Depends(_buckets)]


def projects(
    caller: Caller,
    hub: Hub,
    paging: Paging,
    period: Within,
    *,
    order: Annotated[
        Literal["totalCalls", "totalCredits"], Query(alias="sortBy", description="By what.")
    ] = "totalCalls",
    direction: Annotated[
        Literal["asc", "desc"], Query(alias="sortOrder", description="Which way.")
    ] = "desc",
    everybody: Everybody = False,
) -> Response:
    """Return the applications that called, with their sums."""
    with hub.reading() as view:
        count, found = usage_totals.by_application(
            view,
            Wanted(period, _whose(caller, everybody=everybody)),
            order="calls" if order == "totalCalls" else "credits",
            descending=direction == "desc",
            offset=paging.offset,
            limit=paging.size,
        )
        names = usage_totals.names_of(view, [app_did for app_did, _ in found])
    return _json(
        {
            "projects": [
                {
                    **application_shown(app_did, names),
                    "totalCalls": totals.calls,
                    "totalCredits": credits_number(totals.credits),
                    "avgDuration": seconds_of(totals)[0],
                    "successRate": percent(totals.succeeded, totals.calls),
                    "lastCallTime": totals.last_us // SECOND_US,
                }
                for app_did, totals in found
            ],
            "total": count,
            "page": paging.number,
            "pageSize": paging.size,
        }
    )


def group_trends(caller: Caller, hub: Hub, cut: Cut, *, everybody: Everybody = False) -> Response:
    """Return the applications that called last, and what each used over time."""
    wanted = Wanted(cut.period, _whose(caller, everybody=everybody))
    with hub.reading() as view:
        _, found = usage_totals.by_application(
            view, wanted, order="last_us", offset=0, limit=DRAWN_MAX
        )
        apps = [app_did for app_did, _ in found]
        names = usage_totals.names_of(view, apps)
        sums = usage_totals.over_time_by_application(
            view, wanted, apps, size_us=cut.size_us, shift_us=cut.shift_us
        )
    return _json(
        {
            "projects": [
                {**application_shown(app_did, names), "lastCallTime": totals.last_us // SECOND_US}
                for app_did, totals in found
            ],
            "trends": [
                {
                    "timestamp": start // SECOND_US,
                    "byProject": {
                        app_did: _sums(sums.get((start, app_did), NOTHING)) for app_did in apps
                    },
                }
                for start in cut.starts()
            ],
            "granularity": cut.granularity,
        }
    )


def trends(_: MayReadUsage, hub: Hub, cut: Cut) -> Response:
    """Return what all users used over time."""
    with hub.reading() as view:
        found = _trend(view, cut, Wanted(cut.period))
    return _json({"trends": found, "granularity": cut.granularity})


def project_trends(
    caller: Caller, hub: Hub, cut: Cut, app_did: AppDid, *, everybody: Everybody = False
) -> Response:
    """Return what one application used over time."""
    wanted = Wanted(cut.period, _whose(caller, everybody=everybody), app_did)
    with hub.reading() as view:
        names = usage_totals.names_of(view, [app_did])
        found = _trend(view, cut, wanted)
    return _json(
        {
            "project": application_shown(app_did, names),
            "trends": found,
            "granularity": cut.granularity,
        }
    )


def project_calls(wanted: Calls, hub: Hub, paging: Paging) -> Response:
    """Return the calls of one application, newest first."""
    if wanted.app_did is None:
        raise InvalidRequest("Say which application's calls: appDid.", param="appDid")
    with hub.reading() as view:
        count, rows = call_pages.page(view, wanted, offset=paging.offset, limit=paging.size)
    shown = [call_shown(row) for row in rows]
    for call in shown:
        for name in _OF_A_PAGE_ONLY:
            del call[name]
    return _json({"list": shown, "count": count, "page": paging.number, "pageSize": paging.size})


def _trend(view: View, cut: _Buckets, wanted: Wanted) -> list[dict[str, Any]]:
    sums = usage_totals.over_time(view, wanted, size_us=cut.size_us, shift_us=cut.shift_us)
    return [_point(start, sums.get(start, NOTHING)) for start in cut.starts()]


def _point(start_us: int, totals: Totals) -> dict[str, Any]:
    duration, first_byte = seconds_of(totals)
    return {
        "timestamp": start_us // SECOND_US,
        "calls": totals.calls,
        "successCalls": totals.succeeded,
        "successRate": percent(totals.succeeded, totals.calls),
        "avgDuration": duration,
        "avgTtfb": first_byte,
        "totalCredits": credits_number(totals.credits),
        "totalUsage": totals.usage,
    }


def _sums(totals: Totals) -> dict[str, Any]:
    duration, first_byte = seconds_of(totals)
    return {
        "totalUsage": totals.usage,
        "totalCredits": credits_number(totals.credits),
        "totalCalls": totals.calls,
        "successCalls": totals.succeeded,
        "avgDuration": duration,
        "avgTtfb": first_byte,
    }


def _whose(caller: Principal, *, everybody: bool) -> str | None:
    """Return whose calls are meant, None for everybody's. Raises Forbidden."""
    if everybody:
        caller.require(Permission.USAGE_READ)
    return None if everybody else caller.user_id


def _json(body: Any) -> Response:
    return Response(orjson.dumps(body), media_type="application/json")


def trends_router() -> APIRouter:
    router = APIRouter(prefix="/api/usage", tags=["Account"])
    routes: tuple[tuple[str, str, str, Callable[..., Response]], ...] = (
        ("/projects", "listProjects", "Applications and what they used", projects),
        ("/projects/group-trends", "getGroupTrends", "Usage of each over time", group_trends),
        ("/projects/calls", "listProjectCalls", "Calls of one application", project_calls),
        ("/projects/trends", "getProjectTrends", "Usage of one over time", project_trends),
    )
    for path, name, summary, handler in routes:
        router.get(path, operation_id=name, summary=summary)(handler)
    return router


def all_trends_router() -> APIRouter:
    router = APIRouter(prefix="/api/usage", tags=["Administration"])
    router.get("/trends", operation_id="getTrends", summary="All usage over time")(trends)
    return router
