"""What the hub sells, and the amounts it refuses."""

import pytest

from aigne_hub.billing.offers import Offer
from aigne_hub.domain.codes import ALPHABET, code_of, normalised
from aigne_hub.domain.currencies import parse_minor
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import AMOUNT_MAX, NANO_PER_CREDIT, parse_credits

CENT = NANO_PER_CREDIT // 100


def offer(price="1", currency="usd", least="1", most="10000"):
    return Offer(parse_credits(price), currency, parse_credits(least), parse_credits(most))


@pytest.mark.parametrize(
    ("price", "currency", "shown"),
    [
        ("1", "usd", "1.00 USD"),
        ("0.5", "usd", "0.50 USD"),
        ("0.0125", "usd", "0.0125 USD"),
        ("150", "jpy", "150 JPY"),
        ("1", "kwd", "1.000 KWD"),
    ],
)
def test_the_price_as_people_read_it(price, currency, shown):
    assert offer(price, currency).shown_price == shown


def test_an_amount_within_bounds_has_an_exact_price():
    assert offer("0.5").price(3 * NANO_PER_CREDIT) == 150
    assert offer("0.0125").price(8 * NANO_PER_CREDIT) == 10


@pytest.mark.parametrize(
    "credits_",
    [0, -1, -NANO_PER_CREDIT, NANO_PER_CREDIT - 1, 10_001 * NANO_PER_CREDIT, AMOUNT_MAX, 2**63],
)
def test_an_amount_out_of_bounds_is_refused(credits_):
    with pytest.raises(InvalidRequest, match="Between 1 and 10000 credits") as refused:
        offer().price(credits_)
    assert refused.value.param == "credits"


@pytest.mark.parametrize("credits_", [NANO_PER_CREDIT + 1, NANO_PER_CREDIT + CENT // 2])
def test_a_fraction_of_a_cent_is_refused(credits_):
    with pytest.raises(InvalidRequest, match="can be paid exactly"):
        offer().price(credits_)


def test_more_than_a_card_carries_is_refused():
    with pytest.raises(InvalidRequest, match=r"At most 999999\.99 USD"):
        offer("1000").price(10_000 * NANO_PER_CREDIT)


def test_the_form_suggests_what_can_be_had():
    assert offer().default == 10 * NANO_PER_CREDIT
    assert offer(least="50").default == 50 * NANO_PER_CREDIT
    assert offer(most="5").default == 5 * NANO_PER_CREDIT


@pytest.mark.parametrize(
    ("text", "currency", "minor"),
    [
        ("12.50", "usd", 1250),
        ("12.5", "usd", 1250),
        ("12", "usd", 1200),
        ("12", "jpy", 12),
        ("0.010", "usd", 1),
        (" 1.5 ", "kwd", 1500),
    ],
)
def test_an_amount_of_money_is_read_exactly(text, currency, minor):
    assert parse_minor(text, currency) == minor


@pytest.mark.parametrize(
    "text", ["", "0", "0.00", "-1", "+1", "1.005", "1e2", "1,5", "NaN", "0x1", "9" * 9, "9" * 40]
)
def test_what_is_no_amount_of_money_is_refused(text):
    with pytest.raises(ValueError, match="USD"):
        parse_minor(text, "usd")


def test_a_code_is_80_bits_in_letters_that_cannot_be_confused():
    assert code_of(bytes(10)) == "0000-0000-0000-0000"
    assert code_of(b"\xff" * 10) == "ZZZZ-ZZZZ-ZZZZ-ZZZZ"
    codes = {code_of(bytes(9) + bytes([number])) for number in range(256)}
    assert len(codes) == 256
    assert not set("ILOU") & set(ALPHABET)
    with pytest.raises(ValueError, match="10 random bytes"):
        code_of(b"short")


@pytest.mark.parametrize(
    "typed",
    ["0123-4567-89AB-CDEF", "o123 4567 89ab cdef", "0l23456789abcdef", "0I23_4567-89ABCDEF"],
)
def test_a_code_is_read_as_it_was_meant(typed):
    assert normalised(typed) == "0123456789ABCDEF"


@pytest.mark.parametrize(
    "typed", ["", "0123-4567-89AB-CDE", "U" * 16, "0" * 17, "-" * 65, "\uff21" * 16]
)
def test_what_is_no_code_is_none(typed):
    assert normalised(typed) is None
