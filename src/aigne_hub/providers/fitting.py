"""Bodies as a vendor takes them that refuses members others know."""

import orjson

from aigne_hub.providers.profile import Spoken


def fitted(body: bytes, spoken: Spoken) -> bytes:
    """Return a JSON body without refused members and with the vendor's names for others.

    A body that has none of them is returned as it is, and so is one that is no JSON object.
    """
    names = (*spoken.refuses, *(ours for ours, _ in spoken.renames))
    if not any(b'"%b"' % name.encode() in body for name in names):
        return body
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError:
        return body
    if not isinstance(value, dict) or value.keys().isdisjoint(names):
        return body
    for name in spoken.refuses:
        value.pop(name, None)
    for ours, theirs in spoken.renames:
        if ours in value:
            moved = value.pop(ours)
            value.setdefault(theirs, moved)
    return orjson.dumps(value)
