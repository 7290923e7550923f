"""What is under way at a candidate and how long it takes to answer."""

import math
from typing import Final

# After this long without a new sample, what an old one says has faded to a third.
FADES_IN_US: Final = 10_000_000
# Of a candidate that nobody has measured, so that it is tried soon.
UNMEASURED_US: Final = 1


class Load:
    """Calls under way, and a moving average of latencies that follows a rise at once.

    A slow answer counts in full, and is forgotten little by little: Finagle's peak EWMA.
    """

    __slots__ = ("_at_us", "_latency_us", "outstanding")

    def __init__(self) -> None:
        self.outstanding = 0
        self._latency_us = 0.0
        self._at_us = 0

    def observe(self, latency_us: int, now_us: int) -> None:
        """Take a latency into account; `now_us` is of a clock that never goes back."""
        if latency_us >= self._latency_us:
            self._latency_us = float(latency_us)
        else:
            keep = math.exp(-max(now_us - self._at_us, 0) / FADES_IN_US)
            self._latency_us = self._latency_us * keep + latency_us * (1 - keep)
        self._at_us = now_us

    @property
    def latency_us(self) -> int:
        """The average, 0 before the first answer."""
        return int(self._latency_us)

    @property
    def cost(self) -> int:
        """What another call would wait for: the latency, once for each call under way."""
        return (self.latency_us or UNMEASURED_US) * (self.outstanding + 1)
