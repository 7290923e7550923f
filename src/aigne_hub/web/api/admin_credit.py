"""`/api/admin/grants` and `/api/admin/calls`: giving credit, and taking back what was wrong."""

from enum import Enum
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import Field

from aigne_hub.domain.instants import format_instant, parse_instant
from aigne_hub.domain.lots import Category
from aigne_hub.domain.money import format_credits, parse_credits
from aigne_hub.storage import credit_grants, grants, refunds, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.credit_grants import GrantRecord, GrantStatus
from aigne_hub.web.api.allowed import MayCorrectCredits, MayGrantCredits, MayReadCredits
from aigne_hub.web.api.bodies import Body, CreditsText, InstantText
from aigne_hub.web.api.once import OnceOnly
from aigne_hub.web.backend import Hub
from aigne_hub.web.kit.paging import Answer, End, Paging, Start

_TAGS: list[str | Enum] = ["Administration"]

GrantId = Annotated[str, Path(max_length=255, description="Id of a grant.")]
CallId = Annotated[str, Path(max_length=255, description="Id of a call.")]


class GrantBody(Body):
    """Credit for a user, given by e-mail, DID or id. `amount` is decimal credits."""

    user: Annotated[str, Field(max_length=users.EMAIL_MAX)]
    amount: CreditsText
    category: Annotated[Category, Field(strict=False)] = Category.PAID
    priority: Annotated[int, Field(ge=0, le=grants.PRIORITY_MAX)] = grants.PRIORITY_DEFAULT
    effective_at: InstantText | None = None
    expires_at: InstantText | None = None
    name: Annotated[str, Field(max_length=grants.NAME_MAX)] = ""


class CorrectionBody(Body):
    """How many credits; all there is to take back by default."""

    amount: CreditsText | None = None


_ALL = CorrectionBody()


def give(body: GrantBody, _: MayGrantCredits, once: OnceOnly) -> Response:
    """Give a user credit. A debt is repaid from it first."""
    amount = parse_credits(body.amount)
    terms = grants.Terms(
        category=body.category,
        priority=body.priority,
        effective_us=_instant(body.effective_at),
        expires_us=_instant(body.expires_at),
        name=body.name,
    )

    def effect(change: Changes) -> Answer:
        holder = users.find(change.connection, body.user)
        made = grants.grant(change.connection, change.clock, change.ids, holder.id, amount, terms)
        detail = {"grant": made.id, "amount": amount, "category": body.category.value}
        change.audit("credits.grant", holder.id, detail)
        return {
            "grant_id": made.id,
            "amount": format_credits(made.amount),
            "remaining": format_credits(made.remaining),
            "balance": format_credits(made.balance),
        }

    return once.change(effect)


def list_grants(
    _: MayReadCredits,
    hub: Hub,
    paging: Paging,
    user: Annotated[str | None, Query(description="Only those of a user.")] = None,
    status: Annotated[GrantStatus | None, Query(description="Only of this status.")] = None,
    start: Start = None,
    end: End = None,
) -> Answer:
    """Return grants, newest first. Amounts are decimal credits."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        holder = None if user is None else users.find(view, user).id
        wanted = credit_grants.Filter(holder, status, start=start, end=end)
        count, found = credit_grants.page(
            view, now, wanted, offset=paging.offset, limit=paging.size
        )
    return paging.answer(count, [_shown(record) for record in found])


def refund_call(
    call_id: CallId, _: MayCorrectCredits, once: OnceOnly, body: CorrectionBody = _ALL
) -> Response:
    """Give back what a call was charged, to the grants it came from."""
    amount = None if body.amount is None else parse_credits(body.amount)
    return once.change(lambda change: refunds.document(refunds.refund(change, call_id, amount)))


def revoke_grant(
    grant_id: GrantId, _: MayCorrectCredits, once: OnceOnly, body: CorrectionBody = _ALL
) -> Response:
    """Take a grant back. What was spent of it is owed, down to the overdraft limit."""
    amount = None if body.amount is None else parse_credits(body.amount)
    return once.change(lambda change: refunds.document(refunds.revoke(change, grant_id, amount)))


def _shown(record: GrantRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "user_id": record.account_id,
        "amount": format_credits(record.amount),
        "remaining": format_credits(record.remaining),
        "category": record.category,
        "priority": record.priority,
        "name": record.name,
        "status": record.status,
        "created_at": format_instant(record.created_us),
        "effective_at": _text(record.effective_us),
        "expires_at": _text(record.expires_us),
    }


def _instant(text: str | None) -> int | None:
    return None if text is None else parse_instant(text)


def _text(instant_us: int | None) -> str | None:
    return None if instant_us is None else format_instant(instant_us)


def admin_credit_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin", tags=_TAGS)
    router.get("/grants", operation_id="listAllGrants", summary="Grants")(list_grants)
    router.post("/grants", operation_id="grantCredit", summary="Give credit")(give)
    router.post(
        "/grants/{grant_id:path}/revoke", operation_id="revokeGrant", summary="Take a grant back"
    )(revoke_grant)
    router.post("/calls/{call_id}/refund", operation_id="refundCall", summary="Refund a call")(
        refund_call
    )
    return router
