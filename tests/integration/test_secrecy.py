"""Canaries: no key, prompt or answer shows up where it does not belong, on any path.

Provider keys, API keys, prompts and answers are driven through successes and errors, the
errors of upstreams that repeat what they were sent among them; then everything the hub wrote
is searched byte by byte, in the encodings that things leak in.
"""

import base64
import http.client
import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.books import Books, Customer, nano
from tests.caller import Reply, ask, begun, chat, post
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "0.1", "output": "0.2"}
# One key that looks like a vendor's, one that looks like nothing in particular.
VENDOR_KEY = "sk-proj-canaryVendorKey0123456789abcdef"
PLAIN_KEY = "CanaryOfAnInHouseServer/0123+456="
# The upstream answers with the prompt, so this is the canary of both.
PROMPT = "canary of prompt and answer 7d1f"
STRANGER = "blocklet-CanaryOfAStrangerWhoGuesses1234567890"
ECHOES = ["gpt-400+echo", "gpt-401+echo", "gpt-422+echo", "gpt-429+echo", "gpt-500+echo"]
ECHOED_STREAMS = ["gpt-errorevent:0+echo", "gpt-slow:5+long:9+errorevent:2+echo"]
MODELS = [
    "gpt-4o-mini",
    "gpt-nousage",
    "gpt-badjson",
    "gpt-cut:2",
    "gpt-html502",
    "gpt-error200+echo",
    "gpt-slow:20+long:400",
    *ECHOES,
    *ECHOED_STREAMS,
]


class DebuggedHub(HubProcess):
    """Logs at the level at which things slip out."""

    def environment(self) -> dict[str, str]:
        return {**super().environment(), "AIGNE_HUB_LOG_LEVEL": "debug"}


@dataclass(frozen=True, slots=True)
class Driven:
    """A hub that has been through everything, and what it answered."""

    hub: HubProcess
    customer: Customer
    refusals: list[Reply]
    echoes: list[Reply]
    metrics: bytes


@pytest.fixture(scope="module")
def driven(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Driven]:
    credentials = {"vendor": VENDOR_KEY, "house": PLAIN_KEY}
    config = {
        "providers": [
            {
                "name": name,
                "kind": "openai",
                "base_url": upstream.base_url,
                "credentials": [{"name": "main", "api_key": key}],
            }
            for name, key in credentials.items()
        ],
        "models": [
            {"model": f"{name}/{model}", "type": "chat", "rates": RATES}
            for name in credentials
            for model in MODELS
        ],
        "billing": {"enabled": True},
    }
    folder = tmp_path_factory.mktemp("secrecy")
    with DebuggedHub(folder, config) as hub, Books(hub) as books:
        customer = books.customer(nano("1000"))
        driven = drive(hub, customer, books.customer(1))
        yield driven
        hub.verified()


def drive(hub: HubProcess, customer: Customer, poor: Customer) -> Driven:
    refusals: list[Reply] = []
    echoes: list[Reply] = []

    def call(model: str, **members: Any) -> Reply:
        return ask(hub, model, PROMPT, key=customer.key, **members)

    for provider in ("vendor", "house"):
        for stream in (False, True):
            for model in MODELS[:2]:
                reply = call(f"{provider}/{model}", stream=stream)
                assert PROMPT in reply.text
            broken = ("gpt-badjson", "gpt-cut:2", "gpt-html502", "gpt-error200+echo")
            refusals += [call(f"{provider}/{model}", stream=stream) for model in broken]
            echoes += [call(f"{provider}/{model}", stream=stream) for model in ECHOES]
            echoes += [call(f"{provider}/{model}", stream=stream) for model in ECHOED_STREAMS]
        body = json.dumps({"model": f"{provider}/gpt-4o-mini", "prompt": PROMPT}).encode()
        assert PROMPT in str(post(hub, "/v1/completions", body, key=customer.key).json)
        body = json.dumps(chat(f"{provider}/gpt-slow:20+long:400", PROMPT, stream=True)).encode()
        with begun(hub, "/v1/chat/completions", body, key=customer.key) as left:
            assert left.readline()
    refusals += [
        call("vendor/unknown"),
        call("vendor/gpt-4o-mini", max_tokens=0),
        call("vendor/gpt-4o-mini", n=PROMPT),
        ask(hub, "vendor/gpt-4o-mini", PROMPT, key=STRANGER),
        ask(hub, "vendor/gpt-4o-mini", PROMPT, key=poor.key),
    ]
    for form in (b"%b", b'{"model": "vendor/gpt-4o-mini", "messages": "%b"}', b'{"model": "%b'):
        body = form % PROMPT.encode()
        refusals.append(post(hub, "/v1/chat/completions", body, key=customer.key))
    logged(hub, [call["id"] for call in customer.calls()])
    return Driven(hub, customer, refusals, echoes, metrics(hub))


def logged(hub: HubProcess, call_ids: list[str]) -> None:
    """Wait for the log line of every call: they are written in batches."""
    assert len(call_ids) > 50
    deadline = time.monotonic() + 60.0
    while missing := [call_id for call_id in call_ids if call_id not in hub.log()]:
        assert time.monotonic() < deadline, f"not logged: {missing}"
        time.sleep(0.05)


def metrics(hub: HubProcess) -> bytes:
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    connection.request("GET", "/metrics", headers={"Authorization": f"Bearer {hub.key}"})
    body = connection.getresponse().read()
    connection.close()
    assert b"aigne" in body or b"gen_ai" in body
    return body


