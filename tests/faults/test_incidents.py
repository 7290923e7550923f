"""What cost other gateways' operators or customers money, once each, against the shipped hub.

Each test is named after a public report. Two worker processes serve, on both databases.
"""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import func, select
from tests.books import Books, Customer, nano, price
from tests.caller import PROMPT, Reply, ask, begun, chat
from tests.conftest import config_for
from tests.faults.settled import assert_settled
from tests.faults.swarm import chat_request, fire
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream
from tests.upstream.lies import LIES

from aigne_hub.domain.access import Role
from aigne_hub.domain.ledger import Account
from aigne_hub.domain.lots import Category, Lot
from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.pricing import RATE_UNITS, RateCard
from aigne_hub.domain.usage import BUCKETS, TOKENS_MAX, UNITS, UNITS_MAX, Usage
from aigne_hub.domain.windows import Window
from aigne_hub.storage import schema, users
from aigne_hub.storage.keys import Limits

RATES = {"input": "1000", "output": "2000"}
# The dearest that hub.yaml takes: one credit a token.
DEAREST = {"input": "1000000", "output": "1000000"}
FALLBACK_RATES = {"input": "7000", "output": "9000"}
OUT = 2_000_000
# One credit by its request price: what it holds is what it costs.
FLAT = "flat/gpt-tokens:1:3"
QUICK, SLOW, MIDWAY = "gpt-4o-mini", "gpt-slow:300", "gpt-slow:20+long:400"
NO_USAGE, LONG = "gpt-long:40+nousage", "gpt-long:3000"
CACHED, REASONED = "gpt-tokens:123:457+cached:100", "gpt-tokens:20:100+reasoning:95"
LYING = [f"gpt-long:9+lies:{number}" for number in range(len(LIES))]
BROKEN = ["gpt-503", "gpt-429", "gpt-error200", "gpt-cut:0", "gpt-errorevent:0"]
HUGE = "gpt-tokens:1000000:1000000"
MODELS = [QUICK, SLOW, MIDWAY, NO_USAGE, LONG, CACHED, REASONED, *LYING, *BROKEN]
# The database refuses one call by its request id.
TRAP = {
    "sqlite": [
        """CREATE TRIGGER trap BEFORE INSERT ON model_call WHEN NEW.request_id = 'poison'
        BEGIN SELECT RAISE(ABORT, 'poison'); END"""
    ],
    "postgresql": [
        """CREATE FUNCTION trap() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
        IF NEW.request_id = 'poison' THEN
            RAISE EXCEPTION 'poison' USING ERRCODE = 'restrict_violation';
        END IF; RETURN NEW; END $$""",
        "CREATE TRIGGER trap BEFORE INSERT ON model_call FOR EACH ROW EXECUTE FUNCTION trap()",
    ],
}
NO_TRAP = {
    "sqlite": ["DROP TRIGGER trap"],
    "postgresql": ["DROP TRIGGER trap ON model_call", "DROP FUNCTION trap()"],
}


def config(upstream: FakeUpstream) -> dict[str, Any]:
    made = config_for(upstream, models=MODELS, rates=RATES, billing={"enabled": True})
    (provider,) = made["providers"]
    named = {"flat": {"request": "1"}, "dear": DEAREST, "second": FALLBACK_RATES}
    made["providers"] += [{**provider, "name": name, "kind": "openai"} for name in named]
    made["models"] += [
        {"model": FLAT, "type": "chat", "rates": named["flat"]},
        {"model": f"dear/{HUGE}", "type": "chat", "rates": DEAREST},
        {"model": f"second/{QUICK}", "type": "chat", "rates": FALLBACK_RATES},
        {"model": "openai/unpriced", "type": "chat"},
    ]
    alias = {"model": "openai/gpt-503", "fallbacks": [f"second/{QUICK}"]}
    return {**made, "aliases": {"dependable": alias}}


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    folder = tmp_path_factory.mktemp("incidents")
    url = database_for(database)
    with HubProcess(folder, config(upstream), workers=2, database_url=url) as running:
        yield running
        assert_settled(running)
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def flat(hub: HubProcess, customer: Customer) -> bytes:
    return chat_request(hub, chat(FLAT), key=customer.key)


def quick(hub: HubProcess, customer: Customer, model: str = QUICK, **members: Any) -> Reply:
    return ask(hub, f"openai/{model}", key=customer.key, **members)


def charge(call: dict[str, Any]) -> int:
    return nano(call["credits"])


# -- one-api, new-api --------------------------------------------------------------------


