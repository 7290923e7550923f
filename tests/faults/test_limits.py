"""What a limit tells whom it refuses, and what gives its room back."""

import json
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from tests.books import NOTICED_S, Books, Customer, nano
from tests.caller import PROMPT, Reply, ask, begun, chat
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.instants import parse_instant
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.windows import Window, span_of

QUICK = "gpt-tokens:10:6"
FAILS = "gpt-500"
BREAKS = "gpt-slow:20+long:20+cut:4"
STREAMS = "gpt-slow:30+long:400"
MODELS = [QUICK, FAILS, BREAKS, STREAMS]
RATES = {"request": "1"}
ASKED = {"model": f"openai/{QUICK}", "max_tokens": 50}
# Four bytes a token, and the output limit.
RESERVED = -(-len(PROMPT) // 4) + ASKED["max_tokens"]
MINUTE_US = 60_000_000


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=MODELS,
        rates=RATES,
        billing={"enabled": True},
        aliases={"sure": {"model": f"openai/{FAILS}", "fallbacks": [f"openai/{QUICK}"]}},
    )
    folder = tmp_path_factory.mktemp("limits")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def limited(
    books: Books, measure: Measure, amount: int, window: Window = Window.TOTAL
) -> tuple[Customer, Limit]:
    caller = books.customer(nano("1000"))
    return caller, books.limit(Subject.KEY, caller.key_id, measure, window, amount)


def within_a_minute(scenario: Callable[[], Any]) -> Any:
    """Return what a scenario gives, run again when the minute ended meanwhile."""
    while True:
        began = time.time() // 60
        result = scenario()
        if time.time() // 60 == began:
            return result


def used_when(books: Books, limit: Limit, expected: tuple[int, int]) -> None:
    deadline = time.monotonic() + 60
    while books.used(limit) != expected:
        assert time.monotonic() < deadline, books.used(limit)
        time.sleep(0.02)


def refused_by(reply: Reply, status: int) -> dict[str, Any]:
    assert reply.status == status, reply.body
    limit: dict[str, Any] = reply.error["limit"]
    return limit


def test_calls_per_minute(hub: HubProcess, books: Books):
    def scenario() -> Reply:
        caller, _ = limited(books, Measure.REQUESTS, 3, Window.MINUTE)
        assert [ask(hub, **ASKED, key=caller.key).status for _ in range(3)] == [200] * 3
        return ask(hub, **ASKED, key=caller.key)

    reply = within_a_minute(scenario)
    limit = refused_by(reply, 429)
    assert limit.pop("resets_at").endswith(":00.000000Z")
    assert limit == {
        "limit": "key requests per minute",
        "measure": "requests",
        "window": "minute",
        "amount": "3",
        "used": "3",
        "held": "0",
        "remaining": "0",
    }
    assert (reply.error["code"], reply.error["type"]) == ("rate_limited", "rate_limit_error")
    assert 1 <= int(reply.headers["retry-after"]) <= 60
    assert "The limit of 3 (key requests per minute) has 3 used" in reply.error["message"]


def test_a_window_that_ends_gives_its_room_back(hub: HubProcess, books: Books):
    caller, limit = limited(books, Measure.REQUESTS, 1, Window.DAY)
    assert ask(hub, **ASKED, key=caller.key).status == 200
    assert ask(hub, **ASKED, key=caller.key).status == 429
    # The day of another zone is another window.
    hour = datetime.now(UTC).hour
    zone = "Etc/GMT+12" if hour < 12 else "Etc/GMT-14"
    other = books.limit(Subject.KEY, caller.key_id, Measure.REQUESTS, Window.DAY, 1, zone)
    time.sleep(NOTICED_S)
    assert other.id == limit.id
    assert ask(hub, **ASKED, key=caller.key).status == 200
    assert refused_by(ask(hub, **ASKED, key=caller.key), 429)["used"] == "1"


