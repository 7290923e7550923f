"""Who was not let in, told in the log: so many lines a minute, and then that there were more."""

from typing import Final

from aigne_hub.logs import get_logger

# Of one process. Strangers write these lines, and must not fill a disk with them.
LINES_A_MINUTE_MAX: Final = 300
_MINUTE_US: Final = 60 * 1_000_000

_log = get_logger("aigne_hub.security")


class Refusals:
    """Says each refusal, with who, from where and why, and never with what was sent."""

    def __init__(self) -> None:
        self._minute = 0
        self._count = 0

    def tell(self, now_us: int, event: str, **fields: object) -> None:
        minute = now_us // _MINUTE_US
        if minute != self._minute:
            self._minute, self._count = minute, 0
        self._count += 1
        if self._count <= LINES_A_MINUTE_MAX:
            _log.warning(event, **fields)
        elif self._count == LINES_A_MINUTE_MAX + 1:
            _log.warning("more is refused in this minute than the log tells")
