"""`Idempotency-Key` on the data plane: one charge and one answer, whatever the client repeats."""

import json
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from tests.books import Books, Customer
from tests.caller import Reply, ask, begun, chat, post
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

PLAIN = "gpt-4o-mini"
SLOW = "gpt-slow:2000"
LONG = "gpt-slow:40+long:200"
DRIP = "gpt-slow:20+long:12"
BROKEN = "gpt-500"
BIG = "gpt-long:900000"
MODELS = [PLAIN, SLOW, LONG, DRIP, BROKEN, BIG]
CREDITS = 20_000_000_000_000


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(upstream, models=MODELS, billing={"enabled": True})
    with HubProcess(tmp_path_factory.mktemp("hub"), config) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


@pytest.fixture
def ada(books: Books) -> Customer:
    return books.customer(CREDITS)


def keyed(
    hub: HubProcess, who: Customer, model: str, sent: str, content: str = "hello", **more: Any
) -> Reply:
    headers = {"Idempotency-Key": sent}
    return ask(hub, f"openai/{model}", content, key=who.key, headers=headers, **more)


def charged(who: Customer) -> list[dict[str, Any]]:
    return [call for call in who.calls() if call["outcome"] != "rejected"]


def left_early(hub: HubProcess, who: Customer, model: str, sent: str) -> Any:
    body = json.dumps(chat(f"openai/{model}", "hello", stream=True)).encode()
    headers = {"Idempotency-Key": sent}
    return begun(hub, "/v1/chat/completions", body, key=who.key, headers=headers)


def until_content(answer: Any) -> None:
    """Read a stream up to its first words."""
    assert answer.status == 200, answer.read()
    for line in answer:
        if line.startswith(b"data: {"):
            choices = json.loads(line[6:])["choices"]
            if choices and choices[0]["delta"].get("content"):
                return
    raise AssertionError("the stream ended before any content")


@pytest.mark.parametrize("stream", [False, True])
def test_a_repeated_call_has_the_same_answer_and_one_charge(
    hub: HubProcess, ada: Customer, stream: bool
):
    first = keyed(hub, ada, PLAIN, "k1", stream=stream)
    again = keyed(hub, ada, PLAIN, "k1", stream=stream)
    assert (again.status, again.body) == (first.status, first.body) == (200, first.body)
    assert again.call_id == first.call_id
    assert again.headers["idempotent-replayed"] == "true"
    assert "idempotent-replayed" not in first.headers
    for name in ("content-type", "x-aigne-hub-model", "x-aigne-hub-credits"):
        assert again.headers.get(name) == first.headers.get(name)
    assert len(ada.calls()) == 1
    hub.verified()


def test_the_answer_survives_a_kill_and_a_restart(hub: HubProcess, ada: Customer):
    first = keyed(hub, ada, PLAIN, "k1")
    hub.kill()
    hub.start()
    assert keyed(hub, ada, PLAIN, "k1").body == first.body
    assert len(ada.calls()) == 1


def test_another_body_or_operation_is_a_mismatch(hub: HubProcess, ada: Customer):
    keyed(hub, ada, PLAIN, "k1")
    other = keyed(hub, ada, PLAIN, "k1", "something else")
    assert (other.status, other.error["code"]) == (422, "idempotency_mismatch")
    prompt = json.dumps({"model": f"openai/{PLAIN}", "prompt": "hello"}).encode()
    elsewhere = post(hub, "/v1/completions", prompt, key=ada.key, headers={"Idempotency-Key": "k1"})
    assert elsewhere.status == 422
    assert len(charged(ada)) == 1


def test_while_the_first_runs_the_second_is_a_conflict(hub: HubProcess, ada: Customer):
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(keyed, hub, ada, SLOW, "k1")
        while not first.done() and not ada.calls():
            time.sleep(0.01)
        second = keyed(hub, ada, SLOW, "k1")
        assert (second.status, second.error["code"]) == (409, "conflict")
        assert first.result().call_id in second.error["message"]
    assert keyed(hub, ada, SLOW, "k1").body == first.result().body


def test_a_failure_that_was_not_charged_frees_the_key(hub: HubProcess, ada: Customer):
    assert keyed(hub, ada, BROKEN, "k1").status == 502
    assert keyed(hub, ada, BROKEN, "k1").status == 502
    assert [call["credits"] for call in ada.calls()] == ["0", "0"]


def test_a_refusal_frees_the_key(hub: HubProcess, books: Books):
    poor = books.customer(0)
    assert [keyed(hub, poor, PLAIN, "k1").status for _ in range(2)] == [402, 402]


def test_a_stream_the_client_left_is_charged_once_and_not_repeated(hub: HubProcess, ada: Customer):
    with left_early(hub, ada, LONG, "k1") as answer:
        until_content(answer)
    call = ada.call()
    assert (call["outcome"], float(call["credits"]) > 0) == ("client_cancelled", True)
    again = keyed(hub, ada, LONG, "k1", stream=True)
    assert (again.status, again.error["code"]) == (409, "conflict")
    assert call["id"] in again.error["message"]


def test_a_stream_the_hub_died_in_is_charged_once_and_not_repeated(hub: HubProcess, ada: Customer):
    with left_early(hub, ada, LONG, "k1") as answer:
        until_content(answer)
        hub.kill()
    hub.start()
    call = ada.call()
    assert (call["outcome"], float(call["credits"]) > 0) == ("interrupted", True)
    assert keyed(hub, ada, LONG, "k1", stream=True).status == 409
    hub.verified()


def test_an_answer_too_large_to_keep_is_charged_and_not_repeated(hub: HubProcess, ada: Customer):
    first = keyed(hub, ada, BIG, "k1", max_tokens=1_000_000)
    assert (first.status, len(first.body) > 4 * 1024 * 1024) == (200, True)
    again = keyed(hub, ada, BIG, "k1", max_tokens=1_000_000)
    assert (again.status, first.call_id in again.error["message"]) == (409, True)
    assert len(charged(ada)) == 1


def test_a_key_is_its_principals_own(hub: HubProcess, books: Books, ada: Customer):
    mine = keyed(hub, ada, PLAIN, "k1")
    theirs = keyed(hub, books.customer(CREDITS), PLAIN, "k1", "quite another body")
    assert theirs.status == 200
    assert theirs.call_id != mine.call_id


@pytest.mark.parametrize("key", ["", "k" * 256, "schlüssel"])
def test_a_key_of_the_wrong_shape_is_refused(hub: HubProcess, ada: Customer, key: str):
    body = json.dumps(chat(f"openai/{PLAIN}", "hello")).encode()
    refused = post(hub, "/v1/chat/completions", body, key=ada.key, headers={"Idempotency-Key": key})
    assert (refused.status, refused.error["param"]) == (400, "Idempotency-Key")


@pytest.mark.parametrize("workers", [1, 2])
def test_a_thousand_duplicates_at_once_are_one_call(
    new_hub: Callable[..., HubProcess], workers: int
):
    hub = new_hub(models=MODELS, billing={"enabled": True}, workers=workers)
    with Books(hub) as books:
        ada = books.customer(CREDITS)
        barrier = threading.Barrier(50)

        def race(number: int) -> Reply:
            if number < 50:
                barrier.wait()
            return keyed(hub, ada, DRIP, "k1", stream=True)

        with ThreadPoolExecutor(50) as pool:
            replies = list(pool.map(race, range(1_000)))
        assert {reply.status for reply in replies} == {200, 409}
        assert len({reply.body for reply in replies if reply.status == 200}) == 1
        assert len(charged(ada)) == 1
    hub.verified()
