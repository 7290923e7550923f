"""`/api/admin/users` and their keys: who may call, made by somebody who may do no less."""

from enum import Enum
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query
from pydantic import Field

from aigne_hub.domain.access import Role, Scope
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import format_instant, parse_instant
from aigne_hub.domain.new_keys import require_may_make_key
from aigne_hub.domain.permissions import Permissions, require_may_give
from aigne_hub.domain.roles import require_may_assign
from aigne_hub.storage import keys, roles, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.allowed import (
    MayReadKeys,
    MayReadUsers,
    MayWriteKeys,
    MayWriteRoles,
    MayWriteUsers,
)
from aigne_hub.web.api.bodies import Body, InstantText
from aigne_hub.web.backend import Hub

NAME_CHARS_MAX = 255
PAGE_MAX = 10_000
SIZE_DEFAULT, SIZE_MAX = 50, 1_000

_ADMIN: list[str | Enum] = ["Administration"]
UserName = Annotated[
    str, Path(max_length=NAME_CHARS_MAX, description="A user's e-mail, DID or id.")
]
KeyId = Annotated[str, Path(max_length=NAME_CHARS_MAX, description="A key's id.")]
_Text = Annotated[str, Field(max_length=NAME_CHARS_MAX)]


class NewUser(Body):
    """A person by `email` or `did`, or a program's own account by `service`."""

    email: _Text | None = None
    did: _Text | None = None
    service: _Text | None = None
    role: _Text = Role.MEMBER.value


class RoleChange(Body):
    role: _Text


class NewKey(Body):
    """A key; without `scopes` for calls and lists of models, without `models` for all."""

    name: Annotated[str, Field(max_length=keys.NAME_MAX)] = ""
    scopes: Annotated[
        tuple[Literal["inference", "models", "admin"], ...],
        Field(max_length=len(Scope), strict=False),
    ] = ("inference", "models")
    models: Annotated[
        tuple[Annotated[str, Field(max_length=keys.PATTERN_MAX)], ...],
        Field(max_length=keys.MODELS_MAX, strict=False),
    ] = ()
    expires_at: InstantText | None = None


def list_users(
    _: MayReadUsers,
    hub: Hub,
    q: Annotated[
        str | None, Query(max_length=NAME_CHARS_MAX, description="Part of an e-mail or DID.")
    ] = None,
    page: Annotated[int, Query(ge=1, le=PAGE_MAX, description="Which page, from 1.")] = 1,
    size: Annotated[
        int, Query(alias="pageSize", ge=1, le=SIZE_MAX, description="Users a page.")
    ] = SIZE_DEFAULT,
) -> dict[str, Any]:
    """Return users, newest first; `service` names a program's own account."""
    with hub.reading() as view:
        count, found = users.page(view, did=None, search=q, offset=(page - 1) * size, limit=size)
    return {"count": count, "users": [user_shown(user) for user in found]}


def create_user(body: NewUser, admin: MayWriteUsers, hub: Hub) -> dict[str, Any]:
    """Make a user. Only an owner makes owners and admins."""
    if body.service is None and body.email is None and body.did is None:
        raise InvalidRequest("Say who it is: email, did or service.", param="email")
    if body.service is not None and body.email is not None:
        raise InvalidRequest("A service account has no e-mail.", param="email")
    with hub.changing(actor(admin)) as change:
        role = roles.find(change.connection, body.role)
        require_may_assign(admin.rights, role.name, role.permissions)
        made = users.create(
            change,
            hub.keyring,
            hub.randbytes,
            email=body.email,
            did=body.did,
            role=role.name,
            service=body.service,
        )
    return user_shown(made)


def set_role(name: UserName, body: RoleChange, admin: MayWriteRoles, hub: Hub) -> dict[str, Any]:
    """Give a user another role; its keys follow within a second."""
    with hub.changing(actor(admin)) as change:
        role = roles.find(change.connection, body.role)
        require_may_assign(admin.rights, role.name, role.permissions)
        found = users.find(change.connection, name)
        return user_shown(users.set_role(change, found, role.name))


