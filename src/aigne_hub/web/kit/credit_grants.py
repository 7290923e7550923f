"""`/credit-grants`: giving credit, what is left of it, and whether there is enough."""

from collections.abc import Iterable
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import parse_amount
from aigne_hub.domain.permissions import Permission
from aigne_hub.storage import credit_grants, grants
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.credit_grants import Filter, GrantRecord, GrantStatus, Stat
from aigne_hub.storage.engine import View
from aigne_hub.web.api.access import actor
from aigne_hub.web.api.account import CURRENCY
from aigne_hub.web.api.allowed import MayGrantCredits, MayReadCredits
from aigne_hub.web.api.once import OnceOnly
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.access import Visitor, own_or
from aigne_hub.web.kit.auto_recharge import recharges_now
from aigne_hub.web.kit.bodies import AmountText, KitBody, Metadata, Reference, Seconds
from aigne_hub.web.kit.currencies import CURRENCY_ID, PAYMENT_METHOD, currency, require_currency
from aigne_hub.web.kit.customers import customer_shown, customers_shown, ensured
from aigne_hub.web.kit.paging import Answer, CustomerName, Paging, Search

Guest = Annotated[Visitor, own_or(Permission.CREDITS_READ)]

_SECOND_US = 1_000_000
_DAY_US = 86_400 * _SECOND_US

GrantId = Annotated[str, Path(max_length=255, description="Id of a grant.")]
CurrencyQuery = Annotated[str | None, Query(max_length=255, description="The currency.")]


class Scope(KitBody):
    """What a grant may pay. Metered usage is all there is; single prices cannot be chosen."""

    price_type: Literal["metered"] | None = None
    prices: list[str] = Field(default_factory=list)


class Applicability(KitBody):
    scope: Scope = Scope()


class NewGrant(KitBody):
    """`customer_id` may be a DID nobody has yet. Instants are Unix seconds, 0 for none."""

    amount: AmountText
    currency_id: str | None = None
    customer_id: Reference
    category: Category = Field(default=Category.PROMOTIONAL, strict=False)
    name: str = Field(default="", max_length=grants.NAME_MAX)
    priority: int = Field(default=grants.PRIORITY_DEFAULT, ge=0, le=grants.PRIORITY_MAX)
    effective_at: Seconds | None = None
    expires_at: Seconds | None = None
    applicability_config: Applicability | None = None
    metadata: Metadata | None = None


class GrantChange(KitBody):
    """`metadata` adds to what is kept; a member that is null is forgotten."""

    metadata: Metadata | None = None
    expired: bool = False


def create_grant(body: NewGrant, admin: MayGrantCredits, hub: Hub, once: OnceOnly) -> Response:
    """Give a customer credit. What it owes, and usage that waits for credit, is taken first."""
    require_currency(body.currency_id)
    scope = body.applicability_config and body.applicability_config.scope
    if scope and scope.prices:
        raise InvalidRequest(
            "Credit of this hub pays for everything: leave out scope.prices.",
            param="applicability_config.scope.prices",
        )

    def effect(change: Changes) -> Answer:
        customer = ensured(hub, change, body.customer_id)
        record = _granted(change, body, customer.id, admin.user_did)
        return _shown(record, customer_shown(customer))

    return once.change(effect)


def list_grants(
    guest: Guest,
    hub: Hub,
    paging: Paging,
    customer_id: CustomerName = None,
    currency_id: CurrencyQuery = None,
    status: Annotated[GrantStatus | None, Query(description="Only of this status.")] = None,
    q: Search = None,
) -> Answer:
    """Return grants."""
    require_currency(currency_id)
    now = hub.clock.now_us()
    with hub.reading() as view:
        wanted = Filter(guest.account(view, customer_id), status, search=q)
        count, found = credit_grants.page(
            view, now, wanted, offset=paging.offset, limit=paging.size
        )
        return paging.answer(count, grants_shown(view, found))


