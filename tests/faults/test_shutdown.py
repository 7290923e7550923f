"""SIGTERM drains, SIGHUP reloads, and neither loses a call."""

import json
import re
import signal
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import config_for
from tests.faults.raw_client import RawClient
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, until
from tests.upstream.client import FakeUpstream

BRIEF = "gpt-slow:50+long:20"  # about a second
PATIENT_S = 60  # the drain of a hub whose streams must all be let end, however slow the machine
ENDLESS = "gpt-slow:50+long:20000"
SILENT = "gpt-silent"
FLOOD = "gpt-long:200000"
MODELS = [BRIEF, ENDLESS, SILENT, FLOOD, "gpt-4o-mini"]
DRAIN_S = 2
STREAMS = 20
UNUSABLE = "version: 1\nproviders: [{name: other, kind: nobody}]\n"
BILLING = {"enabled": True, "new_user_credits": "10000"}


class DrainingHub(HubProcess):
    """A hub that waits `drain_s` for its streams."""

    drain_s = DRAIN_S

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "AIGNE_HUB_DRAIN_S": str(self.drain_s)}


class PatientHub(DrainingHub):
    drain_s = PATIENT_S


@pytest.fixture
def config(upstream: FakeUpstream) -> dict[str, Any]:
    return config_for(upstream, models=MODELS, billing=BILLING)


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def hub(
    request: pytest.FixtureRequest, tmp_path: Path, config: dict[str, Any]
) -> Iterator[HubProcess]:
    with DrainingHub(tmp_path / "hub", config, workers=request.param) as running:
        yield running


@pytest.fixture(params=[1, 2], ids=["one worker", "two workers"])
def patient(
    request: pytest.FixtureRequest, tmp_path: Path, config: dict[str, Any]
) -> Iterator[HubProcess]:
    with PatientHub(tmp_path / "hub", config, workers=request.param) as running:
        yield running


def call(hub: HubProcess, model: str, *, stream: bool = True) -> bytes:
    body = json.dumps(
        {
            "model": f"openai/{model}",
            "stream": stream,
            "max_tokens": 50_000,
            "messages": [{"role": "user", "content": "go on"}],
        }
    ).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nConnection: close\r\n"
        b"Content-Length: %d\r\n"
        b"Authorization: Bearer %b\r\n\r\n%b" % (len(body), hub.key.encode(), body)
    )


@dataclass
class Reader:
    """Sends a call on a thread and reads to the end of its connection."""

    port: int
    message: bytes
    got: bytes = b""
    ended: str = ""
    began: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with RawClient(self.port) as client:
            client.send(self.message)
            try:
                while data := client.socket.recv(65_536):
                    self.got += data
                    self.began.set()
                self.ended = "closed"
            except OSError as error:
                self.ended = type(error).__name__
        self.began.set()

    def join(self) -> None:
        self.thread.join(PATIENCE_S)
        assert not self.thread.is_alive()

    @property
    def text(self) -> bytes:
        return b"".join(re.findall(rb'"content":"([^"]*)"', self.got))


def readers(hub: HubProcess, model: str, count: int, *, stream: bool = True) -> list[Reader]:
    started = [Reader(hub.port, call(hub, model, stream=stream)) for _ in range(count)]
    if stream:
        for reader in started:
            assert reader.began.wait(PATIENCE_S)
    return started