def disable(name: UserName, admin: MayWriteUsers, hub: Hub) -> dict[str, Any]:
    """Refuse everything a user's keys ask for, and end the user's sessions."""
    with hub.changing(actor(admin)) as change:
        return user_shown(users.disable(change, _managed(change, admin.rights, name)))


def enable(name: UserName, admin: MayWriteUsers, hub: Hub) -> dict[str, Any]:
    """Let a disabled user in again."""
    with hub.changing(actor(admin)) as change:
        return user_shown(users.enable(change, _managed(change, admin.rights, name)))


def list_keys(name: UserName, _: MayReadKeys, hub: Hub) -> dict[str, Any]:
    """Return a user's keys, revoked ones included, never their text."""
    with hub.reading() as view:
        return {"keys": [key_shown(key) for key in keys.listed(view, users.find(view, name))]}


def create_key(name: UserName, body: NewKey, admin: MayWriteKeys, hub: Hub) -> dict[str, Any]:
    """Make a key for a user. It is shown here and never again."""
    scopes = frozenset(map(Scope, body.scopes))
    expires_us = None if body.expires_at is None else parse_instant(body.expires_at)
    with hub.changing(actor(admin)) as change:
        holder = users.find(change.connection, name)
        require_may_make_key(
            admin,
            roles.permissions_of(change.connection, holder.role),
            scopes=scopes,
            models=body.models,
            expires_us=expires_us,
        )
        made = keys.create(
            change,
            hub.keyring,
            hub.randbytes,
            hub.pepper,
            user=holder,
            name=body.name,
            scopes=scopes,
            models=body.models,
            expires_us=expires_us,
        )
    return {**key_shown(made.record), "key": made.text}


def revoke_key(key_id: KeyId, admin: MayWriteKeys, hub: Hub) -> dict[str, Any]:
    """Make a key useless for good."""
    with hub.changing(actor(admin)) as change:
        _managed(change, admin.rights, keys.find(change.connection, key_id).user_id)
        return key_shown(keys.revoke(change, key_id))


def _managed(change: Changes, rights: Permissions, name: str) -> User:
    """Return a user who may do no more than the caller. Raises NotFound or Forbidden."""
    found = users.find(change.connection, name)
    require_may_give(rights, roles.permissions_of(change.connection, found.role))
    return found


def user_shown(user: User) -> dict[str, Any]:
    return {
        "id": user.id,
        "did": user.did,
        "email": user.email,
        "service": user.service,
        "role": user.role,
        "disabled": user.disabled,
        "created_at": format_instant(user.created_us),
    }


def key_shown(key: keys.ApiKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "user_id": key.user_id,
        "name": key.name,
        "prefix": key.prefix,
        "scopes": sorted(scope.value for scope in key.scopes),
        "models": list(key.models),
        "created_at": format_instant(key.created_us),
        "expires_at": None if key.expires_us is None else format_instant(key.expires_us),
        "revoked_at": None if key.revoked_us is None else format_instant(key.revoked_us),
    }


def admin_users_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin", tags=_ADMIN)
    one = "/users/{name}"
    router.get("/users", operation_id="listUsers", summary="Users")(list_users)
    router.post("/users", operation_id="createUser", summary="Make a user")(create_user)
    router.put(f"{one}/role", operation_id="setUserRole", summary="Another role")(set_role)
    router.post(f"{one}/disable", operation_id="disableUser", summary="Shut out")(disable)
    router.post(f"{one}/enable", operation_id="enableUser", summary="Let in again")(enable)
    router.get(f"{one}/keys", operation_id="listUserKeys", summary="A user's keys")(list_keys)
    router.post(f"{one}/keys", operation_id="createUserKey", summary="Make a key")(create_key)
    router.post("/keys/{key_id}/revoke", operation_id="revokeUserKey", summary="Revoke a key")(
        revoke_key
    )
    return router
