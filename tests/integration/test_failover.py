"""Which upstream serves: weights, failover before the first byte, and what is charged for it."""

import json
import socket
import time
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
from tests.books import NOTICED_S, Books, Customer, nano, price
from tests.caller import ask, post
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "1000", "output": "2000"}
OTHER_RATES = {"input": "5000", "output": "9000"}
BROKEN = "gpt-slow:5+long:40+cut:3"
FAILING = {
    "gpt-500": 500,
    "gpt-429": 429,
    "gpt-error200": 200,
    "gpt-errorevent:0": 200,
    "gpt-stall:0": 200,
    "gpt-silent": None,
}
FIRST = [
    "gpt-4o-mini",
    "gpt-long:3",
    "gpt-400",
    "gpt-404",
    "gpt-413",
    "gpt-422",
    "gpt-429",
    "gpt-500",
    "gpt-error200",
    "gpt-badjson",
    "gpt-errorevent:0",
    "gpt-stall:0",
    "gpt-silent",
    BROKEN,
]
FALLBACK = "second/gpt-4o-mini"


def streamed(name: str) -> str:
    """Return another model that behaves as this one, whose health is its own."""
    return f"{name}+slow:1"


@pytest.fixture(scope="module")
def other() -> Iterator[FakeUpstream]:
    with FakeUpstream() as running:
        yield running


def provider(name: str, upstream: str, **keys: int) -> dict[str, Any]:
    credentials = [
        {"name": key, "api_key": "bad-key" if "dead" in key else f"key-{key}", "weight": weight}
        for key, weight in keys.items()
    ]
    return {"name": name, "kind": "openai", "base_url": upstream, "credentials": credentials}


def model(ref: str, rates: dict[str, str] = RATES) -> dict[str, Any]:
    return {"model": ref, "type": "chat", "rates": rates}


def after(name: str) -> str:
    """Return the alias that tries `first/name` and then the second provider."""
    return f"after-{name}".replace(":", "-").replace("+", "-")


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream, other: FakeUpstream
) -> Iterator[HubProcess]:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        nowhere = f"http://127.0.0.1:{reserved.getsockname()[1]}/v1"
        first = [*FIRST, *map(streamed, FAILING)]
        aliases: dict[str, Any] = {
            after(name): {"model": f"first/{name}", "fallbacks": [FALLBACK]} for name in first
        }
        aliases |= {
            "elsewhere": {"model": "nowhere/any", "fallbacks": [FALLBACK]},
            "limited": {
                "model": "first/gpt-429+slow:2",
                "fallbacks": ["second/gpt-429", "first/gpt-500"],
            },
            "same": {"model": "weighted/gpt-4o-mini", "fallbacks": ["weighted/gpt-long:3"]},
            "foreign": {"model": "first/gpt-500+slow:2", "fallbacks": ["claude/claude-sonnet-4"]},
            "hopeless": {"model": "first/gpt-500", "fallbacks": ["dead/gpt-4o-mini"]},
        }
        config = {
            "providers": [
                provider("weighted", upstream.base_url, a=100, b=50),
                provider("even", upstream.base_url, a=1, b=1),
                provider("halfdead", upstream.base_url, dead=1000, good=1),
                provider("dead", upstream.base_url, dead1=2, dead2=1),
                provider("buried", upstream.base_url, dead1=2, dead2=1),
                provider("halfdead2", upstream.base_url, dead=1000, good=1),
                provider("first", upstream.base_url, main=100),
                provider("second", other.base_url, main=100),
                provider("nowhere", nowhere, main=100),
                {**provider("claude", other.base_url, main=100), "kind": "anthropic"},
            ],
            "models": [
                *(model(f"first/{name}") for name in first),
                model("first/gpt-429+slow:2"),
                model("first/gpt-500+slow:2"),
                model("claude/claude-sonnet-4", OTHER_RATES),
                model(FALLBACK, OTHER_RATES),
                model("second/gpt-429", OTHER_RATES),
                *(model(f"{name}/gpt-4o-mini") for name in ("weighted", "even")),
                model("halfdead/gpt-4o-mini"),
                model("halfdead2/gpt-4o-mini"),
                model("weighted/gpt-long:3"),
                model("dead/gpt-4o-mini"),
                model("nowhere/any"),
                model("buried/gpt-shared"),
                model("second/gpt-shared", OTHER_RATES),
            ],
            "aliases": aliases,
            "billing": {"enabled": True},
            "limits": {"upstream_first_byte_s": 1, "stream_idle_s": 1},
        }
        folder = tmp_path_factory.mktemp("failover")
        with HubProcess(folder, config) as running:
            yield running
            running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def customer(books: Books) -> Customer:
    made = books.customer(nano("10000"))
    # The change makes the hub read its configuration anew, which restarts every round robin.
    time.sleep(NOTICED_S)
    return made


