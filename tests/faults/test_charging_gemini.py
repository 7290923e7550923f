"""The charging table on Gemini's wire: every row, whole and streamed."""

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

RATES = {"input": "3.000001", "output": "15.000007", "cache_read": "0.300003", "search": "0.01"}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
UNDELIVERED = [
    Fault("gemini-400", 400, "invalid_request"),
    Fault("gemini-badkey", 502, "upstream_error"),
    Fault("gemini-403", 502, "upstream_error"),
    Fault("gemini-429", 429, "rate_limited"),
    Fault("gemini-503", 502, "upstream_error"),
    Fault("gemini-504", 504, "upstream_timeout", "upstream_timeout"),
    Fault("gemini-html502", 502, "upstream_error"),
    Fault("gemini-error200", 502, "upstream_error"),
    Fault("gemini-errorevent:0", 502, "upstream_error"),
    Fault("gemini-cut:0", 502, "upstream_error"),
    Fault("gemini-fin:0", 502, "upstream_error"),
    Fault("gemini-stall:0", 504, "upstream_timeout", "upstream_timeout"),
]
BROKEN_WHOLE = [
    Fault("gemini-badjson", 502, "upstream_error"),
    Fault("gemini-cut:3", 502, "upstream_error"),
]
BROKEN_STREAM = [
    Fault("gemini-slow:5+long:40+errorevent:3", 200, "upstream_error"),
    Fault("gemini-slow:5+long:40+cut:3", 200, "upstream_error"),
    Fault("gemini-slow:5+long:40+fin:3", 200, "upstream_error"),
    Fault("gemini-slow:5+long:40+stall:3", 200, "upstream_timeout", "upstream_timeout"),
]
# Tokens by bucket (input, output, read), and searches.
COMPLETE = {
    "gemini-flash": (4, 4, 0, 0),
    "gemini-tokens:7:11": (7, 11, 0, 0),
    "gemini-tokens:123:457+cached:100+searches:3": (123, 457, 100, 3),
    "gemini-tokens:5:40+thinking:30": (5, 70, 0, 0),
    "gemini-blocked": (4, 0, 0, 0),
    "gemini-long:40+nousage": (4, 38, 0, 0),
}
MIDWAY = "gemini-slow:20+long:400+cached:90"
FLOOD = "gemini-long:20000"
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

    def ask(
        self, model: str, *, customer: Customer | None = None, stream: bool = False, **config: Any
    ) -> Reply:
        key = (customer or self.customer).key
        return post(self.hub, target(model, stream=stream), message(**config), key=key)

    def call(self, reply: Reply) -> dict[str, Any]:
        call = self.books.call(reply.call_id)
        assert call["status"] != "processing"
        return call


def target(model: str, *, stream: bool) -> str:
    method = "streamGenerateContent?alt=sse" if stream else "generateContent"
    return f"/v1beta/models/google/{model}:{method}"


def message(**config: Any) -> bytes:
    turns = [{"role": "user", "parts": [{"text": PROMPT}]}]
    limits = {"maxOutputTokens": 1_000, **config}
    return json.dumps({"contents": turns, "generationConfig": limits}).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    models = [
        {"model": f"google/{name}", "type": "chat", "rates": RATES, "max_output_tokens": 100_000}
        for name in SCENARIOS
    ]
    credentials = [{"name": "main", "api_key": "AIza-good"}]
    provider = {"name": "google", "base_url": upstream.base_url, "credentials": credentials}
    config = {
        "providers": [provider],
        "models": models,
        "billing": {"enabled": True},
        "limits": {"stream_idle_s": 1, "upstream_first_byte_s": 1},
    }
    with HubProcess(tmp_path_factory.mktemp("gemini"), config) as hub, Books(hub) as books:
        yield Site(hub, books, books.customer(GRANTED))


def cost(used: tuple[int, ...]) -> int:
    """Return what buckets cost at RATES, in integers alone."""
    *amounts, searches = used
    names = ("input", "output", "cache_read")
    numerator = sum(nano(RATES[n]) * amount for n, amount in zip(names, amounts, strict=True))
    numerator += searches * nano(RATES["search"]) * BLOCK
    whole, rest = divmod(numerator, BLOCK)
    return whole + (2 * rest >= BLOCK)


def tokens(call: dict[str, Any]) -> tuple[int, ...]:
    return tuple(call[name] for name in ("input_tokens", "output_tokens", "cache_read_tokens"))


def text_of(reply: Reply) -> str:
    found = [event["candidates"][0]["content"] for event in reply.events if "candidates" in event]
    return "".join(part["text"] for content in found for part in content["parts"])


def reason_of(error: dict[str, Any]) -> str:
    return str(error["details"][0]["reason"])


