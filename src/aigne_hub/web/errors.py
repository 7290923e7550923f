"""What a request gets that no route of the control plane answers.

Programs get OpenAI's error object, browsers a page. A failure nobody planned for is logged
by its type and its frames, without values, and answered without either.
"""

from traceback import extract_tb

import structlog
from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from aigne_hub.domain.errors import (
    HubError,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
)
from aigne_hub.gateway.dialects.openai_errors import error_body
from aigne_hub.web.operations import operations_of
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.surface import allowed_methods, explanation

_FRAMES_LOGGED = 20
_WAITING = (RateLimited, Overloaded)


class MethodNotAllowed(InvalidRequest):
    """RFC 9110, 15.5.6: the path exists, the method does not."""

    status = 405


async def not_found(request: Request, _: Exception) -> Response:
    """Answer a path without a route, or with another method on the data plane."""
    path = request.scope["path"]
    allowed = allowed_methods(path)
    if allowed is not None:
        return _refused_method(request, allowed)
    message = explanation(request.method, path, operations_of(request).public_url())
    return _answer(request, NotFound(message))


async def method_not_allowed(request: Request, error: Exception) -> Response:
    """Answer a path of the control plane that was asked with another method."""
    headers = error.headers if isinstance(error, HTTPException) else None
    methods = set((headers or {}).get("Allow", "GET").split(", "))
    if "GET" in methods:
        methods.add("HEAD")
    return _refused_method(request, ", ".join(sorted(methods)))


async def refused(request: Request, error: Exception) -> Response:
    """Answer what a route refused, with its own status and code."""
    assert isinstance(error, HubError)
    wait = {"retry-after": str(error.retry_after_s)} if isinstance(error, _WAITING) else None
    return _answer(request, error, wait)


async def malformed(request: Request, error: Exception) -> Response:
    """Answer a body or parameter of the wrong shape: where it is, and what is expected there."""
    assert isinstance(error, RequestValidationError)
    first = error.errors()[0]
    place = ".".join(str(step) for step in first["loc"][1:]) or str(first["loc"][0])
    return _answer(request, InvalidRequest(f"{place}: {first['msg']}.", param=place))


def _refused_method(request: Request, allowed: str) -> Response:
    error = MethodNotAllowed(f"{request.method} is not served here; this path takes {allowed}.")
    return _answer(request, error, {"allow": allowed})


def _answer(request: Request, error: HubError, headers: dict[str, str] | None = None) -> Response:
    if _from_browser(request):
        return renderer_of(request).page(
            request, "error.html", status=error.status, headers=headers, error=error
        )
    return Response(error_body(error), error.status, headers, media_type="application/json")


def _from_browser(request: Request) -> bool:
    """Whether `Accept` names HTML itself; the SDKs' and curl's `*/*` does not."""
    ranges = request.headers.get("accept", "").split(",")
    return any(range_.partition(";")[0].strip().lower() == "text/html" for range_ in ranges)


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
