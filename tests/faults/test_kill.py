"""SIGKILL at any moment: after restart the books are as the charging table says."""

import http.client
import json
import threading
import time
from collections.abc import Callable
from typing import Any

import pytest
from tests.hub import HubProcess
from tests.patience import PATIENCE_S, until

SLOW = "gpt-slow:40+long:400"
WORD_BYTES_MAX = 12
SETTLED_S = 2.0  # eight times what the journal may be behind


def stream(hub: HubProcess, model: str, got: list[str], began: threading.Event) -> None:
    """Read a stream and keep the content that arrived, until it ends or breaks."""
    body = {
        "model": f"openai/{model}",
        "stream": True,
        "messages": [{"role": "user", "content": "count for a long time"}],
    }
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"Authorization": f"Bearer {hub.key}", "Content-Type": "application/json"}
    try:
        connection.request("POST", "/v1/chat/completions", json.dumps(body), headers)
        answer = connection.getresponse()
        while line := answer.readline():
            if line.startswith(b"data: {"):
                choices = json.loads(line[6:])["choices"]
                got.append((choices[0]["delta"].get("content") or "") if choices else "")
                if got[-1]:
                    began.set()
    except (OSError, http.client.HTTPException):
        pass
    finally:
        connection.close()


def killed_after(hub: HubProcess, model: str, chunks: int) -> str:
    """Kill the hub once the client has `chunks` pieces of content; return what it has."""
    got: list[str] = []
    began = threading.Event()
    reader = threading.Thread(target=stream, args=(hub, model, got, began))
    reader.start()
    assert began.wait(PATIENCE_S)
    deadline = time.monotonic() + PATIENCE_S
    while sum(map(bool, got)) < chunks:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    hub.kill()
    reader.join(PATIENCE_S)
    return "".join(got)


@pytest.mark.parametrize(
    ("database", "chunks"),
    [*(("sqlite", chunks) for chunks in (1, 2, 3, 5, 9, 14)), ("postgres", 1), ("postgres", 9)],
)
def test_killed_in_mid_stream(new_hub: Callable[..., HubProcess], database: str, chunks: int):
    hub = new_hub(database=database, models=[SLOW], billing={"enabled": True})
    hub.grant("1000")
    text = killed_after(hub, SLOW, chunks)
    hub.start()
    (call,) = hub.calls_when_closed(1)
    assert (call["status"], call["outcome"]) == ("failed", "interrupted")
    assert call["usage_source"] == "counted"
    delivered = -(-len(text.encode()) // 4)
    # At least half of what was delivered is durable, and never more than left the hub.
    assert delivered / 2 <= call["output_tokens"] <= delivered + WORD_BYTES_MAX
    assert float(call["credits"]) == pytest.approx(
        call["input_tokens"] * 0.001 + call["output_tokens"] * 0.002
    )
    assert hub.balance()["held"] == "0"
    hub.verified()


def test_what_is_older_than_a_quarter_second_is_charged(
    new_hub: Callable[..., HubProcess], database: str
):
    model = "gpt-slow:1+long:60+stall:40"
    hub = new_hub(database=database, models=[model], billing={"enabled": True})
    hub.grant("1000")
    got: list[str] = []
    began = threading.Event()
    reader = threading.Thread(target=stream, args=(hub, model, got, began))
    reader.start()
    assert began.wait(PATIENCE_S)
    time.sleep(SETTLED_S)
    hub.kill()
    reader.join(PATIENCE_S)
    hub.start()
    (call,) = hub.calls_when_closed(1)
    assert call["output_tokens"] == -(-len("".join(got).encode()) // 4)


def test_killed_before_any_content_costs_nothing(new_hub: Callable[..., HubProcess], database: str):
    hub = new_hub(database=database, models=["gpt-silent"], billing={"enabled": True})
    hub.grant("1000")
    reader = threading.Thread(target=stream, args=(hub, "gpt-silent", [], threading.Event()))
    reader.start()
    deadline = time.monotonic() + PATIENCE_S
    while not hub.calls():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    hub.kill()
    reader.join(PATIENCE_S)
    hub.start()
    (call,) = hub.calls_when_closed(1)
    assert (call["outcome"], call["credits"]) == ("interrupted", "0")
    balance = hub.balance()
    assert (balance["held"], balance["balance"]) == ("0", "1000")
    hub.verified()


def test_killed_under_load_loses_nothing_that_was_answered(
    new_hub: Callable[..., HubProcess], database: str
):
    hub = new_hub(database=database, models=["gpt-4o-mini"], billing={"enabled": True})
    hub.grant("100000")
    answered: list[str] = []
    stop = threading.Event()

    def ask() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        body = json.dumps(
            {"model": "openai/gpt-4o-mini", "messages": [{"role": "user", "content": "hi"}]}
        )
        headers = {"Authorization": f"Bearer {hub.key}"}
        try:
            while not stop.is_set():
                connection.request("POST", "/v1/chat/completions", body, headers)
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    answered.append(answer.headers["x-aigne-hub-call-id"])
        except (OSError, http.client.HTTPException):
            pass

    readers = [threading.Thread(target=ask) for _ in range(8)]
    for reader in readers:
        reader.start()
    until(lambda: len(answered) > 50)
    hub.kill()
    stop.set()
    for reader in readers:
        reader.join(PATIENCE_S)
    hub.start()
    calls: dict[str, Any] = {call["id"]: call for call in hub.calls(limit=1_000_000)}
    assert all(call["status"] != "processing" for call in calls.values())
    assert all(calls[call_id]["outcome"] == "completed" for call_id in answered)
    assert hub.balance()["held"] == "0"
    hub.verified()
