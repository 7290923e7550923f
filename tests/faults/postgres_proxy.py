"""Stands between a hub and its PostgreSQL server, and loses what is sent around a COMMIT."""

import socket
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from enum import Enum
from pathlib import Path

# How a driver names the statement it executes; the journal has prepared one called `commit`.
COMMIT = b"\0commit\0"
LATE_S = 0.4
_BYTES = 65_536


class Loss(Enum):
    """What happens to a COMMIT."""

    REQUEST = "the server never sees it"
    ANSWER = "the server commits, and the hub never hears of it"
    LATE = "the server sees it after the hub has been cut off"


class Proxy:
    """Listens on a socket in `folder`. Every `every`-th COMMIT is lost, in one way or another."""

    def __init__(self, folder: Path, server: Path, every: int) -> None:
        self.folder = folder
        self._server = server
        self._every = every
        self._commits = 0
        self._lock = threading.Lock()
        self.lost: dict[Loss, int] = dict.fromkeys(Loss, 0)
        self.losing = False
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(folder / server.name))
        self._listener.listen()
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._listener.shutdown(socket.SHUT_RDWR)
        self._thread.join()
        self._listener.close()

    def loss(self) -> Loss | None:
        """Decide what happens to one more COMMIT."""
        with self._lock:
            self._commits += 1
            if not self.losing or self._commits % self._every:
                return None
            loss = list(Loss)[self._commits // self._every % len(Loss)]
            self.lost[loss] += 1
            return loss

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            server = socket.socket(socket.AF_UNIX)
            try:
                server.connect(str(self._server))
            except OSError:
                server.close()
                client.close()
            else:
                _Connection(self, client, server)


class _Connection:
    """One session, in two threads."""

    def __init__(self, proxy: Proxy, client: socket.socket, server: socket.socket) -> None:
        self._proxy = proxy
        self._client = client
        self._server = server
        self._muted = False
        for work in (self._to_server, self._to_client):
            threading.Thread(target=work, daemon=True).start()

    def _to_server(self) -> None:
        for data in _received(self._client):
            loss = self._proxy.loss() if COMMIT in data else None
            if loss is Loss.ANSWER:
                self._muted = True
            elif loss is not None:
                _cut(self._client)
                if loss is Loss.REQUEST:
                    break
                time.sleep(LATE_S)
            _sent(self._server, data)
        _cut(self._server)

    def _to_client(self) -> None:
        with closing(self._client), closing(self._server):
            for data in _received(self._server):
                if self._muted:
                    break
                _sent(self._client, data)
            _cut(self._client)


@contextmanager
def proxied(folder: Path, server: Path, *, every: int) -> Iterator[Proxy]:
    proxy = Proxy(folder, server, every)
    try:
        yield proxy
    finally:
        proxy.close()


def _received(source: socket.socket) -> Iterator[bytes]:
    try:
        while data := source.recv(_BYTES):
            yield data
    except OSError:
        pass


def _sent(target: socket.socket, data: bytes) -> None:
    with suppress(OSError):
        target.sendall(data)


def _cut(target: socket.socket) -> None:
    with suppress(OSError):
        target.shutdown(socket.SHUT_RDWR)
