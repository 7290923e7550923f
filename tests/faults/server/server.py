"""The fault server: a thread of its own, with a port of its own for each scenario."""

import asyncio
import contextlib
import socket
import ssl
import threading
import time
from collections import defaultdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Self

from tests.faults.server.authority import Authority
from tests.faults.server.catalogue import FAULTS
from tests.faults.server.fault import Fault, Place, answer_right
from tests.faults.server.peer import Peer
from tests.faults.server.right import WIRES, right
from tests.faults.server.tally import Asked, Counts, Ended, Line, Tally
from tests.names import Names

RIGHT = "right"
# Where redirects lead: whoever comes there has been led.
CANARY = "canary"
PLAIN = {RIGHT: Fault(answer_right), CANARY: Fault(answer_right)}
HOST = "127.0.0.1"
BACKLOG = 1024
HEAD_MAX = 1 << 20
START_S = 60.0


class FaultServer:
    """`with FaultServer() as faults: … faults.base_url("F14-seconds")`.

    Each scenario has a port of its own, so that no connection of one is used for another.
    `base_url(RIGHT)` answers well. A hub started with `environ` trusts the certificates and knows
    the names of the scenarios that have some; it finds them in `folder`, a temporary one without.
    """

    def __init__(self, folder: Path | None = None) -> None:
        self._temporary = TemporaryDirectory() if folder is None else None
        folder = folder or Path(self._temporary.name)
        self.names = Names(folder / "names.json")
        self._authority = Authority(folder)
        self._by_scenario: defaultdict[str, Tally] = defaultdict(Tally)
        self._by_key: defaultdict[str, Tally] = defaultdict(Tally)
        self._faults: dict[str, str] = {}
        self._lifted: set[str] = set()
        self._seen: set[str] = set()
        self._ports: dict[str, int] = {}
        self._canary = ""
        self._kept: list[socket.socket] = []
        self._tasks: set[asyncio.Task[None]] = set()
        self._servers: list[asyncio.Server] = []
        self._failures: list[BaseException] = []
        self._lines = 0
        self._ready = threading.Event()
        self._lock = threading.Lock()
        self._thread = threading.Thread(target=self._run, name="fault server")

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._ready.wait(START_S)
        self._canary = self.base_url(CANARY)
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._stopped.set)
        self._thread.join()
        for sock in self._kept:
            sock.close()
        if self._temporary is not None:
            self._temporary.cleanup()
        if kind is None and self._failures:
            raise self._failures[0]

    @property
    def environ(self) -> dict[str, str]:
        """What a hub's process is started with."""
        return {**self._authority.environ, **self.names.environ}

    def base_url(self, scenario: str) -> str:
        """Return the address of a provider that does as a scenario says."""
        fault = _fault(scenario)
        with self._lock:
            port = self._ports.get(scenario)
            if port is None:
                port = self._ports[scenario] = self._opened(scenario, fault)
        if fault.place is Place.NOWHERE:
            return f"http://{self.names.nowhere}:{port}/{scenario}/v1"
        if fault.place in {Place.NAME, Place.NAME_ONCE}:
            return f"http://{self.names.host(scenario)}:{port}/{scenario}/v1"
        if fault.place is Place.TLS:
            return f"https://localhost:{port}/{scenario}/v1"
        return f"http://{HOST}:{port}/{scenario}/v1"

    def set(self, key: str, scenario: str) -> None:
        """From now on answer whoever presents this credential as a scenario says, wherever."""
        fault = _fault(scenario)
        assert fault.place is Place.HTTP, f"{scenario} comes before any key"
        assert not fault.is_raw, f"{scenario} comes before any key"
        self._faults[key] = scenario

    def lift(self, key: str) -> None:
        """Answer this credential as its address says again."""
        self._faults.pop(key, None)

    def off(self, scenario: str) -> None:
        """Answer well at a scenario's address, until `on`."""
        self._lifted.add(scenario)

    def on(self, scenario: str) -> None:
        self._lifted.discard(scenario)

    def counts(self, name: str) -> Counts:
        """Return what was seen of a scenario's address, or of a credential."""
        tallies = self._by_scenario if name in FAULTS or name in PLAIN else self._by_key
        return tallies[name].counts

    def asked(self, key: str) -> list[Asked]:
        """Return the requests that presented a credential, oldest first."""
        return list(self._by_key[key].asked)

    def seen(self, key: str) -> None:
        """Say that the caller behind this credential has what was sent: a break may come."""
        self._seen.add(key)

    # The server's own thread.

    def _run(self) -> None:
        for wire in WIRES:
            right(wire)
        asyncio.run(self._serve_until_stopped())

    async def _serve_until_stopped(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stopped = asyncio.Event()
        self._ready.set()
        await self._stopped.wait()
        for server in self._servers:
            server.close()
        for task in tuple(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await asyncio.sleep(0)

    def _opened(self, scenario: str, fault: Fault) -> int:
        """Open a scenario's port and return it."""
        sock = self._bound(HOST)
        port = int(sock.getsockname()[1])
        if fault.place in {Place.REFUSED, Place.NOWHERE}:
            self._kept.append(sock)
            return port
        if fault.place is Place.BLACKHOLE:
            self._kept += _full(sock)
            return port
        self._listen(sock, scenario, fault)
        if fault.place is Place.NAME:
            # Where the name leads once it was moved: the same port of another address.
            self._listen(self._bound(self.names.moved, port), scenario, fault)
        return port

    @staticmethod
    def _bound(host: str, port: int = 0) -> socket.socket:
        sock = socket.socket()
        sock.bind((host, port))
        return sock

    def _listen(self, sock: socket.socket, scenario: str, fault: Fault) -> None:
        sock.listen(BACKLOG)
        context = None
        if fault.certificate is not None:
            context = self._authority.context(fault.certificate)
        opening = self._open(sock, scenario, fault, context)
        asyncio.run_coroutine_threadsafe(opening, self._loop).result(START_S)

    async def _open(
        self, sock: socket.socket, scenario: str, fault: Fault, context: ssl.SSLContext | None
    ) -> None:
        async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            task = asyncio.current_task()
            assert task is not None
            self._tasks.add(task)
            try:
                await self._talk(reader, writer, scenario, fault)
            finally:
                self._tasks.discard(task)

        server = await asyncio.start_server(accept, sock=sock, limit=HEAD_MAX, ssl=context)
        self._servers.append(server)

    async def _talk(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        scenario: str,
        fault: Fault,
    ) -> None:
        """Answer on one connection until either side ends it."""
        self._lines += 1
        line = Line(self._lines, writer.get_extra_info("sockname")[0])
        tally = self._by_scenario[scenario]
        tally.lines.add(line)
        peer = Peer(reader, writer, line, self._stopped, self._seen, self._canary)
        try:
            if fault.is_raw and scenario not in self._lifted:
                await fault.play(peer)
            while line.is_open and not fault.is_raw:
                await self._answer(peer, scenario)
        except (ConnectionError, asyncio.IncompleteReadError, ssl.SSLError):
            pass
        except asyncio.CancelledError:
            writer.transport.abort()
        except BaseException as failure:  # noqa: BLE001 - a scenario's mistake must fail its test
            self._failures.append(failure)
        finally:
            line.end(Ended.BY_CLIENT)
            with contextlib.suppress(OSError, RuntimeError):
                writer.close()

    async def _answer(self, peer: Peer, scenario: str) -> None:
        method, path = await peer.receive()
        asked = Asked(scenario, method, path, peer.key, peer.line, time.monotonic())
        peer.counted(asked, [self._by_scenario[scenario], self._by_key[peer.key]])
        named = self._faults.get(peer.key, scenario)
        fault = Fault(answer_right) if named in self._lifted else _fault(named)
        if not fault.is_early:
            await peer.body()
        await fault.play(peer)
        if peer.line.is_open:
            await peer.body()


def _fault(scenario: str) -> Fault:
    return PLAIN.get(scenario) or FAULTS[scenario]


def _full(sock: socket.socket) -> list[socket.socket]:
    """Return a listener whose queue is full, with what fills it: the kernel drops what comes."""
    sock.listen(0)
    kept = [sock]
    for _ in range(8):
        filler = socket.socket()
        filler.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            filler.connect(sock.getsockname())
        kept.append(filler)
    return kept
