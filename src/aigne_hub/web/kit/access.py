"""Who may call: an administrator everything, a customer what is its own to read."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from aigne_hub.domain.access import Principal, Role, Scope, at_least
from aigne_hub.domain.errors import NotFound
from aigne_hub.storage import users
from aigne_hub.storage.engine import View
from aigne_hub.storage.users import User
from aigne_hub.web.backend import Hub


@dataclass(frozen=True, slots=True)
class Visitor:
    """A verified caller. `admin` when the key has the scope and its user the role."""

    principal: Principal
    admin: bool

    def customer(self, view: View, name: str) -> User:
        """Return the customer of this id or DID. Raises NotFound, for another's too."""
        found = users.find_customer(view, name)
        if found is None or not self.sees(found.id):
            raise NotFound(f"There is no customer {name[:80]!r}.")
        return found

    def account(self, view: View, name: str | None) -> str | None:
        """Return the account that a list is about; None, for an administrator, is all."""
        if name is not None:
            return self.customer(view, name).id
        return None if self.admin else self.principal.user_id

    def sees(self, account_id: str) -> bool:
        return self.admin or account_id == self.principal.user_id


async def visitor(request: Request, hub: Hub) -> Visitor:
    principal = await hub.verify(request.headers.raw, None)
    admin = Scope.ADMIN in principal.scopes and at_least(principal.role, Role.ADMIN)
    return Visitor(principal, admin)


Guest = Annotated[Visitor, Depends(visitor)]
