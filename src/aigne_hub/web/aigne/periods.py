"""Periods and sums as AIGNE's clients ask for them and read them: Unix seconds, JSON numbers."""

from typing import Annotated, Any, Final

import orjson
from fastapi import Depends, Query

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import format_credits
from aigne_hub.storage.usage_totals import DAY_US, Period, Totals
from aigne_hub.web.backend import Hub

DAYS_DEFAULT: Final = 30
DAYS_MAX: Final = 366
INSTANT_MAX_S: Final = 10_000_000_000
SECOND_US: Final = 1_000_000


def _period(
    hub: Hub,
    start: Annotated[
        int | None,
        Query(alias="startTime", ge=0, le=INSTANT_MAX_S, description="From this Unix second on."),
    ] = None,
    end: Annotated[
        int | None,
        Query(alias="endTime", ge=0, le=INSTANT_MAX_S, description="Up to this Unix second."),
    ] = None,
    days: Annotated[
        int, Query(alias="timeRange", ge=1, le=DAYS_MAX, description="Days, without a start.")
    ] = DAYS_DEFAULT,
) -> Period:
    """Return which period is meant: by default the last 30 days. Raises InvalidRequest."""
    until_us = hub.clock.now_us() + 1 if end is None else (end + 1) * SECOND_US
    since_us = until_us - days * DAY_US if start is None else start * SECOND_US
    if not 0 <= until_us - since_us <= DAYS_MAX * DAY_US + SECOND_US:
        raise InvalidRequest(
            f"A period ends after it starts, and has at most {DAYS_MAX} days.", param="startTime"
        )
    return Period(since_us, until_us)


Within = Annotated[Period, Depends(_period)]


def credits_number(nano: int) -> orjson.Fragment:
    """Return credits as the text of a JSON number: a float would lose places."""
    return orjson.Fragment(format_credits(nano))


def seconds_of(totals: Totals) -> tuple[float, float]:
    """Return the mean duration and the mean time to the first byte, to a tenth of a second."""
    return (
        _tenths(totals.duration_us, totals.succeeded),
        _tenths(totals.ttfb_us, totals.begun),
    )


def percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 1) if whole else 0.0


def application_shown(app_did: str, names: dict[str, str]) -> dict[str, Any]:
    return {"appDid": app_did, "appName": names.get(app_did, ""), "appLogo": "", "appUrl": ""}


def _tenths(total_us: int, count: int) -> float:
    return round(total_us / count / SECOND_US, 1) if count else 0.0
