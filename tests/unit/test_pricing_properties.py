"""Prices against an oracle in fractions, for any card and any usage."""

from fractions import Fraction

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigne_hub.domain.money import AMOUNT_MAX
from aigne_hub.domain.pricing import RATE_UNITS, TOKEN_UNITS, RateCard
from aigne_hub.domain.quotes import quote_tokens, quote_units
from aigne_hub.domain.usage import STANDARD, Usage

MILLION = 1_000_000
KINDS = ("1024x1024/high", "256x256", "")
SERVICES = (STANDARD, "batch", "priority", "unheard-of")
PRICES = st.integers(0, 10**15)
COUNTS = st.integers(0, 2_000_000)
CONTEXTS = (1, 1_000, 200_000, 1_000_000)
FALLBACKS = {
    "cache_read": "input", "cache_write": "input", "cache_write_1h": "cache_write",
    "reasoning": "output", "audio_input": "input", "audio_output": "output",
    "image_input": "input", "image_output": "output",
}  # fmt: skip


def some(units):
    return st.fixed_dictionaries({}, optional=dict.fromkeys(units, PRICES))


@st.composite
def long_contexts(draw):
    bounds = sorted(draw(st.sets(st.sampled_from(CONTEXTS), max_size=3)))
    return [{"above": above, **draw(some(TOKEN_UNITS))} for above in bounds]


@st.composite
def flat_cards(draw):
    card = draw(some(RATE_UNITS))
    card["images"] = draw(st.dictionaries(st.sampled_from(KINDS[:2]), PRICES))
    card["long_context"] = draw(long_contexts())
    return card


@st.composite
def cards(draw):
    card = draw(flat_cards())
    card["service_tiers"] = draw(st.dictionaries(st.sampled_from(SERVICES[1:3]), flat_cards()))
    return card


@st.composite
def usages(draw, services=SERVICES):
    audio_in, image_in, audio_out, image_out, reasoning, hour = (draw(COUNTS) for _ in range(6))
    return Usage(
        input_tokens=audio_in + image_in + draw(COUNTS),
        output_tokens=audio_out + image_out + reasoning + draw(COUNTS),
        cache_read_tokens=draw(COUNTS),
        cache_write_tokens=hour + draw(COUNTS),
        cache_write_1h_tokens=hour,
        reasoning_tokens=reasoning,
        audio_input_tokens=audio_in,
        audio_output_tokens=audio_out,
        image_input_tokens=image_in,
        image_output_tokens=image_out,
        images=draw(st.integers(0, 10)),
        duration_ms=draw(st.integers(0, 10**7)),
        characters=draw(COUNTS),
        requests=draw(st.integers(0, 3)),
        searches=draw(st.integers(0, 9)),
        image_kind=draw(st.sampled_from(KINDS)),
        service_tier=draw(st.sampled_from(services)),
    )


def exact(card, usage):
    """Return the price as the documents say it: look up, multiply, add, and do not round."""
    prices = {**card, **card.get("service_tiers", {}).get(usage.service_tier, {})}
    read = usage.input_tokens + usage.cache_read_tokens + usage.cache_write_tokens
    reached = [tier for tier in prices.get("long_context", []) if read > tier["above"]]
    tokens = {**prices, **(reached[-1] if reached else {})}

    def price(unit):
        while unit not in tokens and unit in FALLBACKS:
            unit = FALLBACKS[unit]
        return Fraction(tokens.get(unit, 0))

    refined = {
        "audio_input": usage.audio_input_tokens,
        "image_input": usage.image_input_tokens,
        "cache_read": usage.cache_read_tokens,
        "cache_write": usage.cache_write_tokens - usage.cache_write_1h_tokens,
        "cache_write_1h": usage.cache_write_1h_tokens,
        "reasoning": usage.reasoning_tokens,
        "audio_output": usage.audio_output_tokens,
        "image_output": usage.image_output_tokens,
        "input": usage.input_tokens - usage.audio_input_tokens - usage.image_input_tokens,
        "output": usage.output_tokens
        - usage.audio_output_tokens
        - usage.image_output_tokens
        - usage.reasoning_tokens,
    }
    total = sum(count * price(unit) for unit, count in refined.items()) / MILLION
    total += Fraction(usage.characters * prices.get("characters", 0), MILLION)
    total += Fraction(usage.duration_ms * prices.get("second", 0), 1_000)
    total += usage.requests * prices.get("request", 0) + usage.searches * prices.get("search", 0)
    kinds = prices.get("images", {})
    dearest = max([prices.get("image", 0), *kinds.values()])
    return total + usage.images * (kinds.get(usage.image_kind, dearest))


