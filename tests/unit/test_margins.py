from fractions import Fraction

import pytest

from aigne_hub.domain.margins import below_cost, drift, margin_percent, price_at, tenths
from aigne_hub.domain.pricing import RateCard

NESTED = {
    "input": 10,
    "output": 20,
    "images": {"1x1": 5, "2x2": 9},
    "long_context": [{"above": 100, "input": 30}],
    "service_tiers": {"batch": {"input": 4, "long_context": []}},
}


@pytest.mark.parametrize(
    ("way", "price"),
    [
        ("input", 10),
        ("cache_read", 10),
        ("reasoning", 20),
        ("request", 0),
        ("images.1x1", 5),
        ("images.other", 9),
        ("long_context.100.input", 30),
        ("long_context.50.input", 10),
        ("long_context.100.output", 20),
        ("service_tiers.batch.input", 4),
        ("service_tiers.batch.long_context.100.input", 4),
        ("service_tiers.flex.long_context.100.cache_read", 30),
    ],
)
def test_every_price_of_a_card_is_found_by_its_way(way, price):
    assert price_at(RateCard.of("r", NESTED), way) == price


def test_a_price_below_cost_is_found_wherever_it_hides():
    cost = {"input": 5, "output": 5, "cache_read": 1}
    one = Fraction(1)
    assert below_cost({"input": 5, "output": 5}, cost, one) == []
    assert below_cost({"input": 5, "output": 4}, cost, one) == ["output"]
    assert below_cost({"input": 5, "output": 5}, cost, Fraction(9, 10)) == ["input", "output"]
    tiered = {**cost, "long_context": [{"above": 7, "output": 8}]}
    assert below_cost({"input": 5, "output": 6}, tiered, one) == ["long_context.7.output"]
    cheap = {"input": 5, "output": 5, "service_tiers": {"batch": {"output": 2}}}
    assert below_cost(cheap, cost, one) == ["service_tiers.batch.output"]
    assert below_cost({}, cost, one) == below_cost(cheap, {}, one) == []


def test_drift_is_told_beyond_a_tenth():
    assert drift({"input": 100}, {"input": 110}) == {}
    assert drift({"input": 100}, {"input": 111}) == {"input": Fraction(11, 100)}
    assert drift({"input": 100}, {"input": 89}) == {"input": Fraction(-11, 100)}
    assert drift({"input": 100}, {"input": 100, "output": 5}) == {"output": 1}
    # A cost that does not name cached tokens takes them for input.
    assert drift({"input": 100}, {"input": 100, "cache_read": 10}) == {
        "cache_read": Fraction(-9, 10)
    }
    assert drift({}, {"input": 1}) == drift({"input": 1}, {}) == {}


def test_percentages_have_one_decimal():
    assert margin_percent(Fraction(12), Fraction(10)) == 20
    assert margin_percent(Fraction(12), Fraction(0)) is None
    assert [tenths(Fraction(text)) for text in ("20", "-0.04", "0.05", "-33.35", "28.571")] == [
        "20", "0", "0.1", "-33.4", "28.6",
    ]  # fmt: skip