def get_grant(grant_id: GrantId, guest: Guest, hub: Hub) -> Answer:
    """Return a grant."""
    with hub.reading() as view:
        record = credit_grants.find(view, hub.clock.now_us(), grant_id)
        if not guest.sees(record.account_id):
            raise NotFound(f"There is no grant {grant_id[:80]!r}.")
        return grants_shown(view, [record])[0]


def update_grant(grant_id: GrantId, body: GrantChange, admin: MayGrantCredits, hub: Hub) -> Answer:
    """Change what is kept with a grant, or take back what is left of it."""
    with hub.changing(actor(admin)) as change:
        credit_grants.find(change.connection, hub.clock.now_us(), grant_id)
        if body.expired:
            credit_grants.end(change, grant_id)
        if body.metadata is not None:
            credit_grants.note(change, grant_id, metadata=body.metadata)
            change.audit("credits.note", grant_id)
    return {"success": True}


def grant_summary(
    guest: Guest,
    hub: Hub,
    customer_id: CustomerName = None,
    currency_id: CurrencyQuery = None,
) -> Answer:
    """Return what is left of a customer's live grants, by currency."""
    require_currency(currency_id)
    with hub.reading() as view:
        customer = guest.customer(view, customer_id or guest.principal.user_id)
        found = credit_grants.summary(view, hub.clock, customer.id)
    return {
        CURRENCY_ID: {
            "paymentCurrency": currency(),
            "totalAmount": str(found.granted),
            "remainingAmount": str(found.remaining),
            "grantCount": found.grants,
        }
    }


def verify_availability(
    guest: Guest,
    hub: Hub,
    customer_id: CustomerName = None,
    currency_id: CurrencyQuery = None,
    pending_amount: Annotated[
        str, Query(pattern=r"^[0-9]{1,24}$", description="Owed already, in the smallest unit.")
    ] = "0",
) -> Answer:
    """Tell whether a customer can go on: credit is left, or will be bought automatically."""
    require_currency(currency_id)
    with hub.reading() as view:
        customer = guest.customer(view, customer_id or guest.principal.user_id)
        found = credit_grants.summary(view, hub.clock, customer.id)
        recharges = recharges_now(view, hub, customer.id)
    # A debt has lowered what is available already.
    if recharges or found.available > max(found.waiting, int(pending_amount) - found.debt):
        return {"can_continue": True}
    return {"can_continue": False, "reason": "insufficient_credit"}


