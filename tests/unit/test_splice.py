"""Splicing a request: whatever the bytes look like, hub and upstream read the same values."""

import json
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects.splice import HEAD_BYTES, with_members

NEW = 'gpt-"new"/é:1'
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
    | st.sampled_from(['"model": "x"', "{", "}", "model", '\\"model\\":', "[{"])
)
KEYS = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(
    ["messages", "stream", "n", "max_tokens", "metadata", "model ", "Model"]
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(KEYS | st.just("model"), inner, max_size=3)
    ),
    max_leaves=8,
)
SPACES = st.text(" \t\r\n", max_size=3)
MEMBERS = st.dictionaries(
    st.sampled_from(["max_completion_tokens", "stream_options"]), VALUES, max_size=2
)


@st.composite
def written(draw: st.DrawFn, text: str) -> str:
    """Write a string as JSON, some of its characters escaped though they need not be."""
    plain = json.dumps(text, ensure_ascii=draw(st.booleans()))
    if not draw(st.booleans()):
        return plain
    escaped = "".join(
        f"\\u{ord(sign):04x}" if sign.isascii() and draw(st.booleans()) else json.dumps(sign)[1:-1]
        for sign in text
    )
    return f'"{escaped}"'


@st.composite
def bodies(draw: st.DrawFn, duplicates: bool = False) -> tuple[bytes, str]:
    """Write an object with a `model` somewhere in it; return it and what a decoder reads."""
    others = draw(st.dictionaries(KEYS.filter(lambda key: key != "model"), VALUES, max_size=5))
    members: list[tuple[str, Any]] = list(others.items())
    names = draw(st.lists(st.text(min_size=1, max_size=12), min_size=1, max_size=3))
    names = [name.encode(errors="replace").decode() for name in names[: None if duplicates else 1]]
    if duplicates and draw(st.booleans()):
        names = [names[0]] * len(names)
    for name in names:
        members.insert(draw(st.integers(0, len(members))), ("model", name))
    space = lambda: draw(SPACES)  # noqa: E731 - each use draws anew
    parts = []
    for key, value in members:
        shown = draw(written(value)) if isinstance(value, str) else json.dumps(value)
        parts.append(f"{space()}{draw(written(key))}{space()}:{space()}{shown}{space()}")
    body = f"{space()}{{{','.join(parts)}}}{space()}".encode()
    return body, json.loads(body)["model"]


def first_wins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    return dict(reversed(pairs))


def check(body: bytes, model: str, members: dict[str, Any]) -> None:
    # Members set are known to be absent from the body.
    absent = {name: value for name, value in members.items() if name not in json.loads(body)}
    expected = {**json.loads(body), "model": NEW, **absent}
    out = with_members(body, model, NEW, absent)
    assert json.loads(out) == expected
    assert json.loads(out, object_pairs_hook=first_wins)["model"] == NEW


@given(bodies(), MEMBERS)
@example((b'{"model":"m"}', "m"), {})
@example((b'{"metadata":{"model":"m"},"model":"m"}', "m"), {})
@example((b'{"user":"\\"model\\":\\"m\\"","model":"m"}', "m"), {})
@example((b'{"mod\\u0065l":"m"}', "m"), {})
@example((b'{"model":"\\u006d"}', "m"), {"stream_options": {"include_usage": True}})
@example((b' {\n "model" :\t"m" } ', "m"), {"max_completion_tokens": 5})
def test_the_result_is_the_same_object_with_its_model_replaced_and_members_set(
    written_body, members
):
    check(*written_body, members)


@given(bodies(duplicates=True), MEMBERS)
@example((b'{"model":"m","model":"m"}', "m"), {})
@example((b'{"model":"m","n":1,"mod\\u0065l":"m"}', "m"), {})
@example((b'{"model":"a","model":"m"}', "m"), {})
def test_a_model_named_twice_is_replaced_for_every_reader(written_body, members):
    """A reader that takes the first and one that takes the last must both read the new name:
    else a caller could be charged for one model and be served another."""
    check(*written_body, members)


@given(st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_a_member_the_quote_relied_on_stands_once(first: int, last: int, escaped: bool):
    name = "max_tok\\u0065ns" if escaped else "max_tokens"
    body = f'{{"model":"m","max_tokens":{first},"{name}":{last}}}'.encode()
    out = with_members(body, "m", NEW, {}, ("max_tokens",))
    assert json.loads(out, object_pairs_hook=list) == [("model", NEW), ("max_tokens", last)]


@pytest.mark.parametrize("before", [0, 100, HEAD_BYTES - 8, HEAD_BYTES, 5 * HEAD_BYTES])
def test_a_model_that_comes_late_is_found(before: int):
    body = json.dumps({"user": "x" * before, "model": "m", "messages": []}).encode()
    check(body, "m", {"max_completion_tokens": 3})


def test_what_is_not_touched_keeps_its_bytes():
    rest = b', "seed": 1.0, "big": 123456789012345678901234567890, "text": "\\u00e9\\/ \xc3\xa9"}'
    out = with_members(b'{"model": "m"' + rest, "m", "n", {"max_tokens": 1})
    assert out == b'{"max_tokens":1,"model": "n"' + rest


def test_members_are_merged_into_an_object_that_is_there():
    body = b'{"stream_options": {"include_obfuscation": false}, "model": "m"}'
    out = with_members(
        body, "m", "n", {"stream_options": {"include_usage": True}}, ("\x00never there",)
    )
    assert json.loads(out)["stream_options"] == {
        "include_obfuscation": False,
        "include_usage": True,
    }


@pytest.mark.parametrize("body", [b"[]", b'"model"', b"7", b"null", b"{", b"", b'{"model": "m"'])
def test_what_is_no_object_is_refused(body: bytes):
    with pytest.raises(InvalidRequest):
        with_members(body, "other", "n", {})
