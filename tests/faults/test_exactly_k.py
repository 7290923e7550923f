"""Credit for exactly K calls and 10,000 attempts at once: K are served, sent on and charged.

Whole answers and streams take turns. Each costs one credit by its request price, so that what
is held is what is charged, and a hold in flight never refuses a call that could be paid.
"""

from collections import Counter
from collections.abc import Callable

import pytest
from sqlalchemy import func, select
from tests.books import Books, nano
from tests.faults.swarm import chat_request, fire
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.storage import schema

ATTEMPTS = 10_000
CONNECTIONS = 300
MODEL = "openai/gpt-tokens:1:3"
K = [
    1234,
    *(pytest.param(k, marks=pytest.mark.full) for k in (0, 1, ATTEMPTS - 1, ATTEMPTS)),
]


@pytest.mark.parametrize("workers", [1, 2], ids=["one worker", "two workers"])
@pytest.mark.parametrize("k", K)
def test_exactly_k_of_10_000(
    new_hub: Callable[..., HubProcess], upstream: FakeUpstream, database: str, k: int, workers: int
):
    hub = new_hub(
        workers=workers,
        database=database,
        models=[MODEL.removeprefix("openai/")],
        billing={"enabled": True},
        rates={"request": "1"},
    )
    upstream.reset()
    with Books(hub) as books:
        customer = books.customer(nano(str(k)))
        body = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}]}
        requests = [
            chat_request(hub, {**body, "stream": stream}, key=customer.key)
            for stream in (False, True)
        ]
        answers = fire(hub, requests, ATTEMPTS, connections=CONNECTIONS)
        assert answers.wrong == []
        assert answers.statuses == Counter({200: k, 402: ATTEMPTS - k}) + Counter()
        assert len(upstream.log()) == k
        check_books(books, customer.user.id, set(answers.served), workers)
        assert (customer.balance, customer.held) == (0, 0)
    hub.verified()


def check_books(books: Books, account: str, served: set[str], workers: int) -> None:
    """Assert that the calls that were served, and no others, are charged one credit each."""
    call, hold, meter = schema.model_call.c, schema.hold.c, schema.meter_event.c
    calls = books.read(
        lambda view: view.execute(
            select(call.id, call.status, call.outcome, call.charge, call.process_id)
        ).all()
    )
    assert len(calls) == ATTEMPTS
    charged = {each.id for each in calls if each.charge}
    assert charged == served
    assert {(each.status, each.outcome, each.charge) for each in calls if each.charge} <= {
        ("success", "completed", nano("1"))
    }
    assert {(each.status, each.outcome) for each in calls if not each.charge} <= {
        ("failed", "rejected")
    }
    assert len({each.process_id for each in calls}) == workers
    holds = books.read(
        lambda view: view.execute(select(hold.call_id, hold.state, hold.captured)).all()
    )
    assert len(holds) == len(served)
    assert {each.call_id for each in holds} == served
    assert {(each.state, each.captured) for each in holds} <= {("captured", nano("1"))}
    events = books.read(lambda view: view.execute(select(meter.call_id, meter.value)).all())
    assert len(events) == len(served)
    assert {each.call_id for each in events} == served
    captures = books.read(
        lambda view: view.execute(
            select(func.count(), func.coalesce(func.sum(schema.transfer.c.amount), 0)).where(
                schema.transfer.c.kind == "capture", schema.transfer.c.account_id == account
            )
        ).one()
    )
    assert tuple(captures) == (len(served), len(served) * nano("1"))