def grant_holders(
    _: MayReadCredits, hub: Hub, paging: Paging, currency_id: CurrencyQuery = None
) -> Answer:
    """Return who has credit, the richest first."""
    require_currency(currency_id)
    with hub.reading() as view:
        total, found = credit_grants.holders(
            view, hub.clock.now_us(), offset=paging.offset, limit=paging.size
        )
    rows = [
        {
            "customer_id": holder.account_id,
            "balance": str(holder.remaining),
            "grantCount": holder.grants,
        }
        for holder in found
    ]
    return {
        "holders": rows,
        "currency": CURRENCY,
        "paging": {
            "page": paging.number,
            "pageSize": paging.size,
            "total": total,
            "totalPages": -(-total // paging.size),
        },
    }


def grant_stats(
    _: MayReadCredits,
    hub: Hub,
    start_date: Annotated[int, Query(ge=0, description="From this Unix second on.")],
    end_date: Annotated[int, Query(ge=0, description="Up to this Unix second.")],
    currency_id: CurrencyQuery = None,
    granted_by: Annotated[
        str | None, Query(max_length=255, description="DID of who granted.")
    ] = None,
    category: Annotated[Category | None, Query(description="Only of this category.")] = None,
    timezone_offset: Annotated[
        int, Query(ge=-840, le=840, description="Minutes from a zone's time to UTC.")
    ] = 0,
) -> Answer:
    """Return how much was granted in a period, in all and by day."""
    require_currency(currency_id)
    wanted = Filter(
        category=category,
        created_by=granted_by,
        start=start_date,
        end=end_date,
    )
    with hub.reading() as view:
        total, days = credit_grants.stats(view, hub.clock.now_us(), wanted, timezone_offset)
    return {
        "stats": {**_stat_shown(total), "currency": CURRENCY},
        "daily_stats": [
            {"date": format_instant((day.day or 0) * _DAY_US)[:10], **_stat_shown(day)}
            for day in days
        ],
    }


def _granted(change: Changes, body: NewGrant, account_id: str, granted_by: str) -> GrantRecord:
    terms = grants.Terms(
        category=body.category,
        priority=body.priority,
        effective_us=_instant(body.effective_at),
        expires_us=_instant(body.expires_at),
        name=body.name,
    )
    amount = parse_amount(body.amount)
    made = grants.grant(change.connection, change.clock, change.ids, account_id, amount, terms)
    applicability = body.applicability_config
    credit_grants.note(
        change,
        made.id,
        metadata=body.metadata,
        applicability=None if applicability is None else applicability.model_dump(),
        created_by=granted_by,
    )
    change.audit("credits.grant", account_id, {"grant": made.id, "amount": amount})
    return credit_grants.find(change.connection, change.clock.now_us(), made.id)


def _instant(seconds: int | None) -> int | None:
    return seconds * _SECOND_US if seconds else None


def _seconds(instant_us: int | None) -> int | None:
    return None if instant_us is None else instant_us // _SECOND_US


def grants_shown(view: View, records: Iterable[GrantRecord]) -> list[dict[str, Any]]:
    """Return grants as Payment Kit shows them."""
    listed = list(records)
    customers = customers_shown(view, {record.account_id for record in listed})
    return [_shown(record, customers[record.account_id]) for record in listed]


def _shown(record: GrantRecord, customer: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": record.id,
        "object": "credit_grant",
        "amount": str(record.amount),
        "remaining_amount": str(record.remaining),
        "currency_id": CURRENCY_ID,
        "customer_id": record.account_id,
        "category": record.category,
        "priority": record.priority,
        "name": record.name,
        "status": record.status,
        "effective_at": _seconds(record.effective_us),
        "expires_at": _seconds(record.expires_us),
        "voided_at": _seconds(record.voided_us),
        "applicability_config": record.applicability,
        "metadata": record.metadata,
        "livemode": True,
        "created_by": record.created_by,
        "created_via": "api",
        "created_at": format_instant(record.created_us),
        "updated_at": format_instant(record.updated_us),
        "customer": customer,
        "paymentCurrency": currency(),
        "paymentMethod": {"id": PAYMENT_METHOD, "type": PAYMENT_METHOD},
    }


def _stat_shown(stat: Stat) -> dict[str, Any]:
    return {
        "currency_id": CURRENCY_ID,
        "grant_count": stat.grants,
        "total_granted": str(stat.granted),
        "total_remaining": str(stat.remaining),
        "total_consumed": str(stat.granted - stat.remaining),
    }


def credit_grants_router() -> APIRouter:
    router = APIRouter(prefix="/payment/api/credit-grants", tags=["Payment"])
    router.post("", operation_id="createCreditGrant", summary="Give credit")(create_grant)
    router.get("", operation_id="listCreditGrants", summary="Grants")(list_grants)
    router.get("/summary", operation_id="getCreditSummary", summary="What is left")(grant_summary)
    router.get(
        "/verify-availability", operation_id="verifyCreditAvailability", summary="Is it enough?"
    )(verify_availability)
    router.get("/holders", operation_id="listCreditHolders", summary="Who has credit")(
        grant_holders
    )
    router.get("/stats", operation_id="getCreditGrantStats", summary="What was granted")(
        grant_stats
    )
    one = "/{grant_id:path}"  # that of an imported grant has slashes
    router.get(one, operation_id="getCreditGrant", summary="A grant")(get_grant)
    router.put(one, operation_id="updateCreditGrant", summary="Change or end a grant")(update_grant)
    return router
