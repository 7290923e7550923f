"""Scripts of any origin may call the API of clients: keys stand in headers, never in cookies.

Fetch standard, section 3.3 (https://fetch.spec.whatwg.org/#http-cors-protocol).
"""

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

# Administration and payment are for servers and for the hub's own pages.
OPEN_PATHS = (
    "/__blocklet__.js",
    "/.well-known/jwks.json",
    "/.well-known/oauth-",
    "/.well-known/openid-configuration",
    "/.well-known/service/api/",
    "/api/ai/",
    "/api/ai-providers",
    "/api/app/",
    # Wallets that are web pages; the rest of DID Connect is for who began it.
    "/api/did/login/auth",
    "/api/did/bind/auth",
    "/api/did/switch/auth",
    "/api/usage/",
    "/api/user/",
    "/api/v2/status",
    # Clients that are pages: their secrets stand in the body, and no cookie counts here.
    "/oauth/device_authorization",
    "/oauth/register",
    "/oauth/revoke",
    "/oauth/token",
    "/oauth/userinfo",
    # Calls themselves: the edge answers them, and what it does not serve comes here.
    "/api/v1/",
    "/api/v2/",
    "/v1/",
    "/v1beta/",
    "/v2/",
)
PREFLIGHT_KEPT_S = 86_400

_ANYBODY = {"access-control-allow-origin": "*"}
_SHOWN = {"access-control-expose-headers": "*"}
_PREFLIGHT = {
    **_ANYBODY,
    "access-control-allow-methods": "GET, HEAD, POST, PUT, PATCH, DELETE",
    # A star does not stand for `authorization`.
    "access-control-allow-headers": "authorization, *",
    "access-control-max-age": str(PREFLIGHT_KEPT_S),
}


class OpenToScripts:
    """ASGI middleware: answers preflights for OPEN_PATHS and lets scripts read the answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not scope["path"].startswith(OPEN_PATHS):
            await self._app(scope, receive, send)
            return
        asked = "access-control-request-method" in Headers(scope=scope)
        if scope["method"] == "OPTIONS" and asked:
            await Response(status_code=204, headers=_PREFLIGHT)(scope, receive, send)
            return

        async def send_open(message: Message) -> None:
            if message["type"] == "http.response.start":
                MutableHeaders(scope=message).update({**_ANYBODY, **_SHOWN})
            await send(message)

        await self._app(scope, receive, send_open)
