"""Taking new connections in turn: a worker with more than another leaves the next one to it.

The kernel wakes every worker that listens for a connection, and whoever runs first takes it:
when many clients connect at once that is the worker that happens to be awake. So each worker
shows the others how many connections it has, and one that has more waits for a moment.
"""

import asyncio
import errno
import mmap
import os
import socket
from collections.abc import Callable
from typing import Any

from aigne_hub.logs import get_logger

# How long a worker with more connections leaves a new one to the others. Of a worker that is
# busy for longer it takes the connection over.
TURN_S = 0.001
# What of the system's limits may pass when it waits.
_EXHAUSTED = frozenset({errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM})
EXHAUSTED_S = 0.2
_BYTES = 8
# In the place of a worker that takes no connections.
_ABSENT = 2**63 - 1


class Shares:
    """How many connections each worker has, in memory that all of them see."""

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self._counts = memoryview(mmap.mmap(fd, os.fstat(fd).st_size)).cast("q")

    @classmethod
    def create(cls, workers: int) -> "Shares":
        """Make the memory; processes that inherit its `fd` open it by their own Shares."""
        # Not in a file system: it must work beside a full disk.
        fd = os.memfd_create("aigne-hub-shares") if hasattr(os, "memfd_create") else _nameless()
        os.ftruncate(fd, workers * _BYTES)
        shares = cls(fd)
        for index in range(workers):
            shares.leave(index)
        return shares

    def show(self, index: int, count: int) -> None:
        self._counts[index] = count

    def leave(self, index: int) -> None:
        """Note that a worker takes no connections."""
        self._counts[index] = _ABSENT

    def least(self) -> int:
        return min(self._counts)


class Acceptor:
    """One worker's end of a listener that several share.

    It stands where uvicorn expects an asyncio server. `count` says how many connections the
    worker has.
    """

    def __init__(
        self,
        listener: socket.socket,
        protocol: Callable[[], asyncio.Protocol],
        shares: Shares,
        index: int,
        count: Callable[[], int],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._listener = listener
        self._protocol = protocol
        self._shares = shares
        self._index = index
        self._count = count
        self._begun: set[asyncio.Task[Any]] = set()
        self._is_open = True
        self.show()
        self._loop.add_reader(listener, self._readable)

    def show(self) -> int:
        """Show the others how many connections this worker has; return it."""
        mine = self._count() + len(self._begun)
        if self._is_open:
            self._shares.show(self._index, mine)
        return mine

    def close(self) -> None:
        self._is_open = False
        self._loop.remove_reader(self._listener)
        self._shares.leave(self._index)

    async def wait_closed(self) -> None:
        if self._begun:
            await asyncio.wait(self._begun)

    def _readable(self) -> None:
        if self.show() > self._shares.least():
            self._pause(TURN_S)
        else:
            self._accept()

    def _pause(self, seconds: float) -> None:
        self._loop.remove_reader(self._listener)
        self._loop.call_later(seconds, self._resume)

    def _resume(self) -> None:
        """Take what nobody else took meanwhile, and listen again."""
        if self._is_open:
            self._loop.add_reader(self._listener, self._readable)
            self._accept()

    def _accept(self) -> None:
        try:
            taken, _ = self._listener.accept()
        except (BlockingIOError, ConnectionAbortedError):
            return
        except OSError as error:
            if error.errno not in _EXHAUSTED:
                raise
            get_logger().error("cannot take a connection", error=str(error))
            self._pause(EXHAUSTED_S)
            return
        taken.settimeout(0)
        taken.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        task = self._loop.create_task(self._begin(taken))
        self._begun.add(task)
        task.add_done_callback(self._begun.discard)
        self.show()

    async def _begin(self, taken: socket.socket) -> None:
        try:
            await self._loop.connect_accepted_socket(self._protocol, taken)
        except OSError:
            taken.close()  # it is gone already


def _nameless() -> int:
    """Return a file without a name, where there is no memory without a file."""
    import tempfile  # noqa: PLC0415 - not needed on Linux

    with tempfile.TemporaryFile() as file:
        return os.dup(file.fileno())
