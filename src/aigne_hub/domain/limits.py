"""Limits: what a key, a user, a project or a grant may use in a window, and how much is used.

A counter holds what calls in flight may still use (`held`) beside what was used. A call is
admitted when everything it may use fits under every limit, in the commit that opens it, so
a limit is as hard as a balance is.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, tzinfo
from enum import StrEnum

from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.windows import Span, Window, span_of

# Percentages of a credit limit that are told to the operator's webhooks.
ALERTS = (50, 80, 100)
NEARLY = 80
PER_MINUTE_MAX = 2_000_000_000
STREAMS_MAX = 1_000_000
# Limits one call is checked against: those of its key or grant, its user and its project.
LIMITS_MAX = 32
SUBJECTS_OF_CALL = 3


class Measure(StrEnum):
    """What is counted: nano-credits charged, calls, tokens, or streams open at once."""

    CREDITS = "credits"
    REQUESTS = "requests"
    TOKENS = "tokens"
    STREAMS = "streams"


class Subject(StrEnum):
    """Whom a limit binds. A project is an application, by its DID.

    A grant is what a user lets an OAuth client do: it binds calls made with its tokens.
    """

    KEY = "key"
    USER = "user"
    PROJECT = "project"
    GRANT = "grant"


WINDOWS: Mapping[Measure, frozenset[Window]] = {
    Measure.CREDITS: frozenset({Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL}),
    Measure.REQUESTS: frozenset({Window.MINUTE, Window.DAY, Window.WEEK, Window.MONTH}),
    Measure.TOKENS: frozenset({Window.MINUTE, Window.DAY, Window.WEEK, Window.MONTH}),
    Measure.STREAMS: frozenset({Window.TOTAL}),
}
AMOUNTS_MAX: Mapping[Measure, int] = {
    Measure.CREDITS: AMOUNT_MAX,
    Measure.REQUESTS: PER_MINUTE_MAX,
    Measure.TOKENS: PER_MINUTE_MAX,
    Measure.STREAMS: STREAMS_MAX,
}


@dataclass(slots=True)
class Limit:
    """At most `amount` of a measure for a subject in each window of a zone's calendar.

    Remembers the window it was last asked about: the calendar costs microseconds.
    """

    subject: Subject
    name: str
    measure: Measure
    window: Window
    amount: int
    zone: tzinfo = UTC
    id: str = field(init=False)
    _span: Span = field(init=False, repr=False, compare=False, default=Span(0, 0))
    _counter_id: str = field(init=False, repr=False, compare=False, default="")

    def __post_init__(self) -> None:
        if self.window not in WINDOWS[self.measure]:
            raise ValueError(f"{self.measure.value} are not limited per {self.window.value}")
        if not 0 <= self.amount <= AMOUNTS_MAX[self.measure]:
            raise ValueError(f"a limit is 0 to {AMOUNTS_MAX[self.measure]}")
        self.id = f"{self.subject.value}:{self.name}/{self.measure.value}/{self.window.value}"

    def span(self, now_us: int) -> Span:
        """Return the window that holds an instant."""
        start, end = self._span
        if not (start <= now_us and (end is None or now_us < end)):
            self._span = span_of(self.window, now_us, self.zone)
            self._counter_id = f"{self.id}@{self._span.start_us // 1_000_000}"
        return self._span

    def counter_id(self, now_us: int) -> str:
        """Return the name of this limit's counter in the window that holds an instant."""
        self.span(now_us)
        return self._counter_id


def measure_of(counter_id: str) -> Measure:
    """Return what a counter counts, which its name tells."""
    return Measure(counter_id.rsplit("/", 2)[1])


@dataclass(slots=True)
class Counter:
    """One limit in one window. `alerted` is the last percentage that was told.

    `amount` is the limit as of the last call that was admitted under it.
    """

    id: str
    used: int = 0
    held: int = 0
    amount: int = 0
    alerted: int = 0
    until_us: int | None = None

    @property
    def room(self) -> int:
        return max(self.amount - self.used - self.held, 0)

    def limit_to(self, amount: int) -> None:
        """Count against this amount from now on; what is raised is told again as it fills."""
        if amount != self.amount:
            self.amount = amount
            self.alerted = min(self.alerted, self._reached())

    def hold(self, amount: int) -> None:
        self.held += amount

    def settle(self, held: int, used: int) -> None:
        """Turn what a call held into what it used."""
        if held > self.held:
            raise ValueError("a counter releases what it holds")
        self.held -= held
        self.used += used

    def crossed(self, *, refused: bool = False) -> int | None:
        """Return the highest percentage of ALERTS newly reached, once; None for none.

        A call that was refused for want of room when most is used makes the limit reached:
        what is left is too little to be used up.
        """
        reached = self._reached()
        if refused and reached >= NEARLY:
            reached = ALERTS[-1]
        if reached <= self.alerted:
            return None
        self.alerted = reached
        return reached

    def _reached(self) -> int:
        reached = 0
        for percent in ALERTS:
            if self.used * 100 >= self.amount * percent:
                reached = percent
        return reached
