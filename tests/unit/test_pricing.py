from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.pricing import BLOCK, RateCard
from aigne_hub.domain.quotes import (
    MEDIA_TOKENS,
    count_text,
    quote_tokens,
    size_of,
)
from aigne_hub.domain.usage import TOKENS_MAX, AbsurdUsage, Usage

AMOUNTS = st.integers(0, 10**15)
TOKENS = st.integers(0, TOKENS_MAX)
CARDS = st.builds(
    RateCard.of,
    st.just("r"),
    st.fixed_dictionaries(
        dict.fromkeys(("input", "output", "cache_read", "cache_write", "request"), AMOUNTS)
    ),
)
USAGES = st.tuples(TOKENS, TOKENS, TOKENS, TOKENS).map(lambda buckets: Usage(*buckets))


@given(CARDS, USAGES)
def test_cost_is_the_exact_rational_price_rounded_once(card: RateCard, usage: Usage):
    exact = (
        Fraction(
            usage.input_tokens * card.base.input
            + usage.output_tokens * card.base.output
            + usage.cache_read_tokens * card.base.cache_read
            + usage.cache_write_tokens * card.base.cache_write,
            BLOCK,
        )
        + card.base.request
    )
    assert abs(card.cost(usage) - exact) <= Fraction(1, 2)


@given(CARDS, TOKENS, TOKENS, TOKENS, st.integers(1, 100_000), st.integers(0, 100_000))
def test_a_hold_covers_whatever_stays_within_its_bound(
    card: RateCard, plain: int, read: int, written: int, limit: int, output: int
):
    quote = quote_tokens(
        card,
        input_tokens=plain + read + written,
        output_limit=limit,
        stream=False,
        explicit=True,
        n=1,
    )
    used = Usage(
        input_tokens=plain,
        cache_read_tokens=read,
        cache_write_tokens=written,
        output_tokens=min(output, limit),
    )
    assert quote.amount(limit) >= card.cost(used) or quote.amount(limit) == 4 * 10**18


@given(CARDS, st.integers(0, 10**6), st.integers(1, 10**6), st.integers(0, 10**18))
def test_affordable_is_the_largest_number_that_fits(
    card: RateCard, prompt: int, limit: int, available: int
):
    quote = quote_tokens(
        card, input_tokens=prompt, output_limit=limit, stream=False, explicit=False, n=1
    )
    tokens = quote.affordable(available)
    if tokens is None:
        assert quote.amount(0) > available
        return
    assert quote.amount(tokens) <= available
    assert tokens == limit or quote.amount(tokens + 1) > available


def test_a_missing_cache_rate_is_the_input_rate_never_zero():
    card = RateCard.of("r", {"input": 7, "output": 9})
    assert (card.base.cache_read, card.base.cache_write) == (7, 7)


def test_unknown_and_negative_rates_are_refused():
    with pytest.raises(ValueError, match="unknown rate unit"):
        RateCard.of("r", {"inputs": 1})
    with pytest.raises(ValueError, match="never negative"):
        RateCard.of("r", {"input": -1})


@pytest.mark.parametrize("bad", [-1, TOKENS_MAX + 1, 1.5, True, "3"])
def test_absurd_usage_is_refused(bad: object):
    with pytest.raises(AbsurdUsage):
        Usage(output_tokens=bad).checked()


def test_units_price_images_seconds_characters_and_requests():
    card = RateCard.of(
        "r", {"image": 40_000_000, "second": 100_000_000, "characters": 15 * 10**9, "request": 5}
    )
    assert card.cost(Usage(images=2)) == 80_000_005
    assert card.cost(Usage(duration_ms=1500, requests=0)) == 150_000_000
    assert card.cost(Usage(characters=1_000, requests=0)) == 15_000_000


@given(st.text(max_size=2000))
def test_text_never_has_more_tokens_than_the_bound(text: str):
    body = b'{"messages":[{"role":"user","content":"%b"}]}' % text.encode(errors="replace")
    assert size_of(body).tokens_bound >= len(text.encode(errors="replace"))


def test_an_inlined_picture_is_not_counted_as_text():
    picture = b"A" * 4_000_000
    body = (
        b'{"content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%b"}}]}'
        % picture
    )
    assert size_of(body).tokens_bound < 3 * MEDIA_TOKENS
    assert count_text(size_of(body).text_bytes) < 100


def test_counting_sees_text_and_not_structure():
    body = b'{"model":"openai/gpt-4o-mini","messages":[{"role":"user","content":"%b"}]}' % (
        b"abcd" * 100
    )
    assert count_text(size_of(body).text_bytes) == 100
