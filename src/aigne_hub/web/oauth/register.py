"""Dynamic registration (RFC 7591): public clients by themselves, others with an admin's key."""

import json
from typing import Any, Final

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import HubError
from aigne_hub.domain.oauth.clients import Client, GrantType, described, metadata
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import oauth_clients, oauth_grants, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User
from aigne_hub.web.api.access import actor
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.network import network_of
from aigne_hub.web.oauth.answers import answer
from aigne_hub.web.oauth.parameters import limited

_ACTOR: Final = "oauth:registration"


async def register(request: Request, hub: Hub) -> JSONResponse:
    """Make a client of what it says of itself."""
    admin = await _administrator(request, hub)
    if admin is None and hub.oauth_registration != "open":
        raise OAuthError(Refusal.INVALID_TOKEN, "registration takes an administrator's key")
    document = _document(await limited(request))
    return answer(await run_in_threadpool(_registered, request, hub, document, admin), 201)


async def _administrator(request: Request, hub: Backend) -> Principal | None:
    if "authorization" not in request.headers:
        return None
    try:
        principal = await hub.verify(request.headers.raw, None)
    except HubError:
        principal = None
    if principal is None or not principal.may(Permission.APPS_WRITE):
        raise OAuthError(Refusal.INVALID_TOKEN, "this is no key of an administrator")
    return principal


def _registered(
    request: Request, hub: Backend, document: dict[str, Any], admin: Principal | None
) -> dict[str, object]:
    about = described(document, trusted=admin is not None)
    address = None if admin is not None else network_of(request)
    if address is not None:
        # Strangers who are refused must not keep the journal from writing.
        with hub.reading() as view:
            oauth_clients.require_room(view, hub.clock.now_us(), address)
    with hub.changing(_ACTOR if admin is None else actor(admin)) as change:
        user = None if admin is None else users.find(change.connection, admin.user_id)
        made = oauth_clients.create(
            change, hub.keyring, hub.randbytes, hub.pepper, about, user=user, address=address
        )
        if user is not None:
            let_act(change, made.client, user)
    answered = metadata(made.client)
    if made.secret is not None:
        answered |= {"client_secret": made.secret, "client_secret_expires_at": 0}
    return answered


def let_act(change: Changes, client: Client, user: User) -> None:
    """Let a client of an administrator act for that user, if it has a grant for it."""
    if GrantType.CLIENT in client.described.grants:
        oauth_grants.allow(change, user.id, client, client.described.scopes, None)


def _document(body: bytes) -> dict[str, Any]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        document = None
    if not isinstance(document, dict):
        raise OAuthError(Refusal.INVALID_CLIENT_METADATA, "the body must be a JSON object")
    return document


def register_router() -> APIRouter:
    router = APIRouter(
        prefix="/oauth",
        tags=["Identity"],
        dependencies=[open_to_all("oauth.registration says who may; a key is optional")],
    )
    router.post(
        "/register",
        operation_id="oauthRegister",
        summary="Make a client (RFC 7591)",
        status_code=201,
    )(register)
    return router
