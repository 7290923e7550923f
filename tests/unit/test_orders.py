"""An order's state and what it is to lose, from facts in any order."""

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain import currencies
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.orders import Order, OrderState, Reason, Return, ReturnKind, ReturnState

CREDITS = 10 * NANO_PER_CREDIT


def refund(number, state, amount):
    return Return(f"re_{number}", ReturnKind.REFUND, state, amount)


def total(amount):
    return Return("total/pi_1", ReturnKind.TOTAL, ReturnState.ACTIVE, amount)


def dispute(number, state, amount):
    return Return(f"dp_{number}", ReturnKind.DISPUTE, state, amount)


def order(**more):
    facts = {"paid": True, **more}
    return Order("o", "a", "stripe", Reason.CHECKOUT, CREDITS, 1_000, "usd", **facts)


@pytest.mark.parametrize(
    ("facts", "state", "lost"),
    [
        ({"paid": False}, OrderState.OPEN, 0),
        ({"paid": False, "closed": OrderState.FAILED}, OrderState.FAILED, 0),
        ({"paid": False, "closed": OrderState.EXPIRED}, OrderState.EXPIRED, 0),
        ({"closed": OrderState.EXPIRED}, OrderState.PAID, 0),
        ({"returns": (refund(1, ReturnState.ACTIVE, 250),)}, OrderState.PAID, CREDITS // 4),
        ({"returns": (refund(1, ReturnState.ACTIVE, 1_000),)}, OrderState.REFUNDED, CREDITS),
        ({"returns": (refund(1, ReturnState.UNDONE, 1_000),)}, OrderState.PAID, 0),
        ({"returns": (total(1_000),)}, OrderState.REFUNDED, CREDITS),
        ({"returns": (total(9_999),)}, OrderState.REFUNDED, CREDITS),
        ({"returns": (dispute(1, ReturnState.INQUIRY, 1_000),)}, OrderState.PAID, 0),
        ({"returns": (dispute(1, ReturnState.ACTIVE, 1_000),)}, OrderState.DISPUTED, CREDITS),
        ({"returns": (dispute(1, ReturnState.FINAL, 1_000),)}, OrderState.DISPUTED, CREDITS),
        ({"returns": (dispute(1, ReturnState.UNDONE, 1_000),)}, OrderState.PAID, 0),
        ({"paid": False, "returns": (refund(1, ReturnState.ACTIVE, 250),)}, OrderState.OPEN, 0),
    ],
)
def test_state_and_loss_follow_from_the_facts(facts, state, lost):
    assert (order(**facts).state, order(**facts).returned_credits) == (state, lost)


def test_a_total_and_its_parts_are_not_counted_twice():
    parts = (refund(1, ReturnState.ACTIVE, 300), refund(2, ReturnState.ACTIVE, 200))
    assert order(returns=(*parts, total(500))).returned == 500
    assert order(returns=(parts[0], total(500))).returned == 500


def test_a_total_no_longer_holds_what_failed():
    failed = (refund(1, ReturnState.UNDONE, 300), refund(2, ReturnState.ACTIVE, 200))
    assert order(returns=(*failed, total(500))).returned == 200


def test_no_more_goes_back_than_was_paid():
    both = (refund(1, ReturnState.ACTIVE, 900), dispute(1, ReturnState.ACTIVE, 1_000))
    assert order(returns=both).returned_credits == CREDITS


@given(st.permutations(list(ReturnState)))
def test_reports_of_one_return_merge_in_any_order(states):
    reports = [refund(1, state, 100) for state in states]
    merged = reports[0]
    for report in reports[1:]:
        merged = merged.merged(report).merged(merged)
    assert merged.state is ReturnState.FINAL


def test_merging_is_the_same_in_every_order():
    reports = [
        dispute(1, ReturnState.INQUIRY, 100),
        dispute(1, ReturnState.ACTIVE, 90),
        dispute(1, ReturnState.UNDONE, 90),
    ]
    outcomes = set()
    for each in permutations(reports):
        first, second, third = each
        outcomes.add(first.merged(second).merged(third))
    assert outcomes == {reports[2]}


@pytest.mark.parametrize(
    ("credit", "price", "currency", "minor"),
    [
        ("10", "1", "usd", 1_000),
        ("0.01", "1", "usd", 1),
        ("1000", "0.00001", "usd", 1),
        ("3", "2.5", "eur", 750),
        ("3", "150", "jpy", 450),
        ("1", "0.001", "kwd", 1),
    ],
)
def test_what_credit_costs(credit, price, currency, minor):
    nano = [int(float(text) * NANO_PER_CREDIT) for text in (credit, price)]
    assert currencies.minor_price(*nano, currency) == minor


@pytest.mark.parametrize("credit", [1, NANO_PER_CREDIT // 200, NANO_PER_CREDIT + 1])
def test_a_fraction_of_a_cent_is_no_price(credit):
    with pytest.raises(ValueError, match="whole number of the smallest unit of USD"):
        currencies.minor_price(credit, NANO_PER_CREDIT, "usd")


@pytest.mark.parametrize(
    ("amount", "currency", "shown"),
    [
        (1250, "usd", "12.50 USD"),
        (5, "eur", "0.05 EUR"),
        (450, "jpy", "450 JPY"),
        (-1250, "usd", "-12.50 USD"),
        (1, "kwd", "0.001 KWD"),
    ],
)
def test_amounts_as_people_read_them(amount, currency, shown):
    assert currencies.format_minor(amount, currency) == shown
