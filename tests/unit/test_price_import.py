"""What an import changes, and when it does not believe its list."""

import json
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.catalog.litellm_prices import LiteLLMPrices
from aigne_hub.catalog.price_import import Priced, Sale, in_credits, in_dollars, plan, scaled
from aigne_hub.catalog.price_list import Listed, Offered, PricesRefused, Unusable
from aigne_hub.domain.price_text import format_amounts, format_card, parse_amounts, units_of
from aigne_hub.domain.pricing import RateCard

CREDIT = 10**9


class Prices:
    """A list of what a test says."""

    source = "made-up 2 (2026-11-25)"

    def __init__(self, **listed):
        self.listed = listed

    def find(self, offered):
        dollars = self.listed.get(offered.name)
        if isinstance(dollars, str):
            raise Unusable(dollars)
        return dollars and Listed(
            offered.name, {unit: Fraction(price) for unit, price in dollars.items()}
        )


def model(name, rates=None, cost=None, source="made-up 1", *, declared=False):
    offered = Offered("p", "p", None, name, "chat")
    return Priced(offered, name, rates or {}, cost or {}, source, declared)


def nano(**prices):
    return {unit: int(Fraction(price) * CREDIT) for unit, price in prices.items()}


A = {"input": "1", "output": "2"}


def test_a_price_is_the_cost_times_markup_in_credits():
    found = plan([model("a")], Prices(a=A), Sale(Fraction("1.2"), Fraction("0.01")))
    (change,) = found.created
    assert change.rates == nano(input="120", output="240")
    assert change.cost == nano(input="1", output="2")


def test_every_model_is_in_one_list_and_only_changes_are_made():
    models = [
        model("new"),
        model("same", nano(**A), nano(**A)),
        model("dearer", nano(input="0.5", output="1"), nano(**A)),
        model("recosted", nano(**A), {}),
        model("file", nano(**A), {}, "hub.yaml", declared=True),
        model("broken", nano(**A), nano(**A), "cli"),
        model("unheard", nano(**A), nano(**A), "cli"),
    ]
    prices = Prices(
        new=A, same=A, dearer=A, recosted=A, file={"input": "9", "output": "9"}, broken="is odd"
    )
    found = plan(models, prices, Sale())
    names = {
        kind: [change.priced.offered.name for change in getattr(found, kind)]
        for kind in ("created", "updated", "unchanged", "declared")
    }
    assert names == {
        "created": ["new"],
        "updated": ["dearer", "recosted"],
        "unchanged": ["same"],
        "declared": ["file"],
    }
    assert [(priced.offered.name, why) for priced, why in found.skipped] == [("broken", "is odd")]
    assert [priced.offered.name for priced in found.unlisted] == ["unheard"]
    found.require_sane()


@pytest.mark.parametrize(
    ("listed", "sane"),
    [
        ({"a": A, "b": A, "c": A}, True),
        ({"a": A, "b": A}, True),
        ({"a": A}, False),
        ({}, False),
        ({"a": A, "b": "has no price", "c": "has no price"}, False),
        ({"a": A, "b": {"input": "0.05", "output": "2"}, "c": A}, True),
        ({"a": A, "b": {"input": "0.05", "output": "2"}, "c": {**A, "output": "0.1"}}, False),
        ({"a": A, "b": {"input": "0.1", "output": "0.2"}, "c": {**A, "input": "10"}}, True),
        ({name: {"input": "0.000001", "output": "0.000002"} for name in "abc"}, False),
        ({name: {"input": "1000000", "output": "1000000"} for name in "abc"}, False),
    ],
)  # fmt: skip
def test_an_import_that_would_lose_or_shift_most_prices_is_refused(listed, sane):
    models = [model(name, nano(**A), nano(**A)) for name in "abc"]
    found = plan(models, Prices(**listed), Sale())
    if sane:
        found.require_sane()
    else:
        with pytest.raises(PricesRefused, match="of 3 priced models"):
            found.require_sane()


def test_prices_from_elsewhere_are_not_missed():
    models = [model(name, nano(**A), {}, "cli") for name in "abc"]
    plan(models, Prices(), Sale()).require_sane()


