"""One listening address, any number of worker processes over it."""

import os
import select
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass

from aigne_hub.bootstrap import (
    Hub,
    Initialised,
    apply_declarations,
    initialise,
    is_new,
    open_hub,
    owner_of,
)
from aigne_hub.domain.errors import Conflict
from aigne_hub.server.acceptor import Shares
from aigne_hub.server.worker import BACKLOG, SETTLE_S, Place, run_worker
from aigne_hub.settings import Settings

# A worker that dies is replaced after this long; one that never became ready stops the hub.
RESTART_S = 0.5
_READY = b"ready\n"
_SIGNALS_MAX = 4096


@dataclass(frozen=True, slots=True)
class Started:
    """A hub that accepts requests.

    `first` holds the secrets of a first start; `key_command` makes a key at any time.
    """

    address: str
    first: Initialised | None
    key_command: str


class CannotListen(Exception):
    """The address cannot be bound. The message says which and what to do."""


def serve(
    settings: Settings, environ: Mapping[str, str], *, announce: Callable[[Started], None]
) -> int:
    """Serve until stopped; `announce` is called once requests are accepted.

    A data directory that nobody has initialised is initialised first. Returns the exit code;
    raises CannotListen, StorageError, ConfigError or KeyFileRefused.
    """
    listener = listen(settings.host, settings.port)
    host, port = listener.getsockname()[:2]
    settings = settings.model_copy(update={"port": port})
    shown = f"[{host}]" if ":" in host else host
    address = f"http://{shown}:{port}"
    hub = open_hub(settings, environ)
    apply_declarations(hub)
    first = _first(hub)
    started = Started(address, first, key_command(hub))
    hub.engine.dispose()
    if settings.workers == 1:
        run_worker(settings, environ, Place(listener), lambda: announce(started))
        return 0
    return Supervisor(settings, environ, listener).run(lambda: announce(started))


def _first(hub: Hub) -> Initialised | None:
    """Initialise a hub that is new, unless another server on its database just did."""
    with suppress(Conflict):
        return initialise(hub) if is_new(hub) else None
    return None


def key_command(hub: Hub) -> str:
    """Return the command, as this hub was started, that makes a key for its owner."""
    place = shlex.quote(str(hub.settings.data_dir))
    command = shlex.quote(sys.argv[0])
    line = f"{command} keys create --user {owner_of(hub).email} --data-dir {place}"
    if not hub.settings.database_url.startswith("sqlite:"):
        # It may hold a password, so it is not repeated here.
        line += ' --database-url "$AIGNE_HUB_DATABASE_URL"'
    return line


def listen(host: str, port: int) -> socket.socket:
    """Return a listening socket; raises CannotListen."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        raise CannotListen(
            f"Cannot listen on {host}:{port}: {error.strerror}. Choose another with --port, "
            "or stop what uses it."
        ) from None
    listener.settimeout(0)
    return listener


class Supervisor:
    """Keeps `workers` processes alive and passes signals on."""

    def __init__(
        self, settings: Settings, environ: Mapping[str, str], listener: socket.socket
    ) -> None:
        self._settings = settings
        self._listener = listener
        self._shares = Shares.create(settings.workers)
        self._environ = {
            **environ,
            "AIGNE_HUB_DATA_DIR": str(settings.data_dir),
            "AIGNE_HUB_DATABASE_URL": settings.database_url,
            "AIGNE_HUB_HOST": settings.host,
            "AIGNE_HUB_PORT": str(settings.port),
        }
        if settings.config is not None:
            self._environ["AIGNE_HUB_CONFIG"] = str(settings.config)
        self._workers: list[subprocess.Popen[bytes]] = []
        self._stopping = False

    def run(self, ready: Callable[[], None]) -> int:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop)
        signal.signal(signal.SIGHUP, self._pass_on)
        alarm, bell = socket.socketpair()
        bell.settimeout(0)
        signal.set_wakeup_fd(bell.fileno(), warn_on_full_buffer=False)
        self._workers = [self._start(index) for index in range(self._settings.workers)]
        if not all(_became_ready(worker) for worker in self._workers):
            self._stop_workers()
            self._await_all()
            return 1
        ready()
        while not self._stopping:
            if select.select([alarm], [], [], RESTART_S)[0]:
                alarm.recv(_SIGNALS_MAX)
            for index, worker in enumerate(self._workers):
                if worker.poll() is not None and not self._stopping:
                    self._shares.leave(index)
                    self._workers[index] = self._start(index)
                    _became_ready(self._workers[index])
        # While one process holds it the kernel takes connections that nobody will answer.
        self._listener.close()
        # One that was being started when the signal came has not heard it.
        self._stop_workers()
        self._await_all()
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        return 0

    def _start(self, index: int) -> subprocess.Popen[bytes]:
        passed = [self._listener.fileno(), self._shares.fd]
        return subprocess.Popen(  # noqa: S603 - our own interpreter and module
            [sys.executable, "-m", "aigne_hub.server", *map(str, passed), str(index)],
            env=self._environ,
            pass_fds=passed,
            stdout=subprocess.PIPE,
        )

    def _stop(self, _number: int, _frame: object) -> None:
        self._stop_workers()

    def _stop_workers(self) -> None:
        self._stopping = True
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(signal.SIGTERM)

    def _pass_on(self, number: int, _frame: object) -> None:
        for worker in self._workers:
            if worker.poll() is None:
                worker.send_signal(number)

    def _await_all(self) -> None:
        deadline = time.monotonic() + self._settings.drain_s + 2 * SETTLE_S
        for worker in self._workers:
            try:
                worker.wait(max(deadline - time.monotonic(), 0.1))
            except subprocess.TimeoutExpired:
                worker.kill()
                worker.wait()


def _became_ready(worker: subprocess.Popen[bytes]) -> bool:
    """Wait for a worker's own word that it accepts requests; False when it died instead."""
    assert worker.stdout is not None
    return worker.stdout.readline() == _READY


def announce_to_supervisor() -> None:
    os.write(1, _READY)
