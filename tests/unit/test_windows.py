"""I-14: calendar windows follow each other without a gap or an overlap, whatever clocks do."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta, timezone, tzinfo
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.windows import EVER, MINUTE_US, Span, Window, span_of

SECOND = 1_000_000
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
# No clock above is put back further across midnight.
NEAR = 5 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

# Each zone with the first of four years in which its clocks did what is said.
ZONES = [
    ("UTC", 2023),
    ("Europe/Berlin", 2023),
    ("America/New_York", 2024),
    ("America/Sao_Paulo", 2015),  # midnight is skipped in spring
    ("Africa/Cairo", 2008),  # midnight is skipped, twice in 2010
    ("Asia/Beirut", 2021),  # midnight is skipped
    ("America/Havana", 2022),  # midnight comes twice in autumn
    ("America/St_Johns", 2008),  # put back at 00:01 to 23:01 of the day before
    ("Antarctica/Casey", 2009),  # put back by three hours at 02:00
    ("Pacific/Apia", 2010),  # 30 December 2011 is left out
    ("Australia/Lord_Howe", 2023),  # moved by half an hour
    ("Asia/Kathmandu", 2023),  # 05:45 ahead
]
CALENDAR = [Window.DAY, Window.WEEK, Window.MONTH]


def us(moment: datetime) -> int:
    return (moment - EPOCH) // timedelta(microseconds=1)


def local(now_us: int, zone: tzinfo) -> datetime:
    return (EPOCH + timedelta(microseconds=now_us)).astimezone(zone)


def years(first: int) -> tuple[int, int]:
    return us(datetime(first, 1, 1, tzinfo=UTC)), us(datetime(first + 4, 1, 1, tzinfo=UTC))


def walk(window: Window, zone: tzinfo, start: int, end: int) -> Iterator[Span]:
    """Yield the windows from one instant to another, each asked for at the end of the last."""
    while start < end:
        span = span_of(window, start, zone)
        yield span
        assert span.end_us is not None
        start = span.end_us


def transitions(zone: tzinfo, start: int, end: int) -> list[int]:
    """Return the instants at which a zone's offset changes."""
    found = []
    for before, after in pairwise(range(start, end, DAY)):
        low, high = before, after
        if local(low, zone).utcoffset() == local(high, zone).utcoffset():
            continue
        while high - low > SECOND:
            middle = (low + high) // 2 // SECOND * SECOND
            if local(middle, zone).utcoffset() == local(before, zone).utcoffset():
                low = middle
            else:
                high = middle
        found.append(high)
    return found


def begun(window: Window, day: date) -> date:
    if window is Window.WEEK:
        return date.fromisocalendar(*day.isocalendar()[:2], 1)
    return date(day.year, day.month, 1 if window is Window.MONTH else day.day)


