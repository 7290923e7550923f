"""`explain` says before a call what becomes of it, and writes nothing."""

import itertools
import json
from collections.abc import Callable, Iterator
from random import Random
from typing import Any

import pytest
from sqlalchemy import func, select
from tests.api import Api
from tests.books import Books, Customer, nano
from tests.caller import chat, post
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.limits import Measure, Subject
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.windows import Window
from aigne_hub.storage import schema

QUICK = "gpt-tokens:5:3"
RATES = {"input": "1000", "output": "2000", "request": "0.01"}
CHAT_PATH = "/v1/chat/completions"
PATHS = {"input": "/v1/embeddings", "prompt": "/v1/images/generations"}

# What an account has, in millionths of a credit around what the calls below hold.
BALANCES = [0, 1, 40_000, 100_000, 250_000, 400_000, 2_500_000, 40_000_000]
CALLS: list[dict[str, Any]] = [
    chat(f"openai/{QUICK}"),
    chat(f"openai/{QUICK}", max_tokens=20),
    chat(f"openai/{QUICK}", max_tokens=20, n=3),
    chat(f"openai/{QUICK}", max_completion_tokens=100),
    chat(f"openai/{QUICK}", stream=True),
    chat(f"openai/{QUICK}", stream=True, max_tokens=30),
    chat("fast", max_tokens=5),
    {"model": "openai/text-embedding-3-small", "input": "some words to embed"},
    {"model": "openai/gpt-image-1", "prompt": "a lighthouse", "n": 2},
    chat("openai/unpriced"),
    chat("openai/nowhere"),
    chat("openai/text-embedding-3-small"),
    chat(f"openai/{QUICK}", max_tokens=0),
    chat("", max_tokens=1),
    {"model": f"openai/{QUICK}"},
]
CREDITS, CALLED, TOKENS = Measure.CREDITS, Measure.REQUESTS, Measure.TOKENS
LIMITS: list[tuple[tuple[Subject, Measure, Window, int], ...]] = [
    (),
    ((Subject.KEY, CREDITS, Window.DAY, nano("0.09")),),
    ((Subject.USER, CREDITS, Window.MONTH, nano("0.3")), (Subject.KEY, TOKENS, Window.DAY, 1040)),
    ((Subject.KEY, CALLED, Window.DAY, 0),),
    ((Subject.USER, TOKENS, Window.MINUTE, 25), (Subject.KEY, CREDITS, Window.TOTAL, nano("9"))),
    ((Subject.KEY, Measure.STREAMS, Window.TOTAL, 0),),
]


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database: str,
    database_for: Callable[[str], str | None],
) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=[QUICK, "gpt-4o-mini"],
        rates=RATES,
        billing={"enabled": True, "payment_link": "https://pay.example/buy"},
        aliases={"fast": {"model": "openai/gpt-4o-mini", "fallbacks": [f"openai/{QUICK}"]}},
    )
    config["models"].append({"model": "openai/unpriced", "type": "chat"})
    folder = tmp_path_factory.mktemp("explain")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub: HubProcess) -> Iterator[Books]:
    with Books(hub) as opened:
        yield opened


def path_of(body: dict[str, Any]) -> str:
    return next((path for name, path in PATHS.items() if name in body), CHAT_PATH)


def written(books: Books) -> int:
    """Return how many rows a call would have made."""
    tables = (schema.model_call, schema.hold, schema.limit_counter, schema.event, schema.transfer)

    def count(view: Any) -> int:
        each = (view.execute(select(func.count()).select_from(table)) for table in tables)
        return sum(rows.scalar_one() for rows in each)

    return int(books.read(count))


def cases() -> list[tuple[int, int, int]]:
    """Return every call with a balance and limits each, and as many more drawn at random."""
    draw = Random(3)
    table = [
        (call, draw.randrange(len(BALANCES)), draw.randrange(len(LIMITS)))
        for call in range(len(CALLS))
    ]
    every = list(itertools.product(range(len(CALLS)), range(len(BALANCES)), range(len(LIMITS))))
    return sorted({*table, *draw.sample(every, 60)})


def outcome_of(status: int, error: dict[str, Any] | None) -> tuple[Any, ...]:
    if error is None:
        return (status,)
    kept = {name: value for name, value in error.items() if name != "timestamp"}
    return (status, kept)


def test_explain_and_a_real_call_agree(hub: HubProcess, books: Books, subtests: Any):
    seen = set()
    for call, balance, limits in cases():
        body = CALLS[call]
        with subtests.test(call=body, balance=BALANCES[balance], limits=limits):
            caller = books.customer(BALANCES[balance] * 1000)
            for subject, measure, window, amount in LIMITS[limits]:
                name = caller.key_id if subject is Subject.KEY else caller.user.id
                books.limit(subject, name, measure, window, amount)
            answer = Api(hub, caller.key).post("/api/user/explain", **body)
            assert answer.status == 200, (answer.text, hub.log()[-3000:])
            told = answer.json["call"]
            before = written(books)
            again = Api(hub, caller.key).post("/api/user/explain", **body).json["call"]
            assert written(books) == before
            reply = post(hub, path_of(body), json.dumps(body).encode(), key=caller.key)
            error = None if reply.status == 200 else reply.error
            assert outcome_of(told["status"], told["error"]) == outcome_of(reply.status, error)
            assert told["admitted"] == (reply.status == 200)
            made = books.call(reply.call_id)
            if told["admitted"]:
                assert made["held"] == told["hold"] == again["hold"]
                assert made["model"] in told["models"]
            seen.add((reply.status, "limit" in (error or {})))
    # The table reaches every kind of answer.
    kinds = {(200, False), (400, False), (402, False), (402, True), (404, False), (429, True)}
    assert seen == kinds


