"""A caller's own grants and movements of credit, as Payment Kit lists them."""

from fastapi import APIRouter

from aigne_hub.storage import credit_grants, credit_transactions
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.credit_grants import grants_shown
from aigne_hub.web.kit.credit_transactions import transactions_shown
from aigne_hub.web.kit.paging import Answer, End, Paging, Start


def own_grants(
    caller: Caller, hub: Hub, paging: Paging, start: Start = None, end: End = None
) -> Answer:
    """Return the caller's grants, newest first."""
    wanted = credit_grants.Filter(caller.user_id, start=start, end=end)
    now = hub.clock.now_us()
    with hub.reading() as view:
        count, found = credit_grants.page(
            view, now, wanted, offset=paging.offset, limit=paging.size
        )
        return paging.answer(count, grants_shown(view, found))


def own_transactions(
    caller: Caller, hub: Hub, paging: Paging, start: Start = None, end: End = None
) -> Answer:
    """Return what came to the caller's credit and what went, newest first."""
    wanted = credit_transactions.Filter(caller.user_id, start=start, end=end)
    with hub.reading() as view:
        count, found = credit_transactions.page(
            view, wanted, offset=paging.offset, limit=paging.size
        )
        return paging.answer(count, transactions_shown(view, found))


def credit_lists_router() -> APIRouter:
    router = APIRouter(prefix="/api/user/credit", tags=["Account"])
    router.get("/grants", operation_id="listOwnGrants", summary="Own grants")(own_grants)
    router.get("/transactions", operation_id="listOwnTransactions", summary="Own credit history")(
        own_transactions
    )
    return router
