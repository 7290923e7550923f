"""Query strings as the npm package qs reads them, where two readers cannot disagree.

Refused, though qs makes something of it: a name used both as a value and as a container, names
of Object.prototype, what qs cuts off or turns into something else beyond its limits (5 levels,
20 items, 1,000 parameters), brackets that do not match, and encodings that are none.
"""

import re
from typing import Any, Final
from urllib.parse import unquote_to_bytes

PARAMETERS_MAX: Final = 1_000
DEPTH_MAX: Final = 5
ITEMS_MAX: Final = 20

_KEY = re.compile(r"([^\[\]=]+)((?:\[[^\[\]=]*\])*)")
_SEGMENT = re.compile(r"\[([^\[\]=]*)\]")
_INDEX = re.compile(r"0|[1-9][0-9]{0,8}", re.ASCII)
_ENCODED = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*")
_APPENDED: Final = ""
_PROTOTYPE: Final = frozenset(
    {
        "__defineGetter__",
        "__defineSetter__",
        "__lookupGetter__",
        "__lookupSetter__",
        "__proto__",
        "constructor",
        "hasOwnProperty",
        "isPrototypeOf",
        "propertyIsEnumerable",
        "toLocaleString",
        "toString",
        "valueOf",
    }
)

Tree = dict[str, Any]


class _Items(dict[int, Any]):
    """An array whose items come by their index."""


def parsed(query: str) -> Tree:
    """Return the object that a query is: texts, lists and objects. Raises ValueError."""
    found: Tree = {}
    if query:
        for key, value in _grouped(query).items():
            _put(found, key, value)
    closed = _closed(found)
    assert isinstance(closed, dict)
    return closed


def _grouped(query: str) -> dict[str, str | list[str]]:
    parts = query.replace("%5B", "[").replace("%5b", "[").replace("%5D", "]").replace("%5d", "]")
    pairs = parts.split("&")
    if len(pairs) > PARAMETERS_MAX:
        raise ValueError("too many parameters")
    grouped: dict[str, str | list[str]] = {}
    for pair in pairs:
        at = pair.find("]=") + 1 or pair.find("=")
        name, value = (pair, "") if at < 0 else (pair[:at], pair[at + 1 :])
        key, text = _decoded(name), _decoded(value)
        earlier = grouped.get(key)
        if earlier is None:
            grouped[key] = text
        elif isinstance(earlier, list):
            earlier.append(text)
        else:
            grouped[key] = [earlier, text]
    return grouped


def _decoded(text: str) -> str:
    if not text.isascii() or not _ENCODED.fullmatch(text):
        raise ValueError("not percent-encoded")
    try:
        return unquote_to_bytes(text.replace("+", " ")).decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("not UTF-8") from None


def _put(tree: Tree, key: str, value: str | list[str]) -> None:
    matched = _KEY.fullmatch(key)
    if matched is None:
        raise ValueError("a name that can be read in two ways")
    path = [matched[1], *_SEGMENT.findall(matched[2])]
    if len(path) > DEPTH_MAX + 1 or _PROTOTYPE.intersection(path):
        raise ValueError("a name that is not read")
    if isinstance(value, list) and len(value) > ITEMS_MAX:
        raise ValueError("too many items")
    if path[-1] == _APPENDED:
        value = value if isinstance(value, list) else [value]
        path.pop()
    place: Any = tree
    for at, name in enumerate(path[:-1]):
        place = _child(place, name, path[at + 1], is_first=at == 0)
    last = _name(place, path[-1], is_first=len(path) == 1)
    if last in place:
        raise ValueError("a name with two meanings")
    place[last] = value


def _child(place: Any, name: str, following: str, *, is_first: bool) -> Any:
    kind: type[dict[Any, Any]] = _Items if _INDEX.fullmatch(following) else dict
    child = place.setdefault(_name(place, name, is_first=is_first), kind())
    if type(child) is not kind:
        raise ValueError("a name with two meanings")
    return child


def _name(place: Any, name: str, *, is_first: bool) -> str | int:
    if not name:
        raise ValueError("a name with nothing in its brackets")
    if is_first or not _INDEX.fullmatch(name):
        return name
    if not isinstance(place, _Items) or int(name) >= ITEMS_MAX:
        raise ValueError("an index that is not one")
    return int(name)


def _closed(value: Any) -> Any:
    """Return containers as they are written down; of arrays only what is there counts."""
    if isinstance(value, _Items):
        return [_closed(value[index]) for index in sorted(value)]
    if isinstance(value, dict):
        return {name: _closed(item) for name, item in value.items()}
    return value
