"""The charging table on the wire of OpenAI's Responses: every row, whole and streamed."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.books import Books, Customer, nano
from tests.caller import PROMPT, Reply, begun, post
from tests.faults.test_charging_table import BROKEN_STREAM, BROKEN_WHOLE, UNDELIVERED, Fault
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.pricing import BLOCK

PATH = "/v1/responses"
RATES = {"input": "3.000001", "output": "15.000007", "cache_read": "0.300003", "search": "0.01"}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
# Tokens by bucket (input, output, read), and searches, of which ten are held for.
COMPLETE = {
    "gpt-4o-mini": (4, 4, 0, 0),
    "gpt-tokens:7:11": (7, 11, 0, 0),
    "gpt-tokens:123:457+cached:100+searches:3": (123, 457, 100, 3),
    "gpt-tokens:5:40+reasoning:30": (5, 40, 0, 0),
    "gpt-tokens:0:0": (0, 0, 0, 0),
    "gpt-long:40+nousage": (4, 38, 0, 0),
}
MIDWAY = "gpt-slow:20+long:400+cached:90"
FLOOD = "gpt-long:20000"
SCENARIOS = dict.fromkeys(
    [
        *(fault.scenario for fault in UNDELIVERED + BROKEN_WHOLE + BROKEN_STREAM),
        *COMPLETE,
        *(MIDWAY, FLOOD, "gpt-blocked"),
    ]
)
SEARCH = [{"type": "web_search"}]


@dataclass(frozen=True, slots=True)
class Site:
    hub: HubProcess
    books: Books
    customer: Customer

    def ask(self, model: str, *, customer: Customer | None = None, **members: Any) -> Reply:
        return post(self.hub, PATH, body(model, **members), key=(customer or self.customer).key)

    def call(self, reply: Reply) -> dict[str, Any]:
        call = self.books.call(reply.call_id)
        assert call["status"] != "processing"
        return call


def body(model: str, **members: Any) -> bytes:
    limits = {"max_output_tokens": 1_000, **members}
    return json.dumps({"model": f"openai/{model}", "input": PROMPT, **limits}).encode()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    models = [
        {"model": f"openai/{name}", "type": "chat", "rates": RATES, "max_output_tokens": 100_000}
        for name in SCENARIOS
    ]
    credentials = [{"name": "main", "api_key": "sk-good"}]
    provider = {"name": "openai", "base_url": upstream.base_url, "credentials": credentials}
    config = {
        "providers": [provider],
        "models": models,
        "billing": {"enabled": True},
        "limits": {"stream_idle_s": 1, "upstream_first_byte_s": 1},
    }
    with HubProcess(tmp_path_factory.mktemp("responses"), config) as hub, Books(hub) as books:
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
    kind = "response.output_text.delta"
    return "".join(event["delta"] for event in reply.events if event["type"] == kind)


def ends(reply: Reply) -> list[str]:
    """Return the events that end a stream well."""
    kinds = [event["type"] for event in reply.events]
    return [kind for kind in kinds if kind in {"response.completed", "response.incomplete"}]


def check_undelivered(site: Site, reply: Reply, fault: Fault) -> None:
    assert reply.status == fault.status
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["code"] == fault.code
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert (call["credits"], call["usage_source"], *tokens(call)) == ("0", None, 0, 0, 0)
    assert len(call["attempts"]) == 1
    assert site.customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", UNDELIVERED, ids=lambda fault: fault.scenario)
def test_a_failure_with_nothing_delivered_is_free(site: Site, fault: Fault, stream: bool):
    check_undelivered(site, site.ask(fault.scenario, stream=stream), fault)


@pytest.mark.parametrize(
    "fault",
    [*BROKEN_WHOLE, Fault("gpt-blocked", 502, "upstream_error")],
    ids=lambda fault: fault.scenario,
)
def test_a_whole_answer_that_breaks_is_free(site: Site, fault: Fault):
    check_undelivered(site, site.ask(fault.scenario), fault)


@pytest.mark.parametrize("fault", BROKEN_STREAM, ids=lambda fault: fault.scenario)
def test_a_stream_that_breaks_costs_what_was_delivered(site: Site, fault: Fault):
    reply = site.ask(fault.scenario, stream=True)
    assert reply.status == 200
    assert text_of(reply) == "w0 w1 w2 "
    assert (reply.events[-1]["type"], reply.events[-1]["code"]) == ("error", fault.code)
    assert reply.error["code"] == fault.code
    numbers = [event["sequence_number"] for event in reply.events]
    assert numbers == list(range(len(numbers)))
    assert ends(reply) == []
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
    reply = site.ask(scenario, stream=stream, tools=SEARCH)
    assert reply.status == 200
    call = site.call(reply)
    assert (call["status"], call["outcome"], call["error"]) == ("success", "completed", None)
    used = COMPLETE[scenario]
    assert tokens(call) == used[:3]
    assert nano(call["credits"]) == cost(used)
    assert call["usage_source"] == ("counted" if "nousage" in scenario else "provider")
    assert nano(call["held"]) >= nano(call["credits"])
    assert site.customer.held == 0
    if not stream:
        assert reply.headers["x-aigne-hub-credits"] == call["credits"]
        return
    end = reply.events[-1]
    assert ends(reply) == [end["type"]] == ["response.completed"]
    assert end["response"]["usage"]["credits"] == call["credits"]
    assert end["response"]["usage"]["output_tokens"] == used[1]


def test_a_stream_is_cut_off_when_nothing_is_left(site: Site, upstream: FakeUpstream):
    sent = body(FLOOD, stream=True, max_output_tokens=90_000)
    price = nano(RATES["input"]), nano(RATES["output"])
    spendable = -(-(len(sent) * price[0] + 700 * price[1]) // BLOCK) + nano(RATES["search"])
    customer = site.books.customer(spendable)
    upstream.reset()
    reply = site.ask(FLOOD, customer=customer, stream=True, max_output_tokens=90_000)
    assert reply.status == 200
    assert (reply.error["type"], reply.error["code"]) == ("NOT_ENOUGH", "insufficient_credits")
    assert reply.error["link"] in reply.error["message"]
    assert ends(reply) == []
    delivered = -(-len(text_of(reply)) // 4)
    assert 700 - 2 < delivered <= 700
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "cut_off")
    assert call["output_tokens"] == delivered
    assert nano(call["credits"]) == nano(call["held"]) == spendable
    assert (customer.balance, customer.held) == (0, 0)
    upstream.log_when(lambda log: log[0]["client_gone"])


def test_a_limit_that_cannot_be_paid_is_refused_and_one_that_can_is_put_in(
    site: Site, upstream: FakeUpstream
):
    customer = site.books.customer(nano("0.02"))
    reply = site.ask("gpt-4o-mini", customer=customer, max_output_tokens=90_000)
    assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")
    affordable = reply.error["affordable_tokens"]
    upstream.reset()
    again = site.ask("gpt-4o-mini", customer=customer, max_output_tokens=None)
    assert again.status == 200
    (record,) = upstream.log()
    assert abs(record["body"]["max_output_tokens"] - affordable) <= 2


def test_credit_for_fewer_tokens_than_openai_accepts_is_not_enough(site: Site):
    sent = len(body("gpt-4o-mini", max_output_tokens=None))
    fixed = sent * nano(RATES["input"]) + nano(RATES["search"]) * BLOCK
    for room, status in ((14, 402), (18, 200)):
        customer = site.books.customer(-(-(fixed + room * nano(RATES["output"])) // BLOCK))
        reply = site.ask("gpt-4o-mini", customer=customer, max_output_tokens=None)
        assert reply.status == status


def test_a_caller_who_leaves_a_stream_pays_what_was_produced(site: Site, upstream: FakeUpstream):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    with begun(site.hub, PATH, body(MIDWAY, stream=True), key=customer.key) as answer:
        while b'"w5 "' not in answer.readline():
            pass
    (record,) = upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    # What was read from a cache is told at the end only.
    assert (call["usage_source"], call["input_tokens"]) == ("counted", INPUT_COUNTED)
    produced = "".join(f"w{number} " for number in range(record["chunks_sent"]))
    last_word = 4
    assert len(produced) - last_word <= 4 * call["output_tokens"] <= len(produced) + 3
    assert customer.held == 0


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_repetition_gets_the_first_answer_and_is_charged_once(site: Site, stream: bool):
    sent = body("gpt-4o-mini", stream=stream)
    headers = {"Idempotency-Key": f"once-{stream}"}
    first, again = (
        post(site.hub, PATH, sent, key=site.customer.key, headers=headers) for _ in range(2)
    )
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert again.call_id == first.call_id


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"{",
        b"[]",
        b"\xef\xbb\xbf{}",
        b'{"input":"x"}',
        b'{"model":"openai/gpt-4o-mini","max_output_tokens":-1}',
        b'{"model":"openai/gpt-4o-mini","background":true}',
        b'{"model":"openai/gpt-4o-mini","previous_response_id":"../../models"}',
        b'{"model":"openai/gpt-4o-mini","previous_response_id":"' + b"r" * 5_000 + b'"}',
        b'{"model":"\\ud800"}',
        b'{"model":"openai/gpt-4o-mini","input":' + b"[" * 100_000,
    ],
    ids=lambda sent: sent[-60:].decode("latin-1"),
)
def test_a_malformed_request_is_the_callers_mistake(
    site: Site, upstream: FakeUpstream, sent: bytes
):
    seen = len(upstream.log())
    reply = post(site.hub, PATH, sent, key=site.customer.key)
    assert reply.status in {400, 404}
    assert reply.error["type"] == "invalid_request_error"
    assert len(reply.error["message"]) < 500
    assert site.call(reply)["outcome"] == "rejected"
    assert len(upstream.log()) == seen


def test_the_books_add_up(site: Site):
    """Runs last: what is gone from the balance is the sum of all calls."""
    spent = sum(nano(call["credits"]) for call in site.customer.calls())
    assert spent > 0
    assert (site.customer.balance, site.customer.held) == (GRANTED - spent, 0)
    site.hub.verified()
