"""Rewrite single members of a JSON object without parsing the rest.

What the hub must change in a request is the model's name and a few added members; the other
bytes pass untouched, so a field that a vendor ships tomorrow works today.
"""

import re
from typing import Any

import msgspec
import orjson

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.gateway.dialects.reading import UNREADABLE
from aigne_hub.providers.languages import written

# Where nearly every client writes `model`; one that writes it later is parsed.
HEAD_BYTES = 4_096
LARGE_BYTES = 16_384

# Before the member only scalars may stand: it is then surely the object's own.
_TO_MODEL = re.compile(rb'[ \t\r\n]*\{[^\\{}\[\]]*?"model"[ \t\r\n]*:[ \t\r\n]*"')
# No encoder escapes the letters of a name; one that does could hide a second member.
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]")


class _Named(msgspec.Struct):
    model: str


_decode_named = msgspec.json.Decoder(_Named).decode


def with_members(
    body: bytes,
    model: str,
    new_model: str,
    members: dict[str, Any],
    relied_on: tuple[str, ...] = (),
) -> bytes:
    """Return the object with its `model` replaced and `members` set.

    `model` is what the body was decoded to, the last of several; `members` are known to be
    absent. The fast way splices bytes. It is taken when `model` stands once at the top of
    the object, near its beginning, and no name in `relied_on` (members the quote was made
    from) stands twice; otherwise the body is parsed and written again, so that hub and
    upstream read the same values whichever of two an upstream takes. Raises InvalidRequest
    when it is not an object.
    """
    match = _TO_MODEL.match(body, 0, HEAD_BYTES)
    if match is not None:
        start = match.end()
        old = model.encode()
        end = start + len(old)
        if (
            body.startswith(old + b'"', start)
            and not _ESCAPED_LETTER.search(body)
            and (_once(body, b'"model"') or _is_only(body, start, end))
            and (not relied_on or all(_once(body, b'"%b"' % one.encode()) for one in relied_on))
        ):
            head = body[:start]
            if members:
                opening = head.index(b"{") + 1
                added = orjson.dumps(members)[1:-1]
                head = b"%b%b,%b" % (head[:opening], added, head[opening:])
            return head + orjson.dumps(new_model)[1:-1] + body[end:]
    try:
        value = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {error}.") from None
    if not isinstance(value, dict):
        raise InvalidRequest("The request body is not a JSON object.")
    value["model"] = new_model
    for name, member in members.items():
        current = value.get(name)
        value[name] = (
            {**current, **member}
            if isinstance(current, dict) and isinstance(member, dict)
            else member
        )
    return written(value)


def reads_alike(body: bytes, names: tuple[tuple[str, ...], ...]) -> bool:
    """Tell whether no member stands twice, under any of the spellings of its name.

    May be wrong only in saying no: what is in doubt is parsed and written again.
    """
    if _ESCAPED_LETTER.search(body):
        return False
    return all(sum(body.count(b'"%b"' % n.encode()) for n in same) <= 1 for same in names)


def _is_only(body: bytes, start: int, end: int) -> bool:
    """Tell whether the member whose value stands there is the object's only `model`.

    Schemas of tools have members of that name, too. Of several in one object the decoder
    reads the last: so the one that is changed, and read, has none behind it.
    """
    changed = b"!" + body[start:end]
    try:
        named = _decode_named(body[:start] + changed + body[end:])
    except UNREADABLE:
        return False
    return named.model.encode() == changed


def _once(body: bytes, quoted: bytes) -> bool:
    """Tell whether a quoted name stands exactly once, as a key or anywhere else."""
    if len(body) < LARGE_BYTES:
        return body.count(quoted) == 1
    # A regular expression of one literal searches large bodies faster.
    return len(re.findall(quoted, body)) == 1
