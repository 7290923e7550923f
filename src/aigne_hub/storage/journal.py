"""The journal: durability without a round trip per call.

Operations that queue while a commit runs are committed together in the next transaction
(group commit). There is no artificial delay: with one caller a batch is one operation, under
load it is dozens. On any error every decision of the batch is discarded; a batch that holds
a poison operation is split until the bad one stands alone in the dead-letter table.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from operator import itemgetter
from typing import Any, Protocol

from aigne_hub.domain.errors import HubError, Overloaded
from aigne_hub.domain.operations import Admission, Open, Probe, Progress, Settle, Settled
from aigne_hub.storage.engine import StorageError
from aigne_hub.storage.fold import Operation

# Beyond this many waiting operations the hub refuses calls rather than queue them.
QUEUE_MAX = 20_000
# One transaction never folds more than this.
BATCH_MAX = 512
# Turns of the event loop between the first operation of a batch and its commit. What the network
# has already brought joins it, which at 32 callers doubles a batch; with one caller a turn is
# a look at sockets that are silent. It is no delay: nothing is waited for.
GATHERING_TURNS = 2
# A store that cannot commit is retried after this long, so that settlements survive it.
RETRY_S = 0.25
# At shutdown a store that cannot commit is waited for this long.
CLOSE_S = 5.0
# `sent` notes wait this long: most calls have ended by then, which says the same of them.
SENT_LINGER_S = 0.1

_OPERATION = itemgetter(0)
_UNRECORDED = "The hub cannot record calls right now. Retry shortly."


class StoreUnavailable(StorageError):
    """The database cannot take writes now: locked, full, read-only or unreachable."""


class AlreadyResolvedError(Exception):
    """A call or hold was not in the state the operation resolves it from."""


class CommitUnknown(Exception):
    """The answer to a COMMIT was lost. `answers` hold if `landed` says that it happened.

    `landed` raises StoreUnavailable as long as that cannot be told.
    """

    def __init__(
        self, message: str, answers: list[Any], landed: Callable[[], Awaitable[bool]]
    ) -> None:
        super().__init__(message)
        self.answers = answers
        self.landed = landed


class Store(Protocol):
    """One database connection that commits batches. Implementations: SQLite, PostgreSQL."""

    async def reach(self) -> None:
        """Be ready for the first batch. Raises StoreUnavailable."""
        ...

    async def commit(self, operations: Sequence[Operation], sent: Sequence[str]) -> list[Any]:
        """Fold and commit a batch; return its answers.

        Raises StoreUnavailable when nothing can be written now, and CommitUnknown when the
        batch may be committed or not. Any other exception means that an operation of the
        batch is bad. In the first case and the last nothing was committed.
        """
        ...

    async def bury(self, letter_id: str, operation: str, payload: str, error: str) -> None:
        """Write a dead letter."""
        ...

    async def close(self) -> None: ...


class GroupCommitJournal:
    """ports.Journal over a Store. Runs one writer task; callers wait on futures."""

    def __init__(self, store: Store, *, new_id: Callable[[], str]) -> None:
        self._store = store
        self._new_id = new_id
        self._queue: list[tuple[Operation, asyncio.Future[Any]]] = []
        self._sent: dict[str, None] = {}
        self._sent_timer: asyncio.TimerHandle | None = None
        self._sent_due = False
        self._wake: asyncio.Future[None] | None = None
        self._writer: asyncio.Task[None] | None = None
        self._closing = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self.unavailable: str | None = None
        # Why no call is begun although the store still takes writes.
        self.shortage: str | None = None
        # Whether meter events of calls are wanted elsewhere.
        self.metering = False
        self.batches = 0
        self.operations = 0
        self.dead_letters = 0

    async def reach(self) -> None:
        """Be ready for the first call, so that it need not wait. Raises StoreUnavailable."""
        await self._store.reach()

    def start(self) -> None:
        """Begin committing; must be called on the loop that will use the journal."""
        self._loop = asyncio.get_running_loop()
        self._writer = self._loop.create_task(self._write())

    def open(self, operation: Open) -> Awaitable[Admission]:
        if len(self._queue) >= QUEUE_MAX or self._closing:
            raise Overloaded("The hub is at its limit. Retry shortly.")
        if self.shortage is not None:
            raise Overloaded(_UNRECORDED)
        return self._submit(operation)

    def sent(self, call_id: str) -> None:
        self._sent[call_id] = None
        if self._sent_timer is None:
            assert self._loop is not None
            self._sent_timer = self._loop.call_later(SENT_LINGER_S, self._flush_sent)

    def progress(self, operation: Progress) -> Awaitable[int]:
        return self._submit(operation)

    def settle(self, operation: Settle) -> Awaitable[Settled]:
        operation.deliver = self.metering
        self._sent.pop(operation.call_id, None)
        return self._submit(operation)

    def void(self, operation: Settle) -> Awaitable[Settled]:
        if operation.charge or operation.usage is not None:
            raise ValueError("a void charges nothing")
        return self.settle(operation)

    @property
    def waiting(self) -> int:
        return len(self._queue)

    async def probe(self) -> None:
        """Write and commit a heartbeat, or raise Overloaded: is the store able to record calls?"""
        await self._submit(Probe())

    async def close(self) -> None:
        """Commit what is queued, for at most CLOSE_S, then stop.

        What cannot be committed by then is closed by recovery from what the journal holds.
        """
        self._closing = True
        self._notify()
        if self._writer is not None:
            await asyncio.wait([self._writer], timeout=CLOSE_S)
            self._writer.cancel()
        await self._store.close()

    def _submit(self, operation: Operation) -> asyncio.Future[Any]:
        assert self._loop is not None
        future = self._loop.create_future()
        self._queue.append((operation, future))
        if self._wake is not None:
            self._notify()
        return future

    def _flush_sent(self) -> None:
        self._sent_timer = None
        self._sent_due = bool(self._sent)
        self._notify()

    def _notify(self) -> None:
        """Wake the writer, if it waits to be woken."""
        wake, self._wake = self._wake, None
        if wake is not None and not wake.done():
            wake.set_result(None)

    async def _write(self) -> None:
        assert self._loop is not None
        while True:
            if not self._queue and not self._sent_due:
                if self._closing:
                    return
                self._wake = self._loop.create_future()
                await self._wake
                for _ in range(GATHERING_TURNS):
                    await asyncio.sleep(0)
                continue
            batch, self._queue = self._queue[:BATCH_MAX], self._queue[BATCH_MAX:]
            sent: list[str] = []
            if self._sent_due:
                sent = list(self._sent)
                self._sent.clear()
                self._sent_due = False
            if batch or sent:
                await self._commit(batch, sent)

    async def _commit(
        self, batch: list[tuple[Operation, asyncio.Future[Any]]], sent: list[str]
    ) -> None:
        """Commit a batch, retry it, or take it apart; every future is resolved or requeued."""
        try:
            answers = await self._store.commit(list(map(_OPERATION, batch)), sent)
        except CommitUnknown as doubt:
            if not await self._landed(doubt):
                await self._commit(batch, sent)
                return
            answers = doubt.answers
        except StoreUnavailable as error:
            self.unavailable = str(error)
            await self._postpone(batch, sent)
            return
        except Exception as error:  # noqa: BLE001 - whatever the driver raised, a row caused it
            await self._isolate(batch, sent, error)
            return
        self.unavailable = None
        self.batches += 1
        self.operations += len(batch)
        for (_, future), answer in zip(batch, answers, strict=True):
            if future.cancelled():
                continue
            if isinstance(answer, HubError):
                future.set_exception(answer)
            else:
                future.set_result(answer)

    async def _landed(self, doubt: CommitUnknown) -> bool:
        """Wait until it can be told whether a batch was committed; meanwhile begin no call.

        The batch itself waits too: a call of it may be on record, and is not refused then.
        """
        self.unavailable = str(doubt)
        while True:
            try:
                return await doubt.landed()
            except StoreUnavailable as error:
                self.unavailable = str(error)
            self._queue = self._refused(self._queue)
            await asyncio.sleep(RETRY_S)

    async def _postpone(
        self, batch: list[tuple[Operation, asyncio.Future[Any]]], sent: list[str]
    ) -> None:
        """Refuse what has not started; keep the rest, which already happened, for later."""
        kept = self._refused(batch)
        self._queue[:0] = kept
        self._sent.update(dict.fromkeys(sent))
        self._sent_due = bool(self._sent)
        if not self._closing or kept:
            await asyncio.sleep(RETRY_S)

    def _refused(
        self, entries: list[tuple[Operation, asyncio.Future[Any]]]
    ) -> list[tuple[Operation, asyncio.Future[Any]]]:
        """Refuse entries that begin something; return the others."""
        kept = []
        for operation, future in entries:
            if type(operation) is Open or type(operation) is Probe:
                if not future.cancelled():
                    future.set_exception(Overloaded(_UNRECORDED))
            else:
                kept.append((operation, future))
        return kept

    async def _isolate(
        self,
        batch: list[tuple[Operation, asyncio.Future[Any]]],
        sent: list[str],
        error: Exception,
    ) -> None:
        if len(batch) > 1:
            middle = len(batch) // 2
            await self._commit(batch[:middle], sent)
            await self._commit(batch[middle:], [])
            return
        if not batch:
            return
        ((operation, future),) = batch
        self.dead_letters += 1
        payload = json.dumps(asdict(operation), default=str)
        try:
            await self._store.bury(
                self._new_id(),
                type(operation).__name__,
                payload,
                f"{type(error).__name__}: {error}",
            )
        except StoreUnavailable as unavailable:
            self.unavailable = str(unavailable)
        if not future.cancelled():
            future.set_exception(
                Overloaded("The hub could not record this call. It was not sent on.")
                if type(operation) is Open
                else JournalRefused(f"{type(operation).__name__} of call {operation.call_id}")
            )


class JournalRefused(Exception):
    """An operation was bad and lies in the dead-letter table; its call is closed by recovery."""
