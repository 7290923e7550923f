"""Failures nobody planned for.

They are logged by their type and their frames, without values, and answered without either.
"""

from traceback import extract_tb

import structlog
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigne_hub.domain.errors import HubError
from aigne_hub.gateway.dialects.openai.errors import error_body

_FRAMES_LOGGED = 20


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
        except Exception as failure:
            _log(scope, failure)
            if started:
                raise
            error = HubError("The hub failed to answer; its log says where.")
            response = Response(error_body(error), error.status, media_type="application/json")
            await response(scope, receive, send)


def _loggable(path: str) -> str:
    """Return a path without what may be a secret in it: only its first part."""
    return f"/{path.strip('/').partition('/')[0]}"


def _log(scope: Scope, failure: Exception) -> None:
    """Name the exception and its frames. Its message could quote a secret, so it stays out."""
    frames = extract_tb(failure.__traceback__)[-_FRAMES_LOGGED:]
    structlog.get_logger("aigne_hub.web").error(
        "request_failed",
        method=scope["method"],
        path=_loggable(scope["path"]),
        error=type(failure).__qualname__,
        frames=[f"{frame.filename}:{frame.lineno} in {frame.name}" for frame in frames],
    )
