"""PostgreSQL that ends sessions, crashes, or whose answers are lost: once each, or not at all."""

import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy.engine import make_url
from tests.caller import Reply, ask
from tests.conftest import config_for
from tests.databases import Postgres, create_database
from tests.faults.postgres_proxy import Proxy, proxied
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, assert_prompt, until
from tests.upstream.client import FakeUpstream

QUICK = "gpt-4o-mini"
WORDS = 60
SLOW = f"gpt-slow:40+long:{WORDS}"  # 2.4 seconds
CALLERS = 8
REFUSED_S = 1.5


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server of this module's own, to be treated badly."""
    running = Postgres()
    yield running
    running.cleanup()


@pytest.fixture(scope="module")
def proxy(server: Postgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxy]:
    with proxied(tmp_path_factory.mktemp("proxy"), server.socket, every=7) as running:
        yield running


@pytest.fixture(scope="module")
def hub(
    server: Postgres,
    proxy: Proxy,
    upstream: FakeUpstream,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[HubProcess]:
    """A hub that reaches the server through the proxy; the tests reach it straight."""
    url = create_database(server.uri, "hub", template="template0")
    billing = {"enabled": True, "new_user_credits": "100000"}
    config = config_for(upstream, models=[QUICK, SLOW], billing=billing, rates={"request": "1"})
    folder = tmp_path_factory.mktemp("hub")
    hub = HubProcess(folder, config, workers=2, database_url=url, start=False)
    through = make_url(url).set(query={"host": str(proxy.folder)})
    hub.database_url = through.render_as_string(hide_password=False)
    with hub:
        hub.start()
        hub.database_url = url
        yield hub


@pytest.fixture(scope="module")
def replies() -> list[Reply]:
    """Every answer that any test of this module had."""
    return []


@contextmanager
def loaded(hub: HubProcess, replies: list[Reply]) -> Iterator[None]:
    """Let callers call, one stream in four, until the block ends."""
    enough = threading.Event()

    def work(number: int) -> None:
        streamed = number % 4 == 0
        model = f"openai/{SLOW if streamed else QUICK}"
        while not enough.is_set():
            replies.append(ask(hub, model, stream=streamed))

    callers = [threading.Thread(target=work, args=(number,)) for number in range(CALLERS)]
    for caller in callers:
        caller.start()
    try:
        yield
    finally:
        enough.set()
        for caller in callers:
            caller.join(PATIENCE_S)
            assert not caller.is_alive()


def readiness(hub: HubProcess) -> int:
    try:
        with urllib.request.urlopen(f"{hub.address}/health/ready", timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        with error:
            return error.code


def until_ready(hub: HubProcess) -> None:
    until(lambda: readiness(hub) == 200)


def assert_exact(hub: HubProcess, replies: list[Reply]) -> None:
    """Assert that each call that was answered is charged once, and no other is charged."""
    assert {reply.status for reply in replies} <= {200, 503}
    served = [reply for reply in replies if reply.status == 200]
    assert all(reply.done for reply in served if reply.streamed)
    charged = {call["id"]: call for call in hub.calls(limit=1_000_000) if call["credits"] != "0"}
    assert {reply.call_id for reply in served} == set(charged)
    assert {(call["outcome"], call["credits"]) for call in charged.values()} == {("completed", "1")}
    balance = hub.balance()
    assert (balance["spent"], balance["held"]) == (str(len(served)), "0")
    assert_settled(hub)


def test_commits_whose_answer_or_request_is_lost(
    hub: HubProcess, proxy: Proxy, replies: list[Reply]
):
    proxy.losing = True
    with loaded(hub, replies):
        until(lambda: min(proxy.lost.values()) >= 2)
    proxy.losing = False
    until_ready(hub)
    assert_exact(hub, replies)


def test_sessions_that_are_ended_under_load(
    hub: HubProcess, server: Postgres, replies: list[Reply]
):
    ended = 0
    with loaded(hub, replies):
        deadline = time.monotonic() + PATIENCE_S
        while ended <= 15:
            assert time.monotonic() < deadline
            time.sleep(0.1)
            rows = server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name LIKE 'aigne-hub%%'"
            )
            ended += len(rows)
    until_ready(hub)
    assert_exact(hub, replies)


def test_a_server_that_crashes_under_load(hub: HubProcess, server: Postgres, replies: list[Reply]):
    with loaded(hub, replies):
        for _ in range(2):
            time.sleep(0.5)
            server.stop()
            time.sleep(0.5)
            server.start()
            until_ready(hub)
    assert_exact(hub, replies)


def refused_after(hub: HubProcess, key: str | None) -> float:
    """Return how long a call took to be refused."""
    began = time.monotonic()
    refused = ask(hub, f"openai/{QUICK}", key=key)
    assert (refused.status, refused.error["code"]) == (503, "overloaded")
    return time.monotonic() - began


def test_a_server_that_is_away(
    hub: HubProcess, server: Postgres, upstream: FakeUpstream, replies: list[Reply]
):
    unseen = hub.cli("keys", "create", "--user", hub.user)["key"]
    upstream.reset()
    streams: list[Reply] = []
    reader = threading.Thread(
        target=lambda: streams.append(ask(hub, f"openai/{SLOW}", stream=True))
    )
    reader.start()
    upstream.log_when(lambda records: bool(records) and records[0]["chunks_sent"] > 2)
    server.stop()
    try:
        for key in (None, unseen):
            assert_prompt(lambda key=key: refused_after(hub, key), REFUSED_S)
        assert readiness(hub) == 503
        upstream.log_when(lambda records: records[0]["chunks_sent"] == WORDS)
        assert reader.is_alive()  # its last byte waits for its settlement
    finally:
        server.start()
    until_ready(hub)
    reader.join(PATIENCE_S)
    assert streams[0].done
    assert len(upstream.log()) == 1
    replies += [*streams, ask(hub, f"openai/{QUICK}")]
    assert_exact(hub, replies)
