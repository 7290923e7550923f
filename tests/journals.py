"""A journal and a clock that tests drive by hand."""

import asyncio
from dataclasses import dataclass, field

from aigne_hub.domain.errors import InsufficientCredits
from aigne_hub.domain.operations import Admission, Open, Progress, Settle, Settled


@dataclass
class Clock:
    us: int = 0

    def now_us(self) -> int:
        self.us += 1
        return self.us

    def monotonic_us(self) -> int:
        return self.us


@dataclass
class HeldBackJournal:
    """Commits when told to, in the order it was asked; `credit` is what holds can still take."""

    credit: int = 0
    queue: list[tuple[object, asyncio.Future]] = field(default_factory=list)
    committed: list[object] = field(default_factory=list)
    refusing: Exception | None = None

    async def open(self, operation: Open) -> Admission:
        quote = operation.quote
        if quote is None:
            return Admission(0, 0)
        tokens = quote.affordable(self.credit)
        if tokens is None or tokens < quote.tokens_min:
            raise InsufficientCredits("too little")
        self.credit -= quote.amount(tokens)
        return Admission(quote.amount(tokens), tokens)

    def sent(self, call_id: str) -> None:
        pass

    async def progress(self, operation: Progress) -> int:
        return await self._queued(operation)

    async def settle(self, operation: Settle) -> Settled:
        return await self._queued(operation)

    async def void(self, operation: Settle) -> Settled:
        assert operation.usage is None
        return await self._queued(operation)

    async def _queued(self, operation):
        future = asyncio.get_running_loop().create_future()
        self.queue.append((operation, future))
        return await future

    def commit(self) -> None:
        queue, self.queue = self.queue, []
        for operation, future in queue:
            if self.refusing is not None:
                future.set_exception(self.refusing)
                continue
            self.committed.append(operation)
            if isinstance(operation, Progress):
                added = min(operation.extend_by, self.credit)
                self.credit -= added
                future.set_result(added)
            else:
                future.set_result(Settled(operation.charge, 0))

    @property
    def durable(self) -> int:
        """What the database says was delivered: each entry replaces the one before."""
        entries = [entry for entry in self.committed if isinstance(entry, Progress)]
        return entries[-1].output_counted if entries else 0