def refused(port: int) -> bool:
    """Whether a new connection is turned away instead of being left to wait."""
    try:
        with RawClient(port) as client:
            client.send(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n")
            return client.socket.recv(100) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


def terminate(hub: HubProcess) -> float:
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    return time.monotonic()


def wait(hub: HubProcess) -> int:
    assert hub.process is not None
    code = hub.process.wait(PATIENCE_S)
    hub.stop()
    return code


def test_streams_that_end_in_time_are_whole(patient: HubProcess):
    hub = patient
    running = readers(hub, BRIEF, STREAMS)
    began = terminate(hub)
    until(lambda: refused(hub.port))
    assert hub.process is not None
    hub.process.send_signal(signal.SIGTERM)
    for reader in running:
        reader.join()
        assert reader.ended == "closed"
        assert reader.got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    assert wait(hub) == 0
    assert time.monotonic() - began < PATIENT_S  # it ends with its last stream
    calls = hub.calls_when_closed(STREAMS)
    assert {call["outcome"] for call in calls} == {"completed"}
    assert_settled(hub)


def test_streams_beyond_the_limit_are_told_and_charged(hub: HubProcess):
    running = readers(hub, ENDLESS, STREAMS)
    waiting = readers(hub, SILENT, 2, stream=False)
    until(lambda: len(hub.calls()) == STREAMS + 2)
    began = terminate(hub)
    for reader in running:
        reader.join()
        assert reader.ended == "closed"
        assert b"[DONE]" not in reader.got
        event = reader.got.split(b"\n\n")[-2].rpartition(b"data: ")[2]
        assert json.loads(event)["error"]["code"] == "overloaded"
    for reader in waiting:
        reader.join()
        assert reader.got.startswith(b"HTTP/1.1 503 ")
        assert b"retry-after: " in reader.got
    assert wait(hub) == 0
    took = time.monotonic() - began
    assert DRAIN_S <= took < PATIENCE_S
    calls = hub.calls_when_closed(STREAMS + 2)
    assert {(call["status"], call["outcome"]) for call in calls} == {("failed", "interrupted")}
    delivered = sorted(-(-len(reader.text) // 4) for reader in running)
    charged = sorted(call["output_tokens"] for call in calls)
    assert charged == [0] * len(waiting) + delivered
    for each in calls:
        cost = each["input_tokens"] * 0.001 + each["output_tokens"] * 0.002
        assert float(each["credits"]) == pytest.approx(cost)
    assert [call["credits"] for call in calls].count("0") == len(waiting)
    assert_settled(hub)


@pytest.mark.parametrize("hub", [1], indirect=True)
def test_clients_that_wait_do_not_keep_the_hub(hub: HubProcess):
    """Idle connections, half a head, half a body and a reader who reads nothing."""
    with (
        RawClient(hub.port) as idle,
        RawClient(hub.port) as head,
        RawClient(hub.port) as body,
        RawClient(hub.port, receive_buffer=4096) as deaf,
    ):
        idle.send(b"GET /health/live HTTP/1.1\r\nHost: h\r\n\r\n")
        assert idle.rest().statuses == [200]
        head.send(b"GET /health/live HTTP/1.1\r\nHost")
        body.send(call(hub, "gpt-4o-mini")[:-10])
        deaf.send(call(hub, FLOOD))
        until(lambda: len(hub.calls()) == 1)
        terminate(hub)
        assert idle.rest().end == "closed"
        assert head.rest().end == "closed"
        got = body.rest()
        assert (got.statuses, got.end) == ([503], "closed")
        assert wait(hub) == 0
    calls = hub.calls_when_closed(2)
    outcomes = sorted(call["outcome"] for call in calls)
    assert outcomes == ["interrupted", "rejected"]
    assert_settled(hub)


def ask(hub: HubProcess, model: str) -> tuple[int, float]:
    """Return a unary call's status and what it cost."""
    with RawClient(hub.port) as client:
        client.send(call(hub, model, stream=False))
        (answer,) = client.rest().responses
    return answer.status, float(answer.headers["x-aigne-hub-credits"])


def complaints(hub: HubProcess, since: int) -> int:
    return hub.log()[since:].count("hub.yaml was not reloaded")


def test_reload(hub: HubProcess, upstream: FakeUpstream, config: dict[str, Any]):
    (running,) = readers(hub, BRIEF, 1)
    assert hub.process is not None
    assert ask(hub, "gpt-new")[0] == 404
    status, before = ask(hub, "gpt-4o-mini")
    assert status == 200
    rates = {"input": "10000", "output": "20000"}
    hub.configure(config_for(upstream, models=[*MODELS, "gpt-new"], rates=rates, billing=BILLING))
    hub.process.send_signal(signal.SIGHUP)
    # With two workers several answers in a row show that neither has the old configuration.
    until(lambda: all(ask(hub, "gpt-new")[0] == 200 for _ in range(20)))
    assert ask(hub, "gpt-4o-mini") == (200, pytest.approx(10 * before))
    running.join()
    assert running.got.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")

    for broken in (
        "providers: [",
        "version: 1\nproviders: [{name: openai, colour: red}]\n",
        UNUSABLE,
    ):
        hub.config_file.write_text(broken)
        logged = len(hub.log())
        hub.process.send_signal(signal.SIGHUP)
        until(lambda since=logged: complaints(hub, since) == hub.workers)
        assert ask(hub, "gpt-new")[0] == 200
    hub.config_file.unlink()
    hub.process.send_signal(signal.SIGHUP)
    time.sleep(0.5)
    assert ask(hub, "gpt-new")[0] == 200
    hub.configure(config)
    assert hub.stop() == 0
    assert_settled(hub)
