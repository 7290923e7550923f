"""A caller's own grants and movements of credit: as Payment Kit lists them, and as a statement."""

from typing import Annotated

from fastapi import APIRouter, Query, Response

from aigne_hub.billing import statement_csv
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.instants import parse_instant
from aigne_hub.storage import account_history, credit_grants, credit_transactions
from aigne_hub.web.api.access import Caller
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.credit_grants import grants_shown
from aigne_hub.web.kit.credit_transactions import transactions_shown
from aigne_hub.web.kit.paging import Answer, End, Paging, Start

# More is for the command line, which writes as it reads.
STATEMENT_ROWS_MAX = 100_000

_Since = Annotated[str | None, Query(max_length=64, description="From when on (RFC 3339).")]
_Until = Annotated[str | None, Query(max_length=64, description="Until before when (RFC 3339).")]


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


def own_statement(caller: Caller, hub: Hub, since: _Since = None, until: _Until = None) -> Response:
    """Return the caller's statement: opening balance, every movement, closing balance.

    Without a period it also has the grants, and another hub can import it.
    """
    since_us, until_us = _instant(since, "since"), _instant(until, "until")
    with hub.reading() as view:
        count = account_history.movements(view, caller.user_id, since_us, until_us)
        if count > STATEMENT_ROWS_MAX:
            raise InvalidRequest(
                f"The period has {count:,} movements, more than {STATEMENT_ROWS_MAX:,}. "
                "Ask for a shorter one.",
                param="since",
            )
        found = account_history.statement(view, caller.user_id, since_us, until_us)
        text = "".join(statement_csv.write(found))
    return Response(
        text,
        media_type="text/csv",
        headers={"content-disposition": 'attachment; filename="statement.csv"'},
    )


def _instant(text: str | None, name: str) -> int | None:
    try:
        return None if text is None else parse_instant(text)
    except ValueError as error:
        raise InvalidRequest(f"{name}: {error}.", param=name) from None


def credit_lists_router() -> APIRouter:
    router = APIRouter(prefix="/api/user/credit", tags=["Account"])
    router.get("/grants", operation_id="listOwnGrants", summary="Own grants")(own_grants)
    router.get("/transactions", operation_id="listOwnTransactions", summary="Own credit history")(
        own_transactions
    )
    router.get(
        "/statement.csv",
        operation_id="getStatement",
        summary="Own statement",
        response_class=Response,
        response_description="The statement",
        responses={200: {"content": {"text/csv": {"schema": {"type": "string"}}}}},
    )(own_statement)
    return router
