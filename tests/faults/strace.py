"""Kill a process exactly at its N-th system call of a kind, by strace's injection.

The signal arrives when the call is entered, and a deadly one keeps it from being made. strace
counts the calls of each thread by itself.
"""

import os
import re
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

# What makes a SQLite file durable, and what a client of PostgreSQL says and hears.
DURABLE = ("pwrite64", "fsync", "fdatasync", "ftruncate")
TALKING = ("sendto", "recvfrom")
ATTACH_S = 60.0
_CALL = re.compile(r"^(?:[0-9]+ +)?([a-z0-9]+)\(")


@dataclass(frozen=True, slots=True)
class Point:
    """The `number`-th `syscall` of a thread; with `file` only calls on that file count."""

    syscall: str
    number: int
    file: str | None = None

    def killing(self, number: signal.Signals = signal.SIGKILL) -> list[str]:
        return ["-e", f"inject={self.syscall}:signal={number.name}:when={self.number}"]


@contextmanager
def attached(pid: int, out: Path, *options: str) -> Iterator[subprocess.Popen[str]]:
    """Trace a running process from now on; without `-f` its main thread alone."""
    command = ["strace", "-o", str(out), *options, "-p", str(pid)]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        try:
            yield tracer
        finally:
            tracer.terminate()
            tracer.wait(ATTACH_S)


def started(command: list[str], out: Path, *options: str) -> list[str]:
    """Return the command that runs `command` traced from its first system call.

    Not with --seccomp-bpf, which is quicker: with it no signal is ever injected.
    """
    return ["strace", "-f", "-qq", "-o", str(out), *options, *command]


def kill_child(tracer: int) -> None:
    """Kill the process that a tracer has started."""
    (child,) = Path(f"/proc/{tracer}/task/{tracer}/children").read_text().split()
    os.kill(int(child), signal.SIGKILL)


def watching(*syscalls: str, path: str | None = None) -> list[str]:
    """Return the options that trace `syscalls` of the main thread, or of all on `path`."""
    return [*(("-f", "-P", path) if path else ()), "-e", f"trace={','.join(syscalls)}"]


def counted(out: Path) -> Counter[str]:
    """Return how often each system call was begun."""
    calls = (_CALL.match(line) for line in out.read_text().splitlines())
    return Counter(call[1] for call in calls if call)


def spread(count: int, wanted: int | None) -> list[int]:
    """Return `wanted` of the numbers 1 to `count` at even distances; all of them for None."""
    if wanted is None or wanted >= count:
        return list(range(1, count + 1))
    return [1 + index * count // wanted for index in range(wanted)]


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
