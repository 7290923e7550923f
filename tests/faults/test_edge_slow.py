"""Clients that are slow, stall, stop reading or send too much cost little and disturb nobody."""

import json
import re
import time
import urllib.request
from collections.abc import Callable, Iterator

import psutil
import pytest
from tests.conftest import config_for
from tests.faults.raw_client import RawClient
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S
from tests.upstream.client import FakeUpstream

HEAD_S = 1
BODY_S = 2 * HEAD_S
KEEP_ALIVE_S = 5 * HEAD_S
PATIENT_S = 5
LIMIT_BYTES = 1024 * 1024
MIB = 1024 * 1024
QUICK = "gpt-4o-mini"
FLOOD = "gpt-long:100000"  # some 20 MiB of events
READERS = 2  # together they fill up well before the hub loses patience
LIVE = b"GET /health/live HTTP/1.1\r\nHost: h\r\n"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=[QUICK, FLOOD],
        limits={"header_timeout_s": HEAD_S, "request_body_mib": 1},
        billing={"enabled": True, "new_user_credits": "100000"},
    )
    with HubProcess(tmp_path_factory.mktemp("slow") / "hub", config) as running:
        yield running
        assert_settled(running)


def head(hub: HubProcess, fields: bytes = b"", *, key: bytes | None = None) -> bytes:
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer "
        + (key or hub.key.encode())
        + b"\r\n"
        + fields
        + b"\r\n"
    )


def call(hub: HubProcess, model: str = QUICK, *, stream: bool = False) -> bytes:
    body = json.dumps(
        {
            "model": f"openai/{model}",
            "stream": stream,
            "max_tokens": 100_000,
            "messages": [{"role": "user", "content": "go"}],
        }
    ).encode()
    return head(hub, b"Connection: close\r\nContent-Length: %d\r\n" % len(body)) + body


def code(answer: bytes) -> str:
    return str(json.loads(answer)["error"]["code"])


def rejected(hub: HubProcess) -> list[str]:
    refused = [call for call in hub.calls() if call["outcome"] == "rejected"]
    return [call["error"]["code"] for call in reversed(refused)]