@pytest.fixture(autouse=True)
def fresh_logs(upstream: FakeUpstream, other: FakeUpstream) -> None:
    upstream.reset()
    other.reset()


def asked(upstream: FakeUpstream) -> list[dict[str, Any]]:
    """Return the calls an upstream got: whether a key works again is asked by GET."""
    return [record for record in upstream.log() if record["method"] == "POST"]


def tries(call: dict[str, Any]) -> list[tuple[str, str, int | None, bool]]:
    """Return provider, credential, status and whether there was an error, try by try."""
    return [
        (one["provider"], one["credential"], one["status"], one["error"] is not None)
        for one in call["attempts"]
    ]


@pytest.mark.parametrize("reference", ["weighted/gpt-4o-mini", "same"])
def test_credentials_are_used_by_weight_and_evenly(
    hub: HubProcess, customer: Customer, upstream: FakeUpstream, reference: str
):
    for _ in range(30):
        assert ask(hub, reference, key=customer.key).status == 200
    keys = [record["key"] for record in asked(upstream)]
    assert len(keys) == 30
    for start in range(28):
        assert Counter(keys[start : start + 3]) == {"key-a": 2, "key-b": 1}


def test_equal_credentials_take_turns(hub: HubProcess, customer: Customer, upstream: FakeUpstream):
    for _ in range(10):
        assert ask(hub, "even/gpt-4o-mini", key=customer.key).status == 200
    keys = [record["key"] for record in asked(upstream)]
    assert all(one != two for one, two in pairwise(keys))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_dead_key_is_passed_over_before_the_first_byte(
    hub: HubProcess, books: Books, customer: Customer, stream: bool
):
    before = customer.balance
    name = "halfdead2" if stream else "halfdead"
    reply = ask(hub, f"{name}/gpt-4o-mini", key=customer.key, stream=stream)
    assert (reply.status, reply.text) == (200, "say hello to me")
    call = hub.cli("calls", "show", reply.call_id)
    assert tries(call) == [
        (name, "dead", 401, True),
        (name, "good", 200, False),
    ]
    assert "bad-key" not in json.dumps(call)
    assert (call["outcome"], call["credential"]) == ("completed", "good")
    assert before - customer.balance == nano(call["credits"]) == price(call, RATES)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize(("name", "status"), FAILING.items())
def test_a_failure_before_the_first_byte_goes_on_to_the_fallback_at_its_price(
    hub: HubProcess, books: Books, customer: Customer, name: str, status: int | None, stream: bool
):
    before = customer.balance
    reference = after(streamed(name) if stream else name)
    reply = ask(hub, reference, key=customer.key, stream=stream)
    assert (reply.status, reply.text) == (200, "say hello to me")
    assert reply.headers["x-aigne-hub-model"] == FALLBACK
    assert reply.headers["x-aigne-hub-attempts"] == "2"
    call = books.call(reply.call_id)
    assert tries(call) == [("first", "main", status, True), ("second", "main", 200, False)]
    assert (call["model"], call["provider"]) == (FALLBACK, "second")
    assert (call["outcome"], call["error"]) == ("completed", None)
    assert before - customer.balance == nano(call["credits"]) == price(call, OTHER_RATES)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_the_next_candidate_may_speak_another_format(
    hub: HubProcess, books: Books, customer: Customer, stream: bool
):
    reply = ask(hub, "foreign", key=customer.key, stream=stream, max_tokens=100)
    assert (reply.status, reply.text) == (200, "say hello to me")
    assert reply.headers["x-aigne-hub-attempts"] == "2"
    call = books.call(reply.call_id)
    assert [(one["provider"], one["reason"]) for one in call["attempts"]] == [
        ("first", "chosen"),
        ("claude", "failover"),
    ]
    assert nano(call["credits"]) == price(call, OTHER_RATES)


def test_a_whole_answer_that_breaks_goes_on_to_the_fallback(
    hub: HubProcess, books: Books, customer: Customer
):
    for name in ("gpt-badjson", BROKEN):
        reply = ask(hub, after(name), key=customer.key)
        call = books.call(reply.call_id)
        assert reply.headers["x-aigne-hub-model"] == FALLBACK
        assert len(call["attempts"]) == 2
        assert nano(call["credits"]) == price(call, OTHER_RATES)


