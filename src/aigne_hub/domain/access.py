"""Who may do what: scopes, model patterns, and the verified caller."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Final

from aigne_hub.domain.errors import Forbidden, Unauthenticated
from aigne_hub.domain.limits import Limit
from aigne_hub.domain.permissions import NOTHING, Permission, Permissions


class Role(StrEnum):
    """The roles that every hub has."""

    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


_RANK: Final[Mapping[str, int]] = MappingProxyType(
    {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.GUEST: 0}
)


def at_least(role: str, required: Role) -> bool:
    """Tell whether a role is one of the four and stands as high; a role of one's own never does."""
    return _RANK.get(role, -1) >= _RANK[required]


class Scope(StrEnum):
    INFERENCE = "inference"  # the data plane
    MODELS = "models"  # listing models and prices
    ADMIN = "admin"  # the administrative API, further bounded by the role


DEFAULT_SCOPES = frozenset({Scope.INFERENCE, Scope.MODELS})


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. It cannot be built empty, so no failure path can invent one.

    `expires_us` is Unix time in microseconds. An empty `models` means every model. `limits`
    are those of its key or grant and its user. `key_id` names an API key, or what a user lets
    an OAuth client do; then `app_is_verified`, and no header names another application.
    `permissions` are those of its user's role: what it `may` do takes the scope `admin` as well.
    """

    user_id: str
    user_did: str
    key_id: str
    app_did: str
    role: str
    scopes: frozenset[Scope]
    models: tuple[str, ...] = ()
    expires_us: int | None = None
    limits: tuple[Limit, ...] = ()
    app_is_verified: bool = False
    permissions: Permissions = NOTHING

    def __post_init__(self) -> None:
        if not (self.user_id and self.user_did and self.key_id and self.app_did):
            raise ValueError("a principal names its user, key and application")

    def require_live(self, now_us: int) -> None:
        if self.expires_us is not None and now_us >= self.expires_us:
            raise Unauthenticated("This key or token has expired. Get a new one.")

    def require_scope(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise Forbidden(f"This key or token lacks the scope {scope.value!r}.")

    @property
    def rights(self) -> Permissions:
        """What the caller may do beyond its own account: its role's rights, within its scopes."""
        return self.permissions if Scope.ADMIN in self.scopes else NOTHING

    def may(self, permission: Permission) -> bool:
        return permission in self.rights

    def require(self, permission: Permission) -> None:
        """Raise Forbidden without a permission, or without the scope it takes."""
        self.require_scope(Scope.ADMIN)
        if permission not in self.permissions:
            raise Forbidden(
                f"This needs the permission {permission.value}; your role is {self.role}."
            )

    def may_use(self, model: str) -> bool:
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)
