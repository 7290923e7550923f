"""Prices below cost and costs that drift: found, told once a version, on both databases."""

import json
from dataclasses import replace
from fractions import Fraction
from types import SimpleNamespace

import pytest
from sqlalchemy import select
from tests.batches import Batches
from tests.hub import HubProcess
from tests.market import CREDIT, Market

from aigne_hub.bootstrap import open_hub
from aigne_hub.catalog.price_list import Listed, Unusable
from aigne_hub.domain.events import EventType
from aigne_hub.server.price_watch import PriceWatch
from aigne_hub.settings import load_settings
from aigne_hub.storage import jobs, price_watch, schema
from aigne_hub.storage.changes import changes
from aigne_hub.storage.engine import create_engine, reading, writing
from aigne_hub.storage.price_watch import JOB

BELOW, DRIFT = EventType.RATES_BELOW_COST, EventType.RATES_DRIFT


class Prices:
    source = "list 2"

    def __init__(self, **listed):
        self.listed = listed

    def find(self, offered):
        dollars = self.listed.get(offered.name)
        if dollars == "odd":
            raise Unusable(dollars)
        return dollars and Listed(offered.name, {unit: Fraction(p) for unit, p in dollars.items()})


@pytest.fixture
def market(hub):
    with Batches(hub) as batches:
        yield Market(hub, batches)


def look(market, listed, credit_price=Fraction(1)):
    with reading(market.hub.engine) as view:
        return price_watch.look(view, listed, credit_price)


def tell(market, findings):
    with writing(market.hub.engine) as connection:
        return price_watch.tell(connection, findings, market.hub.clock.now_us())


def test_every_price_is_compared_with_its_cost_and_every_cost_with_the_list(market):
    fair = {"input": 2 * CREDIT, "output": 4 * CREDIT}
    market.model("openai/fair", fair, {"input": CREDIT, "output": 2 * CREDIT})
    market.model("openai/loses", fair, {"input": 3 * CREDIT, "output": 2 * CREDIT})
    market.model("openai/silent", fair)
    market.model("openai/drifts", fair, {"input": CREDIT, "output": CREDIT})
    market.model("openai/odd", fair, fair)
    listed = Prices(
        fair={"input": "1.05", "output": "2"},
        silent={"input": "1", "output": "5"},
        drifts={"input": "1", "output": "1.5"},
        odd="odd",
    )
    found = {(one.type, one.model): one for one in look(market, listed)}
    assert set(found) == {
        (BELOW, "openai/loses"), (BELOW, "openai/silent"), (DRIFT, "openai/drifts"),
    }  # fmt: skip
    assert found[BELOW, "openai/loses"].units == ("input",)
    assert found[BELOW, "openai/silent"].units == ("output",)
    assert found[DRIFT, "openai/drifts"].document() == {
        "model": "openai/drifts", "version": 1, "units": ["output"], "source": "list 2",
        "percent": "50",
    }  # fmt: skip
    # Credits sold in another currency cannot be compared with dollars, lists can.
    assert [one.type for one in look(market, listed, None)] == [DRIFT]
    cheap = {one.model for one in look(market, listed, Fraction(1, 4)) if one.type is BELOW}
    assert cheap >= {"openai/fair", "openai/loses", "openai/silent", "openai/odd"}


def test_a_version_is_told_of_once_and_the_next_again(market):
    market.model("openai/a", {"input": 1, "output": 1})
    listed = Prices(a={"input": "1", "output": "1"})
    assert tell(market, look(market, listed)) == 1
    with writing(market.hub.engine) as connection:
        connection.execute(schema.event.delete())  # as retention does, months later
    assert tell(market, look(market, listed)) == 0
    market.price("openai/a", {"input": 2, "output": 2})
    assert tell(market, look(market, listed)) == 1
    with reading(market.hub.engine) as view:
        (event,) = view.execute(select(schema.event)).all()
    assert (event.type, json.loads(event.payload)["version"]) == ("rates.below_cost", 2)


CONFIG = {
    "billing": {"enabled": True},
    "providers": [{"name": "openai", "base_url": "http://127.0.0.1:9/v1"}],
    "models": [
        {"model": "openai/gpt-4o-mini", "type": "chat", "rates": {"input": "0.1", "output": "9"}},
        {
            "model": "openai/gpt-4o",
            "type": "chat",
            "rates": {"input": "99", "output": "99", "search": "9"},
            "cost": {"input": "9", "output": "10"},
        },
    ],
}


def test_the_duty_makes_the_check_in_a_process_of_its_own_once_a_day(tmp_path):
    process = HubProcess(tmp_path / "data", CONFIG, start=False)
    environ = process.environment()
    opened = open_hub(load_settings(environ, data_dir=process.folder), environ)
    # The settings of the environment are the command's; these name the configuration too.
    settings = opened.settings.model_copy(update={"config": process.config_file})
    hub = replace(opened, settings=settings)
    watch = PriceWatch(lambda: hub, "p1")
    assert watch.wanted
    for _ in range(2):
        watch.look()
    database = create_engine(f"sqlite:///{process.folder / 'hub.db'}")
    with reading(database) as view:
        events = view.execute(select(schema.event.c.type)).scalars().all()
        job = view.execute(select(schema.job).where(schema.job.c.name == JOB)).one()
    database.dispose()
    opened.engine.dispose()
    assert sorted(events) == ["rates.below_cost", "rates.drift"]
    assert (job.holder, job.last_error) == ("p1", None)

    done = process.run("rates", "check", "--notify")
    shown = json.loads(done.stdout)
    assert (done.returncode, shown["ok"], shown["told"]) == (1, False, 0)
    assert [one["model"] for one in shown["below_cost"]] == ["openai/gpt-4o-mini"]
    assert [one["model"] for one in shown["drift"]] == ["openai/gpt-4o"]


def test_a_look_can_be_asked_for_before_its_day(hub):
    def due():
        with jobs.lease(hub.engine, hub.clock, JOB, "p1", 10**12) as mine:
            return mine

    assert [due(), due()] == [True, False]
    with changes(hub.engine, hub.clock, hub.ids, actor="test") as change:
        jobs.hasten(change, JOB)
    assert [due(), due()] == [True, False]


def test_without_billing_there_is_nothing_to_watch():
    unbilled = SimpleNamespace(hub_file=SimpleNamespace(billing=SimpleNamespace(enabled=False)))
    assert not PriceWatch(lambda: unbilled, "p").wanted
