"""What happens to payments, told to webhooks: in the commit that does it, once each."""

import json
from typing import Any

from sqlalchemy import insert

from aigne_hub.domain.currencies import decimal_minor
from aigne_hub.domain.events import EventType, event_id
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.orders import Order, OrderState, Reason
from aigne_hub.domain.recharge import Rule
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.orders import OrderRecord


def paid(change: Changes, record: OrderRecord) -> None:
    """Tell that an order became credit; an automatic top-up is told as such as well."""
    order = record.order
    _tell(change, EventType.PAYMENT_PAID, order, order.id, _shown(record))
    if order.reason is Reason.AUTO_RECHARGE:
        _tell(change, EventType.AUTO_RECHARGE_SUCCEEDED, order, order.id, _shown(record))


def moved(change: Changes, before: OrderRecord, after: OrderRecord) -> None:
    """Tell that returns changed what an order is worth: credit was taken back, or given back."""
    if after.postings == before.postings:
        return
    lost = after.taken + after.written_off - before.taken - before.written_off
    kind = EventType.PAYMENT_RESTORED
    if lost > 0:
        disputed = after.order.state is OrderState.DISPUTED
        kind = EventType.PAYMENT_DISPUTED if disputed else EventType.PAYMENT_REFUNDED
    told = {**_shown(after), "change": format_credits(-lost)}
    _tell(change, kind, after.order, f"{after.order.id}/{after.postings}", told)


def declined(change: Changes, record: OrderRecord, reason: str, rule: Rule | None) -> None:
    """Tell that an automatic top-up failed, and whether the hub gave up. `rule` is as it is now."""
    order = record.order
    retry_us = rule.retry_us if rule is not None else None
    told = {
        **_shown(record),
        "failure": reason,
        "failures": rule.failures if rule is not None else 1,
        "retry_at": format_instant(retry_us) if retry_us is not None else None,
    }
    _tell(change, EventType.AUTO_RECHARGE_FAILED, order, order.id, told)
    if rule is not None and not rule.enabled:
        why = {"reason": reason, "failures": rule.failures, "order_id": order.id}
        _tell(change, EventType.AUTO_RECHARGE_DISABLED, order, order.id, why)


def _shown(record: OrderRecord) -> dict[str, Any]:
    """Return what is told of an order: credits and amounts are decimal strings."""
    order = record.order
    return {
        "order_id": order.id,
        "reference": record.reference,
        "provider": order.provider,
        "state": order.state.value,
        "credits": format_credits(order.credits),
        "amount": decimal_minor(order.amount, order.currency),
        "currency": order.currency,
        "returned": decimal_minor(order.returned, order.currency),
        "credits_taken": format_credits(record.taken),
        "credits_written_off": format_credits(record.written_off),
    }


def _tell(change: Changes, kind: EventType, order: Order, name: str, told: dict[str, Any]) -> None:
    change.connection.execute(
        insert(schema.event).values(
            id=event_id(kind, name),
            type=kind.value,
            account_id=order.account_id,
            payload=json.dumps(told),
            created_us=change.clock.now_us(),
        )
    )
