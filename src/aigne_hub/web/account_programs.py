"""The programs that a person lets act for them, as their account page shows them."""

from typing import Any

from fastapi import Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.oauth.scopes import MEANINGS
from aigne_hub.storage import oauth_grants
from aigne_hub.storage.engine import View
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.rendering import root_of
from aigne_hub.web.session import SignedIn, check_csrf


def programs_of(view: View, user: User) -> list[dict[str, Any]]:
    """Return what the page shows of each OAuth client with a user's consent."""
    return [
        {
            "id": grant.id,
            "name": grant.client_name,
            "may": ", ".join(MEANINGS.get(scope, scope) for scope in grant.scopes),
            "spends": _allowance(grant),
            "since": format_instant(grant.created_us)[:10],
        }
        for grant in oauth_grants.listed(view, user.id)
    ]


async def revoke_program(request: Request, hub: Hub, session: SignedIn, grant_id: str) -> Response:
    """Let a program act no more: every token of it ends."""
    await check_csrf(request, session)
    await run_in_threadpool(_revoked, hub, session.user, grant_id)
    return RedirectResponse(f"{root_of(request)}account", 303, {"cache-control": "no-store"})


def _revoked(hub: Backend, user: User, grant_id: str) -> None:
    with hub.changing(f"user:{user.id}") as change:
        if all(one.id != grant_id for one in oauth_grants.listed(change.connection, user.id)):
            raise NotFound("You let no such program act for you.")
        oauth_grants.revoke(change, grant_id, user_id=user.id)


def _allowance(grant: oauth_grants.Grant) -> str:
    allowance = oauth_grants.allowance_of(grant)
    if allowance.amount is None:
        return "no limit of its own"
    return f"{format_credits(allowance.amount)} credits, {allowance.window}"
