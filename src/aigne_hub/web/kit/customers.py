"""`/customers`: the hub's users, made for a DID when a program asks for that."""

import json
from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Path, Query, Request

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import credit_grants, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import View
from aigne_hub.storage.users import User
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.api.allowed import MayReadUsers
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.currencies import CURRENCY_ID
from aigne_hub.web.kit.paging import Answer, Paging, Search

Guest = Annotated[Visitor, own_or(Permission.USERS_READ)]

BODY_BYTES_MAX = 4 * 1024
_METHOD = "did:abt:"


def customer_shown(user: User) -> dict[str, Any]:
    """Return a customer as other objects carry it. Its DID is bare, as Payment Kit's are."""
    return {
        "id": user.id,
        "object": "customer",
        "did": user.did.removeprefix(_METHOD),
        "livemode": True,
        "name": user.email or user.did.removeprefix(_METHOD),
        "email": user.email or "",
        "phone": "",
        "description": "",
        "delinquent": False,
        "metadata": {},
        "created_at": format_instant(user.created_us),
        "updated_at": format_instant(user.created_us),
    }


def customers_shown(view: View, ids: Iterable[str]) -> dict[str, dict[str, Any]]:
    """Return how customers are shown, by their ids."""
    return {user_id: customer_shown(user) for user_id, user in users.named(view, ids).items()}


def ensured(hub: Backend, change: Changes, name: str) -> User:
    """Return the customer of an id or DID, made for the DID if there is none.

    Raises NotFound when it is neither.
    """
    found = users.find_customer(change.connection, name)
    if found is not None:
        return found
    try:
        return users.create(
            change, hub.keyring, hub.randbytes, email=None, role=Role.MEMBER, did=name
        )
    except InvalidRequest:
        raise NotFound(
            f"There is no customer {name[:80]!r}, and it is no DID to make one for."
        ) from None


async def _creates(
    request: Request,
    create: Annotated[bool, Query(description="Make the customer when there is none.")] = False,
) -> bool:
    """Tell whether the customer may be made: Payment Kit's SDK asks for it in a GET's body."""
    if create:
        return True
    body = await request.body()
    if not body or len(body) > BODY_BYTES_MAX:
        return False
    try:
        asked = json.loads(body)
    except ValueError:
        return False
    return isinstance(asked, dict) and asked.get("create") is True


def get_customer(
    name: Annotated[str, Path(max_length=255, description="Id or DID of a customer.")],
    guest: Guest,
    hub: Hub,
    create: Annotated[bool, Depends(_creates)],
) -> Answer:
    """Return a customer by id or DID; an administrator may have it made for a DID."""
    with hub.reading() as view:
        if (
            not create
            or not guest.principal.may(Permission.USERS_WRITE)
            or users.find_customer(view, name) is not None
        ):
            return _shown(view, hub, guest.customer(view, name))
    with hub.changing(actor(guest.principal)) as change:
        made = ensured(hub, change, name)
    with hub.reading() as view:
        return _shown(view, hub, made)


def get_me(caller: Caller, hub: Hub) -> Answer:
    """Return the caller as a customer."""
    with hub.reading() as view:
        found = users.find(view, caller.user_id)
        return _shown(view, hub, found)


def list_customers(
    _: MayReadUsers,
    hub: Hub,
    paging: Paging,
    did: Annotated[str | None, Query(max_length=255, description="Only this DID.")] = None,
    q: Search = None,
) -> Answer:
    """Return the hub's users."""
    with hub.reading() as view:
        count, found = users.page(view, did=did, search=q, offset=paging.offset, limit=paging.size)
    return paging.answer(count, [customer_shown(user) for user in found])


def search_customers(
    admin: MayReadUsers,
    hub: Hub,
    paging: Paging,
    query: Annotated[str, Query(max_length=255, description="Part of an e-mail or DID.")] = "",
) -> Answer:
    """Return the hub's users whose e-mail or DID contains a text."""
    return list_customers(admin, hub, paging, q=query)


def _shown(view: View, hub: Backend, user: User) -> Answer:
    summary = credit_grants.summary(view, hub.clock, user.id)
    currency = CURRENCY_ID
    return {
        **customer_shown(user),
        "delinquent": summary.pending > 0,
        "balance": "0",
        "token_balance": {},
        "currency_id": currency,
        "summary": {"remaining": {currency: str(summary.remaining)}},
    }


def customers_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/customers", tags=["Payment"])
    router.get("", operation_id="listCustomers", summary="Customers")(list_customers)
    router.get("/me", operation_id="getCustomerMe", summary="The caller")(get_me)
    router.get("/search", operation_id="searchCustomers", summary="Find customers")(
        search_customers
    )
    router.get("/{name}", operation_id="getCustomer", summary="A customer")(get_customer)
    return router
