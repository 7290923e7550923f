"""Providers' exports of usage and cost, in the shapes of their APIs and dashboards."""

import json
from fractions import Fraction

import pytest

from aigne_hub.billing.provider_report import Key, Reported, Unreadable, read
from aigne_hub.billing.reconciliation import Own, compared, total

DAY = "2026-01-31"
START = 1_769_817_600  # of that day
MINI = Key(DAY, "gpt-4o-mini")
NANO = 10**9


def table(*texts):
    found = {}
    for text in texts:
        read(text, found)
    return found


def bucket(*results, start=START):
    return {
        "object": "bucket",
        "start_time": start,
        "end_time": start + 86_400,
        "results": list(results),
    }


def usage(model="gpt-4o-mini", **figures):
    return {"object": "organization.usage.completions.result", "model": model, **figures}


def cost(value, item="gpt-4o-mini, input", currency="usd"):
    amount = {"value": value, "currency": currency}
    return {"object": "organization.costs.result", "amount": amount, "line_item": item}


def page(*buckets):
    return json.dumps({"object": "page", "data": list(buckets), "has_more": False})


def test_openai_usage_and_costs_are_one_table():
    figures = {"input_tokens": 100, "input_cached_tokens": 40, "output_tokens": 7}
    of_usage = page(
        bucket(usage(**figures, num_model_requests=3), usage(**figures, num_model_requests=1)),
        bucket(usage(**figures), start=START + 86_400),
    )
    of_cost = page(bucket(cost(0.25), cost(0.000000001, "gpt-4o-mini, output")))
    found = table(of_usage, of_cost)
    assert found[MINI] == Reported(200, 80, 14, 4, 250_000_001)
    assert found[Key("2026-02-01", "gpt-4o-mini")] == Reported(100, 40, 7)


def test_a_cost_keeps_every_place():
    (only,) = table(page(bucket(cost(1)))).values()
    assert only.cost == NANO
    text = page(bucket(cost("X"))).replace('"X"', "1234567.123456789")
    (only,) = table(text).values()
    assert only.cost == 1_234_567_123_456_789
    (only,) = table(page(bucket(cost("X"))).replace('"X"', "-2.5e-7")).values()
    assert only.cost == -250


def test_pages_may_be_a_list_and_buckets_bare():
    one = bucket(usage(input_tokens=1, output_tokens=1))
    for text in (
        json.dumps([json.loads(page(one)), json.loads(page(one))]),
        json.dumps([one, one]),
    ):
        assert table(text)[MINI].read == 2


def test_anthropic_usage_and_cost():
    of_usage = {
        "data": [
            {
                "starting_at": "2026-01-31T00:00:00Z",
                "ending_at": "2026-02-01T00:00:00Z",
                "results": [
                    {
                        "uncached_input_tokens": 1500,
                        "cache_creation": {
                            "ephemeral_1h_input_tokens": 1000,
                            "ephemeral_5m_input_tokens": 500,
                        },
                        "cache_read_input_tokens": 200,
                        "output_tokens": 500,
                        "model": "claude-haiku-4-5",
                    }
                ],
            }
        ],
        "has_more": False,
    }
    of_cost = {
        "data": [
            {
                "starting_at": "2026-01-31T00:00:00Z",
                "results": [
                    {"currency": "USD", "amount": "123.45", "model": "claude-haiku-4-5"},
                ],
            }
        ]
    }
    found = table(json.dumps(of_usage), json.dumps(of_cost))
    # Amounts are in cents.
    assert found == {Key(DAY, "claude-haiku-4-5"): Reported(3200, 200, 500, None, 1_234_500_000)}


@pytest.mark.parametrize(
    "text",
    [
        "date,model,input,cached,output,cost\n2026-01-31,gpt-4o-mini,100,40,7,0.25\n",
        "\ufeffDate,Model,Input,Cached,Output,Cost\r\n2026-01-31,gpt-4o-mini,100,40,7,0.25\r\n",
        (
            "start_time,end_time,model,input_tokens,input_cached_tokens,output_tokens,cost\n"
            f"{START},0,gpt-4o-mini,100,40,7,0.25\n"
        ),
        (
            "start_time_iso,line_item,amount_value,amount_currency,input,cached,output\n"
            '2026-01-31T12:00:00+00:00,"gpt-4o-mini, input",0.25,usd,100,40,7\n'
        ),
    ],
)
def test_csv_of_a_dashboard_or_of_anybody(text):
    found = table(text)
    assert found[MINI] == Reported(100, 40, 7, None, 250_000_000)


