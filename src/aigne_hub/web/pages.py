"""The pages of the hub and the document behind its API reference."""

from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, JSONResponse

from aigne_hub.web.backend import Process
from aigne_hub.web.codes import ERROR_CODES
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.reference import Reference
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.session import PerhapsSignedIn
from aigne_hub.web.surface import APIS, OPENAI


async def home(request: Request, operations: Process, person: PerhapsSignedIn) -> HTMLResponse:
    return renderer_of(request).page(
        request,
        "home.html",
        openai=OPENAI,
        apis=APIS,
        model="demo/echo" if operations.demo else "provider/model",
        demo=operations.demo,
        billing=operations.billing,
        person=person,
    )


def docs(request: Request) -> HTMLResponse:
    """Render the reference in a thread: it takes milliseconds that streams would wait."""
    reference = Reference(request.app.openapi())
    return renderer_of(request).page(
        request, "docs.html", reference=reference, error_codes=ERROR_CODES
    )


def openapi(request: Request) -> dict[str, Any]:
    """Answer this document: the data plane and the control plane in one."""
    document: dict[str, Any] = request.app.openapi()
    return document


def pages_router() -> APIRouter:
    router = APIRouter(dependencies=[open_to_all("pages and documents about this kind of hub")])
    for path, page in (("/", home), ("/docs", docs)):
        router.get(path, include_in_schema=False)(page)
    router.get(
        "/openapi.json",
        tags=["Operations"],
        operation_id="openapi",
        summary="OpenAPI 3.1 document",
        response_description="The document",
        response_class=JSONResponse,
    )(openapi)
    return router
