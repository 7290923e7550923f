"""Price lists of three sources: exact in digits, mapped to our units, never zero by mistake."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time
from decimal import Decimal
from fractions import Fraction

import pytest
from genai_prices import data
from genai_prices.types import (
    ClauseEquals,
    ConditionalPrice,
    ModelInfo,
    ModelPrice,
    PriceVariant,
    Provider,
    StartDateConstraint,
    Tier,
    TieredPrices,
    TimeOfDateConstraint,
)
from genai_prices.types import Usage as ListedUsage

from aigne_hub.catalog.genai_prices import GenaiPrices
from aigne_hub.catalog.litellm_prices import LiteLLMPrices
from aigne_hub.catalog.openrouter_prices import OpenRouterPrices
from aigne_hub.catalog.price_import import in_dollars
from aigne_hub.catalog.price_list import (
    Listed,
    Offered,
    PricesRefused,
    Unusable,
    exact,
    read_json,
    spellings,
    usable,
)
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage

AT = datetime(2026, 11, 25, 12, tzinfo=UTC)
CHAT = Offered("openai", "openai", None, "gpt-x", "chat")


def usd(text):
    return Fraction(text)


# -- genai-prices -------------------------------------------------------------------------


def genai(prices, variants=None, name="gpt-x", provider="openai", **more):
    model = ModelInfo(id=name, match=ClauseEquals(name), prices=prices, price_variants=variants)
    vendor = Provider(
        id=provider, name=provider, api_pattern=r"https://api\.openai\.com", models=[model], **more
    )
    return GenaiPrices([vendor], "9.9", AT)


def mtok(**prices):
    return ModelPrice(**{unit: Decimal(price) for unit, price in prices.items()})


def test_the_source_names_package_version_and_day():
    assert genai(mtok(input_mtok="1")).source == "genai-prices 9.9 (2026-11-25)"


def test_every_unit_has_its_block():
    found = genai(
        mtok(
            input_mtok="0.15", output_mtok="0.6", cache_read_mtok="0.075", cache_write_mtok="0.3",
            cache_write_1h_mtok="0.5", output_reasoning_mtok="3", input_audio_mtok="10",
            output_audio_mtok="20", input_image_mtok="5", output_image_mtok="40",
            input_mchars="15", audio_hours="0.36", requests_kcount="12", web_searches_kcount="10",
        )
    ).find(CHAT)  # fmt: skip
    assert found.dollars == {
        "input": usd("0.15"), "output": usd("0.6"), "cache_read": usd("0.075"),
        "cache_write": usd("0.3"), "cache_write_1h": usd("0.5"), "reasoning": 3,
        "audio_input": 10, "audio_output": 20, "image_input": 5, "image_output": 40,
        "characters": 15, "second": usd("0.0001"), "request": usd("0.012"), "search": usd("0.01"),
    }  # fmt: skip


def test_tiers_of_units_become_prices_of_tiers():
    def tiered(base, *tiers):
        return TieredPrices(base=Decimal(base), tiers=[Tier(a, Decimal(p)) for a, p in tiers])

    found = genai(
        ModelPrice(
            input_mtok=tiered("1", (32_000, "2"), (128_000, "4")),
            output_mtok=tiered("5", (128_000, "9")),
            cache_read_mtok=Decimal("0.1"),
        )
    ).find(CHAT)
    assert found.dollars == {
        "input": 1,
        "output": 5,
        "cache_read": usd("0.1"),
        "long_context": [
            {"above": 32_000, "input": 2},
            {"above": 128_000, "input": 4, "output": 9},
        ],
    }


def test_service_tiers_hold_what_differs_and_take_back_a_tier_they_have_not():
    found = genai(
        ModelPrice(
            input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(1_000, Decimal(2))]),
            output_mtok=Decimal(4),
        ),
        [
            PriceVariant({"service_tier": "default"}, ModelPrice()),
            PriceVariant({"processing": "batch"}, mtok(input_mtok="0.5", output_mtok="4")),
            PriceVariant({"service_tier": "flex"}, mtok(output_mtok="2")),
            PriceVariant({"service_tier": "flex"}, mtok(output_mtok="3")),
            PriceVariant({"speed": "fast"}, mtok(output_mtok="8")),
            PriceVariant({"route": "eu"}, mtok(output_mtok="9")),
        ],
    ).find(CHAT)
    assert found.dollars["service_tiers"] == {
        "batch": {"input": usd("0.5"), "long_context": []},
        "flex": {"output": 2},
        "fast": {"output": 8},
    }
    assert found.notes == ("prices for route=eu are not imported",)


def test_a_price_of_the_future_waits_and_of_a_day_the_dearest_counts():
    soon = StartDateConstraint(date(2026, 11, 26))
    assert genai(
        [
            ConditionalPrice(prices=mtok(input_mtok="1", output_mtok="2")),
            ConditionalPrice(soon, prices=mtok(input_mtok="9", output_mtok="9")),
        ]
    ).find(CHAT).dollars == {"input": 1, "output": 2}
    night = TimeOfDateConstraint(time(23, tzinfo=UTC), time(4, tzinfo=UTC))
    noon = TimeOfDateConstraint(time(11, tzinfo=UTC), time(13, tzinfo=UTC))
    cheap, dear = mtok(input_mtok="1", output_mtok="2"), mtok(input_mtok="3", output_mtok="6")
    for rules in (
        [ConditionalPrice(prices=cheap), ConditionalPrice(night, prices=dear)],
        [ConditionalPrice(prices=dear), ConditionalPrice(noon, prices=cheap)],
    ):
        assert genai(rules).find(CHAT).dollars == {"input": 3, "output": 6}


def test_what_the_card_cannot_say_is_told():
    found = genai(mtok(input_mtok="1", output_mtok="2", cache_audio_read_mtok="3")).find(CHAT)
    assert found.dollars == {"input": 1, "output": 2}
    assert found.notes == ("cache_audio_read_mtok has no unit here",)


@pytest.mark.parametrize(
    ("offered", "found"),
    [
        (CHAT, True),
        (replace(CHAT, provider="eu"), True),
        (replace(CHAT, provider="eu", base_url="https://api.openai.com/v1"), True),
        (replace(CHAT, provider="local", base_url="http://127.0.0.1:11434/v1"), False),
        (replace(CHAT, base_url="http://127.0.0.1:9100/v1"), True),
        (replace(CHAT, provider="local", base_url="http://127.0.0.1/v1", vendor="openai"), True),
        (replace(CHAT, provider="x", kind="x"), False),
        (replace(CHAT, name="gpt-y"), False),
    ],
)
def test_a_vendor_is_known_by_its_address_its_adapter_or_its_name(offered, found):
    assert (genai(mtok(input_mtok="1", output_mtok="2")).find(offered) is not None) is found


USAGES = (
    {},
    {"output_tokens": 77},
    {"cache_read_tokens": 333},
    {"cache_write_tokens": 50},
    {"cache_read_tokens": 250_000, "output_tokens": 12},
)
CONTEXTS = (
    (None, "standard"),
    ({"processing": "batch"}, "batch"),
    ({"service_tier": "priority"}, "priority"),
    ({"service_tier": "flex"}, "flex"),
)


def test_imported_prices_charge_what_the_package_itself_calculates():
    """Every model of four vendors, over contexts and tiers, to the last digit."""
    source = GenaiPrices(data.providers, "real", AT)
    compared = 0
    for vendor in data.providers:
        if vendor.id not in {"openai", "anthropic", "google", "x-ai"}:
            continue
        for model in vendor.models:
            offered = Offered(vendor.id, vendor.id, None, model.id, "chat")
            listed = source.find(offered)
            if listed is None or listed.name != model.id:  # its names overlap
                continue
            try:
                listed = usable(offered, listed)
                card = RateCard.of("r", in_dollars(listed.dollars))
            except Unusable:
                continue
            if any("dearest" in note or "is 0" in note for note in listed.notes):
                continue
            for parts in USAGES:
                for context, tier in CONTEXTS:
                    usage = Usage(
                        **{"input_tokens": 1_000, "requests": 1, "service_tier": tier, **parts}
                    )
                    own = ListedUsage(
                        input_tokens=usage.context_tokens,
                        output_tokens=usage.output_tokens,
                        cache_read_tokens=usage.cache_read_tokens,
                        cache_write_tokens=usage.cache_write_tokens,
                    )
                    price = model.get_prices(AT, context)
                    wanted = Fraction(price.calc_price(own)["total_price"]) * 10**9
                    assert abs(card.cost(usage) - wanted) <= 1, (vendor.id, model.id, usage)
                    compared += 1
    assert compared > 2_000


# -- LiteLLM ------------------------------------------------------------------------------


def litellm(**entries):
    return LiteLLMPrices(json.dumps(entries).encode())


ENTRY = {
    "litellm_provider": "openai",
    "mode": "chat",
    "input_cost_per_token": 1.5e-07,
    "output_cost_per_token": 6e-07,
}


def entry(**more):
    return {**ENTRY, **more}


def test_a_price_in_exponents_is_exact():
    found = litellm(**{"gpt-x": entry()}).find(CHAT)
    assert found.dollars == {"input": usd("0.15"), "output": usd("0.6")}


def test_tiers_are_read_from_names_of_keys():
    found = litellm(
        **{
            "gpt-x": entry(
                cache_read_input_token_cost=1e-08,
                cache_creation_input_token_cost=2e-07,
                cache_creation_input_token_cost_above_1hr=3e-07,
                input_cost_per_token_above_200k_tokens=3e-07,
                output_cost_per_token_above_200k_tokens=9e-07,
                cache_creation_input_token_cost_above_1hr_above_200k_tokens=6e-07,
                input_cost_per_token_batches=7.5e-08,
                input_cost_per_token_priority=2.5e-07,
                input_cost_per_token_above_200k_tokens_priority=5e-07,
                search_context_cost_per_query={
                    "search_context_size_low": 0.03, "search_context_size_high": 0.05
                },
                input_cost_per_audio_per_second=1e-6,
                max_tokens=4096,
            )
        }
    ).find(CHAT)  # fmt: skip
    assert found.dollars == {
        "input": usd("0.15"),
        "output": usd("0.6"),
        "cache_read": usd("0.01"),
        "cache_write": usd("0.2"),
        "cache_write_1h": usd("0.3"),
        "search": usd("0.05"),
        "long_context": [
            {
                "above": 200_000, "input": usd("0.3"), "output": usd("0.9"),
                "cache_write_1h": usd("0.6"),
            }
        ],
        "service_tiers": {
            "batch": {"input": usd("0.075")},
            "priority": {
                "input": usd("0.25"), "long_context": [{"above": 200_000, "input": usd("0.5")}]
            },
        },
    }  # fmt: skip
    assert found.notes == ("input_cost_per_audio_per_second has no unit here",)


def test_ranges_of_prices_become_tiers():
    ranges = [
        {"range": [0, 32000.0], "input_cost_per_token": 1e-06, "output_cost_per_token": 4e-06},
        {"range": [32000.0, 128000.0], "input_cost_per_token": 2e-06},
    ]
    bare = {"litellm_provider": "openai", "mode": "chat", "tiered_pricing": ranges}
    found = litellm(**{"gpt-x": bare, "other": ENTRY}).find(CHAT)
    assert found.dollars == {
        "input": 1,
        "output": 4,
        "long_context": [{"above": 32_000, "input": 2}],
    }


def test_pictures_are_gathered_by_size_and_quality():
    image = {"litellm_provider": "openai", "mode": "image_generation"}
    prices = litellm(
        **{
            "low/1024-x-1024/gpt-image": {**image, "input_cost_per_image": 0.011},
            "high/1024-x-1536/gpt-image": {**image, "output_cost_per_image": 0.25},
            "256-x-256/gpt-image": {**image, "input_cost_per_pixel": 2.4414e-07},
            "512-x-512/gpt-image": {
                **image,
                "litellm_provider": "azure",
                "input_cost_per_pixel": 1,
            },
        }
    )
    offered = replace(CHAT, name="gpt-image", type="image")
    assert usable(offered, prices.find(offered)).dollars == {
        "images": {
            "1024x1024/low": usd("0.011"),
            "1024x1536/high": usd("0.25"),
            "256x256": usd("0.00000024414") * 65_536,
        }
    }


def test_an_entry_counts_for_its_own_vendor_only():
    prices = litellm(
        **{
            "azure/gpt-x": entry(litellm_provider="azure", input_cost_per_token=9e-07),
            "gpt-x": entry(),
            "gemini/flash": entry(litellm_provider="gemini", input_cost_per_token=2e-07),
        }
    )
    assert prices.find(CHAT).dollars["input"] == usd("0.15")
    azure = Offered("azure", "azure", None, "gpt-x", "chat")
    assert prices.find(azure).dollars["input"] == usd("0.9")
    assert prices.find(Offered("google", "google", None, "flash", "chat")).dollars["input"] == usd(
        "0.2"
    )
    assert prices.find(Offered("groq", "groq", None, "gpt-x", "chat")) is None
    assert prices.knows("gemini")
    assert not prices.knows("groq")


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"{}",
        b"<html>504 Gateway Time-out</html>",
        b'{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": 1e-06',
        b'{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": NaN}}',
        b'{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": Infinity}}',
        b'{"gpt-x": {"litellm_provider": "openai", "mode": "chat"}}',
        b'{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": "1e-06"}}',
        b'{"gpt-x": {"litellm_provider": "openai", "input_cost_per_token": -1e-06}}',
        b'{"gpt-x": null, "gpt-y": "x", "gpt-z": 3}',
        b"[" * 100_000,
        b"\xff\xfe",
    ],
)
def test_a_malformed_price_file_is_refused_as_a_whole(raw):
    with pytest.raises(PricesRefused):
        LiteLLMPrices(raw)
    with pytest.raises(PricesRefused):
        OpenRouterPrices(raw, "2026-11-25")


def test_one_malformed_entry_of_many_is_left_out_and_the_rest_counts():
    entries = {f"m{number}": ENTRY for number in range(20)}
    for broken in (
        entry(input_cost_per_token=-1),
        entry(input_cost_per_token="free"),
        entry(input_cost_per_token=None),
        entry(input_cost_per_token=True),
        entry(tiered_pricing={}),
        {"litellm_provider": "openai", "mode": "chat"},
    ):
        prices = litellm(**entries, **{"gpt-x": broken})
        with pytest.raises(Unusable):
            usable(CHAT, prices.find(CHAT))
        assert prices.find(replace(CHAT, name="m1")).dollars["input"] == usd("0.15")


# -- OpenRouter ---------------------------------------------------------------------------


def openrouter(*models):
    listed = [{"id": name, "pricing": pricing} for name, pricing in models]
    return OpenRouterPrices(json.dumps({"data": listed}).encode(), "2026-11-25")


def test_prices_per_token_become_prices_per_million():
    prices = openrouter(
        (
            "openai/gpt-x",
            {
                "prompt": "0.00000125", "completion": "0.00001", "request": "0", "image": "0.003",
                "web_search": "0.01", "internal_reasoning": "0", "input_cache_read": "1.25e-7",
                "overrides": [
                    {"min_prompt_tokens": 200_000, "prompt": "0.0000025", "completion": "0.000015"}
                ],
            },
        )
    )  # fmt: skip
    found = prices.find(
        replace(CHAT, provider="openrouter", kind="openrouter", name="openai/gpt-x")
    )
    assert found == prices.find(CHAT)
    assert found.dollars == {
        "input": usd("1.25"),
        "output": 10,
        "cache_read": usd("0.125"),
        "search": usd("0.01"),
        "long_context": [{"above": 199_999, "input": usd("2.5"), "output": 15}],
    }
    assert found.notes == ("image has no unit here",)


@pytest.mark.parametrize("price", ["-1", "", "free", "NaN", "1e999", True, [], "1 0"])
def test_a_price_that_is_none_is_never_taken_for_zero(price):
    with pytest.raises(Unusable):
        openrouter(("openai/gpt-x", {"prompt": price, "completion": "1"})).find(CHAT)


def test_versions_with_dots_are_those_with_dashes():
    prices = openrouter(("anthropic/claude-opus-4.6", {"prompt": "1", "completion": "1"}))
    offered = Offered("anthropic", "anthropic", None, "claude-opus-4-6", "chat")
    assert prices.find(offered) is not None
    assert prices.find(replace(offered, name="claude-opus-4-7")) is None


# -- for all ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "dollars",
    [
        {},
        {"input": usd(0), "output": usd(0)},
        {"input": usd(1)},
        {"input": usd(1), "output": usd(0)},
        {"output": usd(1)},
        {"second": usd(1)},
        {"cache_read": usd(1)},
    ],
)
def test_a_chat_model_is_never_imported_with_nothing_to_pay_for_its_tokens(dollars):
    with pytest.raises(Unusable):
        usable(CHAT, Listed("gpt-x", dollars))


def test_a_zero_beside_prices_is_left_out_and_told():
    listed = Listed(
        "m", {"input": usd(1), "output": usd(2), "cache_read": usd(0), "characters": usd(1)}
    )
    found = usable(CHAT, listed)
    assert found.dollars == {"input": 1, "output": 2}
    assert found.notes == (
        "cache_read is 0 at the source and was left out",
        "characters is not charged for this type",
    )


@pytest.mark.parametrize("value", [0.1, None, True, "x", "nan", "-1", "1e12", [], Decimal("inf")])
def test_what_is_no_exact_price_is_refused(value):
    with pytest.raises(Unusable):
        exact(value)


def test_numbers_keep_their_digits():
    assert read_json(b'{"a": 0.1}', 100)["a"] == Decimal("0.1")
    with pytest.raises(PricesRefused, match="larger than 3 bytes"):
        read_json(b'{"a": 0.1}', 3)


def test_names_are_tried_without_date_and_dash_zero():
    assert list(spellings("GPT-X-2024-07-18")) == ["gpt-x-2024-07-18", "gpt-x"]
    assert list(spellings("claude-20251001")) == ["claude-20251001", "claude"]
    assert list(spellings("grok-4-0")) == ["grok-4-0", "grok-4"]
    assert list(spellings("gpt-4o")) == ["gpt-4o"]
