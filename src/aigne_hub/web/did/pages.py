"""The page that shows a code and waits for a wallet, without script: it loads itself anew."""

from typing import Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from aigne_hub.domain.errors import HubError
from aigne_hub.storage.did_sessions import Action, DidSession
from aigne_hub.web import qr
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.did import binding
from aigne_hub.web.did.beginning import begun
from aigne_hub.web.did.connect import named_session, signed_in_by
from aigne_hub.web.did.messages import PREFIXES, TOKEN, answer_url, host_of, wallet_url
from aigne_hub.web.forms import LONG_FORM_BYTES_MAX, fields, form_of
from aigne_hub.web.next_page import own_path, target
from aigne_hub.web.origin import require_own
from aigne_hub.web.rendering import renderer_of, root_of
from aigne_hub.web.session import Session, set_cookie

PAGE: Final = "sign-in/wallet"
FRESH: Final = {"cache-control": "no-store"}
_HOME: Final = {"login": "", "switch": "/account", "bind": "/account/wallet"}
_GONE: Final = "This code is no longer good, or was not made for this browser."


async def submit(request: Request, hub: Hub) -> Response:
    """Begin to sign in: the browser gets a cookie, and a code to show."""
    form = await form_of(request, LONG_FORM_BYTES_MAX)
    back_to = own_path(form.get("next", ""))
    try:
        require_own(request, hub.public_url())
        return await run_in_threadpool(to_the_code, request, hub, "login", None, back_to)
    except HubError as error:
        return _page(request, hub, error.status, problem=error.message, back_to=back_to)


def show(request: Request, hub: Hub) -> Response:
    values = fields(request.scope["query_string"].decode("latin-1"))
    found = named_session(hub, values.get(TOKEN, ""))
    if found is None or not binding.is_mine(request, hub, found) or found.wanted.browser is None:
        if TOKEN not in values:
            return _page(request, hub, 200, back_to=own_path(values.get("next", "")))
        return _page(request, hub, 404, problem=_GONE)
    if found.is_open:
        return _page(request, hub, 200, session=found, back_to=found.wanted.back_to)
    if found.status == "succeed":
        return _done(request, hub, found)
    return _page(request, hub, 200, problem=found.error, back_to=found.wanted.back_to)


def to_the_code(
    request: Request, hub: Backend, action: Action, session: Session | None, back_to: str
) -> Response:
    """Begin a session for this browser and go to the page with its code. Raises as `begun`."""
    value = binding.new_value(hub)
    token = begun(
        request,
        hub,
        action,
        session,
        browser=binding.digest_of(hub, value),
        back_to=_HOME[action] or back_to,
    )
    answer = RedirectResponse(f"{root_of(request)}{PAGE}?{TOKEN}={token}", 303, FRESH)
    binding.put(answer, request, value)
    return answer


def _done(request: Request, hub: Backend, found: DidSession) -> Response:
    token = signed_in_by(request, hub, found)
    answer = RedirectResponse(target(request, own_path(found.wanted.back_to)), 303, FRESH)
    if token is not None:
        set_cookie(answer, request, token)
    return answer


def _page(
    request: Request,
    hub: Backend,
    status: int,
    *,
    session: DidSession | None = None,
    problem: str = "",
    back_to: str = "",
) -> Response:
    address, picture = "", None
    if session is not None:
        address = wallet_url(answer_url(hub, session, PREFIXES[0]))
        if len(address) <= qr.TEXT_BYTES_MAX:
            picture = qr.svg(address)
    return renderer_of(request).page(
        request,
        "wallet.html",
        status=status,
        headers=FRESH,
        session=session,
        scanned=session is not None and session.status == "scanned",
        address=address,
        picture=picture,
        problem=problem,
        host=host_of(hub),
        next=back_to,
    )


def wallet_page_router() -> APIRouter:
    router = APIRouter(
        prefix=f"/{PAGE}",
        include_in_schema=False,
        dependencies=[open_to_all("whoever signs in is not known yet")],
    )
    router.get("")(show)
    router.post("")(submit)
    return router
