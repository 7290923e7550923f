"""The hub's cookies: for its own origin alone, out of reach of scripts.

`__Host-` (RFC 6265bis, 4.1.3.2) keeps a cookie to the host that set it and to TLS. A browser
keeps such a cookie of a hub without TLS for nobody, so on a loopback address, where no TLS is
needed, the name is plain.
"""

from ipaddress import ip_address
from typing import Final
from urllib.parse import urlsplit

from fastapi import Request, Response

from aigne_hub.web.operations import operations_of

COOKIE: Final = "aigne-hub-session"
_PREFIX: Final = "__Host-"


def is_plain(request: Request) -> bool:
    """Tell whether the hub is reached by http on a loopback address."""
    declared = urlsplit(operations_of(request).public_url()).scheme == "https"
    if declared or request.scope["scheme"] == "https":
        return False
    return _is_loopback(request.headers.get("host", ""))


def cookie_name(request: Request, name: str) -> str:
    return name if is_plain(request) else _PREFIX + name


def put_cookie(response: Response, request: Request, name: str, value: str, seconds: int) -> None:
    """Set a cookie; with no seconds it is deleted."""
    response.set_cookie(
        cookie_name(request, name),
        value,
        max_age=seconds,
        path="/",
        secure=not is_plain(request),
        httponly=True,
        samesite="lax",
    )


def _is_loopback(host: str) -> bool:
    name = urlsplit(f"//{host}").hostname or ""
    if name == "localhost" or name.endswith(".localhost"):
        return True
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return False
