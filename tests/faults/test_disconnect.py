"""A client that leaves stops its upstream at once and pays for what was produced till then."""

import json
import re
import socket
import struct
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from tests.conftest import config_for
from tests.faults.raw_client import RawClient
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, assert_prompt, seconds_of, until
from tests.upstream.client import FakeUpstream

SILENT = "gpt-silent"
SLOW = "gpt-slow:20+long:2000"
STALLED = "gpt-long:50+stall:0"
USAGE_THEN_SILENCE = "gpt-long:40+stall:40"
QUICK = "gpt-4o-mini"
MODELS = [SILENT, SLOW, STALLED, USAGE_THEN_SILENCE, QUICK]
PROMPT = "count for a long time"
INPUT_TOKENS = -(-len(PROMPT) // 4)
NOTICED_S = 1.0
ABANDONED = 200
AT_ONCE = 20


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    billing = {"enabled": True, "new_user_credits": "10000"}
    config = config_for(upstream, models=MODELS, billing=billing)
    with HubProcess(tmp_path_factory.mktemp("leave") / "hub", config) as running:
        yield running
        assert_settled(running)
        running.verified()


def request(hub: HubProcess, model: str, *, stream: bool) -> bytes:
    body = json.dumps(
        {
            "model": f"openai/{model}",
            "stream": stream,
            "max_tokens": 100,
            "messages": [{"role": "user", "content": PROMPT}],
        }
    ).encode()
    return (
        b"POST /v1/chat/completions HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n"
        b"Authorization: Bearer %b\r\n\r\n%b" % (len(body), hub.key.encode(), body)
    )


def leave(client: RawClient, how: str) -> None:
    if how == "reset":
        linger = struct.pack("ii", 1, 0)
        client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    client.socket.close()


def newest(hub: HubProcess, known: set[str], within_s: float = PATIENCE_S) -> dict[str, Any]:
    """Return the one new call, once it is closed."""
    deadline = time.monotonic() + within_s
    while True:
        new = [call for call in hub.calls() if call["id"] not in known]
        if len(new) == 1 and new[0]["status"] != "processing":
            return new[0]
        assert time.monotonic() < deadline, new
        time.sleep(0.02)


def credits_of(input_tokens: int, output_tokens: int) -> float:
    return input_tokens * 0.001 + output_tokens * 0.002


def gauge(hub: HubProcess, name: str) -> float:
    with urllib.request.urlopen(f"{hub.address}/metrics", timeout=60) as answer:
        text = answer.read().decode()
    (value,) = re.findall(rf"^aigne_hub_{name} (\S+)$", text, re.MULTILINE)
    return float(value)


def connections_in_use(hub: HubProcess) -> float:
    return gauge(hub, "upstream_connections_open") - gauge(hub, "upstream_connections_idle")


def closed(hub: HubProcess, known: set[str]) -> list[dict[str, Any]]:
    """Return the calls that are not `known`, once each is closed."""
    new: list[dict[str, Any]] = []

    def are_closed() -> bool:
        new[:] = [call for call in hub.calls(limit=10_000) if call["id"] not in known]
        return all(call["status"] != "processing" for call in new)

    until(are_closed)
    return new


def assert_cancelled(call: dict[str, Any], output_tokens: int) -> None:
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "counted"
    assert (call["input_tokens"], call["output_tokens"]) == (INPUT_TOKENS, output_tokens)
    expected = credits_of(INPUT_TOKENS, output_tokens)
    assert float(call["credits"]) == pytest.approx(expected)


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", [SILENT, STALLED])
def test_nothing_was_produced(
    hub: HubProcess, upstream: FakeUpstream, model: str, stream: bool, how: str
):
    known = {call["id"] for call in hub.calls()}
    upstream.reset()
    with RawClient(hub.port) as client:
        client.send(request(hub, model, stream=stream))
        upstream.log_when(lambda records: len(records) == 1)
        leave(client, how)
        upstream.log_when(lambda records: records[0]["client_gone"])
    assert_cancelled(newest(hub, known), 0)
    assert len(upstream.log()) == 1


@pytest.mark.parametrize("how", ["close", "reset"])
@pytest.mark.parametrize("stream", [False, True])
def test_it_is_noticed_at_once(hub: HubProcess, upstream: FakeUpstream, stream: bool, how: str):
    def attempt() -> float:
        upstream.reset()
        with RawClient(hub.port) as client:
            client.send(request(hub, SILENT, stream=stream))
            upstream.log_when(lambda records: len(records) == 1)
            leave(client, how)
            return seconds_of(lambda: upstream.log_when(lambda records: records[0]["client_gone"]))

    assert_prompt(attempt, NOTICED_S)


@pytest.mark.parametrize("how", ["close", "reset"])
def test_in_mid_stream(hub: HubProcess, upstream: FakeUpstream, how: str):
    known = {call["id"] for call in hub.calls()}
    upstream.reset()
    with RawClient(hub.port) as client:
        client.send(request(hub, SLOW, stream=True))
        got = b""
        while got.count(b'"content":"') < 6:
            got += client.until(b"\n\n")
        leave(client, how)
        (record,) = upstream.log_when(lambda records: records[0]["client_gone"])
    call = newest(hub, known)
    texts = re.findall(rb'"content":"([^"]*)"', got)
    seen = -(-len(b"".join(texts)) // 4)
    longest = max(map(len, texts))
    assert seen <= call["output_tokens"] <= -(-record["chunks_sent"] * longest // 4)
    assert_cancelled(call, call["output_tokens"])


def test_after_all_content_but_before_the_end(hub: HubProcess, upstream: FakeUpstream):
    known = {call["id"] for call in hub.calls()}
    upstream.reset()
    with RawClient(hub.port) as client:
        client.send(request(hub, USAGE_THEN_SILENCE, stream=True))
        got = b""
        while got.count(b'"content":"') < 41:  # the opening delta is empty
            got += client.until(b"\n\n")
        leave(client, "close")
        upstream.log_when(lambda records: records[0]["client_gone"])
    text = b"".join(re.findall(rb'"content":"([^"]*)"', got))
    assert_cancelled(newest(hub, known), -(-len(text) // 4))


@pytest.mark.parametrize("stream", [False, True])
def test_right_after_sending(hub: HubProcess, upstream: FakeUpstream, stream: bool):
    known = {call["id"] for call in hub.calls()}
    upstream.reset()
    for _ in range(10):
        with RawClient(hub.port) as client:
            client.send(request(hub, SILENT, stream=stream))
            leave(client, "reset")
    until(lambda: gauge(hub, "client_connections_open") == 1)  # the scraper's own
    until(lambda: connections_in_use(hub) == 0)
    new = closed(hub, known)
    assert all(call["outcome"] == "client_cancelled" for call in new)
    records = upstream.log_when(lambda records: all(record["client_gone"] for record in records))
    # Who was never asked cannot have cost anything; who was is owed the input.
    charged = [call for call in new if call["credits"] != "0"]
    assert len(charged) >= len(records)
    for call in charged:
        assert_cancelled(call, 0)


def test_the_answer_was_complete_when_the_client_left(hub: HubProcess, upstream: FakeUpstream):
    known = {call["id"] for call in hub.calls()}
    with RawClient(hub.port) as client:
        client.send(request(hub, QUICK, stream=True))
        client.until(b"data: [DONE]\n\n")
        leave(client, "reset")
    call = newest(hub, known)
    assert (call["outcome"], call["usage_source"]) == ("completed", "provider")


def test_abandoned_streams_leave_nothing_behind(hub: HubProcess, upstream: FakeUpstream):
    known = {call["id"] for call in hub.calls(limit=10_000)}
    upstream.reset()
    for number in range(0, ABANDONED, AT_ONCE):
        streaming = [RawClient(hub.port) for _ in range(AT_ONCE // 2)]
        silent = [RawClient(hub.port) for _ in range(AT_ONCE // 2)]
        for client in streaming:
            client.send(request(hub, SLOW, stream=True))
        for client in silent:
            client.send(request(hub, SILENT, stream=True))
        for client in streaming:
            client.until(b'"content":"')
        upstream.log_when(lambda records, wanted=number + AT_ONCE: len(records) == wanted)
        for client in streaming + silent:
            leave(client, "close" if number % 40 else "reset")
    upstream.log_when(
        lambda records: len(records) == ABANDONED and all(r["client_gone"] for r in records)
    )
    until(lambda: connections_in_use(hub) == 0)
    until(lambda: gauge(hub, "client_connections_open") == 1)  # the scraper's own
    new = closed(hub, known)
    assert len(new) == ABANDONED
    assert {call["outcome"] for call in new} == {"client_cancelled"}
    assert_settled(hub)
