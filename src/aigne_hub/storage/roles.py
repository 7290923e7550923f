"""Roles of the operator's own: names for sets of permissions."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.permissions import EVERYTHING, NOTHING, Permission, Permissions
from aigne_hub.domain.roles import BUILT_IN, ROLES_MAX, require_new_role
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import Effect, Origin

_ROLE: Final = schema.role.c
_USER: Final = schema.user.c
_SHOWN_MAX: Final = 80


@dataclass(frozen=True, slots=True)
class NamedRole:
    """A role and what it may do; `origin` is None for the four that every hub has."""

    name: str
    permissions: Permissions
    origin: Origin | None


def permissions_of(connection: Connection, name: str) -> Permissions:
    """Return what a role may do: nothing when there is no such role any more."""
    built_in = BUILT_IN.get(name)
    if built_in is not None:
        return built_in
    found = connection.execute(
        select(_ROLE.permissions).where(_ROLE.name == name)
    ).scalar_one_or_none()
    return NOTHING if found is None else _permissions(found)


def find(connection: Connection, name: str) -> NamedRole:
    """Return a role, built in or not. Raises InvalidRequest, for it is a value somebody chose."""
    if name in BUILT_IN:
        return NamedRole(name, BUILT_IN[name], None)
    row = _row(connection, name)
    if row is None:
        known = ", ".join(role.name for role in listed(connection))
        raise InvalidRequest(
            f"There is no role {name[:_SHOWN_MAX]!r}; there are {known}.", param="role"
        )
    return _role(row)


def listed(connection: Connection) -> list[NamedRole]:
    """Return every role: the built-in ones first, then the operator's by name."""
    rows = connection.execute(select(schema.role).order_by(_ROLE.name))
    own = [_role(row) for row in rows]
    return [*(NamedRole(name, given, None) for name, given in BUILT_IN.items()), *own]


def put(change: Changes, name: str, permissions: Iterable[Permission], *, origin: Origin) -> Effect:
    """Make a role be as given. Raises InvalidRequest, or Conflict for one of hub.yaml's."""
    given = frozenset(permissions)
    require_new_role(name, given)
    connection = change.connection
    values = {"permissions": " ".join(sorted(given)), "origin": origin}
    row = _row(connection, name)
    if row is None:
        count = connection.execute(select(func.count()).select_from(schema.role)).scalar_one()
        if count >= ROLES_MAX:
            raise Conflict(f"There are {ROLES_MAX} roles already.")
        created = {"name": name, "created_us": change.clock.now_us()}
        connection.execute(insert(schema.role).values(**created, **values))
    else:
        _require_changeable(_role(row), origin)
        if (row.permissions, row.origin) == (values["permissions"], origin):
            return Effect.UNCHANGED
        connection.execute(update(schema.role).where(_ROLE.name == name).values(**values))
    change.audit("role.put", name, {"permissions": sorted(given), "origin": origin})
    return Effect.CREATED if row is None else Effect.UPDATED


def remove(change: Changes, name: str) -> None:
    """Remove a role. Raises NotFound, or Conflict while users have it or hub.yaml declares it."""
    row = _row(change.connection, name)
    if row is None:
        what = "is built in" if name in BUILT_IN else "is not there"
        raise NotFound(f"The role {name[:_SHOWN_MAX]!r} {what}: nothing to remove.")
    _require_changeable(_role(row), Origin.API)
    holders = change.connection.execute(
        select(func.count()).select_from(schema.user).where(_USER.role == name)
    ).scalar_one()
    if holders:
        raise Conflict(f"{holders} users have the role {name!r}. Give them another one first.")
    _delete(change, name)


def remove_undeclared(change: Changes, declared: Iterable[str]) -> list[str]:
    """Remove roles that hub.yaml no longer declares; who has one may do nothing with it."""
    kept = set(declared)
    rows = change.connection.execute(select(_ROLE.name).where(_ROLE.origin == Origin.FILE))
    gone = sorted(row.name for row in rows if row.name not in kept)
    for name in gone:
        _delete(change, name)
    return gone


def _delete(change: Changes, name: str) -> None:
    change.connection.execute(delete(schema.role).where(_ROLE.name == name))
    change.audit("role.remove", name)


def _require_changeable(role: NamedRole, origin: Origin) -> None:
    if role.origin is Origin.FILE and origin is Origin.API:
        raise Conflict(f"hub.yaml declares the role {role.name!r}. Change it there.")


def _row(connection: Connection, name: str) -> Row[Any] | None:
    return connection.execute(select(schema.role).where(_ROLE.name == name)).one_or_none()


def _role(row: Row[Any]) -> NamedRole:
    return NamedRole(row.name, _permissions(row.permissions), Origin(row.origin))


def _permissions(text: str) -> Permissions:
    """Return permissions as they are kept; one that a newer hub knew gives nothing here."""
    return frozenset(map(Permission, EVERYTHING & set(text.split())))