def test_half_a_head(hub: HubProcess):
    began = time.monotonic()
    heads = [b"P", b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nX-A", LIVE]
    clients = [RawClient(hub.port) for _ in heads]
    for client, sent in zip(clients, heads, strict=True):
        client.send(sent)
    for client in clients:
        with client:
            got = client.rest()
        assert time.monotonic() - began >= HEAD_S
        assert (got.statuses, got.end) == ([408], "closed")
        assert code(got.responses[0].body) == "invalid_request"


def test_slowloris_and_silence_beside_a_good_client(hub: HubProcess):
    """Each slow client sends a byte of its head now and then; some send nothing at all."""
    slow = [RawClient(hub.port) for _ in range(50)]
    began = time.monotonic()
    took: list[float] = []
    closed = 0
    for client in slow[:40]:
        client.send(LIVE)
    for client in slow:
        client.socket.setblocking(False)
    while closed < len(slow):
        assert time.monotonic() - began < PATIENCE_S
        for number, client in enumerate(slow):
            if client.socket.fileno() < 0:
                continue
            if number < 40:
                client.send(b"X")
            try:
                data = client.socket.recv(4096)
            except BlockingIOError:
                continue
            assert data[:12] in {b"", b"HTTP/1.1 408"}
            client.socket.close()
            closed += 1
        started = time.monotonic()
        with RawClient(hub.port) as good:
            good.send(call(hub))
            assert good.rest().statuses == [200]
        took.append(time.monotonic() - started)
        time.sleep(0.05)
    assert min(took) < 0.5


def test_a_body_that_stalls(hub: HubProcess, upstream: FakeUpstream):
    upstream.reset()
    before = len(rejected(hub))
    began = time.monotonic()
    framings = [b"Content-Length: 100\r\n", b"Transfer-Encoding: chunked\r\n"]
    clients = [RawClient(hub.port) for _ in framings]
    for client, framing in zip(clients, framings, strict=True):
        client.send(head(hub, framing))
        client.send(b'5\r\n{"mod')
    for client in clients:
        with client:
            got = client.rest()
        assert time.monotonic() - began >= BODY_S
        assert (got.statuses, got.end) == ([400], "closed")
        assert code(got.responses[0].body) == "invalid_request"
    assert rejected(hub)[before:] == ["invalid_request"] * 2
    assert upstream.log() == []


def test_keep_alive_ends(hub: HubProcess):
    """So does a connection whose last request was answered before all of it had come."""
    stalled = LIVE.replace(b"GET", b"POST") + b"Content-Length: 100\r\n\r\n"
    models = head(hub).replace(b"POST /v1/chat/completions", b"GET /v1/models")
    messages = {LIVE + b"\r\n": 200, models: 200, stalled: 405}
    clients = [RawClient(hub.port) for _ in messages]
    began = []
    for client, (message, status) in zip(clients, messages.items(), strict=True):
        began.append(time.monotonic())
        client.send(message)
        assert client.rest().statuses == [status]
    for client, asked in zip(clients, began, strict=True):
        with client:
            client.socket.settimeout(PATIENCE_S)
            assert client.socket.recv(100) == b""
        assert time.monotonic() - asked >= KEEP_ALIVE_S


def test_too_large_by_its_own_word(hub: HubProcess, upstream: FakeUpstream):
    """Refused before its body is read, and on the books."""
    upstream.reset()
    before = len(rejected(hub))
    with RawClient(hub.port) as client:
        client.send(head(hub, b"Content-Length: %d\r\n" % (LIMIT_BYTES + 1)))
        got = client.rest()
    assert (got.statuses, got.end) == ([413], "closed")
    assert code(got.responses[0].body) == "payload_too_large"
    assert got.responses[0].headers["connection"] == "close"
    assert rejected(hub)[before:] == ["payload_too_large"]
    assert upstream.log() == []


@pytest.mark.parametrize("chunked", [False, True])
def test_too_large_while_it_is_being_sent(hub: HubProcess, upstream: FakeUpstream, chunked: bool):
    """A client that sends 20 MiB without looking still gets to read why it was refused."""
    upstream.reset()
    part = b"a" * 65_536
    with RawClient(hub.port) as client:
        if chunked:
            client.send(head(hub, b"Transfer-Encoding: chunked\r\n"))
            part = b"%x\r\n%b\r\n" % (len(part), part)
        else:
            client.send(head(hub, b"Content-Length: %d\r\n" % (20 * MIB)))
        assert all(client.send(part) for _ in range(320))
        got = client.rest()
    assert (got.statuses, got.end) == ([413], "closed")
    assert code(got.responses[0].body) == "payload_too_large"
    assert upstream.log() == []


def test_too_large_from_a_stranger(hub: HubProcess):
    before = len(hub.calls())
    message = head(hub, b"Content-Length: %d\r\n" % (20 * MIB), key=b"nobody")
    with RawClient(hub.port) as client:
        client.send(message)
        got = client.rest()
    assert (got.statuses, got.end) == ([401], "closed")
    assert len(hub.calls()) == before


def test_just_small_enough(hub: HubProcess):
    body = b'{"model":"openai/gpt-4o-mini","messages":[{"role":"user","content":"%b"}]}'
    body %= b"a" * (LIMIT_BYTES - len(body) + 2)
    assert len(body) == LIMIT_BYTES
    with RawClient(hub.port) as client:
        client.send(head(hub, b"Content-Length: %d\r\n" % len(body)) + body)
        assert client.rest().statuses in ([200], [400], [402])
        client.send(call(hub))
        assert client.rest().statuses == [200]


def paused(upstream: FakeUpstream) -> list[int]:
    """Return how many chunks each call was sent, once nothing more is."""
    deadline = time.monotonic() + PATIENCE_S
    sent: list[int] = []
    while True:
        before, sent = sent, [record["chunks_sent"] for record in upstream.log()]
        if before == sent and len(sent) == READERS:
            return sent
        assert time.monotonic() < deadline, f"the upstream still sends: {before} {sent}"
        time.sleep(0.3)


def test_a_client_that_does_not_read(new_hub: Callable[..., HubProcess], upstream: FakeUpstream):
    """The upstream is paused, the hub stays small, and in the end the call is closed."""
    upstream.reset()
    billing = {"enabled": True, "new_user_credits": "100000"}
    # Patient enough that a slow machine sees the pause before the hub gives up.
    limits = {"header_timeout_s": PATIENT_S}
    hub = new_hub(models=[QUICK, FLOOD], limits=limits, billing=billing)
    process = psutil.Process(hub.process.pid if hub.process else 0)
    before = process.memory_info().rss
    clients = [RawClient(hub.port, receive_buffer=65_536) for _ in range(READERS)]
    for client in clients:
        client.send(call(hub, FLOOD, stream=True))
    sent = paused(upstream)
    grown = process.memory_info().rss - before
    assert len(sent) == READERS
    assert max(sent) < 100_000
    print(f"{READERS} clients that do not read: {grown // 1024} KiB of memory")
    assert grown < READERS * 2 * MIB
    with RawClient(hub.port) as good:
        good.send(call(hub))
        assert good.rest().statuses == [200]
    # One reads on and gets all of it: what was paused goes on.
    reader = clients[0]
    reader.socket.settimeout(PATIENCE_S)
    tail = b""
    while data := reader.socket.recv(MIB):
        tail = (tail + data)[-100:]
    assert tail.endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")
    upstream.log_when(
        lambda records: sum(record["client_gone"] for record in records) == READERS - 1,
        PATIENCE_S,
    )
    closed = hub.calls_when_closed(READERS + 1)
    outcomes = [call["outcome"] for call in closed]
    assert outcomes.count("client_cancelled") == READERS - 1
    assert outcomes.count("completed") == 2
    for client in clients:
        client.socket.close()
    with urllib.request.urlopen(f"{hub.address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    assert re.search(r"^aigne_hub_client_connections_open 1\.0$", text, re.MULTILINE)
