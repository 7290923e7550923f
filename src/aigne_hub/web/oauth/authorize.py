"""The authorization endpoint (RFC 6749, 3.1) and its consent page.

A request whose client or redirect URI is wrong is answered here, on a page: nobody is sent to
an address that was not registered. Every other refusal goes back to the client, with `state`
and `iss` (RFC 9207).
"""

from typing import Final
from urllib.parse import parse_qsl

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.oauth import redirects
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.oauth.lifetimes import SECOND_US
from aigne_hub.storage import oauth_codes, oauth_grants
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.oauth import consent
from aigne_hub.web.oauth.authorization import Authorization, Returnable, authorization
from aigne_hub.web.oauth.parameters import Parameters, of_query
from aigne_hub.web.rendering import renderer_of
from aigne_hub.web.security import AS_HEAD
from aigne_hub.web.session import (
    PerhapsSignedIn,
    Session,
    SignedIn,
    SignInNeeded,
    check_csrf,
    recently,
)

# A browser that has just signed in is still in the chain of redirects of that form, which its
# policy lets lead nowhere else (CSP 3, 6.4.2): a page ends the chain.
_JUST_NOW_US: Final = 60 * SECOND_US
_FRESH: Final = {"cache-control": "no-store"}
ASKED: Final = "asked"


def authorize(request: Request, hub: Hub, session: PerhapsSignedIn) -> Response:
    """Begin an authorization: ask who it is, what they allow, and go back with a code."""
    if AS_HEAD in request.scope:  # which must not make a code
        return Response(status_code=405, headers={"allow": "GET, POST"})
    try:
        parameters = of_query(request)
        asked = authorization(hub, parameters)
    except OAuthError as error:
        return _refused_here(request, error)
    if isinstance(asked, Returnable):
        return _back(request, session, hub, asked.redirect_uri, asked.answer(hub.public_url()))
    try:
        return _decided_or_asked(request, hub, session, asked)
    except OAuthError as error:
        failed = Returnable(asked.redirect_uri, asked.state, error)
        return _back(request, session, hub, asked.redirect_uri, failed.answer(hub.public_url()))


async def submit(request: Request, hub: Hub, session: SignedIn) -> Response:
    """Take the answer of the consent page."""
    form = await check_csrf(request, session)
    return await run_in_threadpool(_submitted, request, hub, session, dict(form))


def _decided_or_asked(
    request: Request, hub: Backend, session: Session | None, asked: Authorization
) -> Response:
    silent = "none" in asked.prompts
    if session is None:
        if silent:
            raise OAuthError(Refusal.LOGIN_REQUIRED, "nobody is signed in")
        raise SignInNeeded(_again(request, asked.parameters_text(keep_prompt=False)))
    now = hub.clock.now_us()
    if asked.wants_login or not asked.is_recent_enough(session.authenticated_us, now):
        if silent:
            raise OAuthError(Refusal.LOGIN_REQUIRED, "the user signed in too long ago")
        raise SignInNeeded(_again(request, asked.parameters_text(keep_prompt=False)), again=True)
    asked.require_role(session.user.role)
    with hub.reading() as view:
        grant = oauth_grants.current(view, session.user.id, asked.client.id)
    if asked.is_remembered(grant, hub.public_url()):
        assert grant is not None
        return _granted(request, hub, session, asked, grant)
    if silent:
        raise OAuthError(Refusal.CONSENT_REQUIRED, "the user has to be asked")
    if asked.needs_step_up and not recently(session, now):
        raise SignInNeeded(_again(request, asked.parameters_text(keep_prompt=True)), again=True)
    return consent.page(request, hub, session, asked, grant)


def _submitted(request: Request, hub: Backend, session: Session, form: dict[str, str]) -> Response:
    """Read the request again: what the form says of it is worth no more than an address."""
    try:
        parameters = Parameters(parse_qsl(form.get(ASKED, ""), keep_blank_values=True))
        asked = authorization(hub, parameters)
    except (OAuthError, ValueError) as error:
        refusal = error if isinstance(error, OAuthError) else _unreadable()
        return _refused_here(request, refusal)
    issuer = hub.public_url()
    if isinstance(asked, Returnable):
        return RedirectResponse(asked.answer(issuer), 303, _FRESH)
    try:
        asked.require_role(session.user.role)
        _require_allowed(form)
    except OAuthError as error:
        failed = Returnable(asked.redirect_uri, asked.state, error)
        return RedirectResponse(failed.answer(issuer), 303, _FRESH)
    if asked.needs_step_up and not recently(session, hub.clock.now_us()):
        raise SignInNeeded(_again(request, asked.parameters_text(keep_prompt=True)), again=True)
    try:
        allowance = consent.allowance_of(form)
    except InvalidRequest as error:
        with hub.reading() as view:
            grant = oauth_grants.current(view, session.user.id, asked.client.id)
        return consent.page(request, hub, session, asked, grant, problem=error.message)
    with hub.changing(f"user:{session.user.id}") as change:
        grant = oauth_grants.allow(change, session.user.id, asked.client, asked.scopes, allowance)
    return RedirectResponse(_code_answer(hub, session, asked, grant), 303, _FRESH)


def _require_allowed(form: dict[str, str]) -> None:
    if form.get("decision") != "allow":
        raise OAuthError(Refusal.ACCESS_DENIED, "the user refused")


def _granted(
    request: Request,
    hub: Backend,
    session: Session,
    asked: Authorization,
    grant: oauth_grants.Grant,
) -> Response:
    target = _code_answer(hub, session, asked, grant)
    return _back(request, session, hub, asked.redirect_uri, target)


def _code_answer(
    hub: Backend, session: Session, asked: Authorization, grant: oauth_grants.Grant
) -> str:
    with hub.posting() as view:
        code = oauth_codes.issue(
            view,
            hub.clock.now_us(),
            hub.randbytes,
            hub.pepper,
            family_id=hub.ids(),
            grant_id=grant.id,
            asked=asked.to_keep(session.authenticated_us),
        )
    answer = [("code", code), ("iss", hub.public_url())]
    if asked.state is not None:
        answer.insert(1, ("state", asked.state))
    return redirects.answered(asked.redirect_uri, answer)


def _back(
    request: Request, session: Session | None, hub: Backend, redirect_uri: str, target: str
) -> Response:
    """Send a browser back to a registered address."""
    now = hub.clock.now_us()
    if session is not None and now - session.authenticated_us < _JUST_NOW_US:
        return renderer_of(request).page(
            request,
            "oauth_back.html",
            headers=_FRESH,
            target=target,
            shown=redirects.shown(redirect_uri),
        )
    return RedirectResponse(target, 303, _FRESH)


def _refused_here(request: Request, error: OAuthError) -> HTMLResponse:
    return renderer_of(request).page(
        request, "oauth_error.html", status=400, headers=_FRESH, problem=error.description
    )


def _unreadable() -> OAuthError:
    return OAuthError(Refusal.INVALID_REQUEST, "the request cannot be read")


def _again(request: Request, query: str) -> str:
    """Return the address of a request, below whichever mount point it was asked at."""
    path: bytes = request.scope["raw_path"]
    return f"{path.decode('latin-1')}?{query}"


def authorize_router() -> APIRouter:
    router = APIRouter(prefix="/oauth", include_in_schema=False)
    asks = open_to_all("it leads to the sign-in page")
    router.get("/authorize", dependencies=[asks])(authorize)
    router.post("/authorize")(submit)
    return router