def traces(secret: str) -> list[bytes]:
    """Return a secret as it may stand in bytes: as it is, in hex, in base64 at any alignment."""
    raw = secret.encode()
    found = [raw, raw.hex().encode(), raw.hex().upper().encode(), json.dumps(secret)[1:-1].encode()]
    for shift in range(3):
        shifted = base64.b64encode(bytes(shift) + raw)
        # What the neighbours share bits with is cut off at both ends.
        inner = shifted[-(-shift * 8 // 6) : len(shifted) // 4 * 4 - 4]
        found += [inner, inner.translate(bytes.maketrans(b"+/", b"-_"))]
    return found


def assert_absent(secret: str, data: bytes, where: object) -> None:
    for trace in traces(secret):
        at = data.find(trace)
        assert at < 0, f"{secret[:12]}… in {where}: {data[max(at - 60, 0) : at + 20]!r}"


def test_the_search_finds_what_it_looks_for():
    for prefix in ("", "a", "ab"):
        hidden = base64.b64encode(f"{prefix}{PROMPT} and more".encode())
        with pytest.raises(AssertionError):
            assert_absent(PROMPT, hidden, "base64")
    with pytest.raises(AssertionError):
        assert_absent(PROMPT, PROMPT.encode().hex().encode(), "hex")


def test_an_upstream_that_repeats_its_key_does_not_show_it_to_callers(driven: Driven):
    assert len(driven.echoes) == 28
    assert {reply.status for reply in driven.echoes} == {200, 400, 422, 429, 502}
    # The words are passed on, without the key, to the caller whose request they are about.
    assert sum(b"Cannot serve" in reply.body for reply in driven.echoes) >= 12
    for reply in driven.echoes:
        for secret in (VENDOR_KEY, PLAIN_KEY, driven.customer.key):
            assert_absent(secret, reply.body, f"answer {reply.status}")
            assert_absent(secret, str(reply.headers).encode(), f"headers of {reply.status}")


def test_no_error_of_the_hubs_own_quotes_a_secret(driven: Driven):
    for reply in driven.refusals:
        # Of a broken stream, its last event: the others are the answer.
        shown = reply.body.strip().split(b"\n\n")[-1]
        for secret in (VENDOR_KEY, PLAIN_KEY, driven.customer.key, STRANGER):
            assert_absent(secret, shown, f"answer {reply.status}")
        if reply.status != 200:
            assert reply.error["message"]
            assert_absent(PROMPT, shown, f"answer {reply.status}")


def test_logs_and_metrics_hold_no_secret(driven: Driven):
    log = driven.hub.log().encode()
    for secret in (VENDOR_KEY, PLAIN_KEY, driven.customer.key, driven.hub.key, STRANGER, PROMPT):
        assert_absent(secret, log, "log")
        assert_absent(secret, driven.metrics, "metrics")


def test_no_file_of_the_hub_holds_a_secret_in_the_clear(driven: Driven):
    """Database, write-ahead log, everything; only hub.yaml, the operator's own, has keys."""
    files = [path for path in written(driven.hub.folder) if path.name != "hub.yaml"]
    assert {"hub.db", "hub.db-wal", "log.txt"} <= {path.name for path in files}
    for path in files:
        data = path.read_bytes()
        for secret in (VENDOR_KEY, PLAIN_KEY, driven.customer.key, driven.hub.key, STRANGER):
            assert_absent(secret, data, path.name)
        assert_absent(PROMPT, data, path.name)


def written(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


FORGED = '"}\r\n{"event": "forged"}\r\n\x1b[2J\x1b]0;owned\x07\u2028\u2029\x85\x00'


def test_what_callers_name_things_cannot_forge_a_log_line(driven: Driven):
    hub, key = driven.hub, driven.customer.key
    before = len(hub.log())
    reply = ask(hub, FORGED, key=key, headers={"x-aigne-hub-client-did": "%0d%0a%1b[2J%e2%80%a8"})
    assert reply.status == 404
    statuses = []
    for name in (b"x-request-id", b"x-aigne-hub-client-did"):
        for value in (b"\x1b[2J", "\u2028\u2029".encode(), b'"}{"event":"forged"', b"\x9b2J"):
            body = json.dumps(chat("vendor/gpt-4o-mini")).encode()
            statuses.append(sent_raw(hub, key, b"%b: %b\r\n" % (name, value), body))
    assert set(statuses) == {b"200", b"400"}
    hub.stop()
    new = hub.log()[before:]
    hub.start()
    lines = new.strip("\n").split("\n")
    assert len(lines) >= 1 + statuses.count(b"200")
    for line in lines:
        entry = json.loads(line)
        assert isinstance(entry, dict)
        assert entry["event"] != "forged"
        assert not {"\x1b", "\r", "\x07", "\x00", "\x9b"} & set(line)
    assert any("forged" in line for line in lines)


def sent_raw(hub: HubProcess, key: str, header: bytes, body: bytes) -> bytes:
    """Send a request with a header that no client library would send; return the status."""
    with socket.create_connection(("127.0.0.1", hub.port), timeout=60) as connection:
        connection.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nConnection: close\r\n"
            b"Authorization: Bearer %b\r\n%bContent-Length: %d\r\n\r\n%b"
            % (key.encode(), header, len(body), body)
        )
        answer = b""
        while data := connection.recv(65_536):
            answer += data
    assert b"\x1b" not in answer
    return answer.split(b" ", 2)[1]
