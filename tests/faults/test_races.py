"""Credit for exactly K over HTTP, with one worker process and with two."""

import http.client
import json
import threading
from collections import Counter
from collections.abc import Callable

import pytest
from tests.hub import HubProcess


def fire(hub: HubProcess, count: int, threads: int = 20) -> Counter[int]:
    """Send `count` requests from several threads at once; return the statuses."""
    statuses: Counter[int] = Counter()
    lock = threading.Lock()
    left = iter(range(count))
    barrier = threading.Barrier(threads)
    body = json.dumps(
        {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 1,
        }
    )

    def work() -> None:
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        barrier.wait()
        while True:
            with lock:
                if next(left, None) is None:
                    break
            headers = {"Authorization": f"Bearer {hub.key}"}
            connection.request("POST", "/v1/chat/completions", body, headers)
            answer = connection.getresponse()
            answer.read()
            with lock:
                statuses[answer.status] += 1
        connection.close()

    workers = [threading.Thread(target=work) for _ in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return statuses


@pytest.mark.parametrize("workers", [1, 2])
def test_500_requests_for_credit_of_exactly_100(new_hub: Callable[..., HubProcess], workers: int):
    hub = new_hub(workers=workers, billing={"enabled": True}, rates={"request": "1"})
    hub.grant("100")
    assert fire(hub, 500) == {200: 100, 402: 400}
    balance = hub.balance()
    assert (balance["balance"], balance["held"], balance["spent"]) == ("0", "0", "100")
    outcomes = Counter(call["outcome"] for call in hub.calls())
    assert outcomes == {"completed": 100, "rejected": 400}
    hub.verified()


def test_a_refused_caller_learns_what_is_missing_and_where_to_buy(
    new_hub: Callable[..., HubProcess],
):
    hub = new_hub(billing={"enabled": True, "payment_link": "https://pay.example/buy"})
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=10)
    body = json.dumps(
        {
            "model": "openai/gpt-4o-mini",
            "messages": [{"role": "user", "content": "hi"}],
            "max_tokens": 1000,
        }
    )
    headers = {"Authorization": f"Bearer {hub.key}"}
    hub.grant("0.5")
    connection.request("POST", "/v1/chat/completions", body, headers)
    answer = connection.getresponse()
    error = json.loads(answer.read())["error"]
    assert answer.status == 402
    assert error["code"] == "insufficient_credits"
    assert error["type"] == "NOT_ENOUGH"
    assert error["link"] == "https://pay.example/buy"
    assert error["link"] in error["message"]
    assert isinstance(error["timestamp"], int)
    affordable = error["affordable_tokens"]
    assert str(affordable) in error["message"]
    body = body.replace("1000", str(affordable))
    connection.request("POST", "/v1/chat/completions", body, headers)
    assert connection.getresponse().status == 200
    connection.close()