def test_tokens_are_held_by_calls_in_flight_and_counted_when_they_end(
    hub: HubProcess, books: Books
):
    caller, limit = limited(books, Measure.TOKENS, RESERVED + 16, Window.DAY)
    assert ask(hub, **ASKED, key=caller.key).status == 200
    assert books.used(limit) == (16, 0)
    assert ask(hub, **ASKED, key=caller.key).status == 200
    reply = ask(hub, **ASKED, key=caller.key)
    state = refused_by(reply, 429)
    assert (state["used"], state["remaining"]) == ("32", f"{RESERVED - 16}")
    assert f"This call needs {RESERVED} tokens." in reply.error["message"]
    end = span_of(Window.DAY, int(time.time() * 1e6), UTC).end_us
    assert parse_instant(state["resets_at"]) == end
    assert int(reply.headers["retry-after"]) <= 24 * 3600
    assert ask(hub, f"openai/{QUICK}", key=caller.key, max_tokens=10).status == 200


def test_a_call_that_is_larger_than_its_limit_is_told_so(hub: HubProcess, books: Books):
    caller, _ = limited(books, Measure.TOKENS, 20, Window.MINUTE)
    message = ask(hub, **ASKED, key=caller.key).error["message"]
    assert "cannot fit at any time" in message


@pytest.mark.parametrize("window", [Window.DAY, Window.WEEK, Window.MONTH, Window.TOTAL])
def test_credit_that_may_be_spent(hub: HubProcess, books: Books, window: Window):
    caller, limit = limited(books, Measure.CREDITS, nano("2.5"), window)
    assert [ask(hub, **ASKED, key=caller.key).status for _ in range(2)] == [200, 200]
    reply = ask(hub, **ASKED, key=caller.key)
    state = refused_by(reply, 402)
    resets = state.pop("resets_at")
    assert (resets is None) == (window is Window.TOTAL)
    named = "in total" if window is Window.TOTAL else f"per {window.value}"
    assert state == {
        "limit": f"key credits {named}",
        "measure": "credits",
        "window": window.value,
        "amount": "2.5",
        "used": "2",
        "held": "0",
        "remaining": "0.5",
    }
    assert (reply.error["code"], reply.error["type"]) == ("insufficient_credits", "NOT_ENOUGH")
    assert books.used(limit) == (nano("2"), 0)
    assert caller.balance == nano("998")


def test_an_empty_account_is_told_of_its_balance_not_of_a_limit(hub: HubProcess, books: Books):
    caller = books.customer(nano("0.5"))
    books.limit(Subject.KEY, caller.key_id, Measure.CREDITS, Window.DAY, nano("100"))
    reply = ask(hub, **ASKED, key=caller.key)
    assert reply.status == 402
    assert "limit" not in reply.error


def test_refused_calls_use_up_nothing(hub: HubProcess, books: Books):
    poor = books.customer()
    calls = books.limit(Subject.KEY, poor.key_id, Measure.REQUESTS, Window.DAY, 2)
    tokens = books.limit(Subject.KEY, poor.key_id, Measure.TOKENS, Window.DAY, 1000)
    replies = [ask(hub, **ASKED, key=poor.key).status for _ in range(4)]
    replies.append(ask(hub, "openai/gpt-nowhere", key=poor.key).status)
    replies.append(ask(hub, **{**ASKED, "max_tokens": 0}, key=poor.key).status)
    assert replies == [402] * 4 + [404, 400]
    assert books.used(calls) == (0, 0)
    assert books.used(tokens) == (0, 0)


def test_a_call_that_fails_upstream_gives_tokens_and_credit_back(hub: HubProcess, books: Books):
    caller, tokens = limited(books, Measure.TOKENS, 5000, Window.DAY)
    spending = books.limit(Subject.KEY, caller.key_id, Measure.CREDITS, Window.DAY, nano("5"))
    calls = books.limit(Subject.KEY, caller.key_id, Measure.REQUESTS, Window.DAY, 100)
    for stream in (False, True):
        reply = ask(hub, f"openai/{FAILS}", key=caller.key, max_tokens=50, stream=stream)
        assert reply.status == 502
    assert books.used(tokens) == books.used(spending) == (0, 0)
    # It was a call all the same.
    assert books.used(calls) == (2, 0)


def test_a_fallback_counts_once(hub: HubProcess, books: Books):
    caller, tokens = limited(books, Measure.TOKENS, 5000, Window.DAY)
    spending = books.limit(Subject.KEY, caller.key_id, Measure.CREDITS, Window.DAY, nano("5"))
    calls = books.limit(Subject.KEY, caller.key_id, Measure.REQUESTS, Window.DAY, 100)
    assert ask(hub, "sure", key=caller.key, max_tokens=50).status == 200
    assert books.used(tokens) == (16, 0)
    assert books.used(spending) == (nano("1"), 0)
    assert books.used(calls) == (1, 0)


