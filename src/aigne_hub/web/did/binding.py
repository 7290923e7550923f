"""Who may collect the outcome of a session: the browser or the program that began it.

The token in the code is seen by everybody who sees the screen, so it alone collects nothing. A
browser has a cookie. A program asks from the address it began from, unless it gave a key that
the outcome is sealed for.
"""

import hmac
from typing import Final

from fastapi import Request, Response

from aigne_hub.crypto import base58
from aigne_hub.storage.did_sessions import LIVE_US, DidSession
from aigne_hub.web.backend import Backend
from aigne_hub.web.cookies import cookie_name, put_cookie
from aigne_hub.web.network import network_of

COOKIE: Final = "aigne-hub-did"

_VALUE_BYTES = 32
_KEPT_S: Final = 2 * LIVE_US // 1_000_000


def is_browser(request: Request) -> bool:
    """Tell whether a browser asks; every one says what kind of request it makes."""
    return "sec-fetch-site" in request.headers


def new_value(hub: Backend) -> str:
    return base58.encode(hub.randbytes(_VALUE_BYTES))


def digest_of(hub: Backend, value: str) -> bytes:
    return hmac.digest(hub.pepper, b"did\0" + value.encode("utf-8", "replace"), "sha256")


def put(response: Response, request: Request, value: str) -> None:
    put_cookie(response, request, COOKIE, value, _KEPT_S)


def clear(response: Response, request: Request) -> None:
    put_cookie(response, request, COOKIE, "", 0)


def is_mine(request: Request, hub: Backend, session: DidSession) -> bool:
    """Tell whether the one who began a session asks about it."""
    wanted = session.wanted
    if wanted.browser is not None:
        value = request.cookies.get(cookie_name(request, COOKIE), "")
        return hmac.compare_digest(digest_of(hub, value), wanted.browser)
    return wanted.encryption_key is not None or wanted.address == network_of(request)