def check_undelivered(site: Site, reply: Reply, fault: Fault) -> None:
    assert reply.status == reply.json["error"]["code"] == fault.status
    assert reply.headers["content-type"] == "application/json"
    assert reason_of(reply.error) == fault.code
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert (call["credits"], call["usage_source"], *tokens(call)) == ("0", None, 0, 0, 0)
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
    assert reason_of(reply.error) == fault.code
    assert b"finishReason" not in reply.body
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert call["usage_source"] == "counted"
    assert tokens(call) == (INPUT_COUNTED, 3, 0)
    assert nano(call["credits"]) == cost((INPUT_COUNTED, 3, 0, 0))
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
    assert tokens(call) == used[:3]
    assert nano(call["credits"]) == cost(used)
    assert call["usage_source"] == ("counted" if "nousage" in scenario else "provider")
    assert site.customer.held == 0
    if stream:
        assert [event["usageMetadata"].get("credits") for event in reply.events[-1:]] == [
            call["credits"]
        ]
        assert reply.body.count(b'"credits"') == 1
    else:
        assert reply.headers["x-aigne-hub-credits"] == call["credits"]


def test_a_stream_is_cut_off_when_nothing_is_left(site: Site, upstream: FakeUpstream):
    body = message(maxOutputTokens=90_000)
    price = nano(RATES["input"]), nano(RATES["output"])
    spendable = -(-(len(body) * price[0] + 700 * price[1]) // BLOCK) + nano(RATES["search"])
    customer = site.books.customer(spendable)
    upstream.reset()
    reply = site.ask(FLOOD, customer=customer, stream=True, maxOutputTokens=90_000)
    assert reply.status == 200
    assert (reply.error["code"], reply.error["type"]) == (402, "NOT_ENOUGH")
    assert reason_of(reply.error) == "insufficient_credits"
    assert reply.error["link"] in reply.error["message"]
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
    reply = site.ask("gemini-flash", customer=customer, maxOutputTokens=90_000)
    assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")
    affordable = reply.error["affordable_tokens"]
    again = site.ask("gemini-flash", customer=customer, maxOutputTokens=affordable)
    assert again.status == 200


def test_a_caller_who_leaves_a_stream_pays_what_was_read_and_produced(
    site: Site, upstream: FakeUpstream
):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    where = target(MIDWAY, stream=True)
    with begun(site.hub, where, message(), key=customer.key) as answer:
        while b"w5 " not in answer.readline():
            pass
    upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert call["usage_source"] == "provider"
    assert (call["input_tokens"], call["cache_read_tokens"]) == (4, 90)
    assert 6 <= call["output_tokens"] < 400
    assert nano(call["credits"]) == cost((4, call["output_tokens"], 90, 0))
    assert customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_repetition_gets_the_first_answer_and_another_model_is_another_request(
    site: Site, stream: bool
):
    headers = {"Idempotency-Key": f"once-{stream}"}

    def ask(model: str) -> Reply:
        where = target(model, stream=stream)
        return post(site.hub, where, message(), key=site.customer.key, headers=headers)

    first, again = ask("gemini-flash"), ask("gemini-flash")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.call_id == first.call_id
    other = ask("gemini-tokens:7:11")
    assert (other.status, reason_of(other.json["error"])) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"generationConfig":{"maxOutputTokens":-1}}',
        b'{"generationConfig":[]}',
        b'{"contents":' + b"[" * 100_000,
    ],
    ids=lambda body: body[-60:].decode("latin-1"),
)
@pytest.mark.parametrize("method", ["generateContent", "streamGenerateContent", "countTokens"])
def test_a_malformed_request_is_the_callers_mistake(
    site: Site, upstream: FakeUpstream, method: str, body: bytes
):
    if method == "countTokens" and b"generationConfig" in body:
        return
    seen = len(upstream.log())
    where = f"/v1beta/models/google/gemini-flash:{method}?alt=sse"
    reply = post(site.hub, where, body, key=site.customer.key)
    assert reply.status == 400
    assert (reply.error["status"], reason_of(reply.error)) == (
        "INVALID_ARGUMENT",
        "invalid_request",
    )
    assert site.call(reply)["outcome"] == "rejected"
    assert len(upstream.log()) == seen


@pytest.mark.parametrize("name", ["%ED%A0%80", "a%00b", "%2e%2e/x", "é".encode().hex(), "a//b"])
def test_strange_names_of_models_are_not_found(site: Site, name: str):
    where = f"/v1/models/{name}:generateContent"
    reply = post(site.hub, where, message(), key=site.customer.key)
    assert (reply.status, reply.error["status"]) == (404, "NOT_FOUND")


def test_the_books_add_up(site: Site):
    """Runs last: what is gone from the balance is the sum of all calls."""
    spent = sum(nano(call["credits"]) for call in site.customer.calls())
    assert spent > 0
    assert (site.customer.balance, site.customer.held) == (GRANTED - spent, 0)
    site.hub.verified()
