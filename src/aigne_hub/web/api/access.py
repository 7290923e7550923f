"""Who may call a route. Every route of the API declares one of these; none is open by default."""

from typing import Annotated

from fastapi import Depends, Request

from aigne_hub.domain.access import Principal, Role, Scope, at_least
from aigne_hub.domain.errors import Forbidden
from aigne_hub.web.backend import Hub


async def authenticated(request: Request, hub: Hub) -> Principal:
    """Return the caller of an account route: any live key opens its own user's account."""
    return await hub.verify(request.headers.raw, None)


async def administrator(request: Request, hub: Hub) -> Principal:
    """Return the caller of an administrative route: an admin's key with the scope `admin`."""
    principal = await hub.verify(request.headers.raw, Scope.ADMIN)
    if not at_least(principal.role, Role.ADMIN):
        raise Forbidden("This needs the role admin or owner.")
    return principal


Caller = Annotated[Principal, Depends(authenticated)]
Admin = Annotated[Principal, Depends(administrator)]


def is_admin(principal: Principal) -> bool:
    """Tell whether a caller may see what is for administrators."""
    return Scope.ADMIN in principal.scopes and at_least(principal.role, Role.ADMIN)


def actor(principal: Principal) -> str:
    """Return how the audit log names a caller."""
    return f"key:{principal.key_id}"
