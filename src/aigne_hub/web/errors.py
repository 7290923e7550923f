"""What a request gets that no route of the control plane answers.

Programs get OpenAI's error object, browsers a page.
"""

from fastapi import Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException

from aigne_hub.domain.errors import (
    Forbidden,
    HubError,
    InvalidRequest,
    NotFound,
    Overloaded,
    RateLimited,
    Unauthenticated,
)
from aigne_hub.domain.oauth.challenge import challenge
from aigne_hub.gateway.dialects.openai.errors import error_body
from aigne_hub.web.operations import operations_of
from aigne_hub.web.refusals import tell
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.surface import allowed_methods, explanation

_WAITING = (RateLimited, Overloaded)
_SECURITY = (Unauthenticated, Forbidden, RateLimited)


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
    headers = {}
    if isinstance(error, _SECURITY):
        tell(request, "a request was refused", error.code)
    if isinstance(error, _WAITING):
        headers["retry-after"] = str(error.retry_after_s)
    if isinstance(error, Unauthenticated):
        headers["www-authenticate"] = challenge(operations_of(request).public_url())
    return _answer(request, error, headers)


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
