"""Holds (contract, section 5): what is set aside before and during a call, and what is taken."""

import json
import re
import signal
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from tests.books import Books, Customer, nano, price
from tests.caller import Reply, ask, begun, chat, post
from tests.hub import HubProcess
from tests.patience import PATIENCE_S
from tests.upstream.client import FakeUpstream

# Whole numbers of nano-credits a token, so that every hold below is exact.
RATES = {"input": "1000", "output": "2000"}
IN, OUT = 1_000_000, 2_000_000
STEP = 1024
OUTPUT_MAX = 4000
LINK = "https://pay.example/buy"
MODELS = [
    "gpt-4o-mini",
    "gpt-slow:400",
    "gpt-slow:20+long:30",
    "gpt-long:1500+stall:1400",
    "gpt-long:60000",
    "gpt-slow:1+long:1500",
    "gpt-tokens:900:200",
    "gpt-tokens:2:3",
    "gpt-tokens:20:30+beside:3000",
    "gpt-slow:40+long:60",
]


def config(upstream: FakeUpstream, rates: dict[str, str]) -> dict[str, Any]:
    credentials = [{"name": "main", "api_key": "sk-good"}]
    priced = {"type": "chat", "rates": rates, "max_output_tokens": OUTPUT_MAX}
    providers = {"openai": "openai", "local": "openai-compatible"}
    return {
        "providers": [
            {
                "name": name,
                "kind": kind,
                "base_url": upstream.base_url,
                "credentials": credentials,
            }
            for name, kind in providers.items()
        ],
        "models": [
            {"model": f"{provider}/{name}", **priced} for provider in providers for name in MODELS
        ],
        "billing": {"enabled": True, "payment_link": LINK},
        "limits": {"stream_idle_s": 2},
    }


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("holds")
    url = database_for(database)
    with HubProcess(folder, config(upstream, RATES), database_url=url) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def body_of(model: str, **members: Any) -> bytes:
    return json.dumps(chat(model, **members)).encode()


def bound(model: str, **members: Any) -> int:
    """Return the price of the input bound: no tokeniser makes more tokens than bytes."""
    return len(body_of(model, **members)) * IN


def held_while_running(
    hub: HubProcess, customer: Customer, model: str, **members: Any
) -> tuple[int, Reply]:
    """Send a slow call; return what was held while it ran, and its answer."""
    replies: list[Reply] = []

    def send() -> None:
        replies.append(ask(hub, model, key=customer.key, **members))

    sender = threading.Thread(target=send)
    sender.start()
    held = customer.held_when(lambda amount: amount > 0)
    sender.join()
    return held, replies[0]


@pytest.mark.parametrize("n", [None, 3])
def test_a_whole_answer_holds_its_input_bound_and_limit(
    hub: HubProcess, books: Books, n: int | None
):
    model, members = "openai/gpt-slow:400", {"max_tokens": 100, "n": n}
    customer = books.customer(nano("10"))
    held, reply = held_while_running(hub, customer, model, **members)
    assert reply.status == 200
    assert held == bound(model, **members) + 100 * (n or 1) * OUT
    call = customer.call()
    assert nano(call["held"]) == held
    assert nano(call["credits"]) == price(call, RATES) < held
    assert (customer.balance, customer.held) == (nano("10") - nano(call["credits"]), 0)