def test_one_api_2440_new_api_6609_checking_and_deducting_are_one_step(
    hub: HubProcess, books: Books
):
    """Balances fell below zero when calls came at the same time."""
    customer = books.customer(nano("5"))
    answers = fire(hub, [flat(hub, customer)], 300, connections=60)
    assert answers.wrong == []
    assert answers.statuses == {200: 5, 402: 295}
    assert (customer.balance, customer.held) == (0, 0)


def test_one_api_trusted_users_hold_like_everybody(hub: HubProcess, books: Books):
    """Whoever had a hundred times the estimate skipped the hold."""
    customer = books.customer(nano("1000000"))
    caller = threading.Thread(target=quick, args=(hub, customer, SLOW), kwargs={"max_tokens": 50})
    caller.start()
    held = customer.held_when(lambda amount: amount > 0)
    caller.join()
    assert held >= 50 * OUT
    assert held == nano(customer.call()["held"])


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_new_api_5235_a_stream_without_usage_is_not_refunded(
    hub: HubProcess, books: Books, stream: bool
):
    customer = books.customer(nano("10"))
    reply = quick(hub, customer, NO_USAGE, stream=stream)
    call = customer.call()
    assert (call["outcome"], call["usage_source"]) == ("completed", "counted")
    assert call["output_tokens"] == -(-len(reply.text) // 4) > 30
    assert charge(call) == price(call, RATES) > 0


@pytest.mark.parametrize("model", BROKEN)
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_new_api_4168_and_95_a_failure_costs_neither_its_prompt_nor_its_words(
    hub: HubProcess, books: Books, model: str, stream: bool
):
    customer = books.customer(nano("10"))
    assert quick(hub, customer, model, stream=stream).status >= 400
    call = customer.call()
    assert (call["outcome"], call["credits"], call["usage_source"]) == (
        "upstream_failed",
        "0",
        None,
    )
    assert (customer.balance, customer.held) == (nano("10"), 0)


def test_new_api_7062_and_5287_leaving_costs_neither_nothing_nor_more_than_was_produced(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    customer = books.customer(nano("100"))
    upstream.reset()
    body = chat_request(hub, chat(f"openai/{MIDWAY}", stream=True)).partition(b"\r\n\r\n")[2]
    with begun(hub, "/v1/chat/completions", body, key=customer.key) as answer:
        while b"w9 " not in answer.readline():
            pass
    (record,) = upstream.log_when(lambda log: bool(log) and log[0]["client_gone"])
    call = customer.call()
    produced = sum(len(f"w{number} ") for number in range(record["chunks_sent"]))
    assert call["outcome"] == "client_cancelled"
    assert 8 <= call["output_tokens"] <= -(-produced // 4)
    assert charge(call) == price(call, RATES) > 0


def test_new_api_7325_usage_is_not_lost_when_the_hub_is_stopped(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    """It lay in memory until a timer wrote it, and SIGTERM came first."""
    customer = books.customer(nano("1000"))
    running = threading.Thread(
        target=quick, args=(hub, customer, "gpt-slow:300"), kwargs={"stream": True}
    )
    upstream.reset()
    running.start()
    upstream.log_when(lambda records: len(records) == 1)
    answers = fire(hub, [flat(hub, customer)], 100, connections=20)
    books.let_go()
    assert hub.stop() == 0
    running.join()
    calls = {call["id"]: call for call in customer.closed(101)}
    assert {calls[call_id]["credits"] for call_id in answers.served} == {"1"}
    assert all(call["outcome"] == "completed" for call in calls.values())
    spent = sum(charge(call) for call in calls.values())
    assert (customer.balance, customer.held) == (nano("1000") - spent, 0)
    hub.start()


def test_one_api_499_credit_that_was_added_counts_at_once(hub: HubProcess, books: Books):
    """A key stayed exhausted until a cache expired."""
    customer = books.customer()
    assert fire(hub, [flat(hub, customer)], 20, connections=10).statuses == {402: 20}
    books.grant(customer, nano("20"))
    assert fire(hub, [flat(hub, customer)], 20, connections=10).statuses == {200: 20}


# -- usage that cannot be true -----------------------------------------------------------


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("model", LYING)
def test_octopus_243_negative_or_absurd_usage_is_counted_instead(
    hub: HubProcess, books: Books, model: str, stream: bool
):
    """A negative figure became credit."""
    customer = books.customer(nano("10"))
    reply = quick(hub, customer, model, stream=stream)
    assert reply.status == 200
    call = customer.call()
    assert (call["outcome"], call["usage_source"]) == ("completed", "counted")
    tokens = call["input_tokens"], call["output_tokens"], call["cache_read_tokens"]
    assert tokens == (-(-len(PROMPT) // 4), -(-len(reply.text) // 4), 0)
    assert charge(call) == price(call, RATES) > 0
    assert customer.balance == nano("10") - charge(call)


@given(
    amounts=st.fixed_dictionaries(
        {}, optional=dict.fromkeys(RATE_UNITS, st.integers(0, AMOUNT_MAX))
    ),
    tokens=st.tuples(*[st.integers(0, TOKENS_MAX)] * 4),
    units=st.tuples(*[st.integers(0, UNITS_MAX)] * 5),
    balance=st.integers(0, AMOUNT_MAX),
    overdraft=st.integers(0, AMOUNT_MAX),
    held=st.integers(0, AMOUNT_MAX),
)
def test_cve_2026_71479_no_price_times_usage_becomes_credit(
    amounts: dict[str, int],
    tokens: tuple[int, ...],
    units: tuple[int, ...],
    balance: int,
    overdraft: int,
    held: int,
):
    """An integer overflow made a charge negative."""
    usage = Usage(
        **dict(zip(BUCKETS, tokens, strict=True)), **dict(zip(UNITS, units, strict=True))
    ).checked()
    charged = RateCard.of("r", amounts).cost(usage)
    assert 0 <= charged <= AMOUNT_MAX
    account = Account("a", balance, 0, overdraft)
    account.lots.append(Lot("g", balance, Category.PAID, 50, 0))
    account.hold(min(held, account.available))
    transfers = account.capture("c", held=account.held, charge=charged, at_us=1)
    assert all(0 < transfer.amount <= AMOUNT_MAX for transfer in transfers)
    assert sum(transfer.amount for transfer in transfers) == charged
    assert -overdraft <= account.balance <= balance
    assert account.balance == balance - min(charged, balance + overdraft)


def test_cve_2026_71479_the_dearest_call_of_the_richest_account(hub: HubProcess, books: Books):
    customer = books.customer(AMOUNT_MAX)
    assert ask(hub, f"dear/{HUGE}", key=customer.key).status == 200
    call = customer.call()
    assert (call["input_tokens"], call["output_tokens"]) == (1_000_000, 1_000_000)
    assert charge(call) == price(call, DEAREST) == nano("2000000")
    assert (customer.balance, customer.held) == (AMOUNT_MAX - charge(call), 0)
    others = [books.customer(AMOUNT_MAX) for _ in range(3)]
    assert {quick(hub, other).status for other in others} == {200}
    hub.verified()


def test_new_api_3110_4291_cached_tokens_are_priced_once_and_never_negative(
    hub: HubProcess, books: Books
):
    """A cache without a price of its own costs what input costs, not nothing."""
    customer = books.customer(nano("10"))
    for stream in (False, True):
        quick(hub, customer, CACHED, stream=stream)
    for call in customer.closed(2):
        tokens = call["input_tokens"], call["cache_read_tokens"], call["output_tokens"]
        assert tokens == (23, 100, 457)
        assert charge(call) == 123 * 1_000_000 + 457 * OUT


def test_agentgateway_3228_reasoning_is_part_of_the_output(hub: HubProcess, books: Books):
    customer = books.customer(nano("10"))
    for stream in (False, True):
        quick(hub, customer, REASONED, stream=stream)
    for call in customer.closed(2):
        assert call["output_tokens"] == 100
        assert charge(call) == 20 * 1_000_000 + 100 * OUT


# -- prices ------------------------------------------------------------------------------


def test_litellm_cost_map_a_model_without_a_price_is_refused(
    hub: HubProcess, books: Books, upstream: FakeUpstream
):
    """It cost nothing instead."""
    customer = books.customer(nano("10"))
    upstream.reset()
    refused = quick(hub, customer, "unpriced")
    assert (refused.status, refused.error["code"]) == (400, "unpriced_model")
    assert upstream.log() == []


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_bifrost_5387_a_fallback_is_charged_as_the_model_that_served(
    hub: HubProcess, books: Books, stream: bool
):
    customer = books.customer(nano("10"))
    reply = ask(hub, "dependable", key=customer.key, stream=stream)
    assert reply.status == 200
    call = customer.call()
    assert (call["model"], call["attempts"]) == (f"second/{QUICK}", 2)
    assert charge(call) == price(call, FALLBACK_RATES) > 0


# -- limits and holds --------------------------------------------------------------------


def test_bifrost_3547_otari_399_a_limit_counts_over_all_processes(hub: HubProcess, books: Books):
    spending = books.customer(
        nano("1000"), limits=Limits(credit_limit=nano("7"), window=Window.TOTAL)
    )
    answers = fire(hub, [flat(hub, spending)], 200, connections=40)
    assert answers.statuses == {200: 7, 402: 193}
    assert spending.balance == nano("993")
    calling = books.customer(nano("1000"), limits=Limits(rpm=7))
    # A minute that ends meanwhile would allow as many again.
    time.sleep(max(5 - (60 - time.time() % 60), 0))
    answers = fire(hub, [flat(hub, calling)], 200, connections=40, refusal="rate_limited")
    assert answers.wrong == []
    assert answers.statuses == {200: 7, 429: 193}


def test_llmgateway_3751_streams_at_the_same_time_spend_no_more_than_there_is(
    hub: HubProcess, books: Books
):
    """They were paid after the fact, several times what had been bought."""
    granted = nano("5")
    customer = books.customer(granted)
    one = len(chat_request(hub, chat(f"openai/{LONG}", stream=True)))
    assert 20 * (3000 * OUT + one) > 10 * granted
    replies: list[Reply] = []
    callers = [
        threading.Thread(target=lambda: replies.append(quick(hub, customer, LONG, stream=True)))
        for _ in range(20)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join()
    calls = customer.closed(20)
    assert Counter(call["outcome"] for call in calls).keys() <= {
        "completed",
        "cut_off",
        "rejected",
    }
    spent = sum(charge(call) for call in calls)
    assert 0 < spent <= granted
    assert (customer.balance, customer.held) == (granted - spent, 0)


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_otari_128_litellm_36926_a_failure_before_the_first_chunk_releases_its_hold(
    hub: HubProcess, books: Books, stream: bool
):
    """Leaked holds made a hub say that credit was exhausted which was not."""
    members = {"stream": stream, "max_tokens": 10}
    body = len(chat_request(hub, chat("openai/gpt-4o-mini", **members)).partition(b"\r\n\r\n")[2])
    # Enough for one call at a time, with room for the longest model name.
    customer = books.customer((body + 20) * 1_000_000 + 10 * OUT)
    for model in BROKEN * 2:
        assert quick(hub, customer, model, **members).status not in {200, 402}
        assert customer.held == 0
    assert quick(hub, customer, **members).status == 200


# -- the books ---------------------------------------------------------------------------


def test_cve_2026_64865_saving_settings_never_writes_a_balance_back(hub: HubProcess, books: Books):
    """Whole user rows were saved, with the balance as it had been when the page was opened."""
    customer = books.customer(nano("400"))
    done = threading.Event()
    saved: list[Role] = []

    def save() -> None:
        while not done.is_set():
            role = (Role.ADMIN, Role.MEMBER)[len(saved) % 2]
            email = f"c{len(saved)}@example.com"
            books.change(partial(users.set_role, user=customer.user, role=role))
            books.change(partial(users.set_email, user=customer.user, email=email))
            saved.append(role)

    saver = threading.Thread(target=save)
    saver.start()
    answers = fire(hub, [flat(hub, customer)], 300, connections=30)
    done.set()
    saver.join()
    assert len(saved) > 2
    assert answers.statuses == {200: 300}
    assert (customer.balance, customer.held) == (nano("100"), 0)


def test_llmgateway_3759_one_poison_row_stops_nobody_elses_billing(hub: HubProcess, books: Books):
    """A row that could not be written took its whole batch back, for ever."""
    customer = books.customer(nano("1000"))
    before = books.read(_dead_letters)
    request = flat(hub, customer)
    bad = request.replace(b"\r\n", b"\r\nx-request-id: poison\r\n", 1)
    books.execute(TRAP)
    try:
        answers = fire(hub, [request] * 9 + [bad], 200, connections=50, refusal="overloaded")
    finally:
        books.execute(NO_TRAP)
    assert answers.wrong == []
    assert answers.statuses == {200: 180, 503: 20}
    assert (customer.balance, customer.held) == (nano("820"), 0)
    assert books.read(_dead_letters) == before + 20
    assert fire(hub, [bad], 5, connections=5).statuses == {200: 5}


def _dead_letters(view: Any) -> int:
    return int(view.execute(select(func.count()).select_from(schema.dead_letter)).scalar_one())


@pytest.mark.parametrize("level", ["debug", "info", "warning", "error"])
def test_codex2api_418_what_is_logged_does_not_change_what_is_charged(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream, level: str
):
    """`errors only` switched billing off with the log."""
    environ = {"AIGNE_HUB_LOG_LEVEL": level}
    made = config_for(upstream, models=[QUICK, MIDWAY], billing={"enabled": True})
    with (
        HubProcess(tmp_path_factory.mktemp("level"), made, environ=environ) as hub,
        Books(hub) as books,
    ):
        customer = books.customer(nano("10"))
        for stream in (False, True):
            assert quick(hub, customer, stream=stream).status == 200
        calls = customer.closed(2)
        assert [charge(call) for call in calls] == [price(call, RATES) for call in calls]
        assert customer.balance == nano("10") - sum(map(charge, calls)) < nano("10")
