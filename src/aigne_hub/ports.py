"""What the use cases need from outside, as protocols. Implementations are picked in bootstrap."""

from collections.abc import Awaitable
from typing import Protocol

from aigne_hub.domain.operations import Admission, Open, Progress, Settle, Settled


class Clock(Protocol):
    """Wall time for records, monotonic time for durations."""

    def now_us(self) -> int:
        """Return Unix time in microseconds; never the same value twice in one process."""
        ...

    def monotonic_us(self) -> int:
        """Return microseconds that only grow, from an arbitrary start."""
        ...


class Journal(Protocol):
    """Makes the steps of calls durable. Every method returns after its commit.

    Raises domain errors only: InsufficientCredits from `open`, Overloaded when the store
    cannot commit (nothing was recorded, nothing may go upstream).
    """

    def open(self, operation: Open) -> Awaitable[Admission]: ...

    def sent(self, call_id: str) -> None:
        """Note that the request may have reached an upstream. Queued, never awaited."""
        ...

    def progress(self, operation: Progress) -> Awaitable[int]:
        """Record delivered content; return how much hold (nano) was added."""
        ...

    def settle(self, operation: Settle) -> Awaitable[Settled]: ...

    def void(self, operation: Settle) -> Awaitable[Settled]:
        """Close a call that costs nothing; its hold is released whole."""
        ...