def test_the_numbers_are_what_a_call_may_have(hub: HubProcess, books: Books):
    # 0.01 for the request, 0.1 for 100 tokens of prompt, and 0.002 a token of output.
    caller = books.customer(nano("0.25"))
    ask = Api(hub, caller.key)
    told = ask.get("/api/user/explain", model=f"openai/{QUICK}", input_tokens=100).json["call"]
    assert told["admitted"]
    assert (told["affordable_tokens"], told["tokens_held"], told["bound_by"]) == (70, 70, "balance")
    assert told["hold"] == "0.25"
    assert told["price"]["amounts"] == RATES
    assert (told["price"]["version"], told["price"]["source"]) == (1, "hub.yaml")
    assert "cost" not in told["price"]
    tried = {"model": f"openai/{QUICK}", "input_tokens": 100, "max_tokens": 71}
    refused = ask.get("/api/user/explain", **tried).json["call"]
    assert (refused["admitted"], refused["status"]) == (False, 402)
    assert refused["error"]["affordable_tokens"] == refused["affordable_tokens"] == 70
    assert refused["error"]["link"] == "https://pay.example/buy"
    stream = ask.get("/api/user/explain", **tried, stream=True).json["call"]
    assert (stream["admitted"], stream["tokens_held"]) == (True, 70)
    limit = books.limit(Subject.KEY, caller.key_id, CREDITS, Window.TOTAL, nano("0.13"))
    other = Api(hub, books.second_key(caller).key)
    assert other.get("/api/user/explain", **tried).json["call"]["affordable_tokens"] == 70
    assert books.used(limit) == (0, 0)


def test_the_limit_that_binds_is_named(hub: HubProcess, books: Books):
    caller = books.customer(nano("100"))
    books.limit(Subject.KEY, caller.key_id, CREDITS, Window.DAY, nano("0.13"))
    books.limit(Subject.USER, caller.user.id, TOKENS, Window.DAY, 500)
    ask = Api(hub, caller.key)
    tried = {"model": f"openai/{QUICK}", "input_tokens": 100, "max_tokens": 10}
    told = ask.get("/api/user/explain", **tried).json
    assert [row["limit"] for row in told["limits"]] == [
        "key credits per day",
        "user tokens per day",
    ]
    call = told["call"]
    assert (call["bound_by"], call["affordable_tokens"]) == ("key credits per day", 10)
    assert (call["tokens_reserved"], call["hold"]) == (110, "0.13")


def test_the_last_refusals_say_what_refused(hub: HubProcess, books: Books):
    caller = books.customer(nano("0.001"))
    books.limit(Subject.KEY, caller.key_id, CALLED, Window.DAY, 1)
    body = json.dumps(chat(f"openai/{QUICK}", max_tokens=3)).encode()
    first = post(hub, CHAT_PATH, body, key=caller.key)
    books.grant(caller, nano("1"))
    assert post(hub, CHAT_PATH, body, key=caller.key).status == 200
    last = post(hub, CHAT_PATH, body, key=caller.key)
    refusals = Api(hub, caller.key).get("/api/user/explain").json["refusals"]
    assert [(row["call_id"], row["code"], row["limit"]) for row in refusals] == [
        (last.call_id, "rate_limited", "key requests per day"),
        (first.call_id, "insufficient_credits", None),
    ]
    assert refusals[0]["message"] == last.error["message"]
    # Another key of the same user was refused nothing.
    assert Api(hub, books.second_key(caller).key).get("/api/user/explain").json["refusals"] == []


def test_what_there_is_and_what_goes_next(hub: HubProcess, books: Books):
    caller = books.customer(nano("5"))
    told = Api(hub, caller.key).get("/api/user/explain").json
    assert told["call"] is None
    assert told["key"]["id"] == caller.key_id
    assert told["user"] == {"id": caller.user.id, "did": caller.user.did, "role": "member"}
    credit = told["credit"]
    assert (credit["balance"], credit["available"], credit["held"]) == ("5", "5", "0")
    assert credit["next_grant"]["remaining"] == "5"
    assert credit["expiring"] == credit["scheduled"] == []
    assert told["billing"] is True


@pytest.mark.parametrize(
    ("query", "word"),
    [
        ({"max_tokens": -1}, "output limit"),
        ({"n": 129}, "`n`"),
        ({"input_tokens": -1}, "input_tokens"),
        ({"input_tokens": "many"}, "input_tokens"),
        ({"stream": "perhaps"}, "stream"),
    ],
)
def test_a_request_that_makes_no_sense_is_told_so(
    hub: HubProcess, books: Books, query: dict[str, Any], word: str
):
    ask = Api(hub, books.customer(nano("1")).key)
    answer = ask.get("/api/user/explain", model=f"openai/{QUICK}", **query)
    error = answer.json["call"]["error"] if answer.status == 200 else answer.json["error"]
    assert error["code"] == "invalid_request"
    assert word in error["message"]


def test_nobody_is_told_nothing(hub: HubProcess):
    assert Api(hub).get("/api/user/explain").status == 401


def test_the_command_says_the_same(hub: HubProcess, books: Books):
    caller = books.customer(nano("0.25"))
    options = ("explain", "--user", caller.user.email, "--key", caller.key_id)
    tried = ("--model", f"openai/{QUICK}", "--input-tokens", "100", "--max-tokens", "50")
    told = hub.cli(*options, *tried)
    query = {"model": f"openai/{QUICK}", "input_tokens": 100, "max_tokens": 50}
    assert Api(hub, caller.key).get("/api/user/explain", **query).json == told


def test_credit_is_shown_as_decimal_credits(hub: HubProcess, books: Books):
    caller: Customer = books.customer(1)
    told = Api(hub, caller.key).get("/api/user/explain").json
    assert told["credit"]["available"] == format_credits(1)
