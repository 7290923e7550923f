"""The page on which a person approves a connection that a program asked for.

Who is signed in approves for themselves, once they have proved lately who they are: the program
gets a key of theirs. The page also names the command that approves, and takes an administrator's
key instead. No browser sends that by itself; it stands in the body, never in an address.
"""

import base64
import binascii
from collections.abc import Mapping
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError, InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission, require_may_give
from aigne_hub.storage import connect_sessions, roles, users
from aigne_hub.web.aigne.connect import SERVICE
from aigne_hub.web.api.access import actor
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.forms import Form, fields, form_of
from aigne_hub.web.rendering import renderer_of, root_of
from aigne_hub.web.session import (
    CSRF_FIELD,
    PerhapsSignedIn,
    Session,
    SignInNeeded,
    csrf_field,
    require_csrf,
    require_recent,
)

PAGE = "gen-simple-access-key"
TOKEN = "__token__"  # noqa: S105 - the name of a field

_FRESH = {"cache-control": "no-store"}
_SOURCE_CHARS_MAX = 60


async def show(request: Request, hub: Hub, person: PerhapsSignedIn) -> HTMLResponse:
    """Show what waits to be approved. With `form` in the query the page has the form."""
    values = fields(request.scope["query_string"].decode("latin-1"))
    return await run_in_threadpool(_page, request, hub, person, values)


async def submit(request: Request, hub: Hub, person: PerhapsSignedIn) -> Response:
    values = await form_of(request)
    try:
        if CSRF_FIELD in values:
            await run_in_threadpool(_approve_own, request, hub, person, values)
            return _done(values)
        key = values.get("key", "").encode("utf-8", "replace")
        admin = await hub.verify([(b"authorization", b"Bearer " + key)], None)
        admin.require(Permission.KEYS_WRITE)
        await run_in_threadpool(_approve, hub, admin, values)
    except HubError as error:
        shown = values if CSRF_FIELD in values else {**values, "form": "1"}
        return await run_in_threadpool(_page, request, hub, person, shown, error)
    return _done(values)


def _done(values: Mapping[str, str]) -> Response:
    return RedirectResponse(_address(values), 303, _FRESH)


def _address(values: Mapping[str, str]) -> str:
    return f"{PAGE}?{TOKEN}={_token(_session_id(values))}"


def _approve_own(request: Request, hub: Backend, person: Session | None, values: Form) -> None:
    """Let the program have a key of who is signed in. Raises SignInNeeded or Forbidden."""
    back_to = f"{SERVICE}/{_address(values)}"
    if person is None:
        raise SignInNeeded(back_to)
    require_csrf(request, person, values)
    require_recent(person, hub.clock.now_us(), back_to)
    with hub.changing(f"user:{person.user.id}") as change:
        user = users.find(change.connection, person.user.id)
        connect_sessions.approve(change, _session_id(values), user)


def _approve(hub: Backend, admin: Principal, values: Mapping[str, str]) -> None:
    name = values.get("user", "")
    if not name:
        raise InvalidRequest("Say whose key it is to be.", param="user")
    with hub.changing(actor(admin)) as change:
        user = users.find(change.connection, name)
        require_may_give(admin.rights, roles.permissions_of(change.connection, user.role))
        connect_sessions.approve(change, _session_id(values), user)


def _page(
    request: Request,
    hub: Backend,
    person: Session | None,
    values: Mapping[str, str],
    problem: HubError | None = None,
) -> HTMLResponse:
    session_id = _session_id(values)
    session = _found(hub, session_id)
    if session is None:
        return renderer_of(request).page(
            request, "connect.html", status=404, headers=_FRESH, state="unknown", refreshes=False
        )
    waiting = session.user_id is None
    form = waiting and "form" in values
    return renderer_of(request).page(
        request,
        "connect.html",
        status=problem.status if problem else 200,
        headers=_FRESH,
        state="waiting" if waiting else "approved",
        refreshes=waiting and not form,
        form=form,
        session_id=session_id,
        token=_token(session_id),
        address=session.address,
        asked=format_instant(session.created_us)[:19].replace("T", " "),
        source=values.get("source", "")[:_SOURCE_CHARS_MAX],
        user=values.get("user", ""),
        problem=problem.message if problem else "",
        person=person,
        csrf="" if person is None else csrf_field(person),
        sign_in=f"{root_of(request)}sign-in?next={quote(f'{SERVICE}/{_address(values)}', safe='')}",
    )


def _found(hub: Backend, session_id: str) -> connect_sessions.Session | None:
    """Return the session; one that ended counts if its program had been approved."""
    try:
        with hub.reading() as view:
            session = connect_sessions.find(view, hub.clock.now_us(), session_id)
    except NotFound:
        return None
    return None if session.ended and session.user_id is None else session


def _session_id(values: Mapping[str, str]) -> str:
    """Return the session that an address names: base64url of its id, with or without padding."""
    token = values.get(TOKEN, "")[: connect_sessions.ID_CHARS_MAX * 2]
    try:
        return base64.urlsafe_b64decode(token + "=" * (-len(token) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        return ""


def _token(session_id: str) -> str:
    return base64.urlsafe_b64encode(session_id.encode()).decode("ascii").rstrip("=")


def approval_router() -> APIRouter:
    router = APIRouter(
        prefix=f"{SERVICE}/{PAGE}",
        include_in_schema=False,
        dependencies=[open_to_all("the form itself takes a key with keys.write")],
    )
    router.get("")(show)
    router.post("")(submit)
    return router
