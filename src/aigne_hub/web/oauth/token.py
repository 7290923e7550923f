"""The token endpoint (RFC 6749, 3.2): codes, refresh tokens, devices and clients' own secrets.

What is used once is used up by one UPDATE in a transaction of its own; whoever comes second
finds it used. Reuse ends what it led to, but only when the client that the code or token was
made for reuses it.
"""

from collections.abc import Callable, Mapping

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from aigne_hub.domain.oauth import pkce, resources
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.clients import Client, GrantType
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.storage import (
    oauth_codes,
    oauth_devices,
    oauth_families,
    oauth_grants,
    users,
)
from aigne_hub.storage.engine import View
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.oauth.answers import answer
from aigne_hub.web.oauth.client_auth import client_of
from aigne_hub.web.oauth.minting import ACTOR, Issued, token_answer, with_user
from aigne_hub.web.oauth.parameters import Parameters, of_form

Answer = dict[str, object]


async def token(request: Request, hub: Hub) -> JSONResponse:
    """Give tokens for what the client presents."""
    parameters = await of_form(request)
    return answer(await run_in_threadpool(_token, request, hub, parameters))


def _token(request: Request, hub: Backend, parameters: Parameters) -> Answer:
    with hub.reading() as view:
        client = client_of(request, hub, view, parameters)
    asked = parameters.require("grant_type")
    try:
        grant = GrantType(asked)
    except ValueError:
        raise OAuthError(Refusal.UNSUPPORTED_GRANT_TYPE, "this grant_type is not served") from None
    client.require_grant(grant)
    return _GRANTS[grant](hub, client, parameters)


def _by_code(hub: Backend, client: Client, parameters: Parameters) -> Answer:
    text = parameters.require("code")
    redirect_uri = parameters.require("redirect_uri")
    verifier = pkce.require_verifier(parameters.get("code_verifier"))
    with hub.reading() as view:
        code = oauth_codes.find(view, hub.clock.now_us(), hub.pepper, text, client.id)
    if (
        code is None
        or code.asked.redirect_uri != redirect_uri
        or not pkce.proves(verifier, code.asked.challenge)
    ):
        raise _invalid("code")
    if code.is_used:
        raise _reused(hub, code.family_id, "an authorization code was used twice", "code")
    if not code.is_live:
        raise _invalid("code")
    asked = code.asked
    _require_resource(hub, parameters, asked.resource)
    refresh = None
    with hub.posting() as view:
        now = hub.clock.now_us()
        is_first = oauth_codes.use(view, now, code)
        if is_first:
            oauth_families.begin(
                view,
                now,
                code.family_id,
                grant_id=code.grant_id,
                scopes=asked.scopes,
                resource=asked.resource,
                authenticated_us=asked.authenticated_us,
            )
            refresh = _refresh_token(hub, view, client, code.family_id)
    if not is_first:
        raise _reused(hub, code.family_id, "an authorization code was used twice", "code")
    issued = Issued(
        subject=code.user_did,
        client_id=client.id,
        scopes=asked.scopes,
        resource=asked.resource,
        grant_id=code.grant_id,
        family_id=code.family_id,
        authenticated_us=asked.authenticated_us,
        nonce=asked.nonce,
    )
    return _answered(hub, client, issued, refresh)


def _by_refresh(hub: Backend, client: Client, parameters: Parameters) -> Answer:
    text = parameters.require("refresh_token")
    with hub.reading() as view:
        found = oauth_families.presented(view, hub.clock.now_us(), hub.pepper, text, client.id)
    if found is None or not found.is_live:
        raise _invalid("refresh_token")
    family = found.family
    if found.is_used:
        raise _reused(hub, family.id, "a refresh token was used twice", "refresh_token")
    # Asked before the token is used up: a mistake in a request must not cost a session.
    scopes = scopes_of.narrowed(parameters.get("scope"), family.scopes)
    _require_resource(hub, parameters, family.resource)
    refresh = None
    with hub.posting() as view:
        now = hub.clock.now_us()
        is_first = oauth_families.use(view, now, found)
        if is_first:
            refresh = oauth_families.issue(view, now, hub.randbytes, hub.pepper, family.id)
    if not is_first:
        raise _reused(hub, family.id, "a refresh token was used twice", "refresh_token")
    issued = Issued(
        subject=family.user_did,
        client_id=client.id,
        scopes=scopes,
        resource=family.resource,
        grant_id=family.grant_id,
        family_id=family.id,
        authenticated_us=family.authenticated_us,
    )
    return _answered(hub, client, issued, refresh)


