"""What the caller lets OAuth clients do (`/api/user/grants`): shown, capped, taken back."""

from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import parse_credits
from aigne_hub.domain.windows import Window
from aigne_hub.storage import limits, oauth_grants
from aigne_hub.storage.engine import View
from aigne_hub.web.api.access import Caller, Proven, actor
from aigne_hub.web.api.bodies import Body, CreditsText
from aigne_hub.web.backend import Hub

GrantId = Annotated[str, Path(max_length=80, description="Id of the grant.")]


class NewAllowance(Body):
    """How much a client may spend: decimal credits in each window, null for no limit."""

    credit_limit: CreditsText | None
    window: Annotated[Window, Field(strict=False)] = Window.MONTH


def list_grants(caller: Caller, hub: Hub) -> dict[str, Any]:
    """Return the clients that act for the caller's user, with what they spent."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        found = oauth_grants.listed(view, caller.user_id)
        return {"grants": [document(view, grant, now) for grant in found]}


def set_allowance(
    caller: Proven, hub: Hub, grant_id: GrantId, body: NewAllowance
) -> dict[str, Any]:
    """Let a client spend another amount from now on."""
    amount = None if body.credit_limit is None else parse_credits(body.credit_limit)
    allowance = oauth_grants.Allowance(amount, body.window)
    with hub.changing(actor(caller)) as change:
        grant = oauth_grants.set_allowance(change, grant_id, allowance, user_id=caller.user_id)
        return document(change.connection, grant, change.clock.now_us())


def revoke_grant(caller: Caller, hub: Hub, grant_id: GrantId) -> dict[str, bool]:
    """Take back what a client may do; every token of it ends."""
    with hub.changing(actor(caller)) as change:
        oauth_grants.revoke(change, grant_id, user_id=caller.user_id)
    return {"ok": True}


def document(view: View, grant: oauth_grants.Grant, now_us: int) -> dict[str, Any]:
    """Return a grant as its user is shown it."""
    return {
        "id": grant.id,
        "client_id": grant.client_id,
        "client_name": grant.client_name,
        "scopes": list(grant.scopes),
        "limits": [usage.document(now_us) for usage in limits.used(view, grant.limits, now_us)],
        "created_at": format_instant(grant.created_us),
        "updated_at": format_instant(grant.updated_us),
    }


def grants_router() -> APIRouter:
    router = APIRouter(prefix="/api/user/grants", tags=["Account"])
    router.get("", operation_id="listGrants", summary="Clients that act for me")(list_grants)
    router.put("/{grant_id}", operation_id="setAllowance", summary="What a client may spend")(
        set_allowance
    )
    router.delete("/{grant_id}", operation_id="revokeClient", summary="Let a client act no more")(
        revoke_grant
    )
    return router
