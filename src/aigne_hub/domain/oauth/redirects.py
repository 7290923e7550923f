"""Redirect URIs: which a client may register, and which a request may name.

A request names one that was registered, character by character (RFC 9700, 2.1). The one
exception is the port of a loopback address of a native client (RFC 8252, 7.3).
"""

import re
from collections.abc import Iterable
from ipaddress import ip_address
from typing import Final
from urllib.parse import SplitResult, urlencode, urlsplit

from aigne_hub.domain.oauth.errors import OAuthError, Refusal

URI_CHARS_MAX: Final = 2_000
URIS_MAX: Final = 16
# The host names that RFC 8252 lets a native client listen on, and `localhost` (8.3).
_LOOPBACK: Final = frozenset({"127.0.0.1", "[::1]", "localhost"})
_VISIBLE: Final = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7c\x7e]+")
# RFC 8252, 7.1: a private-use scheme is a domain name in reverse, so that it has a dot.
_PRIVATE_SCHEME: Final = re.compile(r"[a-z][a-z0-9+-]*(\.[a-z0-9+-]+)+")
_LOOPBACK_URI: Final = re.compile(
    r"(http://(?:127\.0\.0\.1|\[::1\]|localhost))(?::[0-9]{1,5})?(/.*)?"
)
_HOST: Final = re.compile(r"[a-z0-9]([a-z0-9.-]*[a-z0-9])?")


def require_registrable(uri: str, *, native: bool) -> str:
    """Return a URI that a client may be sent back to. Raises OAuthError.

    Web clients have https addresses; native ones also loopback addresses by http and schemes
    of their own. Nothing has a fragment, a user, a dot segment or an encoded character that
    could be read in two ways.
    """
    parts = _parsed(uri)
    if parts.scheme == "https":
        _require_public_host(parts)
    elif parts.scheme == "http":
        if not native or _host_of(parts) not in _LOOPBACK:
            raise _bad("must use https; only native clients may use http, on a loopback address")
    elif not native or not _PRIVATE_SCHEME.fullmatch(parts.scheme) or parts.netloc:
        raise _bad("must use https, or for native clients a scheme such as com.example.app:/path")
    return uri


def _parsed(uri: str) -> SplitResult:
    if len(uri) > URI_CHARS_MAX or not _VISIBLE.fullmatch(uri):
        raise _bad("must be an absolute URI of visible ASCII characters")
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        raise _bad("is not a URI") from None
    problems = {
        "must not have a fragment": "#" in uri,
        "must not have a wildcard": "*" in uri,
        "must not have a user": "@" in parts.netloc,
        "must not have port 0": port == 0,
        "must not have dot or empty segments or encoded dots and slashes": _is_ambiguous(parts),
    }
    for problem, is_there in problems.items():
        if is_there:
            raise _bad(problem)
    return parts


def matches(registered: Iterable[str], asked: str, *, native: bool) -> bool:
    """Tell whether a request may be answered at `asked`."""
    known = list(registered)
    if asked in known:
        return True
    if not native:
        return False
    portless = _without_port(asked)
    return portless is not None and any(_without_port(uri) == portless for uri in known)


def answered(uri: str, parameters: Iterable[tuple[str, str]]) -> str:
    """Return a redirect URI with the parameters of an answer (RFC 6749, 4.1.2)."""
    joint = "&" if "?" in uri else "?"
    return f"{uri}{joint}{urlencode(list(parameters))}"


def source_of(uri: str) -> str:
    """Return what a form may be sent on to, as a source of a content security policy."""
    parts = urlsplit(uri)
    return f"{parts.scheme}://{parts.netloc}" if parts.netloc else f"{parts.scheme}:"


def shown(uri: str) -> str:
    """Return what people are told of where they are sent back to."""
    parts = urlsplit(uri)
    return parts.netloc or f"the program that handles {parts.scheme}:"


def _require_public_host(parts: SplitResult) -> None:
    host = _host_of(parts)
    if host != (parts.hostname or "") and not host.startswith("["):
        raise _bad("must have its host in small letters")
    try:
        ip_address(host.strip("[]"))
    except ValueError:
        pass
    else:
        raise _bad("must name its host: an address as digits is refused")
    if not _HOST.fullmatch(host) or "." not in host or host.rpartition(".")[2].isdigit():
        raise _bad("must have a public host name")
    if host.endswith((".localhost", ".local", ".internal", ".home.arpa", ".onion")):
        raise _bad("must have a public host name")


def _host_of(parts: SplitResult) -> str:
    """Return the host as it is written, brackets included."""
    netloc = parts.netloc
    if netloc.startswith("["):
        return netloc[: netloc.find("]") + 1]
    return netloc.partition(":")[0]


def _is_ambiguous(parts: SplitResult) -> bool:
    lowered = f"{parts.netloc}{parts.path}".lower()
    segments = parts.path.split("/")
    return (
        "%2e" in lowered
        or "%2f" in lowered
        or "%5c" in lowered
        or "." in segments
        or ".." in segments
        or "//" in parts.path
    )


def _without_port(uri: str) -> str | None:
    """Return a loopback address without its port, None for any other URI."""
    found = _LOOPBACK_URI.fullmatch(uri)
    return None if found is None else f"{found[1]}{found[2] or ''}"


def _bad(problem: str) -> OAuthError:
    return OAuthError(Refusal.INVALID_REDIRECT_URI, f"A redirect URI {problem}")