def _by_client(hub: Backend, client: Client, parameters: Parameters) -> Answer:
    scopes = with_user(scopes_of.parsed(parameters.get("scope"), client.described.scopes))
    resource = resources.requested(parameters.resources, hub.public_url())
    grant = None
    with hub.reading() as view:
        if client.user_id is not None and not users.find(view, client.user_id).disabled:
            grant = oauth_grants.current(view, client.user_id, client.id)
    if grant is None:
        raise OAuthError(Refusal.UNAUTHORIZED_CLIENT, "this client acts for nobody")
    issued = Issued(
        subject=client.id,
        client_id=client.id,
        scopes=scopes,
        resource=resource,
        grant_id=grant.id,
    )
    return _answered(hub, client, issued, None)


def _by_device(hub: Backend, client: Client, parameters: Parameters) -> Answer:
    text = parameters.require("device_code")
    refresh = None
    family_id = hub.ids()
    with hub.posting() as view:
        now = hub.clock.now_us()
        found = oauth_devices.poll(view, now, hub.pepper, text, client.id)
        if isinstance(found, oauth_devices.Approved):
            oauth_families.begin(
                view,
                now,
                family_id,
                grant_id=found.grant_id,
                scopes=found.scopes,
                resource=found.resource,
                authenticated_us=found.authenticated_us,
            )
            refresh = _refresh_token(hub, view, client, family_id)
    if isinstance(found, OAuthError):
        raise found
    _require_resource(hub, parameters, found.resource)
    issued = Issued(
        subject=found.user_did,
        client_id=client.id,
        scopes=found.scopes,
        resource=found.resource,
        grant_id=found.grant_id,
        family_id=family_id,
        authenticated_us=found.authenticated_us,
    )
    return _answered(hub, client, issued, refresh)


_GRANTS: Mapping[GrantType, Callable[[Backend, Client, Parameters], Answer]] = {
    GrantType.CODE: _by_code,
    GrantType.REFRESH: _by_refresh,
    GrantType.CLIENT: _by_client,
    GrantType.DEVICE: _by_device,
}


def _answered(hub: Backend, client: Client, issued: Issued, refresh: str | None) -> Answer:
    algorithm = client.described.id_token_algorithm
    return token_answer(hub, issued, id_token_algorithm=algorithm, refresh=refresh)


def _refresh_token(hub: Backend, view: View, client: Client, family_id: str) -> str | None:
    if GrantType.REFRESH not in client.described.grants:
        return None
    return oauth_families.issue(view, hub.clock.now_us(), hub.randbytes, hub.pepper, family_id)


def _require_resource(hub: Backend, parameters: Parameters, granted: str) -> None:
    """Raise OAuthError for a resource that was not authorized (RFC 8707, 2.2)."""
    if parameters.resources and granted != resources.requested(
        parameters.resources, hub.public_url()
    ):
        raise OAuthError(Refusal.INVALID_TARGET, "this resource was not authorized")


def _reused(hub: Backend, family_id: str, reason: str, name: str) -> OAuthError:
    with hub.changing(ACTOR) as change:
        oauth_families.revoke(change, family_id, reason)
    return _invalid(name)


def _invalid(name: str) -> OAuthError:
    return OAuthError(Refusal.INVALID_GRANT, f"{name} is not valid, has expired or was used")


def token_router() -> APIRouter:
    router = APIRouter(
        prefix="/oauth",
        tags=["Identity"],
        dependencies=[open_to_all("a client proves who it is, as OAuth has it")],
    )
    router.post("/token", operation_id="oauthToken", summary="Get tokens")(token)
    return router
