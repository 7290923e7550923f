import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.money import AMOUNT_MAX, format_credits, parse_credits, round_half_up


@given(st.integers(-AMOUNT_MAX, AMOUNT_MAX))
def test_what_is_formatted_parses_back(nano: int):
    assert parse_credits(format_credits(nano)) == nano


@pytest.mark.parametrize(
    ("text", "nano"),
    [("0", 0), ("1", 10**9), ("0.15", 150_000_000), ("0.000000001", 1), ("-2.5", -2_500_000_000)],
)
def test_parse(text: str, nano: int):
    assert parse_credits(text) == nano


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "1e3",
        "NaN",
        "Infinity",
        "0.0000000001",
        "1_0",
        "٣",
        "9e999999",
        "5000000000",
        ".5",
        "1.",
        "+1",
        "0x1",
        "1,5",
        "1" + "0" * 60,
        "0." + "1" * 35,
    ],
)
def test_what_is_no_amount_is_refused(text: str):
    with pytest.raises(ValueError, match=r"credits|decimal"):
        parse_credits(text)


@given(st.integers(0, 10**24), st.integers(1, 10**9))
def test_rounding_is_exact_half_up(numerator: int, denominator: int):
    rounded = round_half_up(numerator, denominator)
    twice_error = 2 * (rounded * denominator - numerator)
    assert -denominator < twice_error <= denominator


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.integers(1, 10**9))
def test_rounding_is_monotone(a: int, b: int, denominator: int):
    low, high = sorted((a, b))
    assert round_half_up(low, denominator) <= round_half_up(high, denominator)
