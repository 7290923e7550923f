"""Whether a target may be asked, as the calls that went to it show.

A target is a provider, one of its credentials, or one model through one credential. It is
barred after errors in a row or too many among its calls, at once by a refusal of the
credential or a limit on its rate. After a while one call, the probe, may show that it works
again: then its share of the calls grows back, else it stays barred for longer.

The figures are those of Envoy's outlier detection and Hystrix (five errors in a row; half of
twenty in ten seconds; one probe), with a limit on the growth that keeps every target probed
within half a minute.
"""

from enum import StrEnum
from typing import Final, NamedTuple

from aigne_hub.domain.faults import UNCOUNTED, Fault

CONSECUTIVE_MAX: Final = 5
WINDOW_US: Final = 10_000_000
WINDOW_CALLS_MIN: Final = 20
ERRORS_PERCENT_MAX: Final = 50
# How long a target that was let in again takes to get its whole weight back.
RAMP_US: Final = 20_000_000
RAMP_FROM_PERCENT: Final = 10
# A target that works this long begins with the shortest bar again.
FORGOTTEN_AFTER_US: Final = 60_000_000
# A probe that has not ended by then is given up, and another call may be one.
PROBE_US: Final = 30_000_000
# No upstream is believed when it wants to be left alone for longer.
COOL_DOWN_MAX_S: Final = 40
_SECOND: Final = 1_000_000
# The first bar and the longest one, in seconds; each is twice as long as the one before.
_BARS_S: Final = {
    Fault.THROTTLED: (1, 25),
    Fault.REFUSED: (1, 40),
    Fault.EXHAUSTED: (5, 40),
}
_BAR_S: Final = (5, 24)
_DOUBLINGS_MAX: Final = 6
# A bar is up to this much shorter or longer, so that not all are lifted at once.
_JITTER_PERCENT: Final = 20


class State(StrEnum):
    """How a target is, in a word."""

    HEALTHY = "healthy"
    RECOVERING = "recovering"  # let in again, with a part of its weight
    PROBING = "probing"  # barred, and one call may show whether it works again
    BARRED = "barred"


class Standing(NamedTuple):
    """What processes tell each other of a target. Times are microseconds since 1970.

    `fault` is why it is barred, None when it is not; `until_us` when a probe is due; `bars`
    how many times in a row it was barred.
    """

    target: str
    fault: Fault | None
    until_us: int
    bars: int
    changed_us: int


class Episode(NamedTuple):
    """What all processes together know of a bar that lasts.

    `since_us` is when it began; until `probe_until_us` some process may be probing.
    """

    since_us: int | None
    probe_until_us: int | None


