"""The tables of providers' usage fields: nothing read is free by accident, nothing raises."""

import json
import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigne_hub.domain.pricing import RATE_UNITS, RateCard
from aigne_hub.domain.usage import STANDARD, TOKENS_MAX, UNITS_MAX, Report, Usage
from aigne_hub.gateway.dialects.openai.usage import Reporting, report_of
from aigne_hub.providers.usage import OPENAI, OPENAI_IMAGES, WIRES, Wire, compatible_wire
from aigne_hub.providers.usage.bedrock import header_counts
from aigne_hub.providers.usage.figures import Role
from aigne_hub.providers.usage.stream import UsageStream, later
from aigne_hub.providers.usage.wire import DEPTH_MAX, LEAVES_MAX, PATH_MAX, UNREAD_MAX

# No two alike, and no sum or difference of two like another: every bucket shows in the price.
CARD = RateCard.of("all", {unit: 3**place * 10**6 for place, unit in enumerate(RATE_UNITS)})
# In every answer, so that what refines or is taken off something has room.
ROOMY = {
    Role.PROMPT: 100_000,
    Role.INPUT: 100_000,
    Role.OUTPUT: 100_000,
    Role.CACHE_READ: 10_000,
    Role.AUDIO_INPUT: 10_000,
    Role.IMAGE_INPUT: 10_000,
}
MORE = 7
_STEP = re.compile(r"([^.\[\]]+)(?:\[([^\]]*)\])?")


def answer(wire: Wire, amounts: dict[str, Any]) -> dict[str, Any]:
    """Return an answer that has these values at these paths, where the wire looks for them."""
    whole: dict[str, Any] = {}
    for path, amount in amounts.items():
        if path.startswith("#"):
            put(whole, path[1:].replace(".*", "[]"), ["x"] * amount)
            continue
        place = next(
            (place for place in wire.places if place.prefix and below(path, place.prefix)),
            next((place for place in wire.places if not place.prefix), None),
        )
        assert place is not None
        rest = path.removeprefix(place.prefix).removeprefix(".")
        put(whole, f"{place.path}.{rest}" if rest else place.path, amount, wire.selectors)
    return whole


def below(path: str, prefix: str) -> bool:
    return path == prefix or path.startswith(f"{prefix}.")


def put(
    whole: dict[str, Any],
    path: str,
    amount: object,
    selectors: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """Set the value at a path; `name[kind]` is the element of a list that says it is that."""
    *outer, last = _STEP.finditer(path)
    at = whole
    for step in outer:
        if step[2] is None:
            at = at.setdefault(step[1], {})
            continue
        elements, selector = at.setdefault(step[1], []), selectors.get(step[1], "")
        found = [one for one in elements if one.get(selector, "") == step[2]]
        if not found:
            found = [{selector: step[2]} if step[2] else {}]
            elements += found
        at = found[0]
    at[last[1]] = amount


def roomy(wire: Wire, path: str) -> dict[str, int]:
    """Return the figures beside which a field is tried: none of those that it is a name of."""
    amounts: dict[Role, dict[str, int]] = {}
    for figure in wire.figures:
        if path not in figure.paths and figure.role in ROOMY:
            amounts.setdefault(figure.role, {figure.paths[0]: ROOMY[figure.role]})
    return {name: amount for one in amounts.values() for name, amount in one.items()}


def is_its_own(wire: Wire, what: object) -> bool:
    """Tell whether a wire does not share this with OpenAI's, which is tried once."""
    is_variant = wire is not OPENAI and wire.free is OPENAI.free
    return not is_variant or what not in (*OPENAI.figures, *OPENAI.free)


MAPPED = [
    (wire.name, path)
    for wire in WIRES.values()
    for figure in wire.figures
    for path in figure.paths
    if figure.role is not Role.TOTAL and is_its_own(wire, figure)
]


@pytest.mark.parametrize(("name", "path"), MAPPED)
def test_every_field_that_is_read_changes_the_price(name: str, path: str):
    wire = WIRES[name]
    amounts = roomy(wire, path)
    start = 0
    if path not in amounts and any(
        path in figure.paths and figure.role in ROOMY for figure in wire.figures
    ):
        start = 50_000
    before = wire.read(answer(wire, {**amounts, path: start}))
    after = wire.read(answer(wire, {**amounts, path: start + MORE}))
    assert before.is_clear
    assert after.is_clear
    assert after.usage is not None
    assert CARD.cost(after.usage) != CARD.cost(before.usage or Usage(requests=0))


@pytest.mark.parametrize(
    ("name", "path"),
    [(wire.name, path) for wire in WIRES.values() for path in wire.free if is_its_own(wire, path)],
)
def test_every_field_that_is_free_changes_nothing_and_raises_no_alarm(name: str, path: str):
    wire = WIRES[name]
    assert wire.free[path]
    amounts = roomy(wire, path)
    plain = wire.read(answer(wire, amounts))
    if path.endswith("[]"):
        value: Any = ["words"]
        at = path.removesuffix("[]")
    else:
        value, at = 5, f"{path}anything" if path.endswith(".") else path
    assert wire.read(answer(wire, {**amounts, at: value})) == plain


@pytest.mark.parametrize(
    ("name", "path", "word"),
    [
        (wire.name, path, word)
        for wire in WIRES.values()
        for path, words in wire.labels.items()
        for word in words
    ],
)
def test_every_tier_has_a_price_of_its_own(name: str, path: str, word: str):
    wire = WIRES[name]
    amounts = roomy(wire, path)
    tier = wire.labels[path][word]
    report = wire.read(answer(wire, {**amounts, path: word.upper()}))
    assert report.is_clear
    assert report.usage is not None
    assert report.usage.service_tier == tier
    card = RateCard.of("tiers", {"input": 10**9, "service_tiers": {tier: {"input": 10**6}}})
    usual = card.cost(report.usage._replace(service_tier=STANDARD))
    assert (card.cost(report.usage) == usual) is (tier == STANDARD)


def test_no_field_is_read_and_free_at_once():
    for wire in WIRES.values():
        paths = {path for figure in wire.figures for path in figure.paths}
        free = {path for path in wire.free if not path.endswith(".")}
        assert not paths & free
        assert not (paths | free) & set(wire.labels)
        assert not [
            path
            for path in paths
            for top in wire.free
            if top.endswith(".") and path.startswith(top)
        ]
        assert wire.source.startswith("https://")
        assert re.fullmatch(r"20\d\d-\d\d", wire.checked)


# -- anything at all ----------------------------------------------------------------------

NUMBERS = st.one_of(
    st.integers(-5, 3_000),
    st.sampled_from([TOKENS_MAX, TOKENS_MAX + 1, UNITS_MAX, -(10**40), 10**400, 2**63, 0]),
    st.floats(),
)
LEAVES = st.one_of(NUMBERS, st.none(), st.booleans(), st.text(max_size=8))
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


def believable(report: Report) -> bool:
    usage = report.usage
    if usage is None:
        return True
    return usage.checked() is usage and CARD.cost(usage) >= 0


@st.composite
def answers(draw: st.DrawFn) -> tuple[Wire, Any]:
    """Draw a wire and an answer in which known fields hold anything."""
    wire = draw(st.sampled_from(list(WIRES.values())))
    known = [
        path for figure in wire.figures for path in figure.paths if not path.startswith("#")
    ] or ["data"]
    paths = st.sampled_from([*known, *wire.labels])
    amounts = draw(st.dictionaries(paths, LEAVES | ANYTHING, max_size=8))
    try:
        return wire, answer(wire, amounts)
    except (AssertionError, AttributeError, TypeError):  # one path leads through another's value
        return wire, draw(ANYTHING)


@given(answers())
@settings(max_examples=400)
def test_no_answer_raises_or_is_billed_below_nothing(drawn: tuple[Wire, Any]):
    wire, whole = drawn
    assert believable(wire.read(whole))


@given(st.sampled_from(list(WIRES.values())), st.lists(ANYTHING, max_size=4), ANYTHING)
def test_no_stream_raises(wire: Wire, events: list[Any], usage: Any):
    stream = UsageStream(wire)
    for event in [*events, *({place.path.partition(".")[0]: usage} for place in wire.places)]:
        stream.add(event)
        assert believable(stream.report)


@given(st.lists(answers(), min_size=1, max_size=5))
def test_a_streams_figures_only_grow(drawn: list[tuple[Wire, Any]]):
    wire = drawn[0][0]
    stream = UsageStream(wire)
    before = 0
    for _, event in drawn:
        stream.add(event)
        if stream.report.refused is not None:
            return
        if stream.report.usage is not None and not wire.is_cumulative:
            assert stream.report.usage.total_tokens >= before
            before = stream.report.usage.total_tokens


TOKENS = st.one_of(st.none(), st.integers(0, 40), st.integers(-3, 300), st.just(TOKENS_MAX + 1))
DETAILS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("cached_tokens", "cache_write_tokens", "audio_tokens", "text_tokens"), TOKENS
    ),
)
PARTS = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(
        ("reasoning_tokens", "audio_tokens", "accepted_prediction_tokens", "image_tokens"), TOKENS
    ),
)


@given(
    st.fixed_dictionaries(
        {"prompt_tokens": TOKENS, "completion_tokens": TOKENS, "total_tokens": TOKENS},
        optional={
            "prompt_tokens_details": DETAILS | st.none(),
            "completion_tokens_details": PARTS | st.none(),
            "cost": st.just(0.1),
        },
    ),
    st.sampled_from([None, "default", "flex", "fast", "odd", 7]),
    st.booleans(),
)
@settings(max_examples=400)
def test_the_fast_way_reads_what_the_table_reads(usage: dict[str, Any], tier: Any, adds_up: bool):
    if adds_up and usage["prompt_tokens"] is not None and usage["completion_tokens"] is not None:
        usage["total_tokens"] = usage["prompt_tokens"] + usage["completion_tokens"]
    body = {"usage": usage, **({} if tier is None else {"service_tier": tier})}
    fast = report_of(OPENAI, msgspec.json.decode(json.dumps(body), type=Reporting))
    assert fast == OPENAI.read(body)


# -- bounds and odd shapes ------------------------------------------------------------------


def test_a_usage_that_never_ends_is_refused():
    wide = {f"field{number}": number for number in range(LEAVES_MAX + 1)}
    assert "more fields" in (OPENAI.read({"usage": wide}).refused or "")
    deep: Any = 1
    for _ in range(DEPTH_MAX + 2):
        deep = {"a": deep}
    assert "deeper" in (OPENAI.read({"usage": deep}).refused or "")


def test_unknown_names_are_bounded_and_harmless_in_a_log():
    odd = {f"new\n\x1b[31m{number}{'x' * 500}": 1 for number in range(50)}
    report = OPENAI.read({"usage": {"prompt_tokens": 1, **odd}})
    assert len(report.unread) == UNREAD_MAX
    assert all(len(path) <= PATH_MAX for path in report.unread)
    assert all(re.fullmatch(r"[A-Za-z0-9_.\[\]?-]+", path) for path in report.unread)


def test_null_says_nothing_and_so_raises_no_alarm():
    assert OPENAI.read({"usage": {"prompt_tokens": 3, "new_tokens": None}}).is_clear


def test_an_unknown_field_raises_the_alarm_even_where_nothing_else_is_said():
    assert OPENAI.read({"usage": {"tokens_in": 5}}) == Report(unread=("tokens_in",))


@pytest.mark.parametrize("body", [b"{}", b'{"usage":null}', b'{"usage":{}}'])
def test_an_answer_without_usage_says_nothing(body: bytes):
    assert report_of(OPENAI, msgspec.json.decode(body, type=Reporting)) == Report()


def test_a_usage_that_is_no_json_of_ours_is_refused():
    deep = b'{"usage":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    try:
        decoded = msgspec.json.decode(deep, type=Reporting)
    except RecursionError:
        return
    assert report_of(OPENAI, decoded).refused is not None


def test_digits_of_headers_are_figures_and_other_values_are_refused():
    read = WIRES["bedrock-invoke"].read
    headers = {"x-amzn-bedrock-input-token-count": "12", "content-length": "9"}
    assert read(header_counts(headers)).usage == Usage(input_tokens=12)
    assert read(header_counts({"x-amzn-bedrock-input-token-count": "1e9"})).refused is not None


def test_a_kind_of_provider_has_its_wire():
    assert compatible_wire("perplexity").name == "perplexity"
    assert compatible_wire("gemini").has_hidden_reasoning
    assert compatible_wire("anything") is OPENAI


def test_pictures_are_counted_where_nothing_is_reported():
    assert OPENAI_IMAGES.read({"data": [1, 2, 3]}).usage == Usage(images=3)


def test_what_was_not_understood_in_an_earlier_report_is_remembered():
    first = Report(Usage(input_tokens=1), unread=("a",))
    second = Report(Usage(input_tokens=2), unread=("b", "a"))
    assert later(first, second) == Report(Usage(input_tokens=2), unread=("a", "b"))
    assert later(second, Report()) == second
