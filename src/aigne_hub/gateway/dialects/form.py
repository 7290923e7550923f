"""Reading multipart/form-data (RFC 7578, RFC 2046) without copying it, and changing one field.

Strict, so that no server reads another form than the hub did: what has a second reading is
refused. Memory is bounded by the body: parts are places in it.
"""

import hashlib
import re
from typing import NamedTuple

from aigne_hub.domain.errors import InvalidRequest

PARTS_MAX = 256
PART_HEAD_BYTES_MAX = 8 * 1024
FIELD_BYTES_MAX = 256 * 1024
MEDIA_TYPE = b"multipart/form-data"

_BOUNDARY = re.compile(rb"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")
_PARAMETER = re.compile(
    rb"[ \t]*;[ \t]*([!#$%&'*+.^_`|~0-9A-Za-z-]+)=(?:\"((?:[^\"\\\r\n]|\\[^\r\n])*)\""
    rb"|([!#$%&'*+.^_`|~0-9A-Za-z-]+))"
)
_LINE = re.compile(rb"([!#$%&'*+.^_`|~0-9A-Za-z-]+):[ \t]*([^\r\n\x00]*)")
_CHARSETS = frozenset({b"utf-8", b"utf8", b"us-ascii", b"ascii"})
_AS_IT_IS = frozenset({b"binary", b"8bit", b"7bit"})


class Part(NamedTuple):
    """One part: its content is `body[start:end]`, its header lines end where that begins.

    `file` is its file name, None for a field of text. `length_at` is where a Content-Length of
    its own has its digits.
    """

    name: str
    file: str | None
    start: int
    end: int
    length_at: tuple[int, int] | None = None

    @property
    def size(self) -> int:
        return self.end - self.start


class Form:
    """A form that was read: its parts in order."""

    def __init__(self, body: bytes, parts: list[Part]) -> None:
        self.body = body
        self.parts = parts

    def field(self, name: str) -> str | None:
        """Return a field that may stand once, None for one that is not there.

        Raises InvalidRequest for a field that stands twice, is a file, or is no text.
        """
        part = self._only(name)
        if part is None:
            return None
        if part.file is not None or part.size > FIELD_BYTES_MAX:
            raise InvalidRequest(f"The field `{name}` is no short text.", param=name)
        try:
            return self.body[part.start : part.end].decode()
        except UnicodeDecodeError:
            raise InvalidRequest(f"The field `{name}` is not UTF-8.", param=name) from None

    def file(self, name: str) -> bytes:
        """Return a file that must stand once; raises InvalidRequest."""
        part = self._only(name)
        if part is None or part.file is None:
            raise InvalidRequest(f"The form has no file `{name}`.", param=name)
        return self.body[part.start : part.end]

    def with_field(self, name: str, value: str) -> bytes:
        """Return the body with one field changed and every other byte as it was.

        A field that is not there is put first.
        """
        part = self._only(name)
        new = value.encode()
        body = self.body
        if part is None:
            delimiter = body[: body.index(b"\r\n")]
            head = b'%b\r\nContent-Disposition: form-data; name="%b"\r\n\r\n'
            return head % (delimiter, name.encode()) + new + b"\r\n" + body
        if part.length_at is None:
            return b"".join((body[: part.start], new, body[part.end :]))
        first, last = part.length_at
        length = b"%d" % len(new)
        return b"".join((body[:first], length, body[last : part.start], new, body[part.end :]))

    def digest(self) -> bytes:
        """Return what the form says, whatever boundary its client chose this time."""
        said = hashlib.sha256()
        for part in self.parts:
            about = f"{part.name}\0{part.file}\0{part.size}\0"
            said.update(about.encode())
            said.update(memoryview(self.body)[part.start : part.end])
        return said.digest()

    def _only(self, name: str) -> Part | None:
        found = [part for part in self.parts if part.name == name]
        if len(found) > 1:
            raise InvalidRequest(f"The field `{name}` stands more than once.", param=name)
        return found[0] if found else None


def is_form(content_types: tuple[bytes, ...]) -> bool:
    return any(value.lower().startswith(MEDIA_TYPE) for value in content_types)


