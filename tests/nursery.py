"""Hubs by fork: the shipped command, without a second of imports before each start.

A nursery is a process that has imported the hub and does nothing with it. For each start it forks,
and the child becomes what a shell would have started: its own environment, standard output and
error, and then `aigne_hub.cli.main`. Run as `python -m tests.nursery FD`.
"""

import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import cache
from importlib import import_module
from pathlib import Path
from pkgutil import walk_packages
from typing import Any, BinaryIO

from tests import names

ROOT = Path(__file__).parents[1]
REQUEST_MAX = 1 << 20
LENGTH = 8


class Child:
    """A process that a nursery started; what tests use of `subprocess.Popen`."""

    def __init__(self, pid: int, stdout: BinaryIO, ended: socket.socket) -> None:
        self.pid = pid
        self.stdout = stdout
        self.returncode: int | None = None
        self._ended = ended

    def poll(self) -> int | None:
        """Return the exit code, minus the signal's number if one ended it; None while it runs."""
        with suppress(subprocess.TimeoutExpired):
            self.wait(0)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Return the exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        if self.returncode is None:
            if not select.select([self._ended], [], [], timeout)[0]:
                raise subprocess.TimeoutExpired(f"process {self.pid}", timeout or 0)
            said = self._ended.recv(LENGTH)
            assert said, "the nursery is gone"
            self.returncode = int(said)
            self._ended.close()
        return self.returncode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)


class Nursery:
    """Starts hubs, until it is closed."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs:
            command = [sys.executable, "-m", "tests.nursery", str(theirs.fileno())]
            self._process = subprocess.Popen(command, cwd=ROOT, pass_fds=[theirs.fileno()])
        self._socket = ours
        self._lock = threading.Lock()

    def start(self, arguments: Sequence[str], environ: Mapping[str, str], log: BinaryIO) -> Child:
        """Start the hub's command with `arguments`; `log` is its standard error."""
        request = json.dumps([list(arguments), dict(environ), str(Path.cwd())]).encode()
        assert len(request) < REQUEST_MAX
        read, write = os.pipe()
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        with theirs, self._lock:
            try:
                files = [write, log.fileno(), theirs.fileno()]
                socket.send_fds(self._socket, [request], files)
            finally:
                os.close(write)
            pid = int(self._socket.recv(LENGTH))
        return Child(pid, os.fdopen(read, "rb"), ours)

    def close(self) -> None:
        self._socket.close()
        self._process.wait()


@cache
def nursery() -> Nursery:
    """Return the nursery of this process; `conftest` closes it when the last test has ended."""
    return Nursery()


def serve(channel: socket.socket) -> list[str] | None:
    """Answer requests until the other side is gone; returns in each child, what it is to run."""
    running: dict[int, tuple[int, socket.socket]] = {}
    while True:
        for readable in select.select([channel, *running], [], [])[0]:
            if readable is not channel:
                _bury(readable, *running.pop(readable))
                continue
            request, files, _, _ = socket.recv_fds(channel, REQUEST_MAX, 3)
            if not request:
                for pid, _ in running.values():
                    os.kill(pid, signal.SIGKILL)
                return None
            pid = os.fork()
            if not pid:
                _forget(channel, running, files[2])
                return _become(*json.loads(request), *files[:2])
            for file in files[:2]:
                os.close(file)
            running[os.pidfd_open(pid)] = pid, socket.socket(fileno=files[2])
            channel.send(str(pid).encode())


def _forget(channel: socket.socket, running: Mapping[int, Any], waiting: int) -> None:
    """Close what is the nursery's own."""
    channel.close()
    for file, (_, other) in running.items():
        os.close(file)
        other.close()
    os.close(waiting)


def _become(arguments: list[str], environ: dict[str, str], folder: str, *files: int) -> list[str]:
    """Make this process what a shell would have made it."""
    for number, file in enumerate(files, start=1):
        os.dup2(file, number)
        os.close(file)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environ)
    time.tzset()
    if names.NAMES in environ:
        names.install(environ[names.NAMES])
    return arguments


def _bury(file: int, pid: int, waiting: socket.socket) -> None:
    os.close(file)
    _, status = os.waitpid(pid, 0)
    with waiting, suppress(OSError):
        waiting.send(str(os.waitstatus_to_exitcode(status)).encode())


def _imported() -> Any:
    """Import what any hub of a test may come to need, and return the command."""
    import aigne_hub.cli.serve  # noqa: F401, PLC0415 - only here, in the nursery itself
    from aigne_hub import gateway, providers  # noqa: PLC0415 - as above
    from aigne_hub.cli import main  # noqa: PLC0415 - as above

    for package in (gateway, providers):
        for module in walk_packages(package.__path__, f"{package.__name__}."):
            import_module(module.name)
    for name in ("server.backend", "server.order_watch", "storage.postgres", "web.app"):
        import_module(f"aigne_hub.{name}")
    return main


if __name__ == "__main__":
    command = _imported()
    gc.freeze()  # what every child has in common, no collection touches
    arguments = serve(socket.socket(fileno=int(sys.argv[1])))
    if arguments is not None:
        sys.argv = [str(ROOT / "src/aigne_hub/__main__.py"), *arguments]
        sys.exit(command(arguments))
