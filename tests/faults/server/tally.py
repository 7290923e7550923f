"""What a fault server has seen: by scenario, and by the credential that was presented."""

import time
from dataclasses import dataclass, field
from enum import Enum

KEPT_BODY_BYTES = 4096


class Ended(Enum):
    """Who ended a connection first."""

    NOT_YET = "not yet"
    BY_CLIENT = "by the client"
    BY_SERVER = "by the server"


@dataclass(slots=True, eq=False)
class Line:
    """One connection that was accepted; `host` is the address that it came to.

    `ended_s` is when it ended, on the clock of `time.monotonic`.
    """

    number: int
    host: str
    ended: Ended = Ended.NOT_YET
    ended_s: float | None = None
    requests: int = 0

    def end(self, how: Ended) -> None:
        """Note who ended it, the first time."""
        if self.is_open:
            self.ended, self.ended_s = how, time.monotonic()

    @property
    def is_open(self) -> bool:
        return self.ended is Ended.NOT_YET


@dataclass(slots=True)
class Asked:
    """One request. `body` is its beginning, KEPT_BODY_BYTES at most; `seconds` when it came."""

    scenario: str
    method: str
    path: str
    key: str
    line: Line
    seconds: float
    body: bytes = b""


@dataclass(frozen=True, slots=True)
class Counts:
    """`connections` were accepted, `open` of them are; `tokens` are the words that were sent."""

    connections: int
    open: int
    requests: int
    bytes_received: int
    bytes_sent: int
    tokens: int


@dataclass(slots=True)
class Tally:
    """Counts as they grow."""

    lines: set[Line] = field(default_factory=set)
    asked: list[Asked] = field(default_factory=list)
    bytes_received: int = 0
    bytes_sent: int = 0
    tokens: int = 0

    @property
    def counts(self) -> Counts:
        lines = tuple(self.lines)
        return Counts(
            connections=len(lines),
            open=sum(line.is_open for line in lines),
            requests=len(self.asked),
            bytes_received=self.bytes_received,
            bytes_sent=self.bytes_sent,
            tokens=self.tokens,
        )
