"""How many calls of a model may be tried a second time, so that a failure is not multiplied."""

from typing import Final, NamedTuple

WINDOW_US: Final = 10_000_000
# Of the calls of a window; few calls may all be retried.
RETRIES_PERCENT_MAX: Final = 20
RETRIES_MIN: Final = 10
# The wait before a second try of the same upstream, twice as long before each one after it.
_BACKOFF_S: Final = 0.25
_BACKOFF_MAX_S: Final = 5.0


class Room(NamedTuple):
    """What there is of a budget: a window's calls so far, its retries, and those still to come."""

    calls: int
    retries: int
    left: int


class RetryBudget:
    """Allows retries up to a fifth of the last seconds' calls, or ten where that is more.

    `calls` is counted by whoever sees a call begin; nobody looks at a clock for it. A window
    begins with the first retry that is asked for after the last one ended, and what was called
    before counts for as long as it would be in a window that slides. `now_us` never goes back.
    `granted` and `denied` count the retries of all windows. After Finagle's RetryBudget.
    """

    __slots__ = (
        "_before",
        "_counted_from",
        "_retries",
        "_window_us",
        "calls",
        "denied",
        "granted",
    )

    def __init__(self, now_us: int) -> None:
        self.calls = 0
        self.granted = 0
        self.denied = 0
        self._retries = 0
        self._counted_from = 0
        self._before = 0
        self._window_us = now_us

    def take(self, now_us: int) -> bool:
        """Ask for one more try of a call."""
        if now_us - self._window_us >= WINDOW_US:
            self._begin(now_us)
        if self._retries >= self.allowed(now_us):
            self.denied += 1
            return False
        self._retries += 1
        self.granted += 1
        return True

    def allowed(self, now_us: int) -> int:
        """Return how many retries this window may have had by now."""
        left_us = max(WINDOW_US - (now_us - self._window_us), 0)
        calls = self.calls - self._counted_from + self._before * left_us // WINDOW_US
        return _allowed(calls)

    def room(self, now_us: int) -> Room:
        """Return what there is of it now; nothing is taken, and no window begins."""
        if now_us - self._window_us >= WINDOW_US:
            return Room(0, 0, _allowed(self._carried(now_us)))
        left = max(self.allowed(now_us) - self._retries, 0)
        return Room(self.calls - self._counted_from, self._retries, left)

    def _carried(self, now_us: int) -> int:
        """Return the last window's calls, were they spread evenly since it began."""
        called = self.calls - self._counted_from
        return called * WINDOW_US // (now_us - self._window_us)

    def _begin(self, now_us: int) -> None:
        self._before = self._carried(now_us)
        self._window_us, self._retries, self._counted_from = now_us, 0, self.calls


def _allowed(calls: int) -> int:
    return max(RETRIES_MIN, calls * RETRIES_PERCENT_MAX // 100)


def backoff_s(tries: int, draw: float) -> float:
    """Return how long to wait before the same upstream is asked again: full jitter.

    `tries` is how many it had, `draw` is in [0, 1). After the AWS SDKs' standard mode.
    """
    return draw * min(_BACKOFF_S * (1 << tries - 1), _BACKOFF_MAX_S)
