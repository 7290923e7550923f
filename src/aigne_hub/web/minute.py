"""How much strangers may do a minute, in one process."""

from typing import Final

_MINUTE_US: Final = 60 * 1_000_000


class PerMinute:
    """Counts what happens, minute by minute, up to `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._minute = 0
        self._count = 0

    def exhausted(self, now_us: int) -> bool:
        """Tell whether nothing more may happen before the minute is over."""
        return now_us // _MINUTE_US == self._minute and self._count >= self._limit

    def note(self, now_us: int) -> None:
        minute = now_us // _MINUTE_US
        self._count = self._count + 1 if minute == self._minute else 1
        self._minute = minute
