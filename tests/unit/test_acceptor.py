"""Turns at a shared listener, with real sockets."""

import asyncio
import errno
import socket
from collections.abc import Iterator

import pytest

from aigne_hub.server import acceptor as acceptor_module
from aigne_hub.server.acceptor import Acceptor, Shares

AT_ONCE = 12
# A pause of this length fails its test by the time limit.
FOR_EVER_S = 10_000


@pytest.fixture
def listener() -> Iterator[socket.socket]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0)
        yield listener


class Connections(list[asyncio.Transport]):
    """What a worker took."""

    def protocol(self) -> asyncio.Protocol:
        taken = self

        class Taken(asyncio.Protocol):
            def connection_made(self, transport: asyncio.BaseTransport) -> None:
                assert isinstance(transport, asyncio.Transport)
                taken.append(transport)

        return Taken()

    def acceptor(self, listener: socket.socket, shares: Shares, index: int) -> Acceptor:
        return Acceptor(listener, self.protocol, shares, index, lambda: len(self))


def connect(listener: socket.socket, count: int) -> list[socket.socket]:
    return [socket.create_connection(listener.getsockname()) for _ in range(count)]


async def until(count: int, *workers: Connections) -> None:
    while sum(map(len, workers)) < count:
        await asyncio.sleep(0.001)


async def ended(acceptors: list[Acceptor], *workers: Connections) -> None:
    for acceptor in acceptors:
        acceptor.close()
        await acceptor.wait_closed()
    for transport in (one for worker in workers for one in worker):
        transport.abort()
    await asyncio.sleep(0)


async def test_connections_that_come_at_once_are_taken_in_turn(listener: socket.socket):
    shares = Shares.create(2)
    first, second = Connections(), Connections()
    with listener.dup() as again:
        again.settimeout(0)
        acceptors = [first.acceptor(listener, shares, 0), second.acceptor(again, shares, 1)]
        clients = connect(listener, AT_ONCE)
        await until(AT_ONCE, first, second)
        assert abs(len(first) - len(second)) <= 1
        await ended(acceptors, first, second)
    for client in clients:
        client.close()


async def test_a_worker_that_is_gone_is_not_waited_for(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(acceptor_module, "TURN_S", FOR_EVER_S)
    only = Connections()
    acceptor = only.acceptor(listener, Shares.create(2), 0)
    clients = connect(listener, AT_ONCE)
    await until(AT_ONCE, only)
    await ended([acceptor], only)
    for client in clients:
        client.close()


async def test_a_worker_that_is_busy_is_waited_for_a_moment(listener: socket.socket):
    shares = Shares.create(2)
    shares.show(1, 0)
    only = Connections()
    acceptor = only.acceptor(listener, shares, 0)
    clients = connect(listener, AT_ONCE)
    await until(AT_ONCE, only)
    await ended([acceptor], only)
    for client in clients:
        client.close()


async def test_a_worker_without_room_for_a_connection_takes_it_later(listener: socket.socket):
    shares = Shares.create(1)
    worker = Connections()
    full = Full(listener)
    acceptor = worker.acceptor(full, shares, 0)  # type: ignore[arg-type] # as much of one as is used
    (client,) = connect(listener, 1)
    await until(1, worker)
    assert full.refused == 1
    await ended([acceptor], worker)
    client.close()


class Full:
    """A listener of a process that has no descriptor left, the first time."""

    def __init__(self, listener: socket.socket) -> None:
        self._listener = listener
        self.refused = 0

    def fileno(self) -> int:
        return self._listener.fileno()

    def accept(self) -> tuple[socket.socket, object]:
        if not self.refused:
            self.refused += 1
            raise OSError(errno.EMFILE, "too many open files")
        return self._listener.accept()


async def test_a_closed_acceptor_is_not_waited_for(listener: socket.socket):
    shares = Shares.create(2)
    worker = Connections()
    acceptor = worker.acceptor(listener, shares, 1)
    assert shares.least() == 0
    acceptor.close()
    acceptor.show()
    assert shares.least() > 10**9
    await acceptor.wait_closed()
