"""Bodies as a vendor takes them that refuses members, or ids, that others know."""

from collections.abc import Iterator
from typing import Any

import orjson

from aigne_hub.providers.call_ids import exact
from aigne_hub.providers.languages import objects_in, written
from aigne_hub.providers.profile import Spoken

# What stands in a body that has calls of tools in it, or results of them.
_CALLS = b'"tool_call'


def fitted(body: bytes, spoken: Spoken) -> bytes:
    """Return a JSON body without refused members, with the vendor's names and ids for others.

    A body that has none of them is returned as it is, and so is one that is no JSON object.
    Raises InvalidRequest for what can be read and not be written again.
    """
    names = (*spoken.refuses, *(ours for ours, _ in spoken.renames))
    has_calls = spoken.call_id_length is not None and _CALLS in body
    if not has_calls and not any(b'"%b"' % name.encode() in body for name in names):
        return body
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(value, dict):
        return body
    changes = not value.keys().isdisjoint(names)
    for name in spoken.refuses:
        value.pop(name, None)
    for ours, theirs in spoken.renames:
        if ours in value:
            moved = value.pop(ours)
            value.setdefault(theirs, moved)
    if spoken.call_id_length is not None and _identify(value, spoken.call_id_length):
        changes = True
    return written(value) if changes else body


def _identify(value: dict[str, Any], length: int) -> bool:
    """Give every call, and every result, an id of a length; tell whether any had another."""
    changes = False
    for holder, name in _ids(value.get("messages")):
        given = holder.get(name)
        if isinstance(given, str) and (fit := exact(given, length)) != given:
            holder[name], changes = fit, True
    return changes


def _ids(messages: object) -> Iterator[tuple[dict[str, Any], str]]:
    """Yield what has an id of a call in it, and by which name."""
    for message in objects_in(messages):
        yield message, "tool_call_id"
        for call in objects_in(message.get("tool_calls")):
            yield call, "id"