def test_a_stream_that_breaks_counts_what_was_delivered(hub: HubProcess, books: Books):
    caller, tokens = limited(books, Measure.TOKENS, 5000, Window.DAY)
    slots = books.limit(Subject.KEY, caller.key_id, Measure.STREAMS, Window.TOTAL, 1)
    ask(hub, f"openai/{BREAKS}", key=caller.key, stream=True)
    call = caller.call()
    assert call["outcome"] == "upstream_failed"
    assert books.used(tokens) == (call["input_tokens"] + call["output_tokens"], 0)
    assert call["output_tokens"] > 0
    assert books.used(slots) == (0, 0)


def test_a_client_that_leaves_gives_its_stream_back(hub: HubProcess, books: Books):
    caller, slots = limited(books, Measure.STREAMS, 2)
    tokens = books.limit(Subject.KEY, caller.key_id, Measure.TOKENS, Window.DAY, 100_000)
    body = json.dumps(chat(f"openai/{STREAMS}", stream=True)).encode()
    path = "/v1/chat/completions"
    with begun(hub, path, body, key=caller.key) as first:
        first.read(1)
        with begun(hub, path, body, key=caller.key) as second:
            second.read(1)
            assert books.used(slots) == (0, 2)
            reply = ask(hub, f"openai/{STREAMS}", key=caller.key, stream=True)
            state = refused_by(reply, 429)
            assert (state["limit"], state["held"]) == ("key streams at once", "2")
            assert reply.headers["retry-after"] == "1"
            assert "Too many streams at once: 2 of 2 are open" in reply.error["message"]
            # Whole answers need no slot.
            assert ask(hub, **ASKED, key=caller.key).status == 200
        used_when(books, slots, (0, 1))
    used_when(books, slots, (0, 0))
    calls = caller.closed(4)
    assert books.used(tokens) == (sum(c["input_tokens"] + c["output_tokens"] for c in calls), 0)


def test_a_limit_lowered_below_what_is_used(hub: HubProcess, books: Books):
    caller, _ = limited(books, Measure.CREDITS, nano("10"))
    assert [ask(hub, **ASKED, key=caller.key).status for _ in range(3)] == [200] * 3
    books.limit(Subject.KEY, caller.key_id, Measure.CREDITS, Window.TOTAL, nano("2"))
    time.sleep(NOTICED_S)
    state = refused_by(ask(hub, **ASKED, key=caller.key), 402)
    assert (state["used"], state["amount"], state["remaining"]) == ("3", "2", "0")
    books.limit(Subject.KEY, caller.key_id, Measure.CREDITS, Window.TOTAL, nano("4"))
    time.sleep(NOTICED_S)
    assert [ask(hub, **ASKED, key=caller.key).status for _ in range(2)] == [200, 402]


def test_a_killed_hub_gives_held_room_back(new_hub: Callable[..., HubProcess], database: str):
    hub = new_hub(database=database, models=[STREAMS], billing={"enabled": True})
    with Books(hub) as books:
        caller, slots = limited(books, Measure.STREAMS, 1)
        key = (Subject.KEY, caller.key_id)
        tokens = books.limit(*key, Measure.TOKENS, Window.DAY, 100_000)
        spending = books.limit(Subject.USER, caller.user.id, Measure.CREDITS, Window.DAY, nano("9"))
        body = json.dumps(chat(f"openai/{STREAMS}", stream=True)).encode()
        with begun(hub, "/v1/chat/completions", body, key=caller.key) as answer:
            for _ in range(12):
                answer.readline()
            assert books.used(slots) == (0, 1)
            assert books.used(tokens)[1] > 1024
            assert books.used(spending)[1] > nano("2")
            books.let_go()
            hub.kill()
        hub.start()
        call = caller.call()
        assert call["outcome"] == "interrupted"
        assert call["output_tokens"] > 0
        assert books.used(slots) == (0, 0)
        assert books.used(tokens) == (call["input_tokens"] + call["output_tokens"], 0)
        assert books.used(spending) == (nano(call["credits"]), 0)
    hub.verified()