def read_form(body: bytes, content_types: tuple[bytes, ...]) -> Form:
    """Read a form; `content_types` are the values of that header. Raises InvalidRequest."""
    delimiter = b"--" + _boundary(content_types)
    if not body.startswith(delimiter):
        raise _unreadable("it does not begin with its boundary")
    parts: list[Part] = []
    at = len(delimiter)
    while True:
        after = body[at : at + 2]
        if after == b"--":
            if body[at + 2 : at + 5] not in {b"", b"\r\n"}:
                raise _unreadable("something follows its end")
            if body.count(b"\n" + delimiter) != len(parts) or b"\r" + delimiter in body:
                raise _unreadable("its boundary stands behind a broken end of a line")
            return Form(body, parts)
        if after != b"\r\n":
            raise _unreadable("a boundary stands where no line ends")
        if len(parts) >= PARTS_MAX:
            raise _unreadable(f"it has more than {PARTS_MAX} parts")
        part = _part(body, at + 2, b"\r\n" + delimiter)
        parts.append(part)
        at = part.end + 2 + len(delimiter)


def _boundary(content_types: tuple[bytes, ...]) -> bytes:
    if len(content_types) != 1 or content_types[0][: len(MEDIA_TYPE)].lower() != MEDIA_TYPE:
        raise InvalidRequest(
            "This path takes multipart/form-data, and one Content-Type that says so.",
            param="Content-Type",
        )
    found = _parameters(content_types[0][len(MEDIA_TYPE) :]).get(b"boundary")
    if found is None or _BOUNDARY.fullmatch(found) is None:
        raise InvalidRequest(
            "The Content-Type names no boundary of 1 to 70 characters.", param="Content-Type"
        )
    return found


def _parameters(text: bytes) -> dict[bytes, bytes]:
    """Return the parameters of a header's value by lower-cased name, each there once."""
    found: dict[bytes, bytes] = {}
    at = 0
    text = text.rstrip(b" \t;")
    while at < len(text):
        match = _PARAMETER.match(text, at)
        if match is None:
            raise _unreadable("a header's parameters make no sense")
        name = match[1].lower()
        if name in found:
            raise _unreadable(f"a header has two parameters {name.decode('latin-1')!r}")
        found[name] = match[3] if match[2] is None else match[2]
        at = match.end()
    return found


def _part(body: bytes, at: int, end_mark: bytes) -> Part:
    """Return the part whose header begins at a place."""
    head_end = body.find(b"\r\n\r\n", at, at + PART_HEAD_BYTES_MAX)
    if head_end < 0:
        raise _unreadable(f"the header of a part has no end within {PART_HEAD_BYTES_MAX} bytes")
    disposition: bytes | None = None
    length_at: tuple[int, int] | None = None
    seen: set[bytes] = set()
    for start, line in _lines(body[at:head_end]):
        match = _LINE.fullmatch(line)
        name = b"" if match is None else match[1].lower()
        if match is None or name in seen:
            raise _unreadable("the header of a part makes no sense")
        seen.add(name)
        if name == b"content-disposition":
            disposition = match[2]
        elif name == b"content-length":
            length_at = at + start + match.start(2), at + start + match.end(2)
        else:
            _check_reading(name, match[2])
    start = head_end + 4
    end = body.find(end_mark, start)
    if end < 0:
        raise _unreadable("it breaks off")
    if body.startswith(end_mark, start - 2):
        raise _unreadable("a part ends with its header")
    named, file = _named(disposition)
    return Part(named, file, start, end, length_at)


def _lines(head: bytes) -> list[tuple[int, bytes]]:
    """Return the lines of a header with where each begins."""
    found, at = [], 0
    for line in head.split(b"\r\n"):
        found.append((at, line))
        at += len(line) + 2
    return found


def _check_reading(name: bytes, value: bytes) -> None:
    """Raise for a header by which a part is read as something else than its bytes."""
    if name == b"content-transfer-encoding" and value.strip().lower() not in _AS_IT_IS:
        raise _unreadable("a part is encoded")
    if name == b"content-type" and b"charset" in value.lower():
        charset = _parameters(value[value.find(b";") :]).get(b"charset", b"utf-8")
        if charset.lower() not in _CHARSETS:
            raise _unreadable("a part is in another character set than UTF-8")


def _named(disposition: bytes | None) -> tuple[str, str | None]:
    kind, mark, rest = (disposition or b"").partition(b";")
    if kind.strip().lower() != b"form-data" or not mark:
        raise _unreadable("a part is no field of a form")
    given = _parameters(b";" + rest)
    name = given.get(b"name")
    if name is None or b"name*" in given or b"\\" in name:
        raise _unreadable("a part has no plain name")
    file = given.get(b"filename", given.get(b"filename*"))
    return _decoded(name), None if file is None else _decoded(file)


def _decoded(text: bytes) -> str:
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise _unreadable("a name in it is not UTF-8") from None


def _unreadable(reason: str) -> InvalidRequest:
    return InvalidRequest(f"The request body is not a readable form: {reason}.")
