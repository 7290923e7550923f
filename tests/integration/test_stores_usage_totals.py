"""Sums over recorded calls, on both databases: which calls count, and into which bucket."""

from dataclasses import replace

import pytest
from sqlalchemy import insert

from aigne_hub.domain.ids import first_id
from aigne_hub.storage import schema, usage_totals
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.usage_totals import DAY_US, HOUR_US, ModelCount, ModelDay, Period, Wanted

DAY = 1_767_225_600_000_000  # 2026-01-01T00:00:00Z
ANYBODY = Wanted(Period(DAY, DAY + 2 * DAY_US))
ADA = replace(ANYBODY, account_id="ada")


@pytest.fixture
def record(hub):
    """Record calls that have ended."""
    made = []

    def record(started_us, account="ada", **values):
        made.append(started_us)
        identity = f"{first_id(started_us)[:-4]}{len(made):04x}"
        row = {
            "id": identity,
            "status": "success",
            "outcome": "completed",
            "account_id": account,
            "user_did": f"did:abt:{account}",
            "app_did": "did:abt:app",
            "key_id": "key",
            "process_id": "process",
            "request_id": "request",
            "type": "chat",
            "model": "openai/small",
            "provider": "openai",
            "stream": 0,
            "input_counted": 0,
            "started_us": started_us,
            "input_tokens": 10,
            "output_tokens": 5,
            "charge": 7,
            "duration_us": 2_000_000,
            "ttfb_us": 500_000,
            **values,
        }
        with writing(hub.engine) as connection:
            connection.execute(insert(schema.model_call).values(row))

    return record


def test_only_calls_of_the_period_that_ended_count(hub, record):
    for started in (DAY - 1, DAY, DAY + 2 * DAY_US - 1, DAY + 2 * DAY_US):
        record(started)
    record(DAY + 5, status="processing", outcome=None)
    record(DAY + 5, account="eve")
    with reading(hub.engine) as view:
        _, [(app, totals)] = usage_totals.by_application(view, ADA, offset=0, limit=10)
        _, [(_, all_of_them)] = usage_totals.by_application(view, ANYBODY, offset=0, limit=10)
    assert app == "did:abt:app"
    assert (totals.calls, totals.credits, totals.usage) == (2, 14, 30)
    assert totals.last_us == DAY + 2 * DAY_US - 1
    assert all_of_them.calls == 3


def test_averages_are_of_calls_that_succeeded(hub, record):
    record(DAY)
    record(DAY, ttfb_us=None, input_tokens=None, output_tokens=None, units=3, charge=None)
    record(DAY, status="failed", outcome="upstream_failed", duration_us=10**9, ttfb_us=10**9)
    with reading(hub.engine) as view:
        _, [(_, totals)] = usage_totals.by_application(view, ADA, offset=0, limit=10)
    assert (totals.calls, totals.succeeded, totals.begun) == (3, 2, 1)
    assert (totals.duration_us, totals.ttfb_us) == (4_000_000, 500_000)
    assert (totals.usage, totals.credits) == (15 + 3 + 15, 14)


def test_applications_by_what_they_used(hub, record):
    for number, (app, charge) in enumerate((("a", 1), ("a", 1), ("b", 50), ("c", 2))):
        record(DAY + number, app_did=app, charge=charge)

    def order(view, **options):
        count, found = usage_totals.by_application(view, ADA, **options)
        assert count == 3
        return [app for app, _ in found]

    with reading(hub.engine) as view:
        assert order(view, offset=0, limit=9) == ["a", "b", "c"]
        assert order(view, order="credits", offset=0, limit=9) == ["b", "a", "c"]
        assert order(view, order="credits", descending=False, offset=1, limit=1) == ["c"]
        assert order(view, order="last_us", offset=0, limit=1) == ["c"]


@pytest.mark.parametrize("shift_us", [0, -330 * 60_000_000, 480 * 60_000_000])
def test_buckets_begin_at_the_callers_midnight(hub, record, shift_us):
    midnight = DAY + DAY_US + shift_us
    for started in (midnight - 1, midnight, midnight + DAY_US - 1, midnight + DAY_US):
        record(started)
    wanted = Wanted(Period(midnight - DAY_US, midnight + 2 * DAY_US))
    with reading(hub.engine) as view:
        found = usage_totals.over_time(view, wanted, size_us=DAY_US, shift_us=shift_us)
        each = usage_totals.over_time_by_application(
            view, wanted, ["did:abt:app", "other"], size_us=DAY_US, shift_us=shift_us
        )
    expected = {midnight - DAY_US: 1, midnight: 2, midnight + DAY_US: 1}
    assert {start: totals.calls for start, totals in found.items()} == expected
    assert {key: totals.calls for key, totals in each.items()} == {
        (start, "did:abt:app"): calls for start, calls in expected.items()
    }


def test_hours_of_one_application(hub, record):
    record(DAY)
    record(DAY + HOUR_US, app_did="other")
    with reading(hub.engine) as view:
        found = usage_totals.over_time(
            view, replace(ANYBODY, app_did="other"), size_us=HOUR_US, shift_us=0
        )
    assert list(found) == [DAY + HOUR_US]


def test_models_called_most(hub, record):
    for model in ("openai/b", "openai/a", "openai/a", "openai/c"):
        record(DAY, model=model)
    record(DAY, model="openai/refused", provider=None, status="failed", outcome="rejected")
    with reading(hub.engine) as view:
        count, found = usage_totals.by_model(view, ADA, limit=2)
    assert count == 4
    assert found == [ModelCount("openai", "openai/a", 2), ModelCount("openai", "openai/b", 1)]


def test_models_day_by_day(hub, record):
    record(DAY)
    record(DAY + 1)
    record(DAY + DAY_US, type="image", model="openai/picture", units=2, charge=9)
    with reading(hub.engine) as view:
        found = usage_totals.by_model_and_day(view, ADA, limit=10)
    assert found == [
        ModelDay("openai/picture", DAY + DAY_US, 9, 10, 5, 2),
        ModelDay("openai/small", DAY, 14, 20, 10, 0),
    ]


def test_an_application_has_the_name_of_its_key(hub):
    with reading(hub.engine) as view:
        assert usage_totals.names_of(view, ["did:abt:unknown"]) == {}