def test_an_unreachable_provider_goes_on_to_the_fallback(
    hub: HubProcess, books: Books, customer: Customer
):
    call = books.call(ask(hub, "elsewhere", key=customer.key).call_id)
    assert tries(call) == [("nowhere", "main", None, True), ("second", "main", 200, False)]


def test_a_bare_name_is_tried_at_every_provider_that_offers_it(
    hub: HubProcess, books: Books, customer: Customer
):
    reply = ask(hub, "gpt-shared", key=customer.key)
    assert reply.headers["x-aigne-hub-model"] == "second/gpt-shared"
    call = books.call(reply.call_id)
    *dead, last = [one[:3] for one in tries(call)]
    assert sorted(dead) == [("buried", "dead1", 401), ("buried", "dead2", 401)]
    assert last == ("second", "main", 200)
    assert nano(call["credits"]) == price(call, OTHER_RATES)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("status", [400, 404, 413, 422])
def test_the_callers_own_fault_never_fails_over(
    hub: HubProcess,
    books: Books,
    customer: Customer,
    other: FakeUpstream,
    status: int,
    stream: bool,
):
    reply = ask(hub, after(f"gpt-{status}"), key=customer.key, stream=stream)
    assert reply.status == status
    call = books.call(reply.call_id)
    assert tries(call) == [("first", "main", status, True)]
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")
    assert asked(other) == []


def test_429_stays_429_when_no_candidate_is_left(hub: HubProcess, books: Books, customer: Customer):
    reply = ask(hub, "limited", key=customer.key)
    assert (reply.status, reply.error["code"]) == (429, "rate_limited")
    assert int(reply.headers["retry-after"]) >= 1
    call = books.call(reply.call_id)
    assert [one[2] for one in tries(call)] == [429, 429, 500]
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")


def test_when_all_fail_every_try_is_on_record_and_nothing_is_charged(
    hub: HubProcess, books: Books, customer: Customer
):
    before = customer.balance
    reply = ask(hub, "hopeless", key=customer.key)
    assert (reply.status, reply.error["code"]) == (502, "upstream_error")
    call = books.call(reply.call_id)
    first, *dead = [one[:3] for one in tries(call)]
    assert first == ("first", "main", 500)
    assert sorted(dead) == [("dead", "dead1", 401), ("dead", "dead2", 401)]
    assert (customer.balance, customer.held) == (before, 0)


def test_nothing_is_tried_again_after_the_first_byte(
    hub: HubProcess, books: Books, customer: Customer, other: FakeUpstream
):
    reply = ask(hub, after(BROKEN), key=customer.key, stream=True)
    assert (reply.status, reply.error["code"], reply.done) == (200, "upstream_error", False)
    call = books.call(reply.call_id)
    assert tries(call) == [("first", "main", 200, True)]
    assert call["model"] == f"first/{BROKEN}"
    assert nano(call["credits"]) == price(call, RATES) > 0
    assert asked(other) == []


def test_a_keys_allow_list_bounds_every_fallback(
    hub: HubProcess, books: Books, upstream: FakeUpstream, other: FakeUpstream
):
    alias = after("gpt-500")
    only_first = books.customer(nano("10"), models=["first/*"])
    reply = ask(hub, alias, key=only_first.key)
    assert (reply.status, len(books.call(reply.call_id)["attempts"])) == (502, 1)
    assert asked(other) == []
    upstream.reset()
    only_second = books.customer(nano("10"), models=["second/*"])
    reply = ask(hub, alias, key=only_second.key)
    assert reply.headers["x-aigne-hub-model"] == FALLBACK
    assert asked(upstream) == []
    neither = books.customer(nano("10"), models=["third/*"])
    reply = ask(hub, alias, key=neither.key)
    assert (reply.status, reply.error["code"]) == (403, "forbidden")
    assert neither.call()["outcome"] == "rejected"


def test_a_fallback_is_held_for_at_its_price_before_anything_is_sent(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    alias = after("gpt-500")
    body = json.dumps({"model": alias, "messages": [], "max_tokens": 10}).encode()
    worst = len(body) * 5_000_000 + 10 * 9_000_000
    short, enough = books.customer(worst - 1), books.customer(worst)
    refused = post(hub, "/v1/chat/completions", body, key=short.key)
    assert refused.status == 402
    assert asked(upstream) == []
    post(hub, "/v1/chat/completions", body, key=enough.key)
    assert nano(enough.call()["held"]) == worst
    assert enough.held == 0
