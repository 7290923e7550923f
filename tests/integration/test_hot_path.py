"""The hot path does not grow unnoticed: its work is counted, and never timed.

The limits are in `tests/hot_path.py`.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest
import yaml
from sqlalchemy import Engine
from tests import hot_path
from tests.faults import strace
from tests.integration.journaling import ONE, add_customer, give, journal, opening, settling, whole
from tests.lockstep import Lockstep

from aigne_hub.storage import engine
from aigne_hub.storage.journal import GroupCommitJournal
from aigne_hub.storage.postgres_session import Session

ROOT = Path(__file__).parents[2]
COUNTED_S = 240
# One block of steps without the process's periodic duties is enough, and is found among so many
# however slow the machine: the smaller a block, the fewer duties fall into it.
BLOCKS = 30
CALLS = 10
CHUNKS = 20
WAITING = {"epoll_wait", "epoll_pwait", "futex", "restart_syscall", "clock_gettime"}
# Of SQLite's files; how many pages a call touches depends on where its rows come to lie.
FILES = {"pwrite64", "pread64", "fsync", "fdatasync", "ftruncate", "fcntl", "fstat", "getpid"}
# The loop is woken for what is periodic by a write and a read of its own.
ALARMS = 2
# Calls that travel in one batch.
BATCH = 40


def command(what: str, folder: Path) -> list[str]:
    return [sys.executable, "-m", "tests.counted_hub", what, str(folder)]


def environment() -> dict[str, str]:
    """Return this process's, without what would have its children measured for coverage."""
    hooks = ("COV_", "COVERAGE_")
    return {name: value for name, value in os.environ.items() if not name.startswith(hooks)}


