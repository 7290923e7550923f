"""What a process tree has used, as the operating system counted it (proc(5))."""

import contextlib
import os
from collections import defaultdict
from pathlib import Path

TICKS_PER_S = os.sysconf("SC_CLK_TCK")
# Positions in /proc/<pid>/stat, counted after the command's name, which may hold spaces.
PARENT, UTIME, STIME, CUTIME, CSTIME = 1, 11, 12, 13, 14
NS_PER_S = 1_000_000_000


def _stat(pid: int) -> list[str] | None:
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):  # it ended meanwhile
        return None
    return text[text.rindex(")") + 2 :].split()


def tree(root: int) -> dict[int, list[str]]:
    """Return the stat fields of `root` and all its living descendants, by pid."""
    stats = {
        pid: fields
        for pid in (int(entry.name) for entry in Path("/proc").iterdir() if entry.name.isdigit())
        if (fields := _stat(pid)) is not None
    }
    children: defaultdict[int, list[int]] = defaultdict(list)
    for pid, fields in stats.items():
        children[int(fields[PARENT])].append(pid)
    found: dict[int, list[str]] = {}
    waiting = [root]
    while waiting:
        pid = waiting.pop()
        if pid in stats:
            found[pid] = stats[pid]
            waiting += children[pid]
    return found


def cpu_seconds(root: int) -> float:
    """Return user and system time of the tree since it began, children that ended included.

    To the nanosecond where the kernel says so for each thread; threads that end are not missed
    as long as none does between two readings.
    """
    return sum(map(_seconds, tree(root).items()))


def _seconds(process: tuple[int, list[str]]) -> float:
    pid, fields = process
    ended = sum(map(int, fields[CUTIME : CSTIME + 1])) / TICKS_PER_S
    try:
        threads = list(Path(f"/proc/{pid}/task").iterdir())
        running = sum(int((task / "schedstat").read_text().split()[0]) for task in threads)
    except (FileNotFoundError, ProcessLookupError):
        running = 0
    if running:
        return ended + running / NS_PER_S
    return ended + sum(map(int, fields[UTIME : STIME + 1])) / TICKS_PER_S


def open_files(root: int) -> int:
    """Return how many file descriptors the tree has open."""
    total = 0
    for pid in tree(root):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            total += sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir())
    return total


def rss_mib(root: int) -> float:
    """Return the tree's resident memory; pages that processes share count once for each."""
    total_kib = 0
    for pid in tree(root):
        try:
            lines = Path(f"/proc/{pid}/status").read_text().splitlines()
        except (FileNotFoundError, ProcessLookupError):
            continue
        total_kib += sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS:"))
    return total_kib / 1024
