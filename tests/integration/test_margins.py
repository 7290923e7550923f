"""Margins: what calls brought beside what they cost, on both databases."""

from fractions import Fraction

import pytest
from tests.batches import Batches
from tests.market import CREDIT, Market

from aigne_hub.catalog.price_import import Sale
from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.operations import Attempt, Reason
from aigne_hub.domain.usage import Usage
from aigne_hub.storage import corrections, margins, prices, provider_usage
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.prices import _put_reference

MILLION = 1_000_000
A = {"input": 3 * CREDIT, "output": 6 * CREDIT}
COST = {"input": 2 * CREDIT, "output": 5 * CREDIT}


@pytest.fixture
def shop(hub):
    with Batches(hub) as batches:
        made = Market(hub, batches)
        made.model("openai/a", A, COST)
        made.model("openai/b", {"input": CREDIT}, {"input": CREDIT, "output": CREDIT})
        made.model("openai/c", A)
        yield made


def report(shop, since_us=0, credit_price=Fraction(1)):
    with reading(shop.hub.engine) as view:
        found = margins.report(view, since_us, shop.hub.clock.now_us() + MILLION, credit_price)
    return {one.model: one.document(credit_price) for one in found}, found


def refer(shop, ref, amounts):
    with shop.changing() as change:
        model_id = prices.model_named(change.connection, ref).model_id
        _put_reference(change, model_id, amounts, "list 1")
        change.audit("test", model_id)


def test_each_model_shows_what_it_brought_and_cost(shop):
    user = shop.customer(1_000 * CREDIT)
    for _ in range(2):
        shop.call(user, "openai/a", Usage(input_tokens=MILLION, output_tokens=MILLION))
    shop.call(user, "openai/b", Usage(input_tokens=MILLION, output_tokens=MILLION))
    shop.call(user, "openai/c", Usage(input_tokens=MILLION))
    shop.call(user, "openai/a", None, outcome=Outcome.UPSTREAM_FAILED)
    shop.call(user, "openai/a", Usage(input_tokens=MILLION), billed=False)
    models, found = report(shop)
    a, b, c = (models[f"openai/{name}"] for name in "abc")
    assert (a["calls"], a["sale"], a["cost"], a["margin_percent"]) == (2, "18", "14", "28.6")
    assert (a["below_cost"], a["below_cost_units"], a["calls_without_cost"]) == (False, [], 0)
    assert (b["sale"], b["cost"], b["margin_percent"]) == ("1", "2", "-50")
    assert (b["below_cost"], b["below_cost_units"]) == (True, ["output"])
    assert (c["sale"], c["cost"], c["margin_percent"]) == ("3", None, None)
    assert (c["calls_without_cost"], c["below_cost"]) == (1, False)
    whole = margins.total(found).document(Fraction(1))
    assert (whole["calls"], whole["sale"], whole["cost"]) == (4, "22", "16")
    assert whole["margin_percent"] == "18.8"
    half, _ = report(shop, credit_price=Fraction(1, 2))
    assert (half["openai/a"]["margin_percent"], half["openai/a"]["below_cost"]) == ("-35.7", True)
    later, _ = report(shop, shop.hub.clock.now_us())
    assert (later["openai/a"]["calls"], later["openai/a"]["cost"]) == (0, None)


def attempt(shop, model, cost, error="The upstream failed."):
    now = shop.hub.clock.now_us()
    return Attempt("openai", "main", 500, error, now, 5, model, Reason.FAILOVER, cost)


def test_what_failed_attempts_cost_is_told_apart_and_counted_once(shop):
    user = shop.customer(1_000 * CREDIT)
    usage = Usage(input_tokens=MILLION, output_tokens=MILLION)
    a, b = "openai/a", "openai/b"
    # Failed at a, delivered by b, whose own attempt has the call's cost on record as well.
    shop.call(user, b, usage, failed=[attempt(shop, a, 3), attempt(shop, a, None)])
    # Nobody delivered.
    everybody = [attempt(shop, a, 5), attempt(shop, b, 7), attempt(shop, b, 0)]
    shop.call(user, a, None, failed=everybody, delivered=False, outcome=Outcome.UPSTREAM_FAILED)
    # Its caller left between two attempts, and is charged for the prompt of the last one.
    left = [attempt(shop, a, 11), attempt(shop, a, 2 * CREDIT)]
    prompt = Usage(input_tokens=MILLION)
    shop.call(user, a, prompt, failed=left, delivered=False, outcome=Outcome.CLIENT_CANCELLED)
    # Of calls that nobody is charged for nothing counts.
    shop.call(user, a, None, failed=[attempt(shop, a, 13)], billed=False)
    models, found = report(shop)
    assert {name: (one["failed_attempts"], one["failed_cost"]) for name, one in models.items()} == {
        "openai/a": (4, "0.000000019"),
        "openai/b": (2, "0.000000007"),
        "openai/c": (0, "0"),
    }
    assert (models[a]["cost"], models[b]["cost"]) == ("2", "2")
    whole = margins.total(found)
    assert (whole.failed_attempts, whole.failed_cost, whole.cost) == (6, 26, 4 * CREDIT)
    shop.assert_in_order()