@pytest.fixture(scope="module")
def counted(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What a warm call and a chunk are, by kind of work."""
    done = subprocess.run(
        command("count", tmp_path_factory.mktemp("counted")),
        cwd=ROOT,
        env=environment(),
        capture_output=True,
        text=True,
        timeout=COUNTED_S,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    result: dict[str, dict[str, float]] = json.loads(done.stdout)
    return result


def test_a_call_is_no_more_work_than_it_was(counted: dict[str, dict[str, float]]):
    call = counted["call"]
    assert 0 < call["opcodes"] <= hot_path.CALL_OPCODES_MAX
    assert 0 < call["c_calls"] <= hot_path.CALL_C_CALLS_MAX


def test_a_chunk_is_no_more_work_than_it_was(counted: dict[str, dict[str, float]]):
    chunk = counted["chunk"]
    assert 0 < chunk["opcodes"] <= hot_path.CHUNK_OPCODES_MAX
    assert 0 < chunk["c_calls"] <= hot_path.CHUNK_C_CALLS_MAX
    assert chunk["statements"] == 0


def test_a_warm_call_is_two_commits_and_reads_nothing(counted: dict[str, dict[str, float]]):
    call = counted["call"]
    assert call["reads"] == hot_path.CALL_READS_MAX
    assert call["commits"] == hot_path.CALL_COMMITS_MAX
    assert 0 < call["statements"] <= hot_path.CALL_STATEMENTS_MAX


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[int, Callable[[], None], Lockstep, str, int]]:
    """A hub that serves: its process, and what drives it."""
    with Lockstep() as lockstep:
        (tmp_path / "hub.yaml").write_text(yaml.safe_dump(lockstep.config()))
        with subprocess.Popen(
            command("serve", tmp_path),
            cwd=ROOT,
            env=environment(),
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            try:
                assert process.stdout is not None
                port, key = process.stdout.readline().split()
                for _ in range(CALLS):
                    lockstep.call(int(port), key)
                yield process.pid, lambda: lockstep.call(int(port), key), lockstep, key, int(port)
            finally:
                process.terminate()


def assert_few_system_calls(
    pid: int,
    folder: Path,
    step: Callable[[], None],
    times: int,
    few: Callable[[Counter[str]], bool],
) -> None:
    """Assert that there is a block of steps whose system calls are `few`."""
    found = []
    for block in range(BLOCKS):
        out = folder / f"calls-{block}"
        with strace.attached(pid, out, "-f"):
            for _ in range(times):
                step()
        counts = strace.counted(out)
        for name in WAITING:
            del counts[name]
        assert counts.total() >= times
        if few(counts):
            return
        found.append(counts)
    raise AssertionError(min(found, key=Counter.total))


def test_a_call_and_a_chunk_make_few_system_calls(
    served: tuple[int, Callable[[], None], Lockstep, str, int], tmp_path: Path
):
    pid, call, lockstep, key, port = served

    def few(calls: Counter[str]) -> bool:
        assert calls["fdatasync"] + calls["fsync"] >= 2 * CALLS
        others = sum(count for name, count in calls.items() if name not in FILES)
        return (
            others <= hot_path.CALL_SOCKET_CALLS_MAX * CALLS + ALARMS
            and calls.total() <= hot_path.CALL_SYSTEM_CALLS_MAX * CALLS
        )

    assert_few_system_calls(pid, tmp_path, call, CALLS, few)
    with lockstep.stream(port, key) as stream:
        for _ in range(CHUNKS):
            stream.chunk()
        most = hot_path.CHUNK_SYSTEM_CALLS_MAX * CHUNKS
        assert_few_system_calls(
            pid, tmp_path, stream.chunk, CHUNKS, lambda chunks: chunks.total() <= most
        )


@pytest.fixture
def database(database_url: str) -> Iterator[Engine]:
    opened = engine.create_engine(database_url)
    add_customer(opened)
    give(opened, 10_000 * ONE)
    yield opened
    opened.dispose()


class Asked:
    """What a journal asks its database for one batch."""

    def __init__(self, database: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
        self.sqlite = database.dialect.name == "sqlite"
        self.words = Counter[str]()
        self.journeys: list[int] = []
        run = Session.run

        async def counting(session: Session, requests: Any) -> Any:
            self.journeys.append(len(requests))
            return await run(session, requests)

        monkeypatch.setattr(Session, "run", counting)

    def watch(self, books: GroupCommitJournal) -> None:
        if self.sqlite:
            connection: Any = books._store._connection
            connection.set_trace_callback(lambda text: self.words.update([text.split()[0]]))

    def little(self, rows: int) -> bool:
        """Whether it was; what is done once a second would make it more."""
        if not self.sqlite:
            return (
                0 < len(self.journeys) <= hot_path.POSTGRES_JOURNEYS_MAX
                and sum(self.journeys) <= hot_path.POSTGRES_REQUESTS_MAX
            )
        words = self.words.copy()
        assert words.pop("BEGIN") == words.pop("COMMIT") == 1
        reads = words.pop("SELECT")
        most = rows * BATCH + hot_path.BATCH_ROWS_MAX
        return reads <= hot_path.BATCH_READS_MAX and BATCH < words.total() <= most

    async def by(self, books: GroupCommitJournal, steps: Sequence[Awaitable[Any]]) -> None:
        """Take steps at once, which then are one batch."""
        self.words.clear()
        self.journeys.clear()
        before = books.batches
        await asyncio.gather(*steps)
        assert books.batches == before + 1


async def test_a_batch_reads_an_account_once_and_commits_once(
    database: Engine, monkeypatch: pytest.MonkeyPatch
):
    asked = Asked(database, monkeypatch)
    async with journal(database) as books:
        asked.watch(books)
        await books.open(opening(whole(ONE)))  # the first batch may ask what time it is
        unseen = {"opening", "settling"}
        for _ in range(BLOCKS):
            calls = [opening(whole(ONE)) for _ in range(BATCH)]
            await asked.by(books, [books.open(call) for call in calls])
            if asked.little(hot_path.OPEN_ROWS_MAX):
                unseen -= {"opening"}
            await asked.by(books, [books.settle(settling(call, ONE, ONE)) for call in calls])
            if asked.little(hot_path.SETTLE_ROWS_MAX):
                unseen -= {"settling"}
            if not unseen:
                return
    pytest.fail(f"{unseen} is much work: {asked.words} {asked.journeys}")