def half_up(amount):
    return int((amount + Fraction(1, 2)) // 1)


@given(cards(), usages())
@example({"input": 1}, Usage(input_tokens=499_999, requests=0))
@example({"input": 1}, Usage(input_tokens=500_000, requests=0))
@example({"second": 10**15}, Usage(duration_ms=10**7))
def test_a_price_is_the_exact_one_rounded_half_up_once(card, usage):
    usage.checked()
    assert RateCard.of("r", card).cost(usage) == min(half_up(exact(card, usage)), AMOUNT_MAX)


@given(cards(), usages(), st.integers(0, 1_000_000), st.integers(0, 1_000_000))
def test_a_hold_bounds_every_usage_within_its_bound(card, usage, more_input, more_output):
    used = usage._replace(images=0, duration_ms=0, characters=0, searches=0, requests=1)
    priced = RateCard.of("r", card)
    limit = max(used.output_tokens + more_output, 1)
    quote = quote_tokens(
        priced,
        input_tokens=used.context_tokens + more_input,
        output_limit=limit,
        stream=False,
        explicit=True,
        n=1,
    )
    assert priced.cost(used) <= quote.amount(limit)


@given(cards(), usages(), st.integers(0, 3))
def test_a_hold_for_pictures_bounds_them_in_any_tier(card, usage, fewer):
    used = usage._replace(duration_ms=0, characters=0, searches=0, requests=1)
    priced = RateCard.of("r", card)
    quote = quote_units(
        priced,
        images=used.images + fewer,
        image_kind=used.image_kind,
        input_tokens=used.context_tokens,
        output_tokens=used.output_tokens,
    )
    assert priced.cost(used) <= quote.amount(0)


GROWS = {
    "input_tokens": (),
    "output_tokens": (),
    "cache_read_tokens": (),
    "cache_write_tokens": (),
    "reasoning_tokens": ("output_tokens",),
    "audio_input_tokens": ("input_tokens",),
    "image_output_tokens": ("output_tokens",),
    "cache_write_1h_tokens": ("cache_write_tokens",),
    "images": (),
    "duration_ms": (),
    "characters": (),
    "requests": (),
    "searches": (),
}


@given(flat_cards(), usages(), st.sampled_from(sorted(GROWS)), st.integers(1, 100_000))
def test_more_never_costs_less_within_a_tier(card, usage, field, amount):
    priced = RateCard.of("r", {**card, "long_context": []})
    grown = {name: getattr(usage, name) + amount for name in (field, *GROWS[field])}
    assert priced.cost(usage._replace(**grown)) >= priced.cost(usage)


@given(cards(), usages(), st.sampled_from(RATE_UNITS), st.integers(0, 10**12))
def test_a_price_that_rises_never_lowers_a_charge(card, usage, unit, rise):
    before = {**dict.fromkeys(RATE_UNITS, 0), **card}
    after = {**before, unit: before[unit] + rise}
    assert RateCard.of("r", after).cost(usage) >= RateCard.of("r", before).cost(usage)


@given(some(("input", "output")), st.integers(0, 10**6), st.sampled_from(SERVICES))
def test_a_missing_cache_rate_is_the_input_rate_in_every_tier(flat, tokens, service):
    card = RateCard.of(
        "r",
        {
            **flat,
            "long_context": [{"above": 1_000, "input": flat.get("input", 0) * 2}],
            "service_tiers": {"batch": {"input": flat.get("input", 0) // 2}},
        },
    )
    plain = Usage(input_tokens=tokens, service_tier=service, requests=0)
    for cached in ("cache_read_tokens", "cache_write_tokens"):
        assert card.cost(plain._replace(input_tokens=0, **{cached: tokens})) == card.cost(plain)


@given(cards(), usages())
def test_tokens_that_are_reported_twice_are_priced_once(card, usage):
    twice = usage._replace(
        reasoning_tokens=usage.output_tokens, audio_output_tokens=usage.output_tokens
    )
    once = usage._replace(
        reasoning_tokens=0,
        image_output_tokens=0,
        audio_output_tokens=usage.output_tokens,
    )
    assert RateCard.of("r", card).cost(twice) == RateCard.of("r", card).cost(once) >= 0


@pytest.mark.parametrize("unit", ["second", "request", "image", "characters", "search"])
def test_what_does_not_depend_on_the_context_is_no_tier_of_it(unit):
    with pytest.raises(ValueError, match="does not depend on the context's length"):
        RateCard.of("r", {"input": 1, "long_context": [{"above": 10, unit: 1}]})
