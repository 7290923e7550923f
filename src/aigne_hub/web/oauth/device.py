"""The device grant (RFC 8628): a device asks, a person approves it on another screen."""

from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, JSONResponse, Response

from aigne_hub.domain.access import Role, Scope, at_least
from aigne_hub.domain.errors import Forbidden, HubError, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.oauth import resources
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.clients import GrantType
from aigne_hub.domain.oauth.lifetimes import (
    DAY_US,
    DEVICE_INTERVAL_S,
    DEVICE_US,
    REFRESH_US,
    SECOND_US,
)
from aigne_hub.storage import oauth_clients, oauth_devices, oauth_grants
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.forms import fields
from aigne_hub.web.network import network_of
from aigne_hub.web.oauth import consent
from aigne_hub.web.oauth.answers import answer
from aigne_hub.web.oauth.client_auth import client_of
from aigne_hub.web.oauth.parameters import Parameters, of_form
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.session import (
    Session,
    SignedIn,
    SignInNeeded,
    check_csrf,
    csrf_field,
    recently,
)

CODE: Final = "user_code"
_FRESH: Final = {"cache-control": "no-store"}
_NOBODY: Final = "No device waits with this code. Check it, or begin again on the device."


async def begin(request: Request, hub: Hub) -> JSONResponse:
    """Let a device wait for a person; it shows the code and the address of the page."""
    parameters = await of_form(request)
    return answer(await run_in_threadpool(_begun, request, hub, parameters))


def _begun(request: Request, hub: Backend, parameters: Parameters) -> dict[str, object]:
    address = network_of(request)
    with hub.reading() as view:
        client = client_of(request, hub, view, parameters)
        client.require_grant(GrantType.DEVICE)
        oauth_devices.require_room(view, hub.clock.now_us(), address)
    scopes = scopes_of.parsed(parameters.get("scope"), client.described.scopes)
    resource = resources.requested(parameters.resources, hub.public_url())
    with hub.posting() as view:
        begun = oauth_devices.begin(
            view,
            hub.clock.now_us(),
            hub.randbytes,
            hub.pepper,
            client_id=client.id,
            scopes=scopes,
            resource=resource,
            address=address,
        )
    page = f"{hub.public_url()}/oauth/device"
    return {
        "device_code": begun.device_code,
        "user_code": begun.user_code,
        "verification_uri": page,
        "verification_uri_complete": f"{page}?{CODE}={begun.user_code}",
        "expires_in": DEVICE_US // SECOND_US,
        "interval": DEVICE_INTERVAL_S,
    }


def show(request: Request, hub: Hub, session: SignedIn) -> HTMLResponse:
    """Ask for the code, or show the device that waits with it."""
    values = fields(request.scope["query_string"].decode("latin-1"))
    typed = values.get(CODE, "")
    if not typed:
        return _page(request, session, state="code")
    try:
        return _shown(request, hub, session, typed)
    except HubError as error:
        return _page(request, session, error.status, state="code", problem=error.message)


async def submit(request: Request, hub: Hub, session: SignedIn) -> Response:
    """Take the decision of the person who is signed in."""
    form = await check_csrf(request, session)
    return await run_in_threadpool(_submitted, request, hub, session, dict(form))


def _shown(
    request: Request, hub: Backend, session: Session, typed: str, problem: str = ""
) -> HTMLResponse:
    waiting = _found(hub, session, typed)
    with hub.reading() as view:
        client = oauth_clients.find(view, waiting.client_id)
        grant = oauth_grants.current(view, session.user.id, waiting.client_id)
    if client is None:
        raise NotFound(_NOBODY)
    return _page(
        request,
        session,
        400 if problem else 200,
        state="waiting",
        problem=problem,
        client=client,
        code=typed,
        address=waiting.address,
        began=format_instant(waiting.created_us)[:19].replace("T", " "),
        scopes=consent.meanings(waiting.scopes),
        resource=None if waiting.resource == hub.public_url() else waiting.resource,
        days=REFRESH_US // DAY_US,
        **consent.allowance_fields(hub, waiting.scopes, grant),
    )


def _found(hub: Backend, session: Session, typed: str) -> oauth_devices.Waiting:
    """Return the device of a code; a wrong one counts against who typed it."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        oauth_devices.require_guesses(view, now, session.user.id)
        waiting = oauth_devices.find(view, now, hub.pepper, typed)
    if waiting is None:
        with hub.posting() as view:
            oauth_devices.count_guess(view, now, session.user.id)
        raise NotFound(_NOBODY)
    return waiting


def _submitted(
    request: Request, hub: Backend, session: Session, form: Mapping[str, str]
) -> Response:
    typed = form.get(CODE, "")
    try:
        if form.get("decision") not in {"allow", "deny"}:
            return _shown(request, hub, session, typed)
        allowed = form["decision"] == "allow"
        _decide(request, hub, session, typed, form, allowed=allowed)
    except HubError as error:
        return _page(request, session, error.status, state="code", problem=error.message)
    return _page(request, session, state="allowed" if allowed else "denied")


def _decide(
    request: Request,
    hub: Backend,
    session: Session,
    typed: str,
    form: Mapping[str, str],
    *,
    allowed: bool,
) -> None:
    waiting = _found(hub, session, typed)
    user = session.user
    if allowed and Scope.ADMIN.value in waiting.scopes:
        if not at_least(user.role, Role.ADMIN):
            raise Forbidden("Your role cannot grant what this device asks for.")
        if not recently(session, hub.clock.now_us()):
            path = request.scope["raw_path"].decode("latin-1")
            raise SignInNeeded(f"{path}?{CODE}={quote(typed)}", again=True)
    allowance = consent.allowance_of(form) if allowed else None
    with hub.changing(f"user:{user.id}") as change:
        client = oauth_clients.find(change.connection, waiting.client_id)
        if client is None:
            raise NotFound(_NOBODY)
        grant_id = None
        if allowed:
            grant_id = oauth_grants.allow(change, user.id, client, waiting.scopes, allowance).id
        oauth_devices.decide(
            change,
            hub.pepper,
            typed,
            grant_id=grant_id,
            authenticated_us=session.authenticated_us,
        )


def _page(request: Request, session: Session, status: int = 200, **values: object) -> HTMLResponse:
    shown = {"problem": "", "user": session.user, "csrf": csrf_field(session)}
    return renderer_of(request).page(
        request,
        "oauth_device.html",
        status=status,
        headers=_FRESH,
        person=session,
        **{**shown, **values},
    )


def device_routers() -> list[APIRouter]:
    api = APIRouter(
        prefix="/oauth",
        tags=["Identity"],
        dependencies=[open_to_all("a client says who it is, as OAuth has it")],
    )
    api.post(
        "/device_authorization", operation_id="oauthDevice", summary="Let a device wait (RFC 8628)"
    )(begin)
    pages = APIRouter(prefix="/oauth", include_in_schema=False)
    pages.get("/device")(show)
    pages.post("/device")(submit)
    return [api, pages]
