"""Who may call: somebody with the permission everything, a customer what is its own to read."""

from dataclasses import dataclass
from typing import Any

from fastapi import Depends, Request

from aigne_hub.domain.access import Principal
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import users
from aigne_hub.storage.engine import View
from aigne_hub.storage.users import User
from aigne_hub.web.api.access import require_own_doing
from aigne_hub.web.backend import Hub
from aigne_hub.web.declared import Access, Asks, Declares


@dataclass(frozen=True, slots=True)
class Visitor:
    """A verified caller. `sees_all` when it may read this kind of object of everybody."""

    principal: Principal
    sees_all: bool

    def customer(self, view: View, name: str) -> User:
        """Return the customer of this id or DID. Raises NotFound, for another's too."""
        found = users.find_customer(view, name)
        if found is None or not self.sees(found.id):
            raise NotFound(f"There is no customer {name[:80]!r}.")
        return found

    def account(self, view: View, name: str | None) -> str | None:
        """Return the account that a list is about; None, for who sees all, is all."""
        if name is not None:
            return self.customer(view, name).id
        return None if self.sees_all else self.principal.user_id

    def sees(self, account_id: str) -> bool:
        return self.sees_all or account_id == self.principal.user_id


@dataclass(frozen=True, slots=True)
class OwnOr(Declares):
    """Lets any live key in to its own user's objects, and to everybody's with a permission."""

    permission: Permission

    @property
    def access(self) -> Access:
        return Access(Asks.KEY, self.permission)

    async def __call__(self, request: Request, hub: Hub) -> Visitor:
        principal = await hub.verify(request.headers.raw, None)
        sees_all = principal.may(self.permission)
        if not sees_all:
            require_own_doing(principal, request)
        return Visitor(principal, sees_all)


def own_or(permission: Permission) -> Any:
    """Return the dependency of a route that shows one's own, or everybody's: a Visitor."""
    return Depends(OwnOr(permission))