@pytest.mark.parametrize("window", CALENDAR)
@pytest.mark.parametrize(("name", "first"), ZONES)
def test_four_years_of_windows_are_contiguous(name: str, first: int, window: Window):
    zone = ZoneInfo(name)
    start, end = years(first)
    spans = list(walk(window, zone, start, end))
    assert all(later.start_us == span.end_us for span, later in pairwise(spans))
    assert all(span.end_us > span.start_us for span in spans)
    # One window for every day, week or month that the zone's calendar has.
    days = [local(span.start_us, zone).date() for span in spans]
    assert days[1:] == sorted(set(days[1:]))
    assert all(begun(window, day) == day for day in days)
    shown = {
        begun(window, local(at, zone).date()) for at in range(start, spans[-1].end_us, 3 * HOUR)
    }
    assert set(days) == shown
    for span in spans:
        for at in (span.start_us, (span.start_us + span.end_us) // 2, span.end_us - 1):
            assert span_of(window, at, zone) == span


@pytest.mark.parametrize("window", CALENDAR)
@pytest.mark.parametrize(("name", "first"), ZONES)
def test_around_every_change_of_clocks_the_latest_day_shown_tells_the_window(
    name: str, first: int, window: Window
):
    zone = ZoneInfo(name)
    for change in transitions(zone, *years(first)):
        latest = date.min
        for at in range(change - NEAR, change + NEAR, 60 * SECOND):
            latest = max(latest, begun(window, local(at, zone).date()))
            span = span_of(window, at, zone)
            assert span.start_us <= at < span.end_us
            if span.start_us > change - NEAR:
                assert local(span.start_us, zone).date() == latest
                assert local(span.start_us - 1, zone).date() < latest


@pytest.mark.parametrize(
    ("name", "day", "hours"),
    [
        ("Europe/Berlin", date(2024, 3, 31), 23),
        ("Europe/Berlin", date(2024, 10, 27), 25),
        ("Europe/Berlin", date(2024, 2, 29), 24),
        ("America/New_York", date(2026, 11, 1), 25),
        ("America/Sao_Paulo", date(2018, 11, 4), 23),
        ("America/Sao_Paulo", date(2018, 2, 17), 25),
        ("America/Havana", date(2023, 11, 5), 25),
        ("Australia/Lord_Howe", date(2024, 4, 7), 24.5),
        # Its midnight came at 00:00, an hour before the clocks were put back to 23:01.
        ("America/St_Johns", date(2009, 10, 31), 24),
        ("America/St_Johns", date(2009, 11, 1), 25),
        ("Pacific/Apia", date(2011, 12, 29), 24),
        ("Pacific/Apia", date(2011, 12, 31), 24),
        ("UTC", date(2024, 2, 29), 24),
    ],
)
def test_a_day_is_as_long_as_its_zone_makes_it(name: str, day: date, hours: float):
    zone = ZoneInfo(name)
    noon = us(datetime(day.year, day.month, day.day, 12, tzinfo=zone))
    span = span_of(Window.DAY, noon, zone)
    assert span.end_us - span.start_us == hours * HOUR


@pytest.mark.parametrize(
    ("year", "month", "days"), [(2023, 2, 28), (2024, 2, 29), (2024, 12, 31), (2100, 2, 28)]
)
def test_the_31st_and_29_february_belong_to_their_month(year: int, month: int, days: int):
    last = us(datetime(year, month, days, 23, 59, 59, 999_999, tzinfo=UTC))
    span = span_of(Window.MONTH, last, UTC)
    assert span == Span(us(datetime(year, month, 1, tzinfo=UTC)), last + 1)
    assert span.end_us - span.start_us == days * DAY


class _SkipsMidnight(tzinfo):
    """A zone of no country: on one evening at 23:30 the clocks are put forward to 00:30."""

    SKIP = us(datetime(2024, 5, 10, 23, 30, tzinfo=UTC))

    def utcoffset(self, moment: datetime | None) -> timedelta:
        assert moment is not None
        naive = us(moment.replace(tzinfo=UTC))
        ahead = naive >= self.SKIP + (0 if moment.fold else HOUR)
        return timedelta(hours=1 if ahead else 0)

    def dst(self, _moment: datetime | None) -> timedelta:
        return timedelta(0)

    def fromutc(self, moment: datetime) -> datetime:
        ahead = us(moment.replace(tzinfo=UTC)) >= self.SKIP
        return moment + timedelta(hours=1 if ahead else 0)


def test_a_midnight_in_the_middle_of_a_skip_falls_on_the_skip():
    zone = _SkipsMidnight()
    skip = zone.SKIP
    before, after = span_of(Window.DAY, skip - 1, zone), span_of(Window.DAY, skip, zone)
    assert before.end_us == after.start_us == skip
    assert span_of(Window.DAY, skip + HOUR // 4, zone) == after
    assert after.end_us - after.start_us == 24 * HOUR - HOUR // 2


instants = st.integers(us(datetime(2008, 1, 1, tzinfo=UTC)), us(datetime(2037, 1, 1, tzinfo=UTC)))


@given(instants, st.sampled_from([name for name, _ in ZONES]), st.sampled_from(CALENDAR))
@example(us(datetime(2009, 11, 1, 2, 31, tzinfo=UTC)), "America/St_Johns", Window.DAY)
@example(us(datetime(2010, 3, 4, 15, 0, tzinfo=UTC)), "Antarctica/Casey", Window.WEEK)
def test_every_instant_is_in_exactly_one_window(now: int, name: str, window: Window):
    zone = ZoneInfo(name)
    span = span_of(window, now, zone)
    assert span.start_us <= now < span.end_us
    assert span_of(window, span.start_us, zone) == span == span_of(window, span.end_us - 1, zone)
    assert span_of(window, span.start_us - 1, zone).end_us == span.start_us
    assert span_of(window, span.end_us, zone).start_us == span.end_us


@given(instants)
def test_minutes_are_the_same_in_every_zone(now: int):
    span = span_of(Window.MINUTE, now, ZoneInfo("Asia/Kathmandu"))
    assert span == span_of(Window.MINUTE, now, UTC)
    assert (span.start_us % MINUTE_US, span.end_us - span.start_us) == (0, MINUTE_US)
    assert span.start_us <= now < span.end_us


def test_in_total_is_one_window():
    assert span_of(Window.TOTAL, 5, timezone(timedelta(hours=3))) == EVER


@given(
    instants,
    st.sampled_from([name for name, _ in ZONES]),
    st.sampled_from(CALENDAR),
    st.lists(st.integers(-2 * HOUR, 30 * HOUR), max_size=30),
)
def test_a_clock_that_steps_back_counts_in_the_window_it_came_from(
    start: int, name: str, window: Window, steps: list[int]
):
    zone = ZoneInfo(name)
    limit = Limit(Subject.USER, "u", Measure.CREDITS, window, 10, zone)
    now = start
    counted: dict[str, set[Span]] = {}
    for step in [0, *steps, -HOUR]:
        now += step
        counted.setdefault(limit.counter_id(now), set()).add(span_of(window, now, zone))
        assert limit.span(now) == span_of(window, now, zone)
    # No counter counts two windows, and no window is counted in two.
    assert all(len(spans) == 1 for spans in counted.values())
    assert len(set().union(*counted.values())) == len(counted)
