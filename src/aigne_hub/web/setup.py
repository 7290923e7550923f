"""The one-time page on which the person who started a hub makes it theirs.

Plain forms; the token in the path is the only credential, and it is used up by the post. A
program may leave the password out of the form; the page asks for one.
"""

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse

from aigne_hub.domain.errors import HubError
from aigne_hub.domain.passwords import CHARS_MIN, require_good
from aigne_hub.storage.users import User, normalised_email
from aigne_hub.web import device
from aigne_hub.web.backend import Backend, Hub, Process
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.forms import LONG_FORM_BYTES_MAX, form_of
from aigne_hub.web.network import network_of
from aigne_hub.web.origin import require_own
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.session import begin, set_cookie
from aigne_hub.web.sign_in import Hashing


async def show(request: Request, operations: Process, token: str) -> HTMLResponse:
    open_ = await run_in_threadpool(operations.may_claim, token) is not None
    return _page(request, 200 if open_ else 404, state="open" if open_ else "used")


async def submit(
    request: Request, operations: Process, hub: Hub, hashing: Hashing, token: str
) -> Response:
    form = await form_of(request, LONG_FORM_BYTES_MAX)
    email, password = form.get("email", ""), form.typed.get("password")
    # Nobody without the link has a password hashed.
    owner_id = await run_in_threadpool(operations.may_claim, token)
    if owner_id is None:
        return _page(request, 404, state="used")
    try:
        require_own(request, operations.public_url())
        hashed = None
        if password is not None:
            require_good(password, normalised_email(email))
            with hashing.place(network_of(request)):
                hashed = await hashing.hash(password, owner_id)
        claimed = await run_in_threadpool(operations.claim, token, email, hashed)
    except HubError as error:
        return _page(request, error.status, state="open", problem=error.message, email=email)
    if claimed is None:
        return _page(request, 404, state="used")
    owner, key = claimed
    session = await run_in_threadpool(_signed_in, request, hub, owner)
    done = _page(request, 200, state="done", key=key, email=owner.email)
    set_cookie(done, request, session)
    browser = device.device_of(request) or device.new_device(hub)
    device.keep(done, request, device.proven(browser, hub, owner.id))
    return done


def _signed_in(request: Request, hub: Backend, owner: User) -> str:
    with hub.changing("setup") as change:
        return begin(request, hub, change, owner, "set-up")


def _page(request: Request, status: int, **values: object) -> HTMLResponse:
    shown = {"problem": "", "email": "", "password_chars": CHARS_MIN, **values}
    headers = {"cache-control": "no-store"}
    return renderer_of(request).page(request, "setup.html", status=status, headers=headers, **shown)


def setup_router() -> APIRouter:
    router = APIRouter(
        prefix="/setup",
        include_in_schema=False,
        dependencies=[open_to_all("the address holds a secret that works once")],
    )
    router.get("/{token}")(show)
    router.post("/{token}")(submit)
    return router