class Health:
    """What one process knows of one target.

    `successes` is counted by whoever sees a call succeed; `failing` is how many errors came
    in a row. Methods that return a bool tell whether the standing changed.
    """

    __slots__ = (
        "_counted_from",
        "_errors",
        "_permit_until_us",
        "_window_us",
        "failing",
        "standing",
        "successes",
    )

    def __init__(self, target: str) -> None:
        self.standing = Standing(target, None, 0, 0, 0)
        self.successes = 0
        self.failing = 0
        self._errors = 0
        self._counted_from = 0
        self._window_us = 0
        self._permit_until_us = 0

    @property
    def is_barred(self) -> bool:
        return self.standing.fault is not None

    def is_calm(self, now_us: int) -> bool:
        """Tell whether nothing here bears on the next choice."""
        return not self.failing and not self.is_barred and self.percent(now_us) == 100

    def state(self, now_us: int) -> State:
        if self.is_barred:
            return State.PROBING if self.may_probe(now_us) else State.BARRED
        return State.HEALTHY if self.percent(now_us) == 100 else State.RECOVERING

    def percent(self, now_us: int) -> int:
        """Return how much of its weight it has: none while it is barred, all in the end."""
        fault, _, bars, changed_us = self.standing[1:]
        if fault is not None:
            return 0
        since = now_us - changed_us
        if not bars or not 0 <= since < RAMP_US:
            return 100
        return RAMP_FROM_PERCENT + (100 - RAMP_FROM_PERCENT) * since // RAMP_US

    def may_probe(self, now_us: int) -> bool:
        return now_us < self._permit_until_us

    def is_due(self, now_us: int) -> bool:
        """Tell whether a probe may be permitted."""
        return self.is_barred and self.standing.until_us <= now_us

    def permit(self, until_us: int) -> None:
        """Let one call through until then."""
        self._permit_until_us = until_us

    def take_permit(self) -> None:
        self._permit_until_us = 0

    def succeeded(self, began_us: int, now_us: int) -> bool:
        """Note a success; of a call that began before the bar it says nothing about it."""
        self.failing = 0
        if not self.is_barred or began_us < self.standing.changed_us:
            return False
        self.restore(now_us)
        return True

    def restore(self, now_us: int) -> None:
        self._permit_until_us = 0
        self.failing = 0
        target, _, _, bars, changed_us = self.standing
        self.standing = Standing(target, None, 0, bars, max(now_us, changed_us + 1))

    def failed(
        self, fault: Fault, now_us: int, draw: float, *, is_probe: bool, retry_after_s: int = 0
    ) -> bool:
        """Note a failure. `draw` in [0, 1) varies the bar's length.

        A target that is barred already is barred for longer by its probe alone: calls that
        were under way when it failed say nothing new.
        """
        if fault in UNCOUNTED:
            return False
        if self.is_barred:
            if is_probe:
                self.bar(fault, now_us, draw, retry_after_s=retry_after_s)
            return is_probe
        self.failing += 1
        if fault not in _BARS_S and not self._is_outlier(now_us):
            return False
        self.bar(fault, now_us, draw, retry_after_s=retry_after_s)
        return True

    def _is_outlier(self, now_us: int) -> bool:
        if now_us - self._window_us >= WINDOW_US:
            self._window_us, self._errors, self._counted_from = now_us, 0, self.successes
        self._errors += 1
        calls = self.successes - self._counted_from + self._errors
        often = calls >= WINDOW_CALLS_MIN and self._errors * 100 >= calls * ERRORS_PERCENT_MAX
        return often or self.failing >= CONSECUTIVE_MAX

    def bar(self, fault: Fault, now_us: int, draw: float, *, retry_after_s: int = 0) -> None:
        """Bar the target; each time in a row for longer."""
        target, barred_for, _, bars, changed_us = self.standing
        if barred_for is None and now_us - changed_us >= FORGOTTEN_AFTER_US:
            bars = 0
        length = bar_us(fault, bars, draw, retry_after_s)
        self._permit_until_us = 0
        self._window_us = 0
        self.failing = 0
        changed_us = max(now_us, changed_us + 1)
        self.standing = Standing(target, fault, now_us + length, bars + 1, changed_us)

    def learn(self, standing: Standing) -> bool:
        """Take over what another process knows, if that is newer."""
        if standing.changed_us <= self.standing.changed_us:
            return False
        self.standing = standing
        self._permit_until_us = 0
        self.failing = 0
        return True


def bar_us(fault: Fault, bars: int, draw: float, retry_after_s: int) -> int:
    """Return how long a target is barred that was barred `bars` times in a row before."""
    first_s, longest_s = _BARS_S.get(fault, _BAR_S)
    length_s = min(first_s << min(bars, _DOUBLINGS_MAX), longest_s)
    if fault is Fault.THROTTLED:
        # What the upstream asked for is never cut short by chance.
        length_s = max(length_s, min(retry_after_s, COOL_DOWN_MAX_S))
        percent = 100.0 + _JITTER_PERCENT * draw
    else:
        percent = 100.0 - _JITTER_PERCENT + 2 * _JITTER_PERCENT * draw
    return int(length_s * _SECOND * percent / 100)


def needs_check(standing: Standing) -> bool:
    """Tell whether a free request can show that the reason of a bar is gone."""
    return standing.fault is Fault.REFUSED
