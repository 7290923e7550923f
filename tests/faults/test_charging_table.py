"""The charging table (contract, section 5): every row, every fault, streamed or not, billed or not.

Every charge is computed again from the call's own token columns in integers alone.
"""

import json
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, Customer, nano, price
from tests.caller import PROMPT, Reply, ask, begun, chat, post
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

# Prices with odd last digits, so that nearly every charge needs its one rounding.
RATES = {"input": "0.150001", "output": "0.600007", "cache_read": "0.075003", "request": "0.001"}
IMAGE_RATES = {"image": "0.04"}
EMBEDDING_RATES = {"input": "0.020003"}
GRANTED = nano("1000")


@dataclass(frozen=True, slots=True)
class Fault:
    """What an upstream does, and what the caller and the record then see."""

    scenario: str
    status: int
    code: str
    outcome: str = "upstream_failed"


# Nothing was delivered, whether the caller asked for a stream or not.
UNDELIVERED = [
    Fault("gpt-400", 400, "invalid_request"),
    Fault("gpt-404", 404, "not_found"),
    Fault("gpt-413", 413, "payload_too_large"),
    Fault("gpt-422", 422, "invalid_request"),
    Fault("gpt-401", 502, "upstream_error"),
    Fault("gpt-402", 502, "upstream_error"),
    Fault("gpt-403", 502, "upstream_error"),
    Fault("gpt-408", 504, "upstream_timeout", "upstream_timeout"),
    Fault("gpt-409", 502, "upstream_error"),
    Fault("gpt-429", 429, "rate_limited"),
    Fault("gpt-500", 502, "upstream_error"),
    Fault("gpt-503", 502, "upstream_error"),
    Fault("gpt-504", 504, "upstream_timeout", "upstream_timeout"),
    Fault("gpt-529", 502, "upstream_error"),
    Fault("gpt-html502", 502, "upstream_error"),
    Fault("gpt-error200", 502, "upstream_error"),
    Fault("gpt-errorevent:0", 502, "upstream_error"),
    Fault("gpt-cut:0", 502, "upstream_error"),
    Fault("gpt-fin:0", 502, "upstream_error"),
    Fault("gpt-stall:0", 504, "upstream_timeout", "upstream_timeout"),
    Fault("gpt-silent", 504, "upstream_timeout", "upstream_timeout"),
]
# A unary answer is read whole before any of it leaves, so nothing of these is delivered.
BROKEN_WHOLE = [
    Fault("gpt-badjson", 502, "upstream_error"),
    Fault("gpt-errorevent:3", 502, "upstream_error"),
    Fault("gpt-cut:3", 502, "upstream_error"),
    Fault("gpt-fin:3", 502, "upstream_error"),
    Fault("gpt-stall:3", 504, "upstream_timeout", "upstream_timeout"),
]
# Broken after three words, each of which came by itself.
BROKEN_STREAM = [
    Fault("gpt-slow:5+long:40+errorevent:3", 200, "upstream_error"),
    Fault("gpt-slow:5+long:40+cut:3", 200, "upstream_error"),
    Fault("gpt-slow:5+long:40+fin:3", 200, "upstream_error"),
    Fault("gpt-slow:5+long:40+stall:3", 200, "upstream_timeout", "upstream_timeout"),
]
COMPLETE = [
    "gpt-4o-mini",
    "gpt-nousage",
    "gpt-cached:3",
    "gpt-tokens:7:11",
    "gpt-tokens:123:457+cached:100",
    "gpt-tokens:0:0",
    "gpt-long:40+nousage",
]
OTHER = ["gpt-silent", "gpt-slow:20+long:400", "gpt-slow:20+long:400+nousage"]
SCENARIOS = dict.fromkeys(
    [*(fault.scenario for fault in UNDELIVERED + BROKEN_WHOLE + BROKEN_STREAM), *COMPLETE, *OTHER]
)


