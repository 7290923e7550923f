"""Roles: the four that every hub has, and what an operator may call a role of its own.

The owner alone makes owners, admins and roles.
"""

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import Forbidden, InvalidRequest
from aigne_hub.domain.permissions import (
    EVERYTHING,
    NOTHING,
    OWNERS_ONLY,
    Permission,
    Permissions,
    require_may_give,
)

ROLES_MAX: Final = 100
ROLE_NAME: Final = r"^[a-z][a-z0-9_-]{0,62}$"
ROLE_NAME_MEANING: Final = "must be 1 to 63 of a-z, 0-9, - and _, starting with a letter"

_ROLE_NAME: Final = re.compile(ROLE_NAME)

BUILT_IN: Final[Mapping[str, Permissions]] = MappingProxyType(
    {
        Role.OWNER: EVERYTHING,
        Role.ADMIN: EVERYTHING - OWNERS_ONLY,
        Role.MEMBER: NOTHING,
        Role.GUEST: NOTHING,
    }
)


def role_named(name: str) -> str:
    """Return a role's name, as a Role where it is built in."""
    return Role(name) if name in BUILT_IN else name


def require_new_role(name: str, permissions: Permissions) -> None:
    """Raise InvalidRequest for what cannot be a role of one's own."""
    if not _ROLE_NAME.fullmatch(name):
        raise InvalidRequest(f"A role's name {ROLE_NAME_MEANING}.", param="role")
    if name in BUILT_IN:
        raise InvalidRequest(f"The role {name!r} is built in and stays as it is.", param="role")
    kept_back = sorted(permissions & OWNERS_ONLY)
    if kept_back:
        raise InvalidRequest(f"Only owners have {', '.join(kept_back)}.", param="permissions")


def require_may_assign(giver: Permissions, role: str, given: Permissions) -> None:
    """Raise Forbidden when a user may not be made with a role; only owners make administrators."""
    if role in {Role.OWNER, Role.ADMIN} and Permission.ROLES_WRITE not in giver:
        raise Forbidden(f"Only an owner makes a user {role}.")
    require_may_give(giver, given)
