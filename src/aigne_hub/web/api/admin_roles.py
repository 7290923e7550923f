"""`/api/admin/roles`: what users may be."""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path
from pydantic import Field

from aigne_hub.domain.permissions import EVERYTHING, MEANINGS, permission_named, require_may_give
from aigne_hub.storage import roles
from aigne_hub.storage.declarations import Origin
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import MayReadUsers, MayWriteRoles
from aigne_hub.web.api.bodies import Body
from aigne_hub.web.backend import Hub

Name = Annotated[str, Path(max_length=63, description="The role's name.")]
PERMISSION_CHARS_MAX = 60

_ADMIN: list[str | Enum] = ["Administration"]


class RoleBody(Body):
    """What the role may do, each by name."""

    permissions: Annotated[
        tuple[Annotated[str, Field(max_length=PERMISSION_CHARS_MAX)], ...],
        Field(max_length=len(EVERYTHING), strict=False),
    ]


def list_roles(_: MayReadUsers, hub: Hub) -> dict[str, Any]:
    """Return every role with what it may do, and what there is to be allowed."""
    with hub.reading() as view:
        found = roles.listed(view)
    return {
        "roles": [_shown(role) for role in found],
        "permissions": [
            {"name": permission.value, "meaning": meaning}
            for permission, meaning in MEANINGS.items()
        ],
    }


def put_role(name: Name, body: RoleBody, admin: MayWriteRoles, hub: Hub) -> dict[str, Any]:
    """Make a role of one's own, or change one; users who have it follow within a second."""
    given = frozenset(map(permission_named, body.permissions))
    require_may_give(admin.rights, given)
    with hub.changing(actor(admin)) as change:
        roles.put(change, name, given, origin=Origin.API)
        return _shown(roles.find(change.connection, name))


def remove_role(name: Name, admin: MayWriteRoles, hub: Hub) -> dict[str, bool]:
    """Remove a role that nobody has."""
    with hub.changing(actor(admin)) as change:
        roles.remove(change, name)
    return {"ok": True}


def _shown(role: roles.NamedRole) -> dict[str, Any]:
    return {
        "name": role.name,
        "permissions": sorted(role.permissions),
        "origin": "built-in" if role.origin is None else role.origin.value,
    }


def admin_roles_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin/roles", tags=_ADMIN)
    router.get("", operation_id="listRoles", summary="Roles")(list_roles)
    router.put("/{name}", operation_id="setRole", summary="Make or change a role")(put_role)
    router.delete("/{name}", operation_id="removeRole", summary="Remove a role")(remove_role)
    return router
