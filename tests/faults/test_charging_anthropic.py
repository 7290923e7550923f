"""The charging table on Anthropic's wire: every row, whole and streamed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, Customer, nano
from tests.caller import PROMPT, Reply, begun, post
from tests.faults.test_charging_table import Fault
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.pricing import BLOCK

RATES = {
    "input": "3.000001",
    "output": "15.000007",
    "cache_read": "0.300003",
    "cache_write": "3.750001",
    "cache_write_1h": "6.000003",
    "search": "0.01",
}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
UNDELIVERED = [
    Fault("claude-400", 400, "invalid_request"),
    Fault("claude-401", 502, "upstream_error"),
    Fault("claude-402", 502, "upstream_error"),
    Fault("claude-413", 413, "payload_too_large"),
    Fault("claude-429", 429, "rate_limited"),
    Fault("claude-500", 502, "upstream_error"),
    Fault("claude-504", 504, "upstream_timeout", "upstream_timeout"),
    Fault("claude-529", 502, "upstream_error"),
    Fault("claude-html502", 502, "upstream_error"),
    Fault("claude-error200", 502, "upstream_error"),
    Fault("claude-errorevent:0", 502, "upstream_error"),
    Fault("claude-cut:0", 502, "upstream_error"),
    Fault("claude-fin:0", 502, "upstream_error"),
    Fault("claude-stall:0", 504, "upstream_timeout", "upstream_timeout"),
]
BROKEN_WHOLE = [
    Fault("claude-badjson", 502, "upstream_error"),
    Fault("claude-cut:3", 502, "upstream_error"),
    Fault("claude-fin:3", 502, "upstream_error"),
]
BROKEN_STREAM = [
    Fault("claude-slow:5+long:40+errorevent:3", 200, "upstream_error"),
    Fault("claude-slow:5+long:40+cut:3", 200, "upstream_error"),
    Fault("claude-slow:5+long:40+fin:3", 200, "upstream_error"),
    Fault("claude-slow:5+long:40+stall:3", 200, "upstream_timeout", "upstream_timeout"),
]
# Tokens by bucket (input, output, read, written, of these for an hour), and searches.
COMPLETE = {
    "claude-sonnet-4-5": (4, 4, 0, 0, 0, 0),
    "claude-tokens:7:11": (7, 11, 0, 0, 0, 0),
    "claude-tokens:123:457+cached:100+written:50:20+searches:3": (123, 457, 100, 50, 20, 3),
    "claude-tokens:5:40+reasoning:30+written:9": (5, 40, 0, 9, 0, 0),
    "claude-tokens:0:0": (0, 0, 0, 0, 0, 0),
    "claude-long:40+nousage": (4, 38, 0, 0, 0, 0),
}
MIDWAY = "claude-slow:20+long:400+cached:90"
FLOOD = "claude-long:60000"
SCENARIOS = dict.fromkeys(
    [
        *(fault.scenario for fault in UNDELIVERED + BROKEN_WHOLE + BROKEN_STREAM),
        *COMPLETE,
        *(MIDWAY, FLOOD),
    ]
)


@dataclass(frozen=True, slots=True)
class Site:
    hub: HubProcess
    books: Books
    customer: Customer

    def ask(self, model: str, *, customer: Customer | None = None, **members: Any) -> Reply:
        body = message(model, **members)
        return post(self.hub, "/v1/messages", body, key=(customer or self.customer).key)

    def call(self, reply: Reply) -> dict[str, Any]:
        call = self.books.call(reply.call_id)
        assert call["status"] != "processing"
        return call


def message(model: str, **members: Any) -> bytes:
    spoken = [{"role": "user", "content": PROMPT}]
    value = {"model": f"anthropic/{model}", "max_tokens": 1_000, "messages": spoken, **members}
    return json.dumps(value).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    models = [
        {"model": f"anthropic/{name}", "type": "chat", "rates": RATES, "max_output_tokens": 100_000}
        for name in SCENARIOS
    ]
    credentials = [{"name": "main", "api_key": "sk-ant-good"}]
    provider = {"name": "anthropic", "base_url": upstream.base_url, "credentials": credentials}
    config = {
        "providers": [provider],
        "models": models,
        "billing": {"enabled": True},
        "limits": {"stream_idle_s": 1, "upstream_first_byte_s": 1},
    }
    with HubProcess(tmp_path_factory.mktemp("anthropic"), config) as hub, Books(hub) as books:
        yield Site(hub, books, books.customer(GRANTED))


def cost(used: tuple[int, ...]) -> int:
    """Return what buckets cost at RATES, in integers alone."""
    fresh, output, read, written, hour, searches = used
    names = ("input", "output", "cache_read", "cache_write", "cache_write_1h")
    amounts = (fresh, output, read, written - hour, hour)
    numerator = sum(nano(RATES[n]) * amount for n, amount in zip(names, amounts, strict=True))
    numerator += searches * nano(RATES["search"]) * BLOCK
    whole, rest = divmod(numerator, BLOCK)
    return whole + (2 * rest >= BLOCK)


def tokens(call: dict[str, Any]) -> tuple[int, ...]:
    names = ("input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens")
    return tuple(call[name] for name in names)


def text_of(reply: Reply) -> str:
    deltas = [event["delta"] for event in reply.events if event["type"] == "content_block_delta"]
    return "".join(delta["text"] for delta in deltas)


def check_undelivered(site: Site, reply: Reply, fault: Fault) -> None:
    assert reply.status == fault.status
    assert reply.headers["content-type"] == "application/json"
    assert reply.json["type"] == "error"
    assert reply.json["error"]["code"] == fault.code
    assert reply.headers["request-id"] == reply.json["request_id"]
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert (call["credits"], call["usage_source"], *tokens(call)) == ("0", None, 0, 0, 0, 0)
    assert len(call["attempts"]) == 1
    assert site.customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", UNDELIVERED, ids=lambda fault: fault.scenario)
def test_a_failure_with_nothing_delivered_is_free(site: Site, fault: Fault, stream: bool):
    check_undelivered(site, site.ask(fault.scenario, stream=stream), fault)


@pytest.mark.parametrize("fault", BROKEN_WHOLE, ids=lambda fault: fault.scenario)
def test_a_whole_answer_that_breaks_is_free(site: Site, fault: Fault):
    check_undelivered(site, site.ask(fault.scenario), fault)


@pytest.mark.parametrize("fault", BROKEN_STREAM, ids=lambda fault: fault.scenario)
def test_a_stream_that_breaks_costs_what_was_delivered(site: Site, fault: Fault):
    reply = site.ask(fault.scenario, stream=True)
    assert reply.status == 200
    assert text_of(reply) == "w0 w1 w2 "
    assert (reply.events[-1]["type"], reply.error["code"]) == ("error", fault.code)
    assert b"message_stop" not in reply.body
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert call["usage_source"] == "counted"
    assert tokens(call) == (INPUT_COUNTED, 3, 0, 0)
    assert nano(call["credits"]) == cost((INPUT_COUNTED, 3, 0, 0, 0, 0))
    assert site.customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", COMPLETE)
def test_a_complete_answer_costs_what_was_reported_or_else_counted(
    site: Site, scenario: str, stream: bool
):
    reply = site.ask(scenario, stream=stream)
    assert reply.status == 200
    call = site.call(reply)
    assert (call["status"], call["outcome"], call["error"]) == ("success", "completed", None)
    used = COMPLETE[scenario]
    assert tokens(call) == used[:4]
    assert nano(call["credits"]) == cost(used)
    assert call["usage_source"] == ("counted" if "nousage" in scenario else "provider")
    assert nano(call["held"]) >= nano(call["credits"]) - 3 * nano(RATES["search"])
    assert site.customer.held == 0
    if not stream:
        assert reply.headers["x-aigne-hub-credits"] == call["credits"]
        return
    *_, end, stop = reply.events
    assert stop == {"type": "message_stop"}
    assert end["usage"]["credits"] == call["credits"]
    assert end["usage"]["output_tokens"] == used[1]


def test_a_stream_is_cut_off_when_nothing_is_left(site: Site, upstream: FakeUpstream):
    body = message(FLOOD, stream=True, max_tokens=90_000)
    # Any token of the prompt may go into the dearest cache.
    price = nano(RATES["cache_write_1h"]), nano(RATES["output"])
    search = nano(RATES["search"])
    spendable = -(-(len(body) * price[0] + 700 * price[1]) // BLOCK) + search
    customer = site.books.customer(spendable)
    upstream.reset()
    reply = site.ask(FLOOD, customer=customer, stream=True, max_tokens=90_000)
    assert reply.status == 200
    assert (reply.error["type"], reply.error["code"]) == ("NOT_ENOUGH", "insufficient_credits")
    assert reply.error["link"] in reply.error["message"]
    assert b"message_stop" not in reply.body
    delivered = -(-len(text_of(reply)) // 4)
    assert 700 - 2 < delivered <= 700
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "cut_off")
    assert call["output_tokens"] == delivered
    assert nano(call["credits"]) == nano(call["held"]) == spendable
    assert (customer.balance, customer.held) == (0, 0)
    upstream.log_when(lambda log: log[0]["client_gone"])


def test_a_limit_that_cannot_be_paid_is_refused_with_the_one_that_can(site: Site):
    customer = site.books.customer(nano("0.02"))
    reply = site.ask("claude-sonnet-4-5", customer=customer, max_tokens=90_000)
    assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")
    affordable = reply.error["affordable_tokens"]
    again = site.ask("claude-sonnet-4-5", customer=customer, max_tokens=affordable)
    assert again.status == 200


def test_a_caller_who_leaves_a_stream_pays_what_was_read_and_produced(
    site: Site, upstream: FakeUpstream
):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    body = message(MIDWAY, stream=True)
    with begun(site.hub, "/v1/messages", body, key=customer.key) as answer:
        while b"w5 " not in answer.readline():
            pass
    (record,) = upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "provider"
    assert (call["input_tokens"], call["cache_read_tokens"]) == (4, 90)
    produced = "".join(f"w{number} " for number in range(record["chunks_sent"]))
    last_word = 4
    assert len(produced) - last_word <= 4 * call["output_tokens"] <= len(produced) + 3
    assert nano(call["credits"]) == cost((4, call["output_tokens"], 90, 0, 0, 0))
    assert customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_repetition_gets_the_first_answer_and_is_charged_once(site: Site, stream: bool):
    body = message("claude-sonnet-4-5", stream=stream)
    headers = {"Idempotency-Key": f"once-{stream}"}
    first, again = (
        post(site.hub, "/v1/messages", body, key=site.customer.key, headers=headers)
        for _ in range(2)
    )
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.call_id == first.call_id
    assert again.headers["request-id"] == again.headers["x-request-id"]
    assert again.headers["request-id"] != first.headers["request-id"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"model":"anthropic/claude-sonnet-4-5","messages":[]}',
        b'{"model":"anthropic/claude-sonnet-4-5","messages":[],"max_tokens":-1}',
        b'{"model":"anthropic/claude-sonnet-4-5","messages":{},"max_tokens":1}',
        b'{"model":"\\ud800","messages":[],"max_tokens":1}',
        b'{"model":"anthropic/claude-sonnet-4-5","max_tokens":1,"messages":' + b"[" * 100_000,
    ],
    ids=lambda body: body[-60:].decode("latin-1"),
)
@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
def test_a_malformed_request_is_the_callers_mistake(
    site: Site, upstream: FakeUpstream, path: str, body: bytes
):
    if path.endswith("count_tokens") and b'"messages":[]' in body and b"ud800" not in body:
        return
    seen = len(upstream.log())
    reply = post(site.hub, path, body, key=site.customer.key)
    assert reply.status in {400, 404}
    assert reply.json["type"] == "error"
    assert reply.error["type"] in {"invalid_request_error", "not_found_error"}
    assert site.call(reply)["outcome"] == "rejected"
    assert len(upstream.log()) == seen


def test_the_books_add_up(site: Site):
    """Runs last: what is gone from the balance is the sum of all calls."""
    spent = sum(nano(call["credits"]) for call in site.customer.calls())
    assert spent > 0
    assert (site.customer.balance, site.customer.held) == (GRANTED - spent, 0)
    site.hub.verified()
