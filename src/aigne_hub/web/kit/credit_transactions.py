"""`/credit-transactions`: every movement of a customer's credit."""

from collections.abc import Iterable
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query

from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import credit_grants, credit_transactions, meters
from aigne_hub.storage.credit_transactions import CreditTransaction, Filter
from aigne_hub.storage.engine import View
from aigne_hub.storage.meters import OWN_EVENT_NAME
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.currencies import CURRENCY_ID, currency, require_currency
from aigne_hub.web.kit.customers import customers_shown
from aigne_hub.web.kit.meters import meter_shown
from aigne_hub.web.kit.paging import Answer, CustomerName, End, Paging, Start

Guest = Annotated[Visitor, own_or(Permission.CREDITS_READ)]

MeterQuery = Annotated[
    str | None, Query(max_length=255, description="Only what this meter consumed.")
]


def list_transactions(
    guest: Guest,
    hub: Hub,
    paging: Paging,
    customer_id: CustomerName = None,
    credit_grant_id: Annotated[
        str | None, Query(max_length=255, description="Only of this grant.")
    ] = None,
    meter_id: MeterQuery = None,
    source: Annotated[
        str | None, Query(max_length=255, description="Only of this meter event.")
    ] = None,
    start: Start = None,
    end: End = None,
) -> Answer:
    """Return grants, consumption, expiries and adjustments."""
    with hub.reading() as view:
        wanted = _filter(view, guest, customer_id, meter_id, start, end, credit_grant_id, source)
        count, found = credit_transactions.page(
            view, wanted, offset=paging.offset, limit=paging.size
        )
        return paging.answer(count, transactions_shown(view, found))


def transaction_summary(
    guest: Guest,
    hub: Hub,
    customer_id: CustomerName = None,
    meter_id: MeterQuery = None,
    currency_id: Annotated[str | None, Query(max_length=255, description="The currency.")] = None,
    start: Start = None,
    end: End = None,
) -> Answer:
    """Return how much credit was consumed; what was refunded is not."""
    require_currency(currency_id)
    with hub.reading() as view:
        wanted = _filter(view, guest, customer_id, meter_id, start, end)
        count, amount = credit_transactions.consumed(view, wanted)
    return {
        "total_quantity": str(amount),
        "total_credit_amount": str(amount),
        "transaction_count": count,
        "filters": {
            "customer_id": wanted.account_id,
            "meter_id": wanted.meter_id,
            "currency_id": CURRENCY_ID,
            "start_time": None if start is None else format_instant(start * 1_000_000),
            "end_time": None if end is None else format_instant(end * 1_000_000),
        },
    }


def get_transaction(
    transaction_id: Annotated[str, Path(max_length=1_000, description="Id of a movement.")],
    guest: Guest,
    hub: Hub,
) -> Answer:
    """Return one movement."""
    with hub.reading() as view:
        found = credit_transactions.find(view, transaction_id)
        if not guest.sees(found.account_id):
            raise NotFound(f"There is no credit transaction {transaction_id[:80]!r}.")
        return transactions_shown(view, [found])[0]


def _filter(
    view: View,
    guest: Visitor,
    customer: str | None,
    meter: str | None,
    start: int | None,
    end: int | None,
    grant_id: str | None = None,
    event_id: str | None = None,
) -> Filter:
    found = None if meter is None else meters.find(view, meter)
    return Filter(
        account_id=guest.account(view, customer),
        grant_id=grant_id,
        meter_id=None if found is None else found.id,
        calls=found is not None and found.event_name == OWN_EVENT_NAME,
        event_id=event_id,
        start=start,
        end=end,
    )


def transactions_shown(
    view: View, transactions: Iterable[CreditTransaction]
) -> list[dict[str, Any]]:
    """Return movements as Payment Kit shows them."""
    listed = list(transactions)
    known = meters.by_id(view)
    own = next((meter for meter in known.values() if meter.event_name == OWN_EVENT_NAME), None)
    customers = customers_shown(view, {one.account_id for one in listed})
    names = credit_grants.named(view, {one.grant_id for one in listed if one.grant_id is not None})
    shown = []
    for one in listed:
        meter = known[one.meter_id] if one.meter_id else own if one.call_id else None
        grant = None
        if one.grant_id is not None:
            grant = {
                "id": one.grant_id,
                "name": names.get(one.grant_id, ""),
                "paymentCurrency": currency(),
            }
        shown.append(
            {
                **_movement(one),
                "meter_id": None if meter is None else meter.id,
                "meter_event_name": "" if meter is None else meter.event_name,
                "meter_unit": "" if meter is None else meter.unit,
                "customer": customers[one.account_id],
                "paymentCurrency": currency(),
                "creditGrant": grant,
                "meter": None if meter is None else meter_shown(meter),
            }
        )
    return shown


def _movement(one: CreditTransaction) -> dict[str, Any]:
    return {
        "id": one.id,
        "object": "credit_transaction",
        "type": one.type,
        "amount": str(one.amount),
        "quantity": str(one.amount),
        "credit_amount": str(one.amount),
        "change": str(one.change),
        "running_balance": str(one.balance),
        "remaining_balance": str(one.balance),
        "customer_id": one.account_id,
        "credit_grant_id": one.grant_id,
        "subscription_id": None,
        "meter_event_id": one.event_id,
        "source": one.event_id,
        "description": one.type,
        "livemode": True,
        "metadata": {},
        "created_at": format_instant(one.created_us),
        "updated_at": format_instant(one.created_us),
    }


def credit_transactions_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/credit-transactions", tags=["Payment"])
    router.get("", operation_id="listCreditTransactions", summary="Movements of credit")(
        list_transactions
    )
    router.get("/summary", operation_id="getCreditTransactionSummary", summary="Credit consumed")(
        transaction_summary
    )
    router.get("/{transaction_id}", operation_id="getCreditTransaction", summary="A movement")(
        get_transaction
    )
    return router
