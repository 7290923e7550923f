"""Calendar windows: spans of time in a named zone, computed from the time alone.

Nothing resets a counter. A window is the span between two boundaries of the zone's calendar,
so a clock that steps back counts in the window it came from, and days of 23 or 25 hours are
one window each. A boundary that a zone's calendar skips falls on the instant of the skip.
"""

from datetime import UTC, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
MINUTE_US = 60 * 1_000_000


class Window(StrEnum):
    """What a limit is counted over. Weeks begin on Monday (ISO 8601)."""

    MINUTE = "minute"
    DAY = "day"
    WEEK = "week"
    MONTH = "month"
    TOTAL = "total"


class Span(NamedTuple):
    """Unix microseconds; `end_us` is the first instant after it, None for never."""

    start_us: int
    end_us: int | None


EVER = Span(0, None)


def span_of(window: Window, now_us: int, zone: tzinfo) -> Span:
    """Return the window that holds an instant."""
    if window is Window.TOTAL:
        return EVER
    if window is Window.MINUTE:
        start = now_us - now_us % MINUTE_US
        return Span(start, start + MINUTE_US)
    local = (_EPOCH + now_us * _MICROSECOND).astimezone(zone)
    midnight = datetime(local.year, local.month, local.day)  # noqa: DTZ001 - put into the zone below
    if window is Window.DAY:
        first, after = midnight, midnight + timedelta(days=1)
    elif window is Window.WEEK:
        first = midnight - timedelta(days=midnight.weekday())
        after = first + timedelta(days=7)
    else:
        first = midnight.replace(day=1)
        after = (first + timedelta(days=32)).replace(day=1)
    return Span(_instant(first, zone), _instant(after, zone))


def _instant(local: datetime, zone: tzinfo) -> int:
    """Return the first instant at which a zone's clocks show a time, or have passed it."""
    return (local.replace(tzinfo=zone) - _EPOCH) // _MICROSECOND
