"""How long the last answers of a model took."""

from collections import deque
from typing import Final

SAMPLES_MAX: Final = 200
# With fewer, a percentile says next to nothing.
SAMPLES_MIN: Final = 20


class Latencies:
    """The latest latencies, in microseconds."""

    __slots__ = ("_latest",)

    def __init__(self) -> None:
        self._latest: deque[int] = deque(maxlen=SAMPLES_MAX)

    def observe(self, latency_us: int) -> None:
        self._latest.append(latency_us)

    def percentile(self, percent: int) -> int | None:
        """Return what so many of a hundred answers did not exceed, None when few are known."""
        known = len(self._latest)
        if known < SAMPLES_MIN:
            return None
        return sorted(self._latest)[min(known * percent // 100, known - 1)]
