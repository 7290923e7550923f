"""Endpoints about tokens: user information, introspection (RFC 7662), revocation (RFC 7009)."""

from typing import Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response

from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.access_token import AccessToken
from aigne_hub.domain.oauth.clients import Client
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.oauth.lifetimes import SECOND_US
from aigne_hub.storage import oauth_bearers, oauth_families, oauth_tokens
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.oauth.answers import FRESH, answer
from aigne_hub.web.oauth.client_auth import client_of
from aigne_hub.web.oauth.minting import ACTOR
from aigne_hub.web.oauth.parameters import Parameters, of_form

_BEARER: Final = "bearer "


def userinfo(request: Request, hub: Hub) -> JSONResponse:
    """Return who a token is about (OpenID Connect Core, 5.3)."""
    header = request.headers.get("authorization", "")
    if header[: len(_BEARER)].lower() != _BEARER:
        raise OAuthError(Refusal.INVALID_TOKEN, "an access token is needed")
    issuer = hub.public_url()
    with hub.reading() as view:
        token = oauth_bearers.access_token(
            view, hub.clock.now_us(), issuer, header[len(_BEARER) :].strip(), audience=issuer
        )
        found = None if token is None else oauth_tokens.bearer(view, token)
    if token is None or found is None or token.family_id is None:
        raise OAuthError(Refusal.INVALID_TOKEN, "the access token is not valid")
    if scopes_of.OPENID not in found.scopes:
        raise OAuthError(Refusal.INSUFFICIENT_SCOPE, "the access token lacks the scope openid")
    claims: dict[str, object] = {"sub": found.user_did}
    if scopes_of.EMAIL in found.scopes and found.email is not None:
        # Nobody sent a letter there: the operator or the user said so.
        claims |= {"email": found.email, "email_verified": False}
    if scopes_of.PROFILE in found.scopes:
        claims["role"] = found.role
        claims["preferred_username"] = found.email or found.user_did
    return answer(claims)


async def introspect(request: Request, hub: Hub) -> JSONResponse:
    """Say whether a token is live, to a client that can prove who it is."""
    parameters = await of_form(request)
    return answer(await run_in_threadpool(_introspected, request, hub, parameters))


def _introspected(request: Request, hub: Backend, parameters: Parameters) -> dict[str, object]:
    now, issuer = hub.clock.now_us(), hub.public_url()
    with hub.reading() as view:
        client = client_of(request, hub, view, parameters, public=False)
        text = parameters.require("token")
        token = oauth_bearers.access_token(view, now, issuer, text, audience=None)
        if token is not None:
            found = oauth_tokens.bearer(view, token)
            return {"active": False} if found is None else _described(token, found, issuer)
        refresh = oauth_families.presented(view, now, hub.pepper, text, client.id)
    if refresh is None or refresh.is_used or not refresh.is_live:
        return {"active": False}
    family = refresh.family
    return {
        "active": True,
        "client_id": family.client_id,
        "sub": family.user_did,
        "scope": " ".join(family.scopes),
        "iss": issuer,
    }


def _described(token: AccessToken, found: oauth_tokens.Bearer, issuer: str) -> dict[str, object]:
    return {
        "active": True,
        "token_type": "Bearer",
        "client_id": token.client_id,
        "sub": token.subject,
        "scope": " ".join(found.scopes),
        "iss": issuer,
        "aud": token.audience,
        "iat": token.issued_us // SECOND_US,
        "exp": token.expires_us // SECOND_US,
        "jti": token.token_id,
    }


async def revoke(request: Request, hub: Hub) -> Response:
    """Make a token void. A token that is none, or another client's, is answered the same."""
    parameters = await of_form(request)
    await run_in_threadpool(_revoked, request, hub, parameters)
    return Response(status_code=200, headers=FRESH)


def _revoked(request: Request, hub: Backend, parameters: Parameters) -> None:
    now, issuer = hub.clock.now_us(), hub.public_url()
    with hub.reading() as view:
        client = client_of(request, hub, view, parameters)
        text = parameters.require("token")
        token = oauth_bearers.access_token(view, now, issuer, text, audience=None)
        refresh = oauth_families.presented(view, now, hub.pepper, text, client.id)
    if refresh is not None and refresh.is_live:
        with hub.changing(_actor(client)) as change:
            oauth_families.revoke(change, refresh.family.id, "the client revoked it")
    elif token is not None and token.client_id == client.id:
        with hub.changing(_actor(client)) as change:
            oauth_tokens.revoke(change, token)


def _actor(client: Client) -> str:
    return f"{ACTOR}:{client.id}"


def bearer_router() -> APIRouter:
    router = APIRouter(
        prefix="/oauth",
        tags=["Identity"],
        dependencies=[open_to_all("the token or the client proves who asks, as OAuth has it")],
    )
    router.get("/userinfo", operation_id="oauthUserinfo", summary="Who a token is about")(userinfo)
    router.post("/userinfo", operation_id="oauthUserinfoPost", summary="Who a token is about")(
        userinfo
    )
    router.post(
        "/introspect", operation_id="oauthIntrospect", summary="Is a token live (RFC 7662)"
    )(introspect)
    router.post("/revoke", operation_id="oauthRevoke", summary="Make a token void (RFC 7009)")(
        revoke
    )
    return router
