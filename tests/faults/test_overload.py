"""Beyond capacity: bounded, told so before anything is held, and nothing recorded is lost."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest
from sqlalchemy import select
from tests.caller import ask, begun, chat
from tests.conftest import config_for
from tests.faults.settled import assert_settled
from tests.faults.swarm import chat_request, fire
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, reading

LIMIT = 6
BEYOND = 30
STORM = 1000
QUICK = "gpt-4o-mini"
# It stops in the middle, until its caller leaves.
ENDLESS = "gpt-long:30+stall:20"
CREDITS = "100000"


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream) -> Iterator[HubProcess]:
    config = config_for(
        upstream,
        models=[QUICK, ENDLESS],
        billing={"enabled": True, "new_user_credits": CREDITS},
        limits={"calls_in_flight": LIMIT},
    )
    with HubProcess(tmp_path_factory.mktemp("overload") / "hub", config) as running:
        yield running


def test_a_full_hub_says_when_to_come_back_and_holds_nothing(hub: HubProcess):
    before = len(hub.calls())
    body = json.dumps(chat(f"openai/{ENDLESS}", stream=True, max_tokens=100)).encode()
    with ExitStack() as stack:
        for _ in range(LIMIT):
            stack.enter_context(begun(hub, "/v1/chat/completions", body))
        with ThreadPoolExecutor(BEYOND) as threads:
            asked = [threads.submit(ask, hub, f"openai/{QUICK}") for _ in range(BEYOND)]
            refused = [each.result() for each in asked]
        assert {(reply.status, reply.error["code"]) for reply in refused} == {(503, "overloaded")}
        assert all(int(reply.headers["retry-after"]) >= 1 for reply in refused)
        # Neither a record nor a hold: only those that were let in are on record.
        assert len(hub.calls()) == before + LIMIT
    calls = hub.calls_when_closed(before + LIMIT)
    assert [call["outcome"] for call in calls].count("client_cancelled") == LIMIT
    assert ask(hub, f"openai/{QUICK}").status == 200
    assert_settled(hub)


def at_once(hub: HubProcess) -> int:
    """Return the most calls that were open at one moment."""
    call = schema.model_call.c
    database = create_engine(hub.database_url)
    with reading(database) as connection:
        spans = connection.execute(select(call.started_us, call.duration_us)).all()
    database.dispose()
    # Ends before beginnings of the same microsecond.
    moments = sorted(
        [(begin, 1) for begin, _ in spans] + [(begin + took, -1) for begin, took in spans]
    )
    most = now = 0
    for _, step in moments:
        now += step
        most = max(most, now)
    return most


def test_a_storm_leaves_every_answer_on_record_and_no_queue(hub: HubProcess):
    before = {call["id"] for call in hub.calls()}
    request = chat_request(hub, chat(f"openai/{QUICK}", max_tokens=5))
    answers = fire(hub, [request], STORM, connections=20 * LIMIT, refusal="overloaded")
    assert answers.wrong == []
    assert set(answers.statuses) == {200, 503}
    assert answers.statuses.total() == STORM
    calls = hub.calls_when_closed(len(before) + answers.statuses[200], within_s=30)
    assert {call["id"] for call in calls} == before | set(answers.served)
    assert at_once(hub) <= LIMIT
    assert_settled(hub)
