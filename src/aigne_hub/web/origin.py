"""Whether a request comes from the hub's own pages.

Browsers say so in `Sec-Fetch-Site` (https://w3c.github.io/webappsec-fetch-metadata/), older
ones only in `Origin` (Fetch standard, 3.2). A cookie alone never lets another site act.
"""

from urllib.parse import urlsplit

from fastapi import Request

from aigne_hub.domain.errors import Forbidden

# `none` is a person's own doing: an address typed, a bookmark.
_OWN = frozenset({"same-origin", "none"})
_ELSEWHERE = (
    "This came from another site, so nothing was done. Open the page of this hub and try again."
)


def require_own(request: Request, public_url: str, *, strictly: bool = False) -> None:
    """Raise Forbidden for a request that a page of another origin made.

    A program that is no browser says neither; `strictly` refuses that too.
    """
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        own = site in _OWN
    else:
        origin = request.headers.get("origin")
        own = _is_own(origin, request, public_url) if origin is not None else not strictly
    if not own:
        raise Forbidden(_ELSEWHERE)


def _is_own(origin: str, request: Request, public_url: str) -> bool:
    """Compare with the address asked for, and with the hub's own: a proxy may change the first."""
    try:
        found, own = urlsplit(origin), urlsplit(public_url)
    except ValueError:
        return False
    if not found.netloc or found.scheme not in ("http", "https"):
        return False
    if (found.scheme, found.netloc.lower()) == (own.scheme, own.netloc.lower()):
        return True
    asked = request.headers.get("host", "").lower()
    return found.netloc.lower() == asked
