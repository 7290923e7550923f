"""Rewrite single members of a JSON object without parsing the rest.

What the hub must change in a request is the model's name and a few added members; the other
bytes pass untouched, so a field that a vendor ships tomorrow works today.
"""

import re
from typing import Any

import orjson

from aigne_hub.domain.errors import InvalidRequest

_MODEL = re.compile(rb'"model"[ \t\r\n]*:[ \t\r\n]*"')
# No encoder escapes ASCII letters; a key that does could hide a second `model`.
_ESCAPED_LETTER = b"\\u006"


def with_members(
    body: bytes,
    model: str,
    new_model: str,
    members: dict[str, Any],
    relied_on: tuple[bytes, ...] = (),
) -> bytes:
    """Return the object with its `model` replaced and `members` set.

    `model` is what the body was decoded to. When `"model"` stands exactly once, with that
    value, no added member is present yet and no member in `relied_on` (quoted names the
    quote was made from) stands twice, bytes are spliced. Otherwise the body is parsed and
    written again, so that hub and upstream read the same values. Raises InvalidRequest when
    it is not an object.
    """
    if (
        _ESCAPED_LETTER not in body
        and body.count(b'"model"') == 1
        and all(body.count(name) == 1 for name in relied_on)
    ):
        match = _MODEL.search(body)
        if match is not None:
            start = match.end()
            old = model.encode()
            end = start + len(old)
            unseen = all(b'"%b"' % name.encode() not in body for name in members)
            if unseen and body[start:end] == old and body[end : end + 1] == b'"':
                opening = body.index(b"{") + 1
                added = orjson.dumps(members)[1:-1] + b"," if members else b""
                return b"".join(
                    (body[:opening], added, body[opening:start], _quoted(new_model), body[end:])
                )
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The request body is not a JSON object.")
    value["model"] = new_model
    for name, member in members.items():
        current = value.get(name)
        value[name] = {**current, **member} if isinstance(current, dict) else member
    return orjson.dumps(value)


def _quoted(text: str) -> bytes:
    return orjson.dumps(text)[1:-1]