def test_failed_attempts_lower_the_margin(shop):
    user = shop.customer(1_000 * CREDIT)
    usage = Usage(input_tokens=MILLION, output_tokens=MILLION)
    shop.call(user, "openai/a", usage, failed=[attempt(shop, "openai/a", 3 * CREDIT)])
    only = attempt(shop, "openai/b", CREDIT)
    shop.call(user, "openai/c", usage, failed=[only])
    models, _ = report(shop)
    # 9 for 7 + 3.
    assert (models["openai/a"]["margin_percent"], models["openai/a"]["below_cost"]) == ("-10", True)
    assert (models["openai/b"]["calls"], models["openai/b"]["margin_percent"]) == (0, "-100")
    assert models["openai/c"]["margin_percent"] is None
    day_us = 24 * 3600 * MILLION
    own = provider_usage_of(shop, day_us)
    assert {key.model: (one.calls, one.failed_attempts, one.failed_cost) for key, one in own} == {
        "a": (1, 1, 3 * CREDIT),
        "b": (0, 1, CREDIT),
        "c": (1, 0, 0),
    }


def provider_usage_of(shop, after_us):
    with reading(shop.hub.engine) as view:
        until_us = shop.hub.clock.now_us() + after_us
        return list(provider_usage.by_day(view, "openai", 0, until_us).items())


def test_refunds_adjustments_and_write_offs_count(shop):
    user = shop.customer(10 * CREDIT)
    usage = Usage(input_tokens=MILLION, output_tokens=MILLION)
    first = shop.call(user, "openai/a", usage)
    shop.call(user, "openai/a", usage, hold=CREDIT)
    with writing(shop.hub.engine) as connection:
        now = shop.hub.clock.now_us()
        corrections.refund_call(connection, now, "fix/1", first, 2 * CREDIT)
        corrections.adjust_call(connection, now, "fix/2", first, 3 * CREDIT)
    models, _ = report(shop)
    a = models["openai/a"]
    # 9 + 9 - 2 + 3; of the second 8 was beyond the credit, of the adjustment 1 was.
    assert (a["sale"], a["cost"], a["written_off"]) == ("19", "14", "9")
    shop.assert_in_order()


def test_a_cost_that_drifts_from_the_list_is_told(shop):
    refer(shop, "openai/a", {"input": 2 * CREDIT, "output": 4 * CREDIT})
    refer(shop, "openai/b", {"input": CREDIT, "output": CREDIT + CREDIT // 10})
    refer(shop, "openai/c", {"input": 9 * CREDIT, "output": 9 * CREDIT})
    models, _ = report(shop)
    a, b, c = (models[f"openai/{name}"] for name in "abc")
    assert (a["drift_percent"], a["drift_units"], a["reference"]) == ("-20", ["output"], "list 1")
    assert (b["drift_percent"], b["drift_units"]) == (None, [])
    # It states no cost of its own: the list's is its cost.
    assert (c["drift_percent"], c["below_cost_units"]) == (None, ["input", "output"])


def test_prices_are_made_anew_from_costs(shop):
    refer(shop, "openai/c", {"input": CREDIT, "output": 2 * CREDIT})
    shop.model("local/free", {"request": 1})
    with shop.changing() as change:
        found = prices.with_margin(change.connection, Sale(Fraction("1.2"), Fraction("0.5")))
        prices.apply(change, found)
    assert [one.priced.offered.ref for one in found.updated] == ["openai/a", "openai/b", "openai/c"]
    assert [one.offered.ref for one in found.unlisted] == ["local/free"]
    newest = shop.version("openai/a")
    assert (newest.version, newest.source) == (2, "margin 20%")
    assert newest.amounts == {"input": 4_800_000_000, "output": 12 * CREDIT}
    assert newest.cost == COST
    with shop.changing() as change:
        again = prices.with_margin(change.connection, Sale(Fraction("1.2"), Fraction("0.5")))
        prices.apply(change, again)
    assert (again.updated, len(again.unchanged)) == ([], 3)
    assert shop.version("openai/a") == newest
