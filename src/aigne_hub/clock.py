"""The real clock. Everything that needs time is handed one (ports.Clock)."""

from threading import Lock
from time import monotonic_ns, time_ns


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
        now = time_ns() // 1_000
        with self._lock:
            if now <= self._last_us:
                now = self._last_us + 1
            self._last_us = now
        return now

    def monotonic_us(self) -> int:
        """Return microseconds that only grow, from an arbitrary start."""
        return monotonic_ns() // 1_000