def test_a_day_is_that_of_utc():
    text = "date,model,input\n2026-02-01T00:30:00+02:00,gpt-4o-mini,5\n"
    assert table(text) == {MINI: Reported(read=5)}


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "empty"),
        ("{", "line 1"),
        ("[1, 2]", "no usage or cost export"),
        ('{"data": [{"results": [{"input_tokens": 1}]}]}', "no date"),
        (page(bucket(usage(input_tokens=-1))), "no number"),
        (page(bucket(usage(input_tokens=1.5))), "no number"),
        (page(bucket(cost(1, currency="eur"))), "dollars"),
        (page(bucket({"amount": {}})), "known here"),
        ("a,b\n1,2\n", "first line"),
        ("date,model\n2026-01-31,m\n", "first line"),
        ("date,model,input\nyesterday,m,1\n", "line 2"),
        ("date,model,input\n2026-01-31,m,many\n", "line 2"),
        ("date,model,cost\n2026-01-31,m,NaN\n", "line 2"),
        ("date,model,cost,amount_currency\n2026-01-31,m,1,chf\n", "line 2"),
    ],
)
def test_what_is_no_export_is_refused_in_words(text, word):
    with pytest.raises(Unreadable, match=word):
        table(text)


ONE_PERCENT = Fraction(1, 100)


def row(theirs, own, tolerance=ONE_PERCENT):
    (found,) = compared({MINI: theirs} if theirs else {}, {MINI: own} if own else {}, tolerance)
    return found


def test_what_agrees_within_the_tolerance_is_in_order():
    own = Own(calls=10, read=1000, cached=100, written=500, cost=NANO)
    assert row(Reported(1010, 100, 495, 10, NANO + NANO // 100), own).off == ()
    found = row(Reported(1011, 100, 500, 10, NANO), own)
    assert found.off == ("read",)
    assert found.causes == ("another program uses the same account, or the days differ",)
    assert row(Reported(1001), own, Fraction(0)).off == ("read",)
    # What a file does not have is not compared.
    assert row(Reported(written=500), own, Fraction(0)).off == ()


def test_a_snapshot_is_the_model_it_is_of():
    own = {MINI: Own(calls=1, read=10, written=1)}
    theirs = {
        Key(DAY, "gpt-4o-mini-2024-07-18"): Reported(4, 0, 1),
        Key(DAY, "gpt-4o-mini"): Reported(6, 0, 0),
        Key(DAY, "gpt-4o-2024-08-06"): Reported(3, 0, 0),
    }
    found = {one.key.model: one for one in compared(theirs, own, ONE_PERCENT)}
    assert found["gpt-4o-mini"].off == ()
    assert found["gpt-4o-2024-08-06"].causes == (
        "no call of this hub: another program uses the same account",
    )


@pytest.mark.parametrize(
    ("own", "word"),
    [
        (Own(calls=2, read=900, interrupted=1, counted=1), "interrupted"),
        (Own(calls=2, read=900, counted=2), "counted, for want"),
        (Own(calls=2, read=900, failed=1), "failed after content"),
        (Own(calls=2, read=900, retried=1), "more than once"),
        (Own(calls=0, read=0, failed_attempts=1), "attempts at it failed"),
    ],
)
def test_a_difference_is_given_its_likely_cause(own, word):
    causes = row(Reported(read=1000), own).causes
    assert any(word in cause for cause in causes)
    assert len(causes) == 1


def test_costs_without_a_declared_cost_are_not_compared():
    own = Own(calls=2, read=10, uncosted=2)
    assert row(Reported(read=10, cost=NANO), own).off == ()
    some = Own(calls=2, read=10, cost=1, uncosted=1)
    found = row(Reported(read=10, cost=NANO), some)
    assert (found.off, found.causes) == (("cost",), ("1 calls have no declared cost",))
    wrong = Own(calls=2, read=10, cost=1)
    (cause,) = row(Reported(read=10, cost=NANO), wrong).causes
    assert cause == "the tokens agree: the declared cost is not what is billed"


@pytest.mark.parametrize(("billed", "off"), [(9, ("cost",)), (10, ()), (14, ()), (16, ("cost",))])
def test_what_failed_may_have_been_billed_or_not(billed, off):
    own = Own(calls=2, read=10, cost=10, failed_attempts=1, failed_cost=5)
    assert row(Reported(read=10, cost=billed), own).off == off


def test_what_only_the_hub_knows_is_named():
    found = row(None, Own(calls=1, read=5, written=5))
    assert found.off == ("read", "written")
    assert found.causes == ("the export does not have it: another account, or exported too early",)


def test_sums_are_over_both_sides():
    theirs = {MINI: Reported(1, 2, 3, 4, 5), Key("2026-02-01", "m"): Reported(cost=5)}
    rows = compared(theirs, {MINI: Own(calls=1, read=2)}, ONE_PERCENT)
    assert total(rows) == (Reported(1, 2, 3, 4, 10), Own(calls=1, read=2))
