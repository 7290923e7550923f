"""A disk that is full, or broken, a database that is locked: refused before the upstream."""

import json
import os
import resource
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from tests.caller import Reply, ask
from tests.conftest import config_for
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, assert_prompt, seconds_of, until
from tests.upstream.client import FakeUpstream

from aigne_hub.storage.engine import sqlite_module

QUICK = "gpt-4o-mini"
WORDS = 20
SLOW = f"gpt-slow:100+long:{WORDS}"  # two seconds
DISK = "16m"
CALLS_MAX = 2_000
REFUSED_S = 1.5  # once the trouble is known
AT_ONCE_S = 0.1
NOTICED_S = 1.2


@pytest.fixture(scope="module")
def disk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A file system of its own, small enough to fill."""
    if os.geteuid() != 0:
        pytest.fail("mounting a small tmpfs as the data directory takes root")
    folder = tmp_path_factory.mktemp("disk")
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK}", "hub", folder], check=True)
    yield folder
    subprocess.run(["umount", folder], check=True)


def config(upstream: FakeUpstream) -> dict[str, Any]:
    billing = {"enabled": True, "new_user_credits": "100000"}
    return config_for(upstream, models=[QUICK, SLOW], billing=billing)


@pytest.fixture(scope="module")
def served(disk: Path, upstream: FakeUpstream) -> Iterator[HubProcess]:
    with HubProcess(disk, config(upstream)) as running:
        yield running
        running.verified()
        assert running.stop() == 0


@pytest.fixture
def hub(served: HubProcess, upstream: FakeUpstream) -> Iterator[HubProcess]:
    upstream.reset()
    yield served
    until(lambda: all(call["status"] != "processing" for call in served.calls()))
    assert_settled(served)


@contextmanager
def filled(disk: Path) -> Iterator[None]:
    """Take all space that is left, to the last byte."""
    filler = disk / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            for size in (65_536, 1):
                try:
                    while True:
                        file.write(b"\0" * size)
                except OSError:
                    pass
        yield
    finally:
        filler.unlink()


@contextmanager
def locked(hub: HubProcess) -> Iterator[None]:
    """Hold the write lock, as another program would that opened the database."""
    module: Any = sqlite_module()
    connection = module.connect(str(hub.folder / "hub.db"), isolation_level=None)
    connection.execute("PRAGMA busy_timeout=5000")
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    finally:
        connection.execute("ROLLBACK")
        connection.close()


@contextmanager
def broken(hub: HubProcess) -> Iterator[None]:
    """Let every write beyond a file's first bytes fail, as on a broken disk."""
    assert hub.process is not None
    before = resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        yield
    finally:
        resource.prlimit(hub.process.pid, resource.RLIMIT_FSIZE, before)


def readiness(hub: HubProcess) -> tuple[int, str]:
    """Return the status of /health/ready and what it says is wrong."""
    try:
        with urllib.request.urlopen(f"{hub.address}/health/ready", timeout=60) as answer:
            status, body = answer.status, answer.read()
    except urllib.error.HTTPError as error:
        with error:
            status, body = error.code, error.read()
    return status, "; ".join(c["detail"] for c in json.loads(body)["checks"] if not c["ok"])


def call(hub: HubProcess) -> Reply:
    return ask(hub, f"openai/{QUICK}", max_tokens=5)


def until_refused(hub: HubProcess) -> tuple[Reply, int]:
    """Call until a call is refused; return that answer and how many were served before.

    For up to a second a full disk is not noticed while the write-ahead log has room.
    """
    for served in range(CALLS_MAX):
        reply = call(hub)
        if reply.status != 200:
            return reply, served
    raise AssertionError(f"{CALLS_MAX} calls were served")


def assert_refused(reply: Reply) -> None:
    assert reply.status == 503
    assert reply.error["code"] == "overloaded"
    assert int(reply.headers["retry-after"]) >= 1
    assert reply.headers["x-aigne-hub-credits"] == "0"


def assert_recovers(hub: HubProcess) -> None:
    until(lambda: readiness(hub)[0] == 200)
    assert call(hub).status == 200


class Call:
    """A call whose answer is read on a thread, to its end."""

    def __init__(self, hub: HubProcess, model: str) -> None:
        self.reply: Reply | None = None
        self._hub = hub
        self._model = model
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def _run(self) -> None:
        stream = self._model == SLOW
        self.reply = ask(self._hub, f"openai/{self._model}", stream=stream, max_tokens=50)

    @property
    def running(self) -> bool:
        return self._thread.is_alive()

    def join(self) -> Reply:
        self._thread.join(PATIENCE_S)
        assert self.reply is not None
        return self.reply


def assert_whole(hub: HubProcess, stream: Call) -> None:
    reply = stream.join()
    assert reply.done
    assert reply.text.split() == [f"w{number}" for number in range(WORDS)]
    (record,) = [record for record in hub.calls() if record["id"] == reply.call_id]
    assert record["outcome"] == "completed"
    assert record["output_tokens"] == WORDS


def begun(upstream: FakeUpstream) -> None:
    upstream.log_when(lambda records: records[0]["chunks_sent"] > 2 if records else False)


def test_a_full_disk(hub: HubProcess, disk: Path, upstream: FakeUpstream):
    stream = Call(hub, SLOW)
    begun(upstream)
    with filled(disk):
        reply, served = until_refused(hub)
        assert_refused(reply)
        status, detail = readiness(hub)
        assert (status, "full" in detail) == (503, True), detail
        time.sleep(NOTICED_S)
        asked = len(upstream.log())
        assert_prompt(lambda: seconds_of(lambda: assert_refused(call(hub))), AT_ONCE_S)
        assert len(upstream.log()) == asked == 1 + served
    assert_recovers(hub)
    assert_whole(hub, stream)
    assert len(upstream.log()) == served + 2


def test_a_locked_database(hub: HubProcess, upstream: FakeUpstream):
    stream = Call(hub, SLOW)
    begun(upstream)
    with locked(hub):
        status, detail = readiness(hub)
        assert (status, "lock" in detail) == (503, True), detail
        assert_refused(call(hub))
        assert_prompt(lambda: seconds_of(lambda: assert_refused(call(hub))), REFUSED_S)
        assert readiness(hub) == (503, "the database is locked")
        assert stream.running
        assert len(upstream.log()) == 1
    assert_recovers(hub)
    assert_whole(hub, stream)


def test_a_lock_that_is_soon_released_is_only_waited_for(hub: HubProcess):
    with locked(hub):
        waiting = Call(hub, QUICK)
        time.sleep(0.5)
        assert waiting.running
    assert waiting.join().status == 200


def test_a_broken_disk(hub: HubProcess, upstream: FakeUpstream):
    stream = Call(hub, SLOW)
    begun(upstream)
    with broken(hub):
        reply, served = until_refused(hub)
        assert_refused(reply)
        status, detail = readiness(hub)
        assert (status, "I/O error" in detail) == (503, True), detail
        assert len(upstream.log()) == 1 + served
        upstream.log_when(lambda records: records[0]["chunks_sent"] == WORDS)
        time.sleep(0.5)
        assert stream.running  # all content has come, and waits for its settlement
    assert_recovers(hub)
    assert_whole(hub, stream)


def test_a_read_only_directory_is_refused_at_start(served: HubProcess, disk: Path):
    assert served.stop() == 0
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        done = subprocess.run(
            [sys.executable, "-m", "aigne_hub", "serve", "--data-dir", disk, "--port", "0"],
            env=served.environment(),
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)
    assert done.returncode > 0
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "writable" in done.stderr
    served.start()
    assert call(served).status == 200
