"""Orders and codes as the command line and the API write them: one shape for both."""

from typing import Any

from aigne_hub.domain.currencies import decimal_minor
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.storage.codes import Code
from aigne_hub.storage.orders import OrderRecord


def order_document(record: OrderRecord) -> dict[str, Any]:
    """Return an order. Credits and amounts are decimal strings, instants RFC 3339."""
    order = record.order
    return {
        "id": order.id,
        "reference": record.reference,
        "user": {"did": record.did, "email": record.email},
        "provider": order.provider,
        "reason": order.reason.value,
        "state": record.state.value,
        "credits": format_credits(order.credits),
        "amount": decimal_minor(order.amount, order.currency),
        "currency": order.currency,
        "returned": decimal_minor(order.returned, order.currency),
        "credits_taken": format_credits(record.taken),
        "credits_written_off": format_credits(record.written_off),
        "external_id": order.external_id,
        "payment_ref": order.payment_ref,
        "grant_id": record.grant_id,
        "failure": record.failure,
        "created_at": format_instant(record.created_us),
        "expires_at": format_instant(record.expires_us),
        "paid_at": _instant(record.paid_us),
    }


def code_document(code: Code) -> dict[str, Any]:
    """Return a code without its text, which only its maker saw."""
    return {
        "id": code.id,
        "prefix": code.prefix,
        "amount": format_credits(code.amount),
        "category": code.category.value,
        "max_redemptions": code.max_redemptions,
        "redeemed": code.redeemed,
        "created_at": format_instant(code.created_us),
        "expires_at": _instant(code.expires_us),
        "revoked_at": _instant(code.revoked_us),
    }


def _instant(instant_us: int | None) -> str | None:
    return None if instant_us is None else format_instant(instant_us)
