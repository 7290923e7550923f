"""The control plane's ASGI application: everything the gateway's edge does not take."""

from pathlib import Path
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.middleware import Middleware
from starlette.staticfiles import StaticFiles

from aigne_hub import __version__
from aigne_hub.auth.refusals import Refusals
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.oauth.errors import OAuthError
from aigne_hub.web.backend import Backend
from aigne_hub.web.client_address import KnowsAddress
from aigne_hub.web.cors import OpenToScripts
from aigne_hub.web.errors import malformed, method_not_allowed, not_found, refused
from aigne_hub.web.failures import FailureBoundary
from aigne_hub.web.guards import guarded
from aigne_hub.web.minute import PerMinute
from aigne_hub.web.oauth.answers import refused as oauth_refused
from aigne_hub.web.openapi import openapi_document
from aigne_hub.web.operations import Operations
from aigne_hub.web.payment.pages import WRONG_A_MINUTE_MAX
from aigne_hub.web.rendering import Renderer
from aigne_hub.web.routers import every_router
from aigne_hub.web.security import HeadAsGet, SecurityHeaders
from aigne_hub.web.session import SignInNeeded, sign_in_needed

_STATIC = Path(__file__).parent / "static"


class ControlPlane(FastAPI):
    """FastAPI with the hub's own document, built once for each public address."""

    def openapi(self) -> dict[str, Any]:
        operations: Operations = self.state.operations
        public_url = operations.public_url()
        document = self.openapi_schema
        if document is None or document["servers"][0]["url"] != public_url:
            document = self.openapi_schema = openapi_document(public_url, __version__)
        return document


def create_app(operations: Operations, backend: Backend) -> FastAPI:
    """Build the application. Paths arrive without the mount point: the edge strips it.

    Raises UndeclaredRoute when a route does not say who may call it.
    """
    app = ControlPlane(
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
        # A redirect would be made from the Host header and would lose the mount point.
        redirect_slashes=False,
        middleware=[
            Middleware(KnowsAddress),
            Middleware(SecurityHeaders),
            Middleware(OpenToScripts),
            Middleware(FailureBoundary),
            Middleware(HeadAsGet),
        ],
        exception_handlers={
            404: not_found,
            405: method_not_allowed,
            HubError: refused,
            SignInNeeded: sign_in_needed,
            OAuthError: oauth_refused,
            RequestValidationError: malformed,
        },
    )
    app.state.operations = operations
    app.state.backend = backend
    app.state.renderer = Renderer()
    app.state.passwords = None
    app.state.refusals = Refusals()
    app.state.wrong_names = PerMinute(WRONG_A_MINUTE_MAX)
    routers = every_router()
    app.state.guards = guarded(routers)
    for router in routers:
        app.include_router(router)
    app.mount("/static", StaticFiles(directory=_STATIC))
    return app
