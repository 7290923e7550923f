import asyncio
from collections.abc import Callable
from typing import Protocol

from aigne_hub.transport.errors import BodyTooLarge, TransportClosed, TransportError

UNREAD_MAX = 256 * 1024  # bytes held for a slow reader before reading is paused


# Takes a piece of a body; returns whether it takes the next one at once.
Sink = Callable[[bytes], bool]


class Line(Protocol):
    """What an answer needs of the connection that carries it."""

    def fail(self, error: TransportError) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def see_off(self) -> None: ...


class Answer:
    """A response whose head has arrived and whose body may still be on its way.

    `headers` keep their order, names in lower case; trailers are dropped. `request_sent` is
    False when the head arrived before the whole request had been written. One task reads.
    The reader either reaches the end or calls `close` or `leave`; until then the connection
    is held.
    """

    __slots__ = (
        "_body_max",
        "_line",
        "_loop",
        "_parts",
        "_spill",
        "complete",
        "error",
        "fields",
        "headers",
        "request_sent",
        "sink",
        "status",
        "unread",
        "waiter",
    )

    # These the connection sets together with the status.
    headers: list[tuple[bytes, bytes]]
    fields: dict[bytes, bytes]  # by name; of a repeated one the first
    request_sent: bool

    def __init__(self, line: Line, loop: asyncio.AbstractEventLoop, body_max: int) -> None:
        self.status = 0
        self.complete = False
        self.unread = 0
        self._line: Line | None = line
        self._loop = loop
        self._body_max = body_max
        self._parts: list[bytes] = []
        self.error: TransportError | None = None
        # Resolves when anything about the answer has changed: its head comes first.
        self.waiter: asyncio.Future[None] = loop.create_future()
        self.sink: Sink | None = None
        # What ended the sink's turn: it refused to go on, or failed.
        self._spill: BaseException | bool = False

    def header(self, name: bytes) -> bytes | None:
        """Return the first value of a header, its name given in lower case."""
        return self.fields.get(name)

    async def read(self) -> bytes:
        """Return the rest of the body, at most the client's `body_max` bytes.

        Raises BodyTooLarge, closing the connection, or what cut the answer short.
        """
        if self.complete and self.unread <= self._body_max:
            # It is all there: no failure can come, and nobody is held back.
            body = b"".join(self._parts)
            self._parts.clear()
            self.unread = 0
            return body
        declared = self.header(b"content-length")
        room = self._body_max
        parts: list[bytes] = []
        if declared is None or int(declared) <= room:
            while (data := await self.chunk()) is not None:
                room -= len(data)
                if room < 0:
                    break
                parts.append(data)
            else:
                return b"".join(parts)
        self.close()
        raise BodyTooLarge(f"the answer is longer than {self._body_max} bytes", sent=True)

    async def chunk(self) -> bytes | None:
        """Return all body bytes received since the last call, waiting for some; None at the end.

        Bytes that arrived before a failure are returned before it is raised. Cancelling the
        caller closes the connection at once.
        """
        while True:
            data = self.chunk_nowait()
            if data is not None:
                return data
            if self.complete:
                return None
            try:
                await self.news()
            except BaseException:
                self.close()
                raise

    async def pour(self, sink: Sink) -> bool:
        """Hand the body to `sink` as it arrives; return whether its end was reached.

        It is called from where the bytes are read, so a chunk that can pass at once costs no
        turn of the event loop; False from it ends the pouring, and the rest is kept. Raises
        what `chunk` raises, and what `sink` raised.
        """
        while True:
            data = self.chunk_nowait()
            if data is not None:
                if not sink(data):
                    return False
                continue
            if self.complete:
                return True
            self.sink = sink
            try:
                await self.news()
            except BaseException:
                self.close()
                raise
            finally:
                self.sink = None
            spill, self._spill = self._spill, False
            if isinstance(spill, BaseException):
                raise spill
            if spill:
                return False

    def chunk_nowait(self) -> bytes | None:
        """Return the body bytes already received, or None when there are none.

        Raises the failure that cut the answer short once its bytes are used up.
        """
        parts = self._parts
        if not parts:
            if self.error is not None:
                raise self.error
            return None
        data = b"".join(parts)
        parts.clear()
        held_back = self.unread > UNREAD_MAX
        self.unread = 0
        if held_back and self._line is not None:
            self._line.resume()
        return data

    def close(self) -> None:
        """Give the answer up: unless it is complete, close its connection at once."""
        line = self._line
        if line is not None:
            self.drop()
            line.fail(TransportClosed("the answer was closed by its reader", sent=True))

    def leave(self) -> None:
        """Give up an answer of which all that matters was read, such as one behind its `[DONE]`.

        The end of its framing may come in a later packet. If it does within LEAVE_S the
        connection is used again, else it is closed.
        """
        line = self._line
        if line is not None:
            self.drop()
            line.see_off()

    # What follows is called by the connection and by the client, not by readers.

    def drop(self) -> None:
        """Forget what was received and nobody will read."""
        self._parts.clear()
        self.unread = 0

    def news(self) -> asyncio.Future[None]:
        """Return a future that resolves when anything about the answer has changed."""
        assert self.waiter.done(), "an answer has one reader"
        self.waiter = self._loop.create_future()
        return self.waiter

    def keep(self, parts: list[bytes]) -> None:
        """Take pieces of the body out of a list, for the reader to ask for."""
        self._parts += parts
        self.unread += sum(map(len, parts))
        parts.clear()

    def receive(self, parts: list[bytes]) -> None:
        """Take pieces of the body out of a list and wake the reader."""
        self.keep(parts)
        if self.unread > UNREAD_MAX and self._line is not None:
            self._line.pause()
        self.wake()

    def spill(self, failure: BaseException | None = None) -> None:
        """End the sink's turn: it refused to go on, or failed. What comes now is kept."""
        self.sink = None
        self._spill = failure or True
        self.wake()

    def finish(self) -> None:
        self.complete = True
        self._line = None
        self.wake()

    def fail(self, error: TransportError) -> None:
        self.error = error
        self._line = None
        self.wake()

    def wake(self) -> None:
        if not self.waiter.done():
            self.waiter.set_result(None)
