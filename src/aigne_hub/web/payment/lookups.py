"""How many names strangers may try on the pay page: enough to buy, too few to list accounts."""

from typing import Final

WRONG_A_MINUTE_MAX: Final = 30
_MINUTE_US: Final = 60 * 1_000_000


class WrongNames:
    """Counts names that no account has, minute by minute, for one process."""

    def __init__(self) -> None:
        self._minute = 0
        self._count = 0

    def exhausted(self, now_us: int) -> bool:
        """Tell whether nobody may try another name before the minute is over."""
        return now_us // _MINUTE_US == self._minute and self._count >= WRONG_A_MINUTE_MAX

    def note(self, now_us: int) -> None:
        minute = now_us // _MINUTE_US
        self._count = self._count + 1 if minute == self._minute else 1
        self._minute = minute
