"""JSON that nobody should send: values that belong nowhere, put in the place of every member."""

import json
from collections.abc import Iterator
from typing import Any

from hypothesis import strategies as st


def nested(depth: int) -> list[Any]:
    """Return what can be read and, from about 250 on, not be written again."""
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


# One of each kind of value, with those that break what was not thought of.
JUNK: tuple[Any, ...] = (
    None,
    True,
    -1,
    1.5,
    2**70,
    "",
    "\x00\ud7ff\U0010ffff",
    [],
    [None],
    ["x"],
    [{}],
    {},
    {"type": ["text"]},
    {"enabled": "x", "text": [], "name": 1, "id": {}},
    nested(300),
    nested(850),
    json.dumps({"input": nested(300)}),
)
# Bodies that are no request in any format.
BODIES = {
    "empty": b"",
    "no JSON": b"{",
    "a list": b"[]",
    "NUL": b"\x00",
    "a byte order mark": b"\xef\xbb\xbf{}",
    "UTF-16": '{"model": "m"}'.encode("utf-16"),
    "no UTF-8": b'{"model": "\xff"}',
    "a lone surrogate": b'{"model": "\\ud800", "messages": [], "input": "\\ud800"}',
    "nested without end": b'{"messages":' * 100_000,
    "lists without end": b"[" * 100_000 + b"]" * 100_000,
    "NaN": b'{"model": NaN}',
    "a number without end": b'{"model": "m", "n": 1' + b"0" * 10_000 + b"}",
    "two values": b"{} {}",
}
Path = tuple[str | int, ...]


def paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield where every member and item within a value stands."""
    items: Any = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, inner in items:
        yield (*at, key)
        yield from paths(inner, (*at, key))


def put(value: Any, at: Path, new: Any) -> Any:
    """Return a value with something else in one place, or as it is where that place is gone."""
    if not at:
        return new
    key, *rest = at
    if isinstance(value, dict) and key in value:
        return value | {key: put(value[key], tuple(rest), new)}
    if isinstance(value, list) and isinstance(key, int) and key < len(value):
        return [*value[:key], put(value[key], tuple(rest), new), *value[key + 1 :]]
    return value


def spoilt(good: Any) -> Iterator[tuple[str, Any]]:
    """Yield a good value with each place of it spoilt in each way, and what was done."""
    for at in paths(good):
        for junk in JUNK:
            yield f"{at}: {dumped(junk)[:60].decode()}", put(good, at, junk)


def dumped(value: Any) -> bytes:
    """Return JSON of any depth: what reads it stops earlier than what writes it."""
    return json.dumps(value).encode()


ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4)
    ),
    max_leaves=12,
)


@st.composite
def spoilt_often(draw: st.DrawFn, good: Any) -> Any:
    """A good value with several places spoilt."""
    value = good
    for _ in range(draw(st.integers(1, 4))):
        places = list(paths(value))
        if not places:
            break
        value = put(value, draw(st.sampled_from(places)), draw(st.sampled_from(JUNK) | ANY_JSON))
    return value
