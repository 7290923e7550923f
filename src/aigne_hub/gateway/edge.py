"""What all client connections of a process share: the route lookup, limits and the reaper."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from aigne_hub.gateway.exchange import Exchange
from aigne_hub.gateway.targets import Handler, Targets

# What the kernel may hold unsent: more would count as delivered though no client has it.
UNSENT_BYTES_MAX = 64 * 1024
# A client that is still sending when it is refused gets to read the refusal: so many bytes
# and seconds are thrown away before the connection is cut (RFC 9112, 9.6).
LINGER_BYTES_MAX = 64 * 1024 * 1024
LINGER_S = 3.0
HURRY_S = 1.0
# So often a connection's head is learnt, to know it when it comes again: some never do.
HEADS_LEARNT_MAX = 16


@dataclass(frozen=True, slots=True)
class EdgeLimits:
    """Seconds and bytes a client connection may take.

    `idle_s` bounds how long a body that is being sent or read makes no progress.
    """

    head_s: float = 15.0
    idle_s: float = 30.0
    keep_alive_s: float = 75.0
    body_bytes: int = 32 * 1024 * 1024


class Connection(Protocol):
    """A client connection; `deadline` is when it expires, by the monotonic clock in seconds."""

    deadline: float | None
    exchange: Exchange | None

    def expect_within(self, seconds: float) -> None: ...

    def expire(self) -> None: ...


class Edge:
    """What all connections of a process share: the route lookup, limits and the reaper."""

    def __init__(self, find: Callable[[str, str], Handler | None], limits: EdgeLimits) -> None:
        self.targets = Targets(find)
        self.limits = limits
        self.connections: set[Connection] = set()
        self.requests_refused = 0
        self.hurried = False
        # The headers that uvicorn makes anew each second, as lines.
        self.date_line = b""

    def date(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Take the headers that every answer of this second has."""
        self.date_line = b"".join(b"%b: %b\r\n" % header for header in headers)

    def interrupt(self) -> None:
        """End every call that is still running; each settles what it delivered.

        A client that does not take the end of its answer within HURRY_S does without.
        """
        self.hurried = True
        for connection in tuple(self.connections):
            connection.expect_within(HURRY_S)
            exchange = connection.exchange
            if exchange is not None and not exchange.response_complete:
                exchange.interrupt()

    def reap(self) -> None:
        """Close connections past their deadline; called about once a second."""
        now = time.monotonic()
        for connection in tuple(self.connections):
            if connection.deadline is not None and connection.deadline < now:
                connection.expire()
