"""Answers of OAuth endpoints to clients: JSON that nobody keeps."""

from collections.abc import Mapping
from typing import Final

from fastapi import Request
from fastapi.responses import JSONResponse, Response

from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.web.refusals import tell

_SECURITY: Final = frozenset(
    {
        Refusal.INVALID_CLIENT,
        Refusal.INVALID_GRANT,
        Refusal.INVALID_TOKEN,
        Refusal.INSUFFICIENT_SCOPE,
        Refusal.UNAUTHORIZED_CLIENT,
    }
)
FRESH: Final = {"cache-control": "no-store", "pragma": "no-cache"}


def answer(document: Mapping[str, object], status: int = 200) -> JSONResponse:
    return JSONResponse(dict(document), status, FRESH)


async def refused(request: Request, error: Exception) -> Response:
    """Answer what an endpoint refused (RFC 6749, 5.2)."""
    assert isinstance(error, OAuthError)
    if error.error in _SECURITY:
        tell(request, "an OAuth client was refused", error.error.value)
    headers = dict(FRESH)
    if error.error is Refusal.INVALID_CLIENT and "authorization" in request.headers:
        headers["www-authenticate"] = 'Basic realm="AIGNE Hub"'
    if error.error in {Refusal.INVALID_TOKEN, Refusal.INSUFFICIENT_SCOPE}:
        headers["www-authenticate"] = (
            f'Bearer error="{error.error.value}", error_description="{error.description}"'
        )
    if error.retry_after_s:
        headers["retry-after"] = str(error.retry_after_s)
    document = {"error": error.error.value, "error_description": error.description}
    return JSONResponse(document, error.status, headers)
