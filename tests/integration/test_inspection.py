"""The hourly check of the ledger on a hub that serves: alarm, and all clear."""

import json
import re
import time
import urllib.request

import pytest
from sqlalchemy import func, insert, select, text
from tests.books import Books
from tests.caller import ask
from tests.hub import HubProcess

from aigne_hub.storage import inspection, jobs, schema
from aigne_hub.storage.engine import create_engine, reading, writing

OLD_US = 1
METRIC = "aigne_hub_ledger_violations"


def violations(hub):
    with urllib.request.urlopen(f"{hub.address}/metrics", timeout=60) as answer:
        found = re.findall(rf"^{METRIC} (\S+)$", answer.read().decode(), re.MULTILINE)
    return float(found[0]) if found else None


def shown_when(hub, expected, within_s=60):
    deadline = time.monotonic() + within_s
    while (found := violations(hub)) != expected:
        assert time.monotonic() < deadline, (found, hub.log()[-2000:])
        time.sleep(0.2)


@pytest.fixture
def engine(running):
    opened = create_engine(running.database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def running(tmp_path, database, database_for):
    config = {"billing": {"enabled": True}}
    with HubProcess(tmp_path / "hub", config, database_url=database_for(database)) as hub:
        yield hub


def make_due(engine):
    """Make the check due as if an hour had passed."""
    job = schema.job
    with writing(engine) as connection:
        row = {"last_run_us": OLD_US}
        changed = connection.execute(job.update().where(job.c.name == inspection.JOB).values(**row))
        if not changed.rowcount:
            connection.execute(insert(job).values(name=inspection.JOB, **row))


def test_a_planted_violation_raises_an_alarm_and_its_repair_ends_it(running, engine):
    hub = running
    with Books(hub) as books:
        caller = books.customer(5_000_000_000)
        # Nothing is known before the first check.
        assert violations(hub) is None
        make_due(engine)
        shown_when(hub, 0)
        change = "UPDATE account SET balance = balance + :by WHERE id = :id"
        with writing(engine) as connection:
            connection.execute(text(change), {"by": 7, "id": caller.user.id})
        make_due(engine)
        shown_when(hub, 3)
        assert ask(hub, "demo/echo", key=caller.key).status == 200
        with reading(engine) as connection:
            event = schema.event
            rows = connection.execute(
                select(event.c.payload, event.c.account_id).where(
                    event.c.type == "ledger.violation"
                )
            ).all()
        checks = {json.loads(row.payload)["check"]: json.loads(row.payload) for row in rows}
        assert len(checks) == len(rows) == 3
        told = checks["account balance is the sum of its transfers"]["detail"]
        assert told == f"1 violated, such as: {caller.user.id}"
        assert {row.account_id for row in rows} == {None}
        assert "the ledger does not agree" in hub.log()
        # The same violation an hour later is the same event.
        make_due(engine)
        with writing(engine) as connection:
            connection.execute(text(change), {"by": -7, "id": caller.user.id})
        shown_when(hub, 0)
        with reading(engine) as connection:
            assert connection.execute(select(func.count()).select_from(event)).scalar_one() == 3
        hub.verified()


def test_one_process_of_all_checks_once_an_hour(hub):
    clock = hub.clock
    assert inspection.inspect(hub.engine, clock, "one") == []
    assert inspection.inspect(hub.engine, clock, "two") is None
    clock.advance(3599)
    assert inspection.inspect(hub.engine, clock, "two") is None
    clock.advance(2)
    with jobs.lease(hub.engine, clock, inspection.JOB, "one", inspection.EVERY_US) as mine:
        assert mine
        # While one is at it nobody else begins.
        assert inspection.inspect(hub.engine, clock, "two") is None
    assert not inspection.state(hub.engine).due(clock.now_us())


def test_what_is_broken_is_told_once_a_day(hub):
    with writing(hub.engine) as connection:
        on = "" if hub.is_sqlite else " ON transfer"
        connection.execute(text(f"DROP TRIGGER transfer_append_only{on}"))
    told = []
    for _ in range(30):
        hub.clock.advance(3601)
        (broken,) = inspection.inspect(hub.engine, hub.clock, "one")
        assert broken.detail == "missing: transfer_append_only"
        assert inspection.state(hub.engine).broken == 1
        with reading(hub.engine) as connection:
            events = connection.execute(select(func.count()).select_from(schema.event))
            told.append(events.scalar_one())
    # From one in the morning on, and again on the day after.
    assert (told[0], told[22], told[-1]) == (1, 1, 2)
