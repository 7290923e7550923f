"""Processes the benchmark starts: waited for by line or port, stopped by their own group."""

import contextlib
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Self

HOST = "127.0.0.1"
START_S = 30.0
STOP_S = 20.0
READ_BYTES = 65_536
FILES_WANTED = 65_536
TAIL_LINES = 15


class StartError(RuntimeError):
    """A process did not come up; the message carries the end of its log."""


class Process:
    """A running process in a session of its own, so that stopping it ends its children too."""

    def __init__(
        self,
        name: str,
        command: list[str],
        folder: Path,
        *,
        environment: dict[str, str] | None = None,
    ) -> None:
        self.name = name
        self.started_at = time.monotonic()
        self._reader: threading.Thread | None = None
        self._log = folder / f"{name}.log"
        with self._log.open("ab") as log:
            self._popen = subprocess.Popen(
                command,
                # A line that waits in a buffer is not seen by `select`.
                bufsize=0,
                stdout=subprocess.PIPE,
                stderr=log,
                stdin=subprocess.DEVNULL,
                env={**os.environ, **(environment or {})},
                start_new_session=True,
            )
        self.pid = self._popen.pid

    def line(self, prefix: str, within_s: float = START_S) -> str:
        """Return the rest of the first output line that starts with `prefix`."""
        output = self._popen.stdout
        assert output is not None
        deadline = time.monotonic() + within_s
        with selectors.DefaultSelector() as selector:
            selector.register(output, selectors.EVENT_READ)
            while selector.select(max(deadline - time.monotonic(), 0)):
                line = output.readline().decode(errors="replace")
                if line.startswith(prefix):
                    self._discard()
                    return line.removeprefix(prefix).strip()
                if not line:
                    break
        raise self._failure(f"did not print {prefix!r} within {within_s:.0f} s")

    def _discard(self) -> None:
        """Read on and throw it away: who fills the pipe would wait for ever."""
        output = self._popen.stdout
        assert output is not None

        def read() -> None:
            with contextlib.suppress(OSError, ValueError):
                while output.read(READ_BYTES):
                    pass

        self._reader = threading.Thread(target=read, daemon=True)
        self._reader.start()

    def port(self, port: int, within_s: float = START_S) -> None:
        """Wait until something accepts connections on `port`."""
        deadline = time.monotonic() + within_s
        while self._popen.poll() is None and time.monotonic() < deadline:
            with contextlib.suppress(OSError), socket.create_connection((HOST, port), 1):
                self._discard()
                return
            time.sleep(0.02)
        raise self._failure(f"did not listen on port {port} within {within_s:.0f} s")

    def stop(self) -> None:
        """End the process and its group: asked first, killed after STOP_S."""
        for number, patience in ((signal.SIGTERM, STOP_S), (signal.SIGKILL, STOP_S)):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.pid, number)
            try:
                self._popen.wait(patience)
                break
            except subprocess.TimeoutExpired:
                continue
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, signal.SIGKILL)
        if self._reader is not None:
            self._reader.join(STOP_S)
        if self._popen.stdout is not None:
            self._popen.stdout.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def _failure(self, what: str) -> StartError:
        code = self._popen.poll()
        tail = "\n".join(self._log.read_text(errors="replace").splitlines()[-TAIL_LINES:])
        ended = "" if code is None else f" (it ended with exit code {code})"
        return StartError(f"{self.name} {what}{ended}\n{tail}".rstrip())


def allow_many_files() -> None:
    """Raise this process's limit of open files, and that of all it starts, as far as it may."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, FILES_WANTED), hard))


def end_when_told() -> None:
    """Let SIGTERM unwind the stack, so that everything that was started is stopped."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


def free_port() -> int:
    """Return a port nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port: int = probe.getsockname()[1]
    return port
