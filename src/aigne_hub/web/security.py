"""Headers that every page and answer of the control plane carries, and the request's id.

The pages use one style sheet and no script, so the policy forbids everything else.
"""

import re

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

CONTENT_SECURITY_POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "frame-ancestors 'none'; form-action 'self'"
)
SECURITY_HEADERS = {
    "content-security-policy": CONTENT_SECURITY_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
}

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")

# What is the same for everybody; no browser and no proxy keeps anything else unless it says so.
_KEPT = "/static/"

# In the scope of a HEAD that is handled as a GET.
AS_HEAD = "aigne_hub.as_head"


class SecurityHeaders:
    """ASGI middleware: adds SECURITY_HEADERS and echoes a well-formed `x-request-id`.

    Caches keep what says so, and nothing else.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = Headers(scope=scope).get("x-request-id", "")

        async def send_guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in SECURITY_HEADERS.items():
                    # A page whose form leads elsewhere says so in a policy of its own.
                    headers.setdefault(name, value)
                if not scope["path"].startswith(_KEPT):
                    headers.setdefault("cache-control", "no-store")
                if _REQUEST_ID.fullmatch(request_id):
                    headers["x-request-id"] = request_id
            await send(message)

        await self._app(scope, receive, send_guarded)


class HeadAsGet:
    """ASGI middleware: answers HEAD with the header of GET and no content (RFC 9110, 9.3.2).

    What a GET changes no HEAD may: AS_HEAD in the scope tells its handler.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or scope["method"] != "HEAD":
            await self._app(scope, receive, send)
            return

        async def send_head(message: Message) -> None:
            if message["type"] == "http.response.body":
                message = {**message, "body": b""}
            await send(message)

        await self._app({**scope, "method": "GET", AS_HEAD: True}, receive, send_head)