def test_a_limit_that_cannot_be_paid_is_refused_with_the_one_that_can(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    model = "openai/gpt-4o-mini"
    customer = books.customer(bound(model, max_tokens=58) + 57 * OUT + OUT - 1)
    upstream.reset()
    refused = ask(hub, model, key=customer.key, max_tokens=58)
    assert refused.status == 402
    error = refused.error
    assert (error["code"], error["type"]) == ("insufficient_credits", "NOT_ENOUGH")
    assert error["affordable_tokens"] == 57
    assert "57 tokens" in error["message"]
    assert error["link"] == LINK
    assert LINK in error["message"]
    assert abs(error["timestamp"] / 1000 - time.time()) < 60
    call = customer.call()
    assert (call["outcome"], call["credits"], call["held"]) == ("rejected", "0", "0")
    assert upstream.log() == []
    assert ask(hub, model, key=customer.key, max_tokens=57).status == 200


@pytest.mark.parametrize("n", [None, 2])
@pytest.mark.parametrize(
    ("provider", "field"), [("openai", "max_completion_tokens"), ("local", "max_tokens")]
)
def test_without_a_limit_the_affordable_one_is_sent_in_the_field_the_vendor_takes(
    hub: HubProcess, books: Books, upstream: FakeUpstream, provider: str, field: str, n: int | None
):
    model, members = f"{provider}/gpt-4o-mini", {} if n is None else {"n": n}
    customer = books.customer(bound(model, **members) + 50 * (n or 1) * OUT + 1)
    upstream.reset()
    assert ask(hub, model, key=customer.key, **members).status == 200
    (record,) = upstream.log()
    limits = {name: record["body"].get(name) for name in ("max_tokens", "max_completion_tokens")}
    assert limits == {"max_tokens": None, "max_completion_tokens": None, field: 50}
    assert customer.call()["held"] != "0"


def test_no_limit_is_sent_when_all_of_it_is_affordable(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    model = "openai/gpt-4o-mini"
    customer = books.customer(bound(model) + OUTPUT_MAX * OUT)
    upstream.reset()
    assert ask(hub, model, key=customer.key).status == 200
    (record,) = upstream.log()
    assert not {"max_tokens", "max_completion_tokens"} & record["body"].keys()
    assert nano(customer.call()["held"]) == bound(model) + OUTPUT_MAX * OUT


@pytest.mark.parametrize(
    ("members", "tokens"),
    [({}, STEP), ({"max_tokens": 10}, 10), ({"max_tokens": 9000}, STEP), ({"n": 2}, 2 * STEP)],
    ids=["no limit", "small limit", "large limit", "n=2"],
)
def test_a_stream_first_holds_its_input_bound_and_one_step(
    hub: HubProcess, books: Books, members: dict[str, Any], tokens: int
):
    model = "openai/gpt-slow:20+long:30"
    customer = books.customer(nano("10"))
    held, reply = held_while_running(hub, customer, model, stream=True, **members)
    assert reply.done
    assert held == bound(model, stream=True, **members) + tokens * OUT
    assert customer.held == 0


def test_a_stream_is_admitted_when_its_input_and_one_token_fit(hub: HubProcess, books: Books):
    model = "openai/gpt-tokens:2:3"
    needed = bound(model, stream=True) + OUT
    assert ask(hub, model, key=books.customer(needed - 1).key, stream=True).status == 402
    assert ask(hub, model, key=books.customer(needed).key, stream=True).status == 200


def test_a_stream_extends_its_hold_in_steps(hub: HubProcess, books: Books):
    model = "openai/gpt-long:1500+stall:1400"
    customer = books.customer(nano("100"))
    held, reply = 0, None
    with begun(
        hub, "/v1/chat/completions", body_of(model, stream=True), key=customer.key
    ) as answer:
        read = b""
        while b"w1399 " not in read:
            read += answer.readline()
        held = customer.held
        rest = answer.read()
    reply = Reply(answer.status, {"content-type": "text/event-stream"}, read + rest)
    delivered = -(-len(reply.text) // 4)
    assert delivered > STEP
    tokens, odd = divmod(held - bound(model, stream=True), OUT)
    assert odd == 0
    assert delivered <= tokens <= delivered + STEP
    call = customer.call()
    assert call["outcome"] == "upstream_timeout"
    assert call["output_tokens"] == delivered
    assert nano(call["held"]) == held
    assert nano(call["credits"]) == price(call, RATES)


@pytest.mark.parametrize("overdraft", [0, nano("0.05")], ids=["no overdraft", "overdraft"])
@pytest.mark.parametrize("tokens", [1, 700, 1024, 1500])
def test_a_stream_is_cut_off_only_when_nothing_is_left(
    hub: HubProcess, books: Books, upstream: FakeUpstream, tokens: int, overdraft: int
):
    model = "openai/gpt-long:60000"
    spendable = bound(model, stream=True) + tokens * OUT + 1
    customer = books.customer(spendable - overdraft, overdraft=overdraft)
    upstream.reset()
    reply = ask(hub, model, key=customer.key, stream=True)
    assert reply.status == 200
    assert reply.error["code"] == "insufficient_credits"
    assert reply.error["link"] == LINK
    assert not reply.done
    delivered = -(-len(reply.text) // 4)
    # A word is at most two counted tokens, and no paid-for word is kept back.
    assert tokens - 2 < delivered <= tokens
    call = customer.call()
    assert (call["status"], call["outcome"]) == ("success", "cut_off")
    assert (call["usage_source"], call["output_tokens"]) == ("counted", delivered)
    assert call["error"]["code"] == "insufficient_credits"
    assert nano(call["credits"]) == nano(call["held"]) == spendable
    assert (customer.balance, customer.held) == (-overdraft, 0)
    upstream.log_when(lambda log: log[0]["client_gone"])


def test_an_overdraft_is_what_a_call_may_use(hub: HubProcess, books: Books):
    model, members = "openai/gpt-4o-mini", {"max_tokens": 10}
    needed = bound(model, **members) + 10 * OUT
    enough = books.customer(overdraft=needed)
    assert ask(hub, model, key=enough.key, **members).status == 200
    assert enough.balance == -nano(enough.call()["credits"])
    short = books.customer(overdraft=needed - 1)
    assert ask(hub, model, key=short.key, **members).status == 402


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("overdraft", [0, nano("0.1")], ids=["no overdraft", "overdraft"])
def test_what_exceeds_the_hold_is_taken_from_what_is_left_and_then_written_off(
    hub: HubProcess, books: Books, stream: bool, overdraft: int
):
    model, members = "openai/gpt-tokens:900:200", {"stream": stream, "max_tokens": 300}
    hold = bound(model, **members) + 300 * OUT
    charge = 900 * IN + 200 * OUT
    assert hold < charge
    rich = books.customer(nano("10"), overdraft=overdraft)
    assert ask(hub, model, key=rich.key, **members).status == 200
    assert rich.balance == nano("10") - charge
    poor = books.customer(hold + 1000, overdraft=overdraft)
    reply = ask(hub, model, key=poor.key, **members)
    assert (reply.status, reply.streamed and not reply.done) == (200, False)
    call = poor.call()
    assert (call["outcome"], nano(call["credits"])) == ("completed", charge)
    assert nano(call["held"]) == hold
    assert poor.balance == max(hold + 1000 - charge, -overdraft)
    assert poor.held == 0
    hub.verified()


def written_off(hub: HubProcess) -> float:
    with urllib.request.urlopen(f"{hub.address}/metrics", timeout=PATIENCE_S) as answer:
        text = answer.read().decode()
    (value,) = re.findall(r"^aigne_hub_written_off_credits_total (\S+)$", text, re.MULTILINE)
    return float(value)


@pytest.mark.parametrize("overdraft", [0, nano("0.1")], ids=["no overdraft", "overdraft"])
def test_thoughts_that_nobody_saw_cost_no_more_than_there_is(
    hub: HubProcess, books: Books, overdraft: int
):
    """They extend no hold while they run: the provider tells of them when they are over."""
    model = "openai/gpt-tokens:20:30+beside:3000"
    hold = bound(model, stream=True) + STEP * OUT
    charge = 20 * IN + 3_030 * OUT
    assert hold < charge
    customer = books.customer(hold + 1000, overdraft=overdraft)
    before = written_off(hub)
    reply = ask(hub, model, key=customer.key, stream=True)
    assert (reply.status, reply.done) == (200, True)
    call = customer.call()
    assert (call["outcome"], call["output_tokens"]) == ("completed", 3_030)
    assert (nano(call["credits"]), nano(call["held"])) == (charge, hold)
    assert (customer.balance, customer.held) == (-overdraft, 0)
    lost = charge - (hold + 1000) - overdraft
    assert written_off(hub) - before == pytest.approx(lost / 1e9)
    hub.verified()


def in_parallel(count: int, work: Callable[[], Reply]) -> list[Reply]:
    replies: list[Reply] = []
    start = threading.Barrier(count)

    def run() -> None:
        start.wait()
        replies.append(work())

    threads = [threading.Thread(target=run) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(replies) == count
    return replies


def test_concurrent_streams_on_one_account_never_overdraw_it(hub: HubProcess, books: Books):
    model = "openai/gpt-slow:1+long:1500"
    granted = 6 * bound(model, stream=True) + 4500 * OUT
    customer = books.customer(granted)
    replies = in_parallel(6, lambda: ask(hub, model, key=customer.key, stream=True))
    calls = customer.closed(6)
    outcomes = sorted(call["outcome"] for call in calls)
    assert {"cut_off"} <= set(outcomes) <= {"completed", "cut_off", "rejected"}
    assert sum(reply.status == 200 and not reply.done for reply in replies) == outcomes.count(
        "cut_off"
    )
    spent = sum(nano(call["credits"]) for call in calls)
    for call in calls:
        if call["outcome"] == "cut_off":
            assert call["credits"] == call["held"]
        else:
            assert nano(call["credits"]) == (
                price(call, RATES) if call["outcome"] == "completed" else 0
            )
    assert (customer.balance, customer.held) == (granted - spent, 0)
    assert spent <= granted
    hub.verified()


def test_a_price_is_fixed_when_a_call_is_admitted(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
):
    dearer = {"input": "3000", "output": "7000"}
    folder = tmp_path_factory.mktemp("rates")
    with HubProcess(folder, config(upstream, RATES)) as hub, Books(hub) as books:
        customer = books.customer(nano("1000"))
        body = body_of("openai/gpt-slow:40+long:60", stream=True)
        with begun(hub, "/v1/chat/completions", body, key=customer.key) as answer:
            assert answer.readline()
            hub.configure(config(upstream, dearer))
            assert hub.process is not None
            hub.process.send_signal(signal.SIGHUP)
            until_charged_at(hub, books, customer, dearer)
            assert b"[DONE]" in answer.read()
        call = customer.calls()[-1]
        assert call["outcome"] == "completed"
        assert nano(call["credits"]) == price(call, RATES)
        hub.verified()


def until_charged_at(
    hub: HubProcess, books: Books, customer: Customer, rates: dict[str, str]
) -> None:
    """Send calls until one is charged at `rates`; each is charged at one price or the other."""
    deadline = time.monotonic() + PATIENCE_S
    while True:
        reply = post(hub, "/v1/chat/completions", body_of("openai/gpt-4o-mini"), key=customer.key)
        call = books.call(reply.call_id)
        charge = nano(call["credits"])
        assert charge in {price(call, RATES), price(call, rates)}
        if charge == price(call, rates):
            return
        assert time.monotonic() < deadline, "the new price is never in force"
        time.sleep(0.05)
