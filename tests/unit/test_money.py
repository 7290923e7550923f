import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.money import (
    AMOUNT_MAX,
    NANO_PER_CREDIT,
    format_credits,
    parse_amount,
    parse_credits,
    round_half_up,
)


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


@pytest.mark.parametrize(
    ("text", "nano"),
    [
        ("5", 5 * 10**9),
        ("5.0000000000", 5 * 10**9),
        ("0.0000000015", 2),
        ("0.0000000014", 1),
        ("0.0000000005", 1),
        ("0.0000000004", 0),
        ("1.5e-7", 150),
        ("2E+1", 20 * 10**9),
        ("1e-99", 0),
    ],
)
def test_an_amount_of_any_precision_is_the_nearest_nano_credit(text: str, nano: int):
    assert parse_amount(text) == nano


@given(st.integers(0, AMOUNT_MAX), st.integers(0, 20))
def test_an_amount_with_an_exponent_is_the_same_number(nano: int, shift: int):
    assert parse_amount(f"{nano}e-9") == nano
    assert parse_amount(format_credits(nano) + f"e-{shift}") == round_half_up(nano, 10**shift)


@pytest.mark.parametrize(
    "text",
    [
        *("", "x", "-1", "NaN", "Infinity", "٣", "1_0", ".5", "1.", "+1", "0x1", "1,5", "1e"),
        *("1e400", "5000000000", "1e99", "1" * 65, "4000000000.0000000005"),
    ],
)
def test_what_is_no_amount_of_any_precision_is_refused(text: str):
    with pytest.raises(ValueError, match=r"credits|decimal"):
        parse_amount(text)


def test_the_largest_amount_has_any_spelling():
    assert parse_amount("4e9") == parse_amount("4000000000.0000000004") == AMOUNT_MAX
    assert AMOUNT_MAX == 4 * 10**9 * NANO_PER_CREDIT


@given(st.integers(0, 10**24), st.integers(1, 10**9))
def test_rounding_is_exact_half_up(numerator: int, denominator: int):
    rounded = round_half_up(numerator, denominator)
    twice_error = 2 * (rounded * denominator - numerator)
    assert -denominator < twice_error <= denominator


@given(st.integers(0, 10**18), st.integers(0, 10**18), st.integers(1, 10**9))
def test_rounding_is_monotone(a: int, b: int, denominator: int):
    low, high = sorted((a, b))
    assert round_half_up(low, denominator) <= round_half_up(high, denominator)
