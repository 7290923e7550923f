"""Which serving processes live: a lock a process holds, not a clock it keeps."""

import fcntl
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

_SUFFIX = ".lock"


class ProcessLock:
    """A lock file held for the life of a process; the kernel releases it however it dies."""

    def __init__(self, folder: Path, process_id: str) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._path = folder / f"{process_id}{_SUFFIX}"
        self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def release(self) -> None:
        self._path.unlink(missing_ok=True)
        os.close(self._fd)


def folder_of(database: Path) -> Path:
    """Return where the processes on a SQLite file keep their locks.

    Beside the file, however it is spelled: every process that can open the database must see
    who else lives on it, whatever data directory it was started with.
    """
    return database.resolve().parent / "processes"


@contextmanager
def alone(folder: Path, task: str, *, wait: bool = True) -> Iterator[bool]:
    """Run a task in one process at a time; gives False when another has it and `wait` is off."""
    fd = os.open(folder / f"{task}.task", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(fd)
        yield False
        return
    try:
        yield True
    finally:
        os.close(fd)


def dead(folder: Path, process_ids: Iterable[str]) -> list[str]:
    """Return those processes that hold no lock any more, and clear their files away."""
    found = []
    for process_id in process_ids:
        path = folder / f"{process_id}{_SUFFIX}"
        try:
            fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except FileNotFoundError:
            found.append(process_id)
            continue
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            continue
        else:
            found.append(process_id)
            path.unlink(missing_ok=True)
        finally:
            os.close(fd)
    return found