@dataclass(frozen=True, slots=True)
class Site:
    """A serving hub, its books, and a customer with credit."""

    hub: HubProcess
    books: Books
    customer: Customer
    billed: bool

    def ask(self, model: str, **members: Any) -> Reply:
        return ask(self.hub, model, key=self.customer.key, **members)

    def call(self, reply: Reply) -> dict[str, Any]:
        """Return the record of an answered call, which was closed before its last byte left."""
        call = self.books.call(reply.call_id)
        assert call["status"] != "processing"
        return call

    def charge(self, call: dict[str, Any], rates: dict[str, str] = RATES) -> int:
        return price(call, rates) if self.billed else 0


@pytest.fixture(scope="module")
def closed_port() -> Iterator[int]:
    """A port that nobody listens on, kept from anybody else."""
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        yield reserved.getsockname()[1]


@pytest.fixture(scope="module", params=[True, False], ids=["billed", "unbilled"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    closed_port: int,
) -> Iterator[Site]:
    key = [{"name": "main", "api_key": "sk-good"}]
    models: list[dict[str, Any]] = [
        {"model": f"openai/{scenario}", "type": "chat", "rates": RATES} for scenario in SCENARIOS
    ]
    models += [
        {"model": "openai/text-embedding-3-small", "type": "embedding", "rates": EMBEDDING_RATES},
        {"model": "openai/gpt-image-1", "type": "image", "rates": IMAGE_RATES},
        {"model": "openai/unpriced", "type": "chat"},
        {"model": "nowhere/any", "type": "chat", "rates": RATES},
    ]
    config = {
        "providers": [
            {"name": "openai", "base_url": upstream.base_url, "credentials": key},
            {"name": "nowhere", "base_url": f"http://127.0.0.1:{closed_port}", "credentials": key},
        ],
        "models": models,
        "billing": {"enabled": request.param},
        "limits": {"stream_idle_s": 1, "upstream_first_byte_s": 1},
    }
    folder = tmp_path_factory.mktemp("site")
    with HubProcess(folder, config) as hub, Books(hub) as books:
        yield Site(hub, books, books.customer(GRANTED), request.param)


def assert_free(call: dict[str, Any], outcome: str) -> None:
    assert (call["status"], call["outcome"]) == ("failed", outcome)
    assert (call["credits"], call["usage_source"]) == ("0", None)
    assert (call["input_tokens"], call["output_tokens"], call["units"]) == (0, 0, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", UNDELIVERED, ids=lambda fault: fault.scenario)
def test_a_failure_with_nothing_delivered_is_free(site: Site, fault: Fault, stream: bool):
    reply = site.ask(f"openai/{fault.scenario}", stream=stream)
    check_undelivered(site, reply, fault)


@pytest.mark.parametrize("fault", BROKEN_WHOLE, ids=lambda fault: fault.scenario)
def test_a_whole_answer_that_breaks_is_free(site: Site, fault: Fault):
    check_undelivered(site, site.ask(f"openai/{fault.scenario}"), fault)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_an_upstream_that_cannot_be_reached_is_free(site: Site, stream: bool):
    reply = site.ask("nowhere/any", stream=stream)
    check_undelivered(site, reply, Fault("", 503, "no_upstream"))


def check_undelivered(site: Site, reply: Reply, fault: Fault) -> None:
    assert reply.status == fault.status
    assert not reply.streamed
    assert reply.error["code"] == fault.code
    assert reply.error["message"]
    assert reply.headers["x-aigne-hub-credits"] == "0"
    if fault.status == 429:
        assert int(reply.headers["retry-after"]) >= 1
    call = site.call(reply)
    assert_free(call, fault.outcome)
    assert call["error"]["code"] == fault.code
    assert len(call["attempts"]) == 1
    assert site.customer.held == 0


@pytest.mark.parametrize("fault", BROKEN_STREAM, ids=lambda fault: fault.scenario)
def test_a_stream_that_breaks_costs_what_was_delivered(site: Site, fault: Fault):
    reply = site.ask(f"openai/{fault.scenario}", stream=True)
    assert reply.status == 200
    assert reply.text == "w0 w1 w2 "
    assert reply.error["code"] == fault.code
    assert not reply.done
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert call["usage_source"] == "counted"
    assert call["input_tokens"] == -(-len(PROMPT) // 4)
    assert call["output_tokens"] == -(-len(reply.text) // 4)
    assert nano(call["credits"]) == site.charge(call)
    assert call["error"]["code"] == fault.code
    assert len(call["attempts"]) == 1
    assert site.customer.held == 0


def test_a_broken_event_in_a_stream_costs_what_its_outcome_says(site: Site):
    """It is seen when it is read together with others, and passed on when it comes alone."""
    reply = site.ask("openai/gpt-badjson", stream=True)
    call = site.call(reply)
    if reply.done:
        assert (call["outcome"], call["usage_source"]) == ("completed", "provider")
    else:
        assert (call["outcome"], reply.error["code"]) == ("upstream_failed", "upstream_error")
    assert nano(call["credits"]) == (site.charge(call) if call["usage_source"] else 0)
    assert site.customer.held == 0


@pytest.mark.parametrize("shape", ["whole", "stream", "stream with usage"])
@pytest.mark.parametrize("scenario", COMPLETE)
def test_a_complete_answer_costs_what_was_reported_or_else_counted(
    site: Site, scenario: str, shape: str
):
    shows_usage = shape == "stream with usage"
    options = {"stream_options": {"include_usage": True}} if shows_usage else {}
    reply = site.ask(f"openai/{scenario}", stream=shape != "whole", **options)
    assert reply.status == 200
    call = site.call(reply)
    assert (call["status"], call["outcome"], call["error"]) == ("success", "completed", None)
    assert nano(call["credits"]) == site.charge(call)
    assert len(call["attempts"]) == 1
    assert site.customer.held == 0
    reported = "nousage" not in scenario
    assert call["usage_source"] == ("provider" if reported else "counted")
    if reported:
        assert tokens(call) == EXPECTED_TOKENS[scenario]
    else:
        assert call["input_tokens"] == -(-len(PROMPT) // 4)
        assert call["output_tokens"] == -(-len(reply.text) // 4)
    if shape == "whole":
        assert reply.headers["x-aigne-hub-credits"] == call["credits"]
        return
    assert reply.done
    usages = [event["usage"] for event in reply.events if event.get("usage")]
    if not shows_usage:
        assert usages == []
        return
    (usage,) = usages
    assert usage["credits"] == call["credits"]
    assert usage["completion_tokens"] == call["output_tokens"]
    assert usage["prompt_tokens"] == call["input_tokens"] + call["cache_read_tokens"]


EXPECTED_TOKENS = {
    "gpt-4o-mini": (4, 4, 0),
    "gpt-cached:3": (1, 4, 3),
    "gpt-tokens:7:11": (7, 11, 0),
    "gpt-tokens:123:457+cached:100": (23, 457, 100),
    "gpt-tokens:0:0": (0, 0, 0),
}


def tokens(call: dict[str, Any]) -> tuple[int, int, int]:
    return call["input_tokens"], call["output_tokens"], call["cache_read_tokens"]


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "invalid_request"),
        (b"[]", 400, "invalid_request"),
        (b'{"messages":[]}', 400, "invalid_request"),
        (b'{"model":"openai/gpt-4o-mini"}', 400, "invalid_request"),
        (b'{"model":7,"messages":[]}', 400, "invalid_request"),
        (json.dumps(chat("openai/gpt-4o-mini", max_tokens=0)).encode(), 400, "invalid_request"),
        (json.dumps(chat("openai/gpt-4o-mini", n=1000)).encode(), 400, "invalid_request"),
        (json.dumps(chat("openai/never-declared")).encode(), 404, "not_found"),
        (json.dumps(chat("openai/gpt-image-1")).encode(), 400, "invalid_request"),
    ],
    ids=lambda value: value.decode()[:60] if isinstance(value, bytes) else None,
)
def test_a_refused_request_is_one_rejected_row_and_goes_nowhere(
    site: Site, upstream: FakeUpstream, body: bytes, status: int, code: str
):
    seen = len(upstream.log())
    reply = post(site.hub, "/v1/chat/completions", body, key=site.customer.key)
    assert (reply.status, reply.error["code"]) == (status, code)
    call = site.call(reply)
    assert_free(call, "rejected")
    assert call["error"]["code"] == code
    assert call["attempts"] == []
    assert len(upstream.log()) == seen


def test_a_model_without_a_price_is_served_only_while_billing_is_off(
    site: Site, upstream: FakeUpstream
):
    upstream.reset()
    reply = site.ask("openai/unpriced")
    call = site.call(reply)
    if site.billed:
        assert (reply.status, reply.error["code"]) == (400, "unpriced_model")
        assert_free(call, "rejected")
        assert upstream.log() == []
    else:
        assert (reply.status, call["outcome"], call["credits"]) == (200, "completed", "0")


def test_embeddings_and_images_and_completions_cost_their_units(site: Site):
    body = json.dumps({"model": "openai/text-embedding-3-small", "input": ["a b", "c"]}).encode()
    reply = post(site.hub, "/v1/embeddings", body, key=site.customer.key)
    call = site.call(reply)
    assert tokens(call) == (3, 0, 0)
    assert nano(call["credits"]) == site.charge(call, EMBEDDING_RATES)
    body = json.dumps({"model": "openai/gpt-image-1", "prompt": "a tree", "n": 3}).encode()
    reply = post(site.hub, "/v1/images/generations", body, key=site.customer.key)
    call = site.call(reply)
    assert call["units"] == 3
    assert nano(call["credits"]) == site.charge(call, IMAGE_RATES)
    body = json.dumps({"model": "openai/gpt-4o-mini", "prompt": "one two three"}).encode()
    reply = post(site.hub, "/v1/completions", body, key=site.customer.key)
    call = site.call(reply)
    assert tokens(call) == (3, 3, 0)
    assert nano(call["credits"]) == site.charge(call)


def test_a_caller_who_leaves_a_whole_answer_pays_the_input(site: Site):
    customer = site.books.customer(GRANTED)
    body = json.dumps(chat("openai/gpt-silent")).encode()
    with socket.create_connection(("127.0.0.1", site.hub.port)) as leaving:
        leaving.sendall(
            b"POST /v1/chat/completions HTTP/1.1\r\nHost: hub\r\nAuthorization: Bearer %b\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (customer.key.encode(), len(body), body)
        )
        time.sleep(0.3)
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "counted"
    assert tokens(call) == (-(-len(PROMPT) // 4), 0, 0)
    assert nano(call["credits"]) == site.charge(call)
    assert customer.held == 0


def test_a_caller_who_leaves_a_stream_pays_what_was_produced(site: Site, upstream: FakeUpstream):
    model = "gpt-slow:20+long:400"
    customer = site.books.customer(GRANTED)
    upstream.reset()
    body = json.dumps(chat(f"openai/{model}", stream=True)).encode()
    with begun(site.hub, "/v1/chat/completions", body, key=customer.key) as answer:
        while b"w5 " not in answer.readline():
            pass
    (record,) = upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "counted"
    assert call["input_tokens"] == -(-len(PROMPT) // 4)
    produced = "".join(f"w{number} " for number in range(record["chunks_sent"]))
    last_word = 4
    assert len(produced) - last_word <= 4 * call["output_tokens"] <= len(produced) + 3
    assert nano(call["credits"]) == site.charge(call)
    assert customer.held == 0


def test_the_books_add_up(site: Site):
    """Runs last: every call above is closed, and what is gone from the balance is their sum."""
    calls = site.customer.calls()
    assert len(calls) > 60
    assert all(call["status"] != "processing" for call in calls)
    if not site.billed:
        assert {call["held"] for call in calls} == {"0"}
    spent = sum(nano(call["credits"]) for call in calls)
    assert spent > 0 or not site.billed
    account = site.customer.account
    assert (account.balance, account.held) == (GRANTED - spent, 0)
    site.hub.verified()
