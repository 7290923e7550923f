"""Which serving processes live: a lock a process holds, not a clock it keeps."""

import asyncio
import fcntl
import os
from collections.abc import AsyncIterator, Iterable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Protocol

_SUFFIX = ".lock"
# How often a lock is tried that another process holds.
RETRY_S = 0.02


class Liveness(Protocol):
    """Who lives on a database, and who does a task for all. Implementations: files, PostgreSQL."""

    def dead(self, process_ids: Iterable[str]) -> list[str]:
        """Return those processes that certainly live no more. May wait for the database."""
        ...

    def alone(self, task: str, *, wait: bool = True) -> AbstractAsyncContextManager[bool]:
        """Run a task in one process at a time.

        Gives False when another has it and `wait` is off.
        """
        ...

    def release(self) -> None:
        """End this process's own life: it has no call open."""
        ...


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


class FileLocks:
    """Liveness over the lock files beside a SQLite database."""

    def __init__(self, folder: Path, process_id: str) -> None:
        self._folder = folder
        self._own = ProcessLock(folder, process_id)

    def dead(self, process_ids: Iterable[str]) -> list[str]:
        return dead(self._folder, process_ids)

    @asynccontextmanager
    async def alone(self, task: str, *, wait: bool = True) -> AsyncIterator[bool]:
        fd = os.open(self._folder / f"{task}.task", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            mine = _locked(fd)
            while wait and not mine:
                await asyncio.sleep(RETRY_S)
                mine = _locked(fd)
            yield mine
        finally:
            os.close(fd)

    def release(self) -> None:
        self._own.release()


def folder_of(database: Path) -> Path:
    """Return where the processes on a SQLite file keep their locks.

    Beside the file, however it is spelled: every process that can open the database must see
    who else lives on it, whatever data directory it was started with.
    """
    return database.resolve().parent / "processes"


def dead(folder: Path, process_ids: Iterable[str]) -> list[str]:
    """Return those processes that hold no lock any more, and clear their files away."""
    return [each for each in process_ids if ended(folder, each) is not False]


def ended(folder: Path, process_id: str) -> bool | None:
    """Tell whether a process has ended, clearing its file away; None when it left no file."""
    path = folder / f"{process_id}{_SUFFIX}"
    try:
        fd = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        if not _locked(fd):
            return False
        path.unlink(missing_ok=True)
    finally:
        os.close(fd)
    return True


def _locked(fd: int) -> bool:
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
