"""Which request heads the hub reads: those that no two servers can read differently.

RFC 9112, sections 2, 3, 6 and 11.2, where it leaves a choice the strict one.
"""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote

from aigne_hub.auth.verifier import Fields
from aigne_hub.domain.errors import HubError, InvalidRequest, PayloadTooLarge
from aigne_hub.gateway.dialects.openai.errors import error_body

HEAD_BYTES_MAX = 64 * 1024
HEAD_FIELDS_MAX = 100
URL_BYTES_MAX = 8 * 1024
MOUNT = "/ai-kit"

_HOST = re.compile(rb"(?:[A-Za-z0-9._~-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_FRAMING = frozenset({b"host", b"transfer-encoding", b"content-length", b"expect"})
_VERSIONS = frozenset({"1.0", "1.1"})

Headers = list[tuple[bytes, bytes]]


class Refused(Exception):
    """The request is answered with `status` and `error`, and nothing else of it is read."""

    def __init__(self, status: int, error: HubError) -> None:
        super().__init__(error.message)
        self.status = HTTPStatus(status)
        self.error = error

    def response(self, date_line: bytes) -> bytes:
        """Return the whole response; it says that the connection ends."""
        body = error_body(self.error)
        return (
            b"HTTP/1.1 %d %b\r\n%bcontent-type: application/json\r\ncontent-length: %d\r\n"
            b"connection: close\r\n\r\n%b"
            % (self.status, self.status.phrase.encode(), date_line, len(body), body)
        )


def refused(status: int, message: str) -> Refused:
    return Refused(status, InvalidRequest(message))


def too_large(limit: int) -> Refused:
    return Refused(413, PayloadTooLarge(f"The request body is larger than {limit} bytes."))


def check_size(headers: Headers) -> None:
    """Raise Refused for too many or too long fields."""
    if len(headers) > HEAD_FIELDS_MAX:
        raise refused(431, f"The request has more than {HEAD_FIELDS_MAX} header fields.")
    if sum(len(name) + len(value) for name, value in headers) > HEAD_BYTES_MAX:
        raise refused(431, f"The request head is over {HEAD_BYTES_MAX} bytes.")


def check_framing(version: str, headers: Headers, fields: Fields) -> tuple[int, bool]:
    """Return the declared content length, 0 for none, and whether 100 (Continue) is expected.

    `fields` are the headers by name. Raises Refused for what has a second reading.

    The parser has refused a length that is no number and one beside a transfer coding.
    """
    special = b"transfer-encoding" in fields or b"expect" in fields
    if version == "1.1" and not special and len(fields) == len(headers):
        # As most are: nothing is said twice, and a body is as long as it says.
        host = fields.get(b"host")
        if host is not None and _HOST.fullmatch(host) is not None:
            return int(fields.get(b"content-length", 0)), False
    if version not in _VERSIONS:
        raise refused(400, "The hub speaks HTTP/1.1 and HTTP/1.0.")
    hosts, declared, expects = [], 0, False
    for name, value in [field for field in headers if field[0] in _FRAMING]:
        if name == b"host":
            hosts.append(value)
        elif name == b"content-length":
            declared = int(value)
        elif name == b"expect":
            expects = value.lower() == b"100-continue"
        elif version == "1.0" or value.lower() != b"chunked":
            raise refused(400, "The only transfer coding is `chunked`, in HTTP/1.1.")
    old = version == "1.0" and not hosts
    if not old and (len(hosts) != 1 or _HOST.fullmatch(hosts[0]) is None):
        raise refused(400, "The request needs exactly one well-formed Host header.")
    return declared, expects


def check_target(target: bytes, parsed: Any) -> None:
    """Take a path, a whole URL (RFC 9112, 3.2.2) or `*`; `parsed` is httptools' reading of it."""
    if b"#" in target:
        raise refused(400, "A request target has no fragment.")
    if target[:1] == b"/" or target == b"*":
        return
    if parsed.schema not in {b"http", b"https"} or parsed.userinfo is not None:
        raise refused(400, "The request target must be a path or an http URL without a user.")


def below_mount(target: bytes, parsed: Any) -> tuple[str, bytes]:
    """Return the decoded path, `%2F` being `/`, and the target; both without the mount point."""
    path: str = (parsed.path or b"/").decode("ascii")
    if path.startswith(MOUNT) and path[len(MOUNT) : len(MOUNT) + 1] in {"", "/"}:
        path = path[len(MOUNT) :] or "/"
        target = path.encode() + (b"?" + parsed.query if parsed.query else b"")
    return (unquote(path) if "%" in path else path), target


def without_connection(method: bytes, target: bytes, version: str, headers: Headers) -> bytes:
    """Return the head again without its Connection fields, so that Upgrade means nothing."""
    lines = [b"%b %b HTTP/%b" % (method, target, version.encode())]
    lines += [b"%b: %b" % field for field in headers if field[0] != b"connection"]
    return b"\r\n".join([*lines, b"", b""])