def test_an_empty_entry_never_makes_a_model_free():
    """LiteLLM's incident: a malformed cost map made every call cost 0 (model_cost_map_incident)."""
    good = {"litellm_provider": "p", "mode": "chat"}
    priced = {**good, "input_cost_per_token": 1e-06, "output_cost_per_token": 2e-06}
    broken = [
        good,
        {**priced, "input_cost_per_token": 0.0, "output_cost_per_token": 0.0},
        {**priced, "input_cost_per_token": 0.0},
        {**priced, "output_cost_per_token": 0},
        {**good, "input_cost_per_token": 1e-06},
        {**priced, "output_cost_per_token": None},
        {**priced, "output_cost_per_token": "2e-06"},
        {**priced, "output_cost_per_token": -2e-06},
        {**priced, "output_cost_per_token": 1e-30},
    ]
    for entry in broken:
        raw = json.dumps({"a": entry, **{f"x{number}": priced for number in range(20)}}).encode()
        found = plan([model("a", nano(**A), nano(**A), "cli")], LiteLLMPrices(raw), Sale())
        assert not found.references, entry
        assert len(found.skipped) == 1, entry


def test_a_positive_price_that_would_round_to_zero_is_no_price():
    with pytest.raises(Unusable, match="below the smallest"):
        in_dollars({"input": Fraction(1, 10**10), "output": Fraction(1)})
    assert in_dollars({"input": Fraction(1, 2 * 10**9)}) == {"input": 1}


PRICES = st.fractions(Fraction(1, 10**6), Fraction(1000), max_denominator=10**6)


@given(PRICES, st.fractions(Fraction(1, 10), Fraction(10)), st.fractions(Fraction(1, 100), 10))
def test_a_rate_is_within_half_a_nano_of_the_exact_one(price, markup, credit_price):
    sale = Sale(markup, credit_price)
    exact = price * markup / credit_price * CREDIT
    try:
        rate = in_credits({"input": price}, sale.factor)["input"]
    except Unusable:
        assert exact < Fraction(1, 2)
        return
    assert abs(rate - exact) <= Fraction(1, 2)
    assert rate > 0


def test_prices_from_a_cost_keep_how_they_nest():
    cost = {
        "input": 100,
        "images": {"1x1": 7},
        "long_context": [{"above": 5, "input": 200}],
        "service_tiers": {"batch": {"input": 50, "long_context": []}},
    }
    assert scaled(cost, Fraction(3, 2)) == {
        "input": 150,
        "images": {"1x1": 11},
        "long_context": [{"above": 5, "input": 300}],
        "service_tiers": {"batch": {"input": 75, "long_context": []}},
    }


WORDS = [
    "input=0.15",
    "images.1024x1024/high=0.17",
    "long_context.200000.input=2.5",
    "long_context.1000.output=3",
    "service_tiers.batch.input=0.5",
    "service_tiers.batch.long_context.7.cache_read=0.000000001",
]


def test_prices_are_written_with_their_way_and_read_back():
    amounts = parse_amounts(WORDS)
    assert format_amounts(amounts) == {
        "input": "0.15",
        "images": {"1024x1024/high": "0.17"},
        "long_context": [{"above": 1_000, "output": "3"}, {"above": 200_000, "input": "2.5"}],
        "service_tiers": {
            "batch": {"input": "0.5", "long_context": [{"above": 7, "cache_read": "0.000000001"}]}
        },
    }
    assert sorted(dict(units_of(amounts))) == sorted(word.partition("=")[0] for word in WORDS)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["input"], "is not unit=price"),
        (["inptu=1"], "is no unit; use input"),
        (["input=x"], "is not a decimal number"),
        (["input=-1"], "never negative"),
        (["input=1", "input=2"], "is given twice"),
        (["images.=1"], "is no unit"),
        (["long_context.0.input=1"], "is no unit"),
        (["long_context.5.request=1"], "does not depend on the context's length"),
        (["service_tiers.batch.service_tiers.flex.input=1"], "no service tiers of its own"),
        ([f"images.{number}=1" for number in range(65)], "more price points"),
    ],
)
def test_words_that_are_no_prices_say_why(words, message):
    with pytest.raises(ValueError, match=message):
        parse_amounts(words)


def test_a_card_shows_what_it_charges():
    card = RateCard.of("r", parse_amounts(["input=1", "output=2", *WORDS[1:]]))
    shown = format_card(card)
    assert shown["cache_read"] == "1"
    assert "request" not in shown
    assert shown["images"] == {"1024x1024/high": "0.17"}
    assert shown["long_context"][1] == {
        "above": 200_000, "input": "2.5", "cache_read": "2.5", "cache_write": "2.5",
        "cache_write_1h": "2.5", "audio_input": "2.5", "image_input": "2.5",
    }  # fmt: skip
    assert shown["service_tiers"]["batch"]["input"] == "0.5"
    assert format_card(None) is None
