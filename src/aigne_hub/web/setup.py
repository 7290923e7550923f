"""The one-time page on which the person who started a hub makes it theirs.

Plain forms; the token in the path is the only credential, and it is used up by the post.
"""

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from aigne_hub.domain.errors import HubError
from aigne_hub.web.backend import Process
from aigne_hub.web.forms import form_of
from aigne_hub.web.rendering import renderer_of


async def show(request: Request, operations: Process, token: str) -> HTMLResponse:
    open_ = await run_in_threadpool(operations.may_claim, token)
    return _page(request, 200 if open_ else 404, state="open" if open_ else "used")


async def submit(request: Request, operations: Process, token: str) -> HTMLResponse:
    email = (await form_of(request)).get("email", "")
    try:
        key = await run_in_threadpool(operations.claim, token, email)
    except HubError as error:
        return _page(request, error.status, state="open", problem=error.message, email=email)
    if key is None:
        return _page(request, 404, state="used")
    return _page(request, 200, state="done", key=key, email=email)


def _page(request: Request, status: int, **values: object) -> HTMLResponse:
    shown = {"problem": "", "email": "", **values}
    headers = {"cache-control": "no-store"}
    return renderer_of(request).page(request, "setup.html", status=status, headers=headers, **shown)


def setup_router() -> APIRouter:
    router = APIRouter(prefix="/setup", include_in_schema=False)
    router.get("/{token}")(show)
    router.post("/{token}")(submit)
    return router
