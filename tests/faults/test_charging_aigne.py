"""The charging table in AIGNE's format, and what its stock client is strict about."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from tests.aigne import Thrown, checked, envelope, merged, output
from tests.books import Books, Customer, nano
from tests.caller import PROMPT, Reply, begun, post
from tests.faults.test_charging_table import Fault
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.pricing import BLOCK
from aigne_hub.storage import keys

PATH = "/ai-kit/api/v2/chat"
RATES = {"input": "3.000001", "output": "15.000007", "cache_read": "0.300003"}
GRANTED = nano("1000")
INPUT_COUNTED = -(-len(PROMPT) // 4)
UNDELIVERED = [
    Fault("gpt-400", 400, "invalid_request"),
    Fault("gpt-401", 502, "upstream_error"),
    Fault("gpt-429", 429, "rate_limited"),
    Fault("gpt-503", 502, "upstream_error"),
    Fault("gpt-html502", 502, "upstream_error"),
    Fault("gpt-error200", 502, "upstream_error"),
    Fault("gpt-errorevent:0", 502, "upstream_error"),
    Fault("gpt-cut:0", 502, "upstream_error"),
]
BROKEN_STREAM = [
    Fault("gpt-slow:5+long:40+errorevent:3", 200, "upstream_error"),
    Fault("gpt-slow:5+long:40+cut:3", 200, "upstream_error"),
    Fault("gpt-slow:5+long:40+fin:3", 200, "upstream_error"),
]
# Tokens by bucket: input, output, read.
COMPLETE = {
    "gpt-4o": (4, 4, 0),
    "gpt-tokens:7:11": (7, 11, 0),
    "gpt-tokens:123:457+cached:100": (23, 457, 100),
    "gpt-long:40+nousage": (4, 38, 0),
}
MIDWAY = "gpt-slow:20+long:400"
FLOOD = "gpt-long:20000"
SLOW = "gpt-slow:1300"
SLOW_FAILURE = "gpt-slow:1300+badjson"
SILENT = "gpt-silent"
SCENARIOS = dict.fromkeys(
    [
        *(fault.scenario for fault in UNDELIVERED + BROKEN_STREAM),
        *COMPLETE,
        *(MIDWAY, FLOOD, SLOW, SLOW_FAILURE, SILENT),
    ]
)
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
TOOLS = [{"type": "function", "function": {"name": "weather", "parameters": CITY}}]
FORMAT = {"type": "json_schema", "jsonSchema": {"name": "a", "schema": CITY, "strict": True}}


@dataclass(frozen=True, slots=True)
class Site:
    hub: HubProcess
    books: Books
    customer: Customer

    def ask(
        self, model: str, *, customer: Customer | None = None, stream: bool = False, **given: Any
    ) -> Reply:
        body = envelope(f"openai/{model}", stream=stream, **given)
        return post(self.hub, PATH, body, key=(customer or self.customer).key)

    def call(self, reply: Reply) -> dict[str, Any]:
        call = self.books.call(reply.call_id)
        assert call["status"] != "processing"
        return call


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[Site]:
    chats = [
        {"model": f"openai/{name}", "type": "chat", "rates": RATES, "max_output_tokens": 100_000}
        for name in SCENARIOS
    ]
    credentials = [{"name": "main", "api_key": "sk-good"}]
    provider = {"name": "openai", "base_url": upstream.base_url, "credentials": credentials}
    config = {
        "providers": [provider],
        "models": chats,
        "billing": {"enabled": True},
        "limits": {"head_within_s": 1, "upstream_first_byte_s": 3},
    }
    with HubProcess(tmp_path_factory.mktemp("aigne"), config) as hub, Books(hub) as books:
        yield Site(hub, books, books.customer(GRANTED))


def cost(used: tuple[int, ...]) -> int:
    """Return what buckets cost at RATES, in integers alone."""
    names = ("input", "output", "cache_read")
    numerator = sum(nano(RATES[n]) * amount for n, amount in zip(names, used, strict=True))
    whole, rest = divmod(numerator, BLOCK)
    return whole + (2 * rest >= BLOCK)


def tokens(call: dict[str, Any]) -> tuple[int, ...]:
    return tuple(call[name] for name in ("input_tokens", "output_tokens", "cache_read_tokens"))


def delivered(reply: Reply) -> str:
    deltas = [event["delta"] for event in reply.events if "delta" in event]
    return "".join(delta["text"]["text"] for delta in deltas if "text" in delta)


def failure(reply: Reply) -> dict[str, Any]:
    """Return the error that ends a stream: the only event with a name."""
    last = reply.body.rstrip(b"\n").split(b"\n\n")[-1]
    assert last.startswith(b"event: error\ndata: {")
    value: dict[str, Any] = json.loads(last.partition(b"data: ")[2])
    return value


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("fault", UNDELIVERED, ids=lambda fault: fault.scenario)
def test_a_failure_with_nothing_delivered_is_free(site: Site, fault: Fault, stream: bool):
    reply = site.ask(fault.scenario, stream=stream)
    assert reply.status == fault.status
    assert reply.headers["content-type"] == "application/json"
    assert reply.error["code"] == fault.code
    with pytest.raises(Thrown):
        output(reply)
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert (call["credits"], call["usage_source"], *tokens(call)) == ("0", None, 0, 0, 0)
    assert site.customer.held == 0


@pytest.mark.parametrize("fault", BROKEN_STREAM, ids=lambda fault: fault.scenario)
def test_a_stream_that_breaks_costs_what_was_delivered(site: Site, fault: Fault):
    reply = site.ask(fault.scenario, stream=True)
    assert reply.status == 200
    # What arrives in one piece with the error may not be read any more: it is not charged, too.
    assert delivered(reply) in {"w0 w1 ", "w0 w1 w2 "}
    assert failure(reply)["code"] == fault.code
    with pytest.raises(Thrown):
        output(reply)
    assert b'"usage"' not in reply.body
    call = site.call(reply)
    assert (call["status"], call["outcome"]) == ("failed", fault.outcome)
    assert call["usage_source"] == "counted"
    used = (INPUT_COUNTED, -(-len(delivered(reply)) // 4), 0)
    assert tokens(call) == used
    assert nano(call["credits"]) == cost(used)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("scenario", COMPLETE)
def test_a_complete_answer_costs_what_was_reported_or_else_counted(
    site: Site, scenario: str, stream: bool
):
    reply = site.ask(scenario, stream=stream)
    value = output(reply)
    call = site.call(reply)
    assert (call["status"], call["outcome"], call["error"]) == ("success", "completed", None)
    used = COMPLETE[scenario]
    assert tokens(call) == used
    assert nano(call["credits"]) == cost(used)
    assert call["usage_source"] == ("counted" if "nousage" in scenario else "provider")
    usage = value["usage"]
    assert (usage["inputTokens"], usage["outputTokens"]) == (used[0] + used[2], used[1])
    assert usage["credits"] == call["credits"]
    assert f'"aigneHubCredits":{call["credits"]},'.encode() in reply.body
    assert usage["modelCallId"] == reply.call_id
    assert (value["model"], value["modelWithProvider"]) == (scenario, f"openai/{scenario}")
    assert b"DONE" not in reply.body
    if not stream:
        assert reply.headers["x-aigne-hub-credits"] == call["credits"]


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tools_are_called_with_objects_and_told_their_results(
    site: Site, upstream: FakeUpstream, stream: bool
):
    asked = site.ask("gpt-4o", stream=stream, tools=TOOLS, toolChoice="required")
    calls = output(asked)["toolCalls"]
    assert calls[0]["function"] == {"name": "weather", "arguments": {"city": "text"}}
    upstream.reset()
    history = [
        {"role": "user", "content": PROMPT},
        {"role": "agent", "toolCalls": calls},
        {"role": "tool", "content": "sunny", "toolCallId": calls[0]["id"]},
    ]
    told = site.ask("gpt-4o", stream=stream, tools=TOOLS, messages=history)
    assert output(told)["text"] == PROMPT
    assert len(upstream.log()) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_what_was_asked_for_as_json_is_parsed(site: Site, stream: bool):
    reply = site.ask("gpt-4o", stream=stream, responseFormat=FORMAT)
    value = output(reply)
    assert value["json"] == {"city": "text"}
    assert "text" not in value


def test_a_stream_is_chosen_by_its_option_alone(site: Site):
    body = json.loads(envelope("openai/gpt-4o"))
    body["options"]["streaming"] = "yes"
    body["stream"] = True
    headers = {"accept": "text/event-stream"}
    reply = post(site.hub, PATH, json.dumps(body).encode(), key=site.customer.key, headers=headers)
    assert not reply.streamed
    assert output(reply)["text"] == PROMPT


@pytest.mark.parametrize("model", ["openai:gpt-4o", "OpenAI/gpt-4o", "open-ai:gpt-4o", "gpt-4o"])
@pytest.mark.parametrize("place", ["body", "input", "options"])
def test_a_model_is_named_in_three_places_and_spelled_in_several_ways(
    site: Site, model: str, place: str
):
    body = json.loads(envelope("openai/gpt-4o"))
    del body["input"]["modelOptions"]["model"]
    where = {"body": body, "input": body["input"], "options": body["input"]["modelOptions"]}
    where[place]["model"] = model
    reply = post(site.hub, "/v2/chat", json.dumps(body).encode(), key=site.customer.key)
    assert output(reply)["modelWithProvider"] == "openai/gpt-4o"


def test_a_poor_caller_is_told_where_to_buy(site: Site, upstream: FakeUpstream):
    customer = site.books.customer(1)
    upstream.reset()
    for stream in (False, True):
        reply = site.ask("gpt-4o", customer=customer, stream=stream)
        assert (reply.status, reply.error["type"]) == (402, "NOT_ENOUGH")
        assert reply.error["code"] == "insufficient_credits"
        assert reply.error["link"] in reply.error["message"]
        assert reply.error["timestamp"].endswith("Z")
    assert upstream.log() == []


def test_a_stream_is_cut_off_when_nothing_is_left(site: Site, upstream: FakeUpstream):
    customer = site.books.customer(nano("0.03"))
    upstream.reset()
    reply = site.ask(FLOOD, customer=customer, stream=True, options={"maxTokens": 90_000})
    assert reply.status == 200
    assert failure(reply)["type"] == "NOT_ENOUGH"
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "cut_off")
    assert call["output_tokens"] == -(-len(delivered(reply)) // 4)
    assert nano(call["credits"]) == nano(call["held"]) == nano("0.03")
    assert (customer.balance, customer.held) == (0, 0)
    upstream.log_when(lambda log: log[0]["client_gone"])


def test_a_caller_who_leaves_a_stream_pays_what_was_produced(site: Site, upstream: FakeUpstream):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    body = envelope(f"openai/{MIDWAY}", stream=True)
    with begun(site.hub, PATH, body, key=customer.key) as answer:
        while b"w5 " not in answer.readline():
            pass
    upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert 5 <= call["output_tokens"] < 400
    assert nano(call["credits"]) == cost((INPUT_COUNTED, call["output_tokens"], 0))


def test_a_limit_is_told_with_what_is_left_of_it(site: Site):
    customer = site.books.customer(GRANTED, limits=keys.Limits(rpm=1))
    assert site.ask("gpt-4o", customer=customer).status == 200
    for stream in (False, True):
        reply = site.ask("gpt-4o", customer=customer, stream=stream)
        assert (reply.status, reply.error["code"]) == (429, "rate_limited")
        assert reply.error["limit"]["measure"] == "requests"
        assert int(reply.headers["retry-after"]) > 0


# -- answers that take long ------------------------------------------------------------------


def test_the_head_of_a_slow_answer_leaves_before_its_body(site: Site):
    with begun(site.hub, PATH, envelope(f"openai/{SLOW}"), key=site.customer.key) as answer:
        assert answer.status == 200
        assert answer.headers["content-type"] == "application/json"
        assert answer.read(1) == b" "
        value = checked(json.loads(answer.read()))
    assert value["text"] == PROMPT
    call = site.books.call(value["usage"]["modelCallId"])
    assert nano(call["credits"]) == cost((4, 4, 0))


def test_the_head_of_a_slow_stream_leaves_before_its_first_chunk(site: Site):
    body = envelope(f"openai/{SLOW}", stream=True)
    with begun(site.hub, PATH, body, key=site.customer.key) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.readline() == b": keepalive\n"
        value = checked(merged(b"\n" + answer.read()))
    assert value["text"] == PROMPT


def test_a_slow_failure_is_an_error_in_a_body_whose_status_has_left(site: Site):
    reply = site.ask(SLOW_FAILURE)
    assert reply.status == 200
    assert reply.body.startswith(b" ")
    assert reply.error["code"] == "upstream_error"
    call = site.call(reply)
    assert (call["outcome"], call["credits"]) == ("upstream_failed", "0")


def test_a_caller_who_leaves_a_slow_answer_pays_its_input(site: Site, upstream: FakeUpstream):
    customer = site.books.customer(GRANTED)
    upstream.reset()
    with begun(site.hub, PATH, envelope(f"openai/{SILENT}"), key=customer.key) as answer:
        assert answer.status == 200
    upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "client_cancelled")
    assert tokens(call) == (INPUT_COUNTED, 0, 0)


# -- what is asked for -----------------------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_a_repetition_gets_the_first_answer(site: Site, stream: bool):
    headers = {"Idempotency-Key": f"once-{stream}"}

    def ask(content: str) -> Reply:
        body = envelope("openai/gpt-4o", content, stream=stream)
        return post(site.hub, PATH, body, key=site.customer.key, headers=headers)

    first, again, other = ask("one"), ask("one"), ask("two")
    assert (again.status, again.body) == (200, first.body)
    assert again.headers["idempotent-replayed"] == "true"
    assert (other.status, other.error["code"]) == (422, "idempotency_mismatch")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"{}",
        b'{"input":{}}',
        b'{"input":{"messages":[],"model":"openai/gpt-4o"}}',
        b'{"input":{"messages":[{"role":"user","content":"x"}]}}',
        b'{"input":{"messages":[{"role":"king","content":"x"}],"model":"openai/gpt-4o"}}',
        b'{"model":"openai/gpt-4o","input":{"messages":[{"role":"user","content":[{"type":"local"}]}]}}',
        b'{"input":{"model":"openai/gpt-4o","messages":[{}],"modelOptions":{"maxTokens":-1}}}',
        b'{"model":"openai/gpt-4o","messages":[{"role":"user","content":"x"}]}',
        b'{"input":{"messages":' + b"[" * 100_000,
    ],
    ids=lambda body: body[-60:].decode(),
)
def test_a_malformed_request_is_the_callers_mistake(
    site: Site, upstream: FakeUpstream, body: bytes
):
    seen = len(upstream.log())
    reply = post(site.hub, PATH, body, key=site.customer.key)
    assert (reply.status, reply.error["code"]) == (400, "invalid_request")
    assert site.call(reply)["outcome"] == "rejected"
    assert len(upstream.log()) == seen


def test_the_books_add_up(site: Site):
    """Runs last: what is gone from the balance is the sum of all calls."""
    spent = sum(nano(call["credits"]) for call in site.customer.calls())
    assert spent > 0
    assert (site.customer.balance, site.customer.held) == (GRANTED - spent, 0)
    site.hub.verified()
