"""What providers report that is strange, against a running hub: charged, counted, said once."""

import json
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import select
from tests.books import Books, Customer, nano, price
from tests.caller import PROMPT, Reply, ask
from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

from aigne_hub.storage import schema
from aigne_hub.storage.engine import create_engine, reading

RATES = {"input": "0.150001", "output": "0.600007", "cache_read": "0.075003"}
MODELS = (
    "gpt-tokens:30:40+newfield:5",
    "gpt-long:40+lies:1",
    "gpt-tokens:30:40+beside:60",
)
NEW, NEGATIVE, REASONED = MODELS


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[tuple[HubProcess, Books, Customer]]:
    key = [{"name": "main", "api_key": "sk-good"}]
    config: dict[str, Any] = {
        "providers": [{"name": "openai", "base_url": upstream.base_url, "credentials": key}],
        "models": [
            {"model": f"openai/{model}", "type": "chat", "rates": RATES} for model in MODELS
        ],
        "billing": {"enabled": True},
    }
    with HubProcess(tmp_path_factory.mktemp("hub"), config) as hub, Books(hub) as books:
        yield hub, books, books.customer(nano("10"))


def call_of(served: tuple[HubProcess, Books, Customer], reply: Reply) -> dict[str, Any]:
    _, books, _ = served
    assert reply.status == 200
    return books.call(reply.call_id)


def test_strange_reports_are_charged_counted_and_said_once(served):
    hub, _, customer = served
    for stream in (False, True, False):
        known = call_of(served, ask(hub, f"openai/{NEW}", key=customer.key, stream=stream))
        assert known["usage_source"] == "provider"
        assert (known["input_tokens"], known["output_tokens"]) == (30, 40)
        assert nano(known["credits"]) == price(known, RATES)

        reply = ask(hub, f"openai/{NEGATIVE}", key=customer.key, stream=stream)
        counted = call_of(served, reply)
        assert counted["usage_source"] == "counted"
        assert counted["input_tokens"] == -(-len(PROMPT) // 4)
        assert counted["output_tokens"] == -(-len(reply.text) // 4)
        assert nano(counted["credits"]) == price(counted, RATES) > 0

        beside = call_of(served, ask(hub, f"openai/{REASONED}", key=customer.key, stream=stream))
        assert (beside["input_tokens"], beside["output_tokens"]) == (30, 100)
        assert nano(beside["credits"]) == price(beside, RATES)

    metrics = urllib.request.urlopen(f"{hub.address}/metrics", timeout=60).read().decode()
    assert 'aigne_hub_usage_unknown_fields_total{provider="openai"} 3.0' in metrics
    assert 'aigne_hub_usage_refused_total{provider="openai"} 3.0' in metrics
    events = stored(hub, deadline=time.monotonic() + 15)
    assert [(kind, told["provider"]) for kind, told in events] == [
        ("usage.refused", "openai"),
        ("usage.unknown_field", "openai"),
    ]
    assert events[0][1]["reason"] == "completion_tokens is negative"
    assert events[1][1]["field"] == "dream_tokens"
    log = hub.log()
    assert log.count("a field that is not known") == 1
    assert log.count("usage was not believed") == 1


def stored(hub: HubProcess, deadline: float) -> list[tuple[str, dict[str, Any]]]:
    """Return the events about usage once both are in the outbox, which takes seconds."""
    engine = create_engine(hub.database_url)
    event = schema.event
    wanted = select(event.c.type, event.c.payload).where(event.c.type.like("usage.%"))
    rows: list[Any] = []
    while len(rows) < 2 and time.monotonic() < deadline:
        time.sleep(0.2)
        with reading(engine) as connection:
            rows = list(connection.execute(wanted.order_by(event.c.type)))
    engine.dispose()
    return [(row.type, json.loads(row.payload)) for row in rows]
