"""Calendar windows: spans of time in a named zone, computed from the time alone.

Nothing resets a counter. A window is the span between two boundaries of the zone's calendar,
so a clock that steps back counts in the window it came from, and days of 23 or 25 hours are
one window each. A midnight that a zone's clocks skip falls on the instant of the skip; where
they show one twice, the first counts.
"""

from datetime import UTC, date, datetime, timedelta, tzinfo
from enum import StrEnum
from typing import NamedTuple

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_SECOND_US = 1_000_000
MINUTE_US = 60 * _SECOND_US


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
    first = _first_day(window, (_EPOCH + now_us * _MICROSECOND).astimezone(zone).date())
    start = _midnight(first, zone)
    after = _next(window, first)
    end = _midnight(after, zone)
    # Clocks put back across midnight show a day again whose window has ended.
    while now_us >= end:
        start, after = end, _next(window, after)
        end = _midnight(after, zone)
    return Span(start, end)


def _first_day(window: Window, day: date) -> date:
    """Return the day on which the window of a day begins."""
    if window is Window.WEEK:
        return day - timedelta(days=day.weekday())
    return day.replace(day=1) if window is Window.MONTH else day


def _next(window: Window, first: date) -> date:
    """Return the day on which the window after the one of `first` begins."""
    if window is Window.MONTH:
        return (first + timedelta(days=32)).replace(day=1)
    return first + timedelta(days=7 if window is Window.WEEK else 1)


def _midnight(day: date, zone: tzinfo) -> int:
    """Return the first instant at which a zone's clocks show midnight of a day, or later."""
    midnight = datetime(day.year, day.month, day.day, tzinfo=zone)
    instant, other = _us(midnight), _us(midnight.replace(fold=1))
    if other >= instant:
        return instant
    # The clocks skip midnight (PEP 495: read with either offset, the skip lies between).
    while instant - other > _SECOND_US:
        middle = (other + instant) // 2 // _SECOND_US * _SECOND_US
        if (_EPOCH + middle * _MICROSECOND).astimezone(zone).date() >= day:
            instant = middle
        else:
            other = middle
    return instant


def _us(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND
