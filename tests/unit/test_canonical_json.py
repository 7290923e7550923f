"""Canonical JSON: names, numbers and depth as a JavaScript program writes them."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.crypto.canonical_json import DEPTH_MAX, canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53) + 1, 2**53 - 1) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (-1.0, "-1"),
        (100.0, "100"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e21, "1e+21"),
        (1.25e21, "1.25e+21"),
        (1e-6, "0.000001"),
        (1.2e-7, "1.2e-7"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (2**53 + 1, "9007199254740992"),
        (10**400, "null"),
        (float("nan"), "null"),
        (True, "true"),
        (None, "null"),
        ([], "[]"),
        ({}, "{}"),
        ({"b": 1, "a": [1, {"d": 2, "c": 3}]}, '{"a":[1,{"c":3,"d":2}],"b":1}'),
        # U+FFFD comes before U+1F600 by code point, and after it by UTF-16 code unit.
        ({"\ufffd": 1, "\U0001f600": 2}, '{"\U0001f600":2,"\ufffd":1}'),
        ("\x7f\u2028\n\x01", '"\x7f\u2028\\n\\u0001"'),
    ],
)
def test_known_texts(value, text):
    assert canonical(value).decode() == text


@given(JSON)
def test_what_is_written_reads_back(value):
    assert json.loads(canonical(value)) == value


@pytest.mark.parametrize("value", ["\ud800", {1}, b"bytes"])
def test_what_json_cannot_have_is_refused(value):
    with pytest.raises(ValueError, match=r".+"):
        canonical(value)


def test_the_depth_is_limited():
    value: list[object] = []
    for _ in range(DEPTH_MAX):
        value = [value]
    canonical(value)
    with pytest.raises(ValueError, match="nests deeper"):
        canonical([value])
