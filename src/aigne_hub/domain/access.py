"""Who may do what: roles, scopes, model patterns, and the verified caller."""

from dataclasses import dataclass
from enum import StrEnum
from fnmatch import fnmatchcase

from aigne_hub.domain.errors import Forbidden, Unauthenticated
from aigne_hub.domain.limits import Limit


class Role(StrEnum):
    OWNER = "owner"
    ADMIN = "admin"
    MEMBER = "member"
    GUEST = "guest"


_RANK = {Role.OWNER: 3, Role.ADMIN: 2, Role.MEMBER: 1, Role.GUEST: 0}


def at_least(role: Role, required: Role) -> bool:
    return _RANK[role] >= _RANK[required]


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
    """

    user_id: str
    user_did: str
    key_id: str
    app_did: str
    role: Role
    scopes: frozenset[Scope]
    models: tuple[str, ...] = ()
    expires_us: int | None = None
    limits: tuple[Limit, ...] = ()
    app_is_verified: bool = False

    def __post_init__(self) -> None:
        if not (self.user_id and self.user_did and self.key_id and self.app_did):
            raise ValueError("a principal names its user, key and application")

    def require_live(self, now_us: int) -> None:
        if self.expires_us is not None and now_us >= self.expires_us:
            raise Unauthenticated("This key or token has expired. Get a new one.")

    def require_scope(self, scope: Scope) -> None:
        if scope not in self.scopes:
            raise Forbidden(f"This key or token lacks the scope {scope.value!r}.")

    def may_use(self, model: str) -> bool:
        return not self.models or any(fnmatchcase(model, pattern) for pattern in self.models)
