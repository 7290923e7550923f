"""`rates rerate`, killed in the middle and run again."""

import os
import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from sqlalchemy import func, select
from tests.batches import Batches
from tests.hub import HubProcess
from tests.market import CREDIT, Market
from tests.patience import PATIENCE_S

from aigne_hub.bootstrap import open_hub
from aigne_hub.domain.usage import Usage
from aigne_hub.settings import load_settings
from aigne_hub.storage import schema
from aigne_hub.storage.engine import reading

MODEL = "openai/a"
CALLS = 400
PERIOD = ("--since", "2020-01-01T00:00:00Z", "--until", "2100-01-01T00:00:00Z")


@pytest.fixture
def shop(tmp_path):
    """A hub that is not serving, whose customers were charged three times too much."""
    process = HubProcess(tmp_path / "data", {}, start=False)
    environ = process.environment()
    opened = open_hub(load_settings(environ, data_dir=process.folder), environ)
    hub = SimpleNamespace(
        engine=opened.engine, clock=opened.clock, ids=opened.ids, keyring=opened.keyring,
        randbytes=os.urandom, is_sqlite=True,
    )  # fmt: skip
    with Batches(hub) as batches:
        market = Market(hub, batches)
        market.model(MODEL, {"input": 3 * CREDIT})
        users = [market.customer(10**6 * CREDIT) for _ in range(4)]
        for number in range(CALLS):
            market.call(users[number % 4], MODEL, Usage(input_tokens=1_000 + number))
        market.price(MODEL, {"input": CREDIT})
        yield process, market, users
    opened.engine.dispose()


def corrected(market):
    with reading(market.hub.engine) as view:
        table = schema.call_rerate
        return view.execute(select(func.count(), func.coalesce(func.sum(table.c.posted), 0))).one()


def test_a_killed_run_is_finished_by_the_next_and_nothing_twice(shop):
    process, market, users = shop
    wanted = sum(3_000 * (1_000 + number) - 1_000 * (1_000 + number) for number in range(CALLS))
    before = sum(market.balance(user).balance for user in users)

    shown = process.cli("rates", "rerate", MODEL, *PERIOD, "--dry-run")
    assert (shown["calls"], shown["posted"], shown["users_in_all"]) == (CALLS, None, 4)
    assert tuple(corrected(market)) == (0, 0)

    # It gives way to this process, which has to see its first corrections before it has made all.
    command = ["nice", "-n", "5", sys.executable, "-m", "aigne_hub"]
    command += ["rates", "rerate", MODEL, *PERIOD]
    running = subprocess.Popen(
        [*command, "--data-dir", str(process.folder)],
        env=process.environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    deadline = time.monotonic() + 2 * PATIENCE_S
    while not corrected(market)[0]:
        assert running.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.001)
    running.send_signal(signal.SIGKILL)
    running.wait()
    count, posted = corrected(market)
    assert 0 < count < CALLS, "it was killed too late to prove anything"
    assert sum(market.balance(user).balance for user in users) == before - posted
    market.assert_in_order()

    done = process.cli("rates", "rerate", MODEL, *PERIOD)
    assert done["posted"]["calls"] == CALLS - count
    assert tuple(corrected(market)) == (CALLS, -wanted)
    assert sum(market.balance(user).balance for user in users) == before + wanted
    again = process.cli("rates", "rerate", MODEL, *PERIOD)
    assert (again["calls"], again["posted"]["calls"]) == (0, 0)
    market.assert_in_order()
