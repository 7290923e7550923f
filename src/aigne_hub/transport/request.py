import re
from collections.abc import Iterable

from aigne_hub import __version__
from aigne_hub.transport.origin import Origin

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")  # RFC 9110, 5.6.2
_TARGET = re.compile(r"/[A-Za-z0-9\-._~!$&'()*+,;=:@%/?]*")
_VALUE = re.compile(r"[\t\x20-\x7e\x80-\xff]*")  # RFC 9110, 5.5
# Framing and routing belong to the transport: a caller that could set these could make the
# two ends disagree about where a message ends.
_RESERVED = frozenset(
    {
        "accept-encoding",
        "connection",
        "content-length",
        "expect",
        "host",
        "keep-alive",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)


def request_head(
    method: str, origin: Origin, path: str, headers: Iterable[tuple[str, str]] = ()
) -> bytes:
    """Return a request head for `Client.send`: no content-length and no closing blank line.

    `path` begins with a slash and is appended to the origin's base path; it may carry a
    query. Host, `accept-encoding: identity` and a user agent (unless given) are added.
    Raises ValueError, naming the header but never its value, for anything that could not
    stand on one line of a request or that the transport sets itself.
    """
    if not _TOKEN.fullmatch(method):
        raise ValueError("the request method is not an HTTP token")
    if not _TARGET.fullmatch(path):
        raise ValueError("the request path must begin with / and be percent-encoded")
    lines = [
        f"{method} {origin.base_path}{path} HTTP/1.1",
        f"host: {origin.host_header.decode('ascii')}",
        "accept-encoding: identity",
    ]
    agent = f"user-agent: aigne-hub/{__version__}"
    for name, value in headers:
        if not _TOKEN.fullmatch(name):
            raise ValueError(f"the header name {name!r} is not an HTTP token")
        lowered = name.lower()
        if lowered in _RESERVED:
            raise ValueError(f"the header {lowered} is set by the transport")
        if not _VALUE.fullmatch(value):
            raise ValueError(f"the value of header {lowered} has a character HTTP forbids")
        if lowered == "user-agent":
            agent = f"user-agent: {value}"
        else:
            lines.append(f"{lowered}: {value}")
    lines += (agent, "")
    return "\r\n".join(lines).encode("latin-1")
