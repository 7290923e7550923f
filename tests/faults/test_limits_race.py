"""Limits under hundreds of racers and two workers: exactly as many are admitted as fit."""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime

import pytest
from tests.books import NOTICED_S, Books, Customer, nano
from tests.conftest import config_for
from tests.faults.swarm import Answers, chat_request, fire
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.windows import Window

ATTEMPTS = 300
CONNECTIONS = 100
ADMITTED = 37
# One credit a call, held and charged alike: what is in flight refuses nobody who could be paid.
RATES = {"request": "1"}
# Reads one token and writes three, which is also what it reserves with `max_tokens` 3.
QUICK = "gpt-tokens:1:3"
TOKENS = 4
SLOW = "gpt-slow:1000+long:2"

CREDITS, REQUESTS, COUNTED = Measure.CREDITS, Measure.REQUESTS, Measure.TOKENS
KEY, USER, PROJECT = Subject.KEY, Subject.USER, Subject.PROJECT


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    config = config_for(upstream, models=[QUICK, SLOW], rates=RATES, billing={"enabled": True})
    folder = tmp_path_factory.mktemp("limits")
    with HubProcess(folder, config, workers=2, database_url=database_for(database)) as running:
        yield running
        running.verified()


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def noon() -> str:
    """Return a zone where it is about noon: no window of a day or more ends while a test runs."""
    hours = datetime.now(UTC).hour - 12
    return f"Etc/GMT{hours:+d}"


def requests_of(
    hub: HubProcess, callers: Sequence[Customer], project: str | None, *, stream: bool = False
) -> list[bytes]:
    body = {
        "model": f"openai/{QUICK}",
        "messages": [{"role": "user", "content": "hi"}],
        "max_tokens": 3,
        "stream": stream,
    }
    return [chat_request(hub, body, key=caller.key, project=project) for caller in callers]


def race(hub: HubProcess, requests: Sequence[bytes], refusal: str) -> Answers:
    answers = fire(hub, requests, ATTEMPTS, connections=CONNECTIONS, refusal=refusal)
    assert answers.wrong == []
    return answers


@pytest.mark.parametrize(
    ("subject", "measure", "window", "amount"),
    [
        (KEY, REQUESTS, Window.DAY, ADMITTED),
        (USER, REQUESTS, Window.WEEK, ADMITTED),
        (PROJECT, REQUESTS, Window.MONTH, ADMITTED),
        (KEY, COUNTED, Window.MONTH, ADMITTED * TOKENS + 3),
        (USER, COUNTED, Window.DAY, ADMITTED * TOKENS),
        (PROJECT, COUNTED, Window.WEEK, ADMITTED * TOKENS + 1),
        (KEY, CREDITS, Window.DAY, nano(f"{ADMITTED}")),
        (KEY, CREDITS, Window.TOTAL, nano(f"{ADMITTED}.999999999")),
        (USER, CREDITS, Window.WEEK, nano(f"{ADMITTED}")),
        (PROJECT, CREDITS, Window.MONTH, nano(f"{ADMITTED}")),
    ],
)
def test_exactly_as_many_calls_are_admitted_as_fit(
    hub: HubProcess, books: Books, subject: Subject, measure: Measure, window: Window, amount: int
):
    callers = [books.customer(nano("1000"))]
    project = None
    if subject is KEY:
        name = callers[0].key_id
    elif subject is USER:
        name = callers[0].user.id
        callers.append(books.second_key(callers[0]))
    else:
        name = project = f"did:abt:{measure}{window}"
        callers.append(books.customer(nano("1000")))
    limit = books.limit(subject, name, measure, window, amount, noon())
    if subject is PROJECT:
        time.sleep(NOTICED_S)
    status, code = (402, "insufficient_credits") if measure is CREDITS else (429, "rate_limited")
    answers = race(hub, requests_of(hub, callers, project), code)
    assert answers.statuses == Counter({200: ADMITTED, status: ATTEMPTS - ADMITTED})
    spent = {CREDITS: nano(f"{ADMITTED}"), REQUESTS: ADMITTED, COUNTED: ADMITTED * TOKENS}
    assert books.used(limit) == (spent[measure], 0)
    accounts = {caller.user.id: caller for caller in callers}.values()
    assert sum(nano("1000") - caller.balance for caller in accounts) == nano(f"{ADMITTED}")
    # Another key of the same hub is bound by none of it.
    other = books.customer(nano("1"))
    assert fire(hub, requests_of(hub, [other], None), 1, connections=1).statuses == {200: 1}


def test_only_so_many_streams_are_open_at_once(hub: HubProcess, books: Books):
    caller = books.customer(nano("1000"))
    second = books.second_key(caller)
    limit = books.limit(USER, caller.user.id, Measure.STREAMS, Window.TOTAL, 5)
    body = {
        "model": f"openai/{SLOW}",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
    }
    requests = [chat_request(hub, body, key=key.key) for key in (caller, second)]
    for _ in range(2):
        # The slots of the first round are free again for the second.
        answers = fire(hub, requests, 100, connections=100, refusal="rate_limited")
        assert answers.wrong == []
        assert answers.statuses == Counter({200: 5, 429: 95})
        assert books.used(limit) == (0, 0)
    # Whole answers are not counted.
    assert race(hub, requests_of(hub, [caller], None), "").statuses == Counter({200: ATTEMPTS})


def test_several_limits_are_taken_together_or_not_at_all(hub: HubProcess, books: Books):
    caller = books.customer(nano("1000"))
    zone = noon()
    calls = books.limit(KEY, caller.key_id, REQUESTS, Window.DAY, 200, zone)
    spending = books.limit(KEY, caller.key_id, CREDITS, Window.DAY, nano("50"), zone)
    tokens = books.limit(USER, caller.user.id, COUNTED, Window.DAY, 40 * TOKENS, zone)
    answers = race(hub, requests_of(hub, [caller], None), "rate_limited")
    # What the tokens refused took neither a call nor credit.
    assert answers.statuses == Counter({200: 40, 429: ATTEMPTS - 40})
    assert books.used(calls) == (40, 0)
    assert books.used(spending) == (nano("40"), 0)
    assert books.used(tokens) == (40 * TOKENS, 0)


def limit_of(books: Books, caller: Customer, measure: Measure, amount: int) -> Limit:
    return books.limit(KEY, caller.key_id, measure, Window.DAY, amount, noon())


def test_a_limit_changed_in_the_middle_of_a_race_holds_from_then_on(hub: HubProcess, books: Books):
    caller = books.customer(nano("1000"))
    limit = limit_of(books, caller, REQUESTS, 10)
    assert race(hub, requests_of(hub, [caller], None), "rate_limited").statuses[200] == 10
    limit_of(books, caller, REQUESTS, 25)
    time.sleep(NOTICED_S)
    assert race(hub, requests_of(hub, [caller], None), "rate_limited").statuses[200] == 15
    limit_of(books, caller, REQUESTS, 12)
    time.sleep(NOTICED_S)
    assert race(hub, requests_of(hub, [caller], None), "rate_limited").statuses[200] == 0
    assert books.used(limit) == (25, 0)
