"""Failures nobody planned for.

They are logged by their type and their frames, without values, and answered without either.
"""

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigne_hub.domain.errors import HubError
from aigne_hub.gateway.dialects.openai.errors import error_body
from aigne_hub.logs import get_logger


class FailureBoundary:
    """ASGI middleware: turns an unexpected exception into a 500 and a line in the log.

    After the response began it is raised on, and the server breaks the connection.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        started = False

        async def send_watched(message: Message) -> None:
            nonlocal started
            started = True
            await send(message)

        try:
            await self._app(scope, receive, send_watched)
        except Exception:
            get_logger("aigne_hub.web").exception(
                "request_failed", method=scope["method"], path=loggable(scope["path"])
            )
            if started:
                raise
            error = HubError("The hub failed to answer; its log says where.")
            response = Response(error_body(error), error.status, media_type="application/json")
            await response(scope, receive, send)


def loggable(path: str) -> str:
    """Return a path without what may be a secret in it: only its first part."""
    return f"/{path.strip('/').partition('/')[0]}"
