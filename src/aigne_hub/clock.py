"""The real clock. Everything that needs time is handed one (ports.Clock)."""

import time
from threading import Lock


class SystemClock:
    """ports.Clock over the operating system's clocks; share one instance per process.

    Wall time never repeats or goes backwards within an instance: when the system's clock is
    stepped back, readings advance by a microsecond each until it has caught up.
    """

    def __init__(self) -> None:
        self._lock = Lock()
        self._last_us = 0

    def now_us(self) -> int:
        """Return Unix time in microseconds, greater than every earlier reading."""
        with self._lock:
            self._last_us = max(time.time_ns() // 1_000, self._last_us + 1)
            return self._last_us

    def monotonic_us(self) -> int:
        """Return microseconds that only grow, from an arbitrary start."""
        return time.monotonic_ns() // 1_000
