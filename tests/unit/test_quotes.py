"""Bounds of a prompt and what is held for it: never less than it can cost, never absurd."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.domain.pricing import RATE_UNITS, TOKEN_UNITS, RateCard
from aigne_hub.domain.quotes import (
    BYTES_PER_MEDIA_TOKEN,
    EXACT_BYTES_MAX,
    FREE,
    MEDIA_TOKENS,
    TOOLS_TOKENS,
    count_text,
    quote_tokens,
    quote_units,
    size_of,
)
from aigne_hub.domain.usage import STANDARD, Usage

FACTS = json.loads(
    (Path(__file__).parents[1] / "golden" / "tokens.json").read_text(encoding="utf-8")
)
TEXTS = {text["name"]: text for text in FACTS["texts"]}
# Prompt tokens of one picture in vendors' own figures, by its pixels (2026-11).
PICTURES = {
    "OpenAI, 12 megapixels": 14_364,
    "OpenAI, 4K": 9_792,
    "Anthropic, 12 megapixels": 4_005,
    "Gemini": 1_101,
}
# What Anthropic's and OpenAI's templates put around one short message, tools aside.
TEMPLATE_TOKENS = 12


def true_tokens(name: str) -> int:
    return max(TEXTS[name]["cl100k"], TEXTS[name]["o200k"])


def chat(content: Any, **more: Any) -> dict[str, Any]:
    return {"model": "m", "messages": [{"role": "user", "content": content}], **more}


BODIES = {
    "escaped": lambda value: json.dumps(value).encode(),
    "as UTF-8": lambda value: json.dumps(value, ensure_ascii=False).encode(),
    "indented": lambda value: json.dumps(value, indent=2, ensure_ascii=False).encode(),
    "tight": lambda value: json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode(),
}


@pytest.mark.parametrize("encoded", BODIES)
@pytest.mark.parametrize("name", TEXTS)
def test_the_bound_is_at_least_what_a_tokeniser_counts_and_at_most_the_bytes(
    name: str, encoded: str
):
    body = BODIES[encoded](chat(TEXTS[name]["text"]))
    bound = size_of(body).tokens_bound
    assert true_tokens(name) + TEMPLATE_TOKENS <= bound <= len(body)


@pytest.mark.parametrize("name", TEXTS)
def test_what_is_counted_is_within_four_times_of_what_a_tokeniser_counts(name: str):
    body = BODIES["as UTF-8"](chat(TEXTS[name]["text"]))
    counted = count_text(size_of(body).text_bytes)
    size = len(TEXTS[name]["text"].encode())
    assert 0 < counted <= size
    if name == "blanks":  # tokenisers fold them; nobody sends only these
        return
    for vocabulary in ("cl100k", "o200k"):
        assert counted / 4 <= TEXTS[name][vocabulary] <= counted * 4


def test_ordinary_prose_and_code_are_counted_within_twice():
    for name in ("English", "German", "French", "Chinese", "Japanese", "Python", "SQL"):
        counted = count_text(len(TEXTS[name]["text"].encode()))
        assert counted / 2 <= TEXTS[name]["o200k"] <= counted * 2


@given(st.lists(st.sampled_from(sorted(TEXTS)), min_size=1, max_size=30), st.booleans())
def test_a_conversation_of_anything_stays_within_the_bound(names: list[str], ascii_only: bool):
    messages = [
        {"role": "assistant" if number % 2 else "user", "content": TEXTS[name]["text"]}
        for number, name in enumerate(names)
    ]
    body = json.dumps({"model": "m", "messages": messages}, ensure_ascii=ascii_only).encode()
    real = sum(map(true_tokens, names)) + 4 * len(names)
    assert real <= size_of(body).tokens_bound <= len(body)


@given(st.lists(st.integers(0, 200_000), max_size=300))
def test_a_prompt_of_token_ids_stays_within_the_bound(ids: list[int]):
    body = json.dumps({"model": "m", "input": ids}, separators=(",", ":")).encode()
    assert size_of(body).tokens_bound >= len(ids)


def picture(number: int, length: int) -> dict[str, Any]:
    url = f"data:image/jpeg;base64,{'A' * length}{number}"
    return {"type": "image_url", "image_url": {"url": url}}


@pytest.mark.parametrize("length", [40, 4_000, 4_000_000])
@pytest.mark.parametrize("count", [1, 3])
def test_inlined_pictures_are_bounded_by_the_dearest_known_and_not_by_their_bytes(
    count: int, length: int
):
    parts = [picture(number, length) for number in range(count)]
    body = json.dumps(chat([{"type": "text", "text": "What is this?"}, *parts])).encode()
    bound = size_of(body).tokens_bound
    assert count * max(PICTURES.values()) <= bound <= count * MEDIA_TOKENS + 1_000
    assert count_text(size_of(body).text_bytes) < 100 or len(body) > EXACT_BYTES_MAX


@pytest.mark.parametrize("padding", [0, 2 * EXACT_BYTES_MAX])
@pytest.mark.parametrize("encoded", BODIES)
def test_linked_pictures_are_bounded_in_bodies_of_any_size(encoded: str, padding: int):
    linked = [
        {"type": "image_url", "image_url": {"url": f"https://example.com/{number}.jpg"}}
        for number in range(10)
    ]
    body = BODIES[encoded](chat([{"type": "text", "text": "x" * padding}, *linked]))
    bound = size_of(body).tokens_bound
    assert 10 * max(PICTURES.values()) <= bound <= 10 * MEDIA_TOKENS + len(body)


def test_a_file_that_is_only_named_is_bounded():
    body = json.dumps(chat([{"type": "file", "file": {"file_id": "file-1"}}])).encode()
    assert size_of(body).tokens_bound >= MEDIA_TOKENS


def test_an_inlined_document_is_bounded_by_its_size():
    data = "A" * 8_000_000
    file = {"type": "file", "file": {"file_data": f"data:application/pdf;base64,{data}"}}
    bound = size_of(json.dumps(chat([file])).encode()).tokens_bound
    assert bound >= 8_000_000 // BYTES_PER_MEDIA_TOKEN
    assert bound <= 8_000_000 // BYTES_PER_MEDIA_TOKEN + 1_000


def test_tools_have_room_for_what_providers_say_of_them():
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = json.dumps(chat("Hi", tools=[tool])).encode()
    # Anthropic's own words on the use of tools take up to 346 tokens.
    assert size_of(body).tokens_bound >= 346 + len(json.dumps(tool)) // 2
    assert size_of(body).tokens_bound == len(body) + TOOLS_TOKENS


# -- what is held covers what it can cost ------------------------------------------------------

AMOUNTS = st.integers(0, 10**12)
UNITS = st.dictionaries(st.sampled_from(RATE_UNITS), AMOUNTS)
NAMES = ("flex", "batch", "us")


@st.composite
def cards(draw: st.DrawFn) -> RateCard:
    bounds = sorted(draw(st.sets(st.integers(1, 3_000), max_size=3)))
    tokens = st.dictionaries(st.sampled_from(TOKEN_UNITS), AMOUNTS)
    return RateCard.of(
        "r",
        {
            **draw(UNITS),
            "images": draw(st.dictionaries(st.sampled_from(["a/low", "a/high"]), AMOUNTS)),
            "long_context": [{"above": bound, **draw(tokens)} for bound in bounds],
            "service_tiers": draw(st.dictionaries(st.sampled_from(NAMES), UNITS, max_size=3)),
        },
    )


@st.composite
def usages(draw: st.DrawFn, output: int, searches: int) -> Usage:
    def some(most: int) -> int:
        return draw(st.integers(0, most))

    fresh, written, out = some(2_000), some(2_000), some(output)
    audio, reasoning = some(fresh), some(out)
    sound = some(out - reasoning)
    return Usage(
        input_tokens=fresh,
        output_tokens=out,
        cache_read_tokens=some(2_000),
        cache_write_tokens=written,
        cache_write_1h_tokens=some(written),
        reasoning_tokens=reasoning,
        audio_input_tokens=audio,
        image_input_tokens=some(fresh - audio),
        audio_output_tokens=sound,
        image_output_tokens=some(out - reasoning - sound),
        searches=some(searches),
        service_tier=draw(st.sampled_from([STANDARD, "unheard of", *NAMES])),
    ).checked()


@given(cards(), st.data())
def test_a_hold_covers_every_tier_and_every_kind_of_token(card: RateCard, data: st.DataObject):
    limit = data.draw(st.integers(1, 2_000))
    used = data.draw(usages(limit, searches=3))
    quote = quote_tokens(
        card,
        input_tokens=used.context_tokens,
        output_limit=limit,
        stream=False,
        explicit=True,
        n=1,
        searches=3,
    )
    assert quote.amount(limit) >= card.cost(used) >= 0


@given(cards(), st.integers(1, 10), st.sampled_from(["", "a/low", "a/high", "b/low"]), st.data())
def test_a_hold_for_pictures_covers_their_kind_or_the_dearest(
    card: RateCard, count: int, kind: str, data: st.DataObject
):
    tier = data.draw(st.sampled_from([STANDARD, *NAMES]))
    used = Usage(images=count, image_kind=kind, service_tier=tier)
    assert quote_units(card, images=count, image_kind=kind).amount(0) >= card.cost(used)
    assert quote_units(card, images=count).amount(0) >= card.cost(used)


def test_what_can_cost_nothing_needs_no_credit():
    assert FREE.affordable(-1) == 0
    assert FREE._replace(tokens_wanted=7).affordable(-1) == 7
    assert FREE._replace(fixed=1).affordable(-1) is None
    assert FREE._replace(per_token=1, tokens_wanted=7).affordable(-1) is None
