"""Several serving processes over one address and one database."""

import http.client
import json
import re
import socket
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psutil
import pytest
from tests.caller import Reply, ask, begun, chat
from tests.conftest import config_for
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, assert_prompt
from tests.upstream.client import FakeUpstream

QUICK = "gpt-4o-mini"
SLOW = "gpt-slow:50+long:400"
WORKERS = 2
REVOKED_S = 1.0


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    billing = {"enabled": True, "new_user_credits": "100000"}
    config = config_for(upstream, models=[QUICK, SLOW], billing=billing)
    folder = tmp_path_factory.mktemp("workers") / "hub"
    url = database_for(database)
    with HubProcess(folder, config, workers=WORKERS, database_url=url) as running:
        yield running
        assert_settled(running)
        assert running.stop() == 0


def workers(hub: HubProcess) -> dict[int, psutil.Process]:
    assert hub.process is not None
    return {child.pid: child for child in psutil.Process(hub.process.pid).children()}


def serving(worker: psutil.Process, port: int) -> int:
    """Return how many connections a worker has with clients now."""
    connections = [c for c in worker.net_connections("tcp") if c.laddr.port == port]
    return sum(connection.status == psutil.CONN_ESTABLISHED for connection in connections)


def call(hub: HubProcess, *, key: str | None = None) -> Reply:
    return ask(hub, f"openai/{QUICK}", key=key, max_tokens=5)


def test_workers_share_the_connections_that_come_at_once(hub: HubProcess):
    """The kernel wakes them all; one that took whatever waits would have every caller."""
    count = 600
    running = workers(hub).values()
    with ExitStack() as stack:
        for worker in running:
            worker.suspend()
            stack.callback(worker.resume)
        for _ in range(count):
            stack.enter_context(socket.create_connection(("127.0.0.1", hub.port)))
        for worker in running:
            worker.resume()
        deadline = time.monotonic() + PATIENCE_S
        while True:
            shares = [serving(worker, hub.port) for worker in running]
            if sum(shares) >= count:
                break
            assert time.monotonic() < deadline
            time.sleep(0.05)
    # One that is not scheduled for a millisecond lets the other take its turn.
    assert min(shares) > count / 4, shares


class Streams:
    """Streams that are read on threads until they break or are given up."""

    def __init__(self, hub: HubProcess, count: int) -> None:
        self._hub = hub
        self._begun = threading.Semaphore(0)
        self._enough = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(count)]
        for thread in self._threads:
            thread.start()
        for _ in self._threads:
            assert self._begun.acquire(timeout=PATIENCE_S)

    def _run(self) -> None:
        body = json.dumps(chat(f"openai/{SLOW}", stream=True, max_tokens=400)).encode()
        began = False
        try:
            with begun(self._hub, "/v1/chat/completions", body) as answer:
                while (line := answer.readline()) and not self._enough.is_set():
                    if b'"content":"w' in line and not began:
                        began = True
                        self._begun.release()
        except (OSError, http.client.HTTPException):
            pass

    def stop(self) -> None:
        self._enough.set()
        for thread in self._threads:
            thread.join(PATIENCE_S)
            assert not thread.is_alive()


def together(hub: HubProcess, count: int) -> list[Reply]:
    """Return the answers to calls made at once, on a connection each."""
    replies: list[Reply] = []
    threads = [threading.Thread(target=lambda: replies.append(call(hub))) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE_S)
    assert len(replies) == count
    return replies


def test_both_serve(hub: HubProcess):
    before = {pid: worker.cpu_times().user for pid, worker in workers(hub).items()}
    assert len(before) == WORKERS
    after = before
    for _ in range(100):
        assert {reply.status for reply in together(hub, 20)} == {200}
        after = {pid: worker.cpu_times().user for pid, worker in workers(hub).items()}
        if all(after[pid] > used + 0.02 for pid, used in before.items()):
            break
    else:
        pytest.fail(f"one worker serves nothing: {before} {after}")


def test_metrics_are_reachable(hub: HubProcess):
    for _ in range(5):
        with urllib.request.urlopen(f"{hub.address}/metrics", timeout=60) as answer:
            text = answer.read().decode()
        assert re.search(r"^aigne_hub_journal_batches_total \d", text, re.MULTILINE)


def test_a_revoked_key_stops_in_both(hub: HubProcess):
    def attempt() -> float:
        """Return how long after its revocation a key was last good for a call."""
        made = hub.cli("keys", "create", "--user", hub.user)
        key = made["key"]
        assert {call(hub, key=key).status for _ in range(10)} == {200}
        hub.cli("keys", "revoke", made["id"])
        revoked = served = time.monotonic()
        refused_in_a_row = 0
        while refused_in_a_row < 20:
            began = time.monotonic()
            assert began < revoked + PATIENCE_S
            status = call(hub, key=key).status
            assert status in {200, 401}
            served = began if status == 200 else served
            refused_in_a_row = refused_in_a_row + 1 if status == 401 else 0
        return served - revoked

    assert_prompt(attempt, REVOKED_S)


def test_a_killed_worker_is_replaced_and_its_calls_are_closed(hub: HubProcess):
    known = {call["id"] for call in hub.calls()}
    streams = Streams(hub, 12)
    old = workers(hub)
    (others, survivor), (own, killed) = sorted(
        ((serving(worker, hub.port), worker) for worker in old.values()), key=lambda each: each[0]
    )
    assert own + others == 12
    killed.kill()
    assert {reply.status for reply in together(hub, 10)} == {200}  # the other goes on serving
    deadline = time.monotonic() + PATIENCE_S
    while True:
        calls = [call for call in hub.calls() if call["id"] not in known]
        interrupted = [call for call in calls if call["outcome"] == "interrupted"]
        if len(interrupted) == own:
            break
        assert time.monotonic() < deadline
        time.sleep(0.05)
    running = [call for call in calls if call["status"] == "processing"]
    assert len(running) == others  # nobody closed what the survivor still serves
    for each in interrupted:
        assert (each["status"], each["usage_source"]) == ("failed", "counted")
        cost = each["input_tokens"] * 0.001 + each["output_tokens"] * 0.002
        assert float(each["credits"]) == pytest.approx(cost)
    new = workers(hub)
    assert len(new) == WORKERS
    assert survivor.pid in new
    assert killed.pid not in new
    assert {reply.status for reply in together(hub, 20)} == {200}
    streams.stop()
    hub.calls_when_closed(len(known) + 12 + 30)
