"""What payment providers report, applied: the event, the order and the credit in one commit.

An event id is recorded by the transaction that does what the event says, never before, so
one that comes again after a crash finds either everything or nothing done. Changes are
serialised (`storage.changes`), so what is read here stays true until it is written.
"""

from dataclasses import dataclass
from enum import StrEnum

from sqlalchemy import ColumnElement, Connection, insert, select, update

from aigne_hub.billing.payments import EventKind, PaymentEvent
from aigne_hub.domain.errors import HubError, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.orders import Order, OrderState, Reason, Return, ReturnState, mismatch
from aigne_hub.storage import (
    customers,
    order_credit,
    orders,
    payment_notices,
    recharges,
    schema,
)
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.orders import OrderRecord

_DETAIL_MAX = 500
_ORDER = schema.payment_order
_RETURN = schema.payment_refund
_EVENT = schema.payment_event


class Outcome(StrEnum):
    APPLIED = "applied"
    IGNORED = "ignored"
    REFUSED = "refused"
    DUPLICATE = "duplicate"


@dataclass(frozen=True, slots=True)
class Applied:
    """What an event did. `detail` says why it was refused; no secret, nothing of a body."""

    outcome: Outcome
    order_id: str | None = None
    detail: str = ""


class _Refused(Exception):
    """The event is genuine and cannot be true of the order it names."""


def apply(change: Changes, event: PaymentEvent) -> Applied:
    """Do what a verified event says, once.

    A refused event is recorded with its reason and changes nothing else; it is judged again
    when it comes again.
    """
    if event.kind is EventKind.IGNORED:
        return Applied(Outcome.IGNORED)
    seen = change.connection.execute(
        select(_EVENT.c.outcome, _EVENT.c.order_id).where(*_is(event))
    ).one_or_none()
    if seen is not None and seen.outcome != Outcome.REFUSED:
        return Applied(Outcome.DUPLICATE, seen.order_id)
    try:
        done = _dispatch(change, event)
    except _Refused as reason:
        done = Applied(Outcome.REFUSED, event.order_id, str(reason))
    _record(change, event, done, again=seen is not None)
    return done


def listed(
    connection: Connection,
    *,
    order_id: str | None = None,
    refused: bool = False,
    limit: int = 100,
) -> list[dict[str, str | None]]:
    """Return what providers reported, newest first."""
    query = select(_EVENT).order_by(_EVENT.c.created_us.desc()).limit(limit)
    if order_id is not None:
        query = query.where(_EVENT.c.order_id == order_id)
    if refused:
        query = query.where(_EVENT.c.outcome == Outcome.REFUSED)
    return [
        {
            "event_id": row.event_id,
            "provider": row.provider,
            "type": row.type,
            "outcome": row.outcome,
            "detail": row.detail,
            "order_id": row.order_id,
            "created_at": format_instant(row.created_us),
        }
        for row in connection.execute(query)
    ]


def _dispatch(change: Changes, event: PaymentEvent) -> Applied:
    if event.kind is EventKind.RETURN:
        return _returned(change, event)
    if event.order_id is None:
        return Applied(Outcome.IGNORED, detail="it names no order of this hub")
    try:
        record = orders.load(change.connection, event.order_id)
    except NotFound:
        raise _Refused("there is no such order") from None
    if event.kind is EventKind.PAID:
        return _paid(change, event, record)
    return _closed(change, event, record)


def _paid(change: Changes, event: PaymentEvent, record: OrderRecord) -> Applied:
    order = record.order
    wrong = mismatch(
        order,
        provider=event.provider,
        reason=event.reason,
        external_ids=event.external_ids,
        amount=event.amount,
        currency=event.currency,
    )
    if wrong is not None:
        raise _Refused(wrong)
    if order.paid:
        if event.payment_ref != order.payment_ref:
            raise _Refused("the order was paid before, by another payment: refund this one")
        return Applied(Outcome.APPLIED, order.id, "the order was paid before")
    if event.payment_ref is not None:
        other = orders.find_by_payment(change.connection, event.provider, event.payment_ref)
        if other is not None:
            raise _Refused("the payment paid another order")
    try:
        grant_id = order_credit.grant(change, order)
    except HubError as error:
        raise _Refused(error.message) from None
    external = order.external_id or next(iter(event.external_ids), None)
    change.connection.execute(
        update(_ORDER)
        .where(_ORDER.c.id == order.id)
        .values(
            paid_us=change.clock.now_us(),
            grant_id=grant_id,
            payment_ref=event.payment_ref,
            external_id=external,
        )
    )
    if event.payment_ref is not None:
        _adopt_returns(change, event, order)
    if event.customer is not None:
        customers.remember(
            change, order.account_id, event.provider, event.customer, card_saved=event.card_saved
        )
    payment_notices.paid(change, orders.load(change.connection, order.id))
    order_credit.settle(change, order.id)
    if order.reason is Reason.AUTO_RECHARGE:
        recharges.note_success(change, order.account_id)
    return Applied(Outcome.APPLIED, order.id)


def _adopt_returns(change: Changes, event: PaymentEvent, order: Order) -> None:
    """Take what was reported about the payment before it was known whose it is."""
    change.connection.execute(
        update(_RETURN)
        .where(
            _RETURN.c.provider == event.provider,
            _RETURN.c.payment_ref == event.payment_ref,
            _RETURN.c.order_id.is_(None),
        )
        .values(order_id=order.id)
    )


def _closed(change: Changes, event: PaymentEvent, record: OrderRecord) -> Applied:
    """Note that an order ended without money; failed says more than expired."""
    order = record.order
    if order.provider != event.provider:
        raise _Refused(f"the order is one of {order.provider}, not of {event.provider}")
    foreign = order.external_id is not None and order.external_id not in event.external_ids
    if foreign and event.external_ids:
        raise _Refused("the checkout is not the one that was made for the order")
    ended = OrderState.FAILED if event.kind is EventKind.FAILED else OrderState.EXPIRED
    if order.closed is not OrderState.FAILED:
        failure = event.failure[:_DETAIL_MAX] if event.failure else record.failure
        change.connection.execute(
            update(_ORDER).where(_ORDER.c.id == order.id).values(closed=ended, failure=failure)
        )
        if order.reason is Reason.AUTO_RECHARGE and ended is OrderState.FAILED and not order.paid:
            _declined(change, event, order)
    order_credit.settle(change, order.id)
    return Applied(Outcome.APPLIED, order.id)


def _declined(change: Changes, event: PaymentEvent, order: Order) -> None:
    reason = (event.failure or "declined")[:_DETAIL_MAX]
    rule = recharges.note_decline(change, order.account_id, reason, final=event.final)
    payment_notices.declined(change, orders.load(change.connection, order.id), reason, rule)


def _returned(change: Changes, event: PaymentEvent) -> Applied:
    order_id = event.order_id
    if order_id is None and event.payment_ref is not None:
        order_id = orders.find_by_payment(change.connection, event.provider, event.payment_ref)
    if order_id is not None:
        try:
            order = orders.load(change.connection, order_id).order
        except NotFound:
            raise _Refused("there is no such order") from None
        if order.provider != event.provider:
            raise _Refused(f"the order is one of {order.provider}, not of {event.provider}")
        if event.currency not in {None, order.currency}:
            raise _Refused("the currency is not the order's")
    _merge_return(change, event, order_id)
    if order_id is None:
        return Applied(Outcome.APPLIED, detail="it waits for the payment it belongs to")
    order_credit.settle(change, order_id)
    return Applied(Outcome.APPLIED, order_id)


def _merge_return(change: Changes, event: PaymentEvent, order_id: str | None) -> None:
    assert event.return_id is not None
    assert event.return_kind is not None
    assert event.return_state is not None
    if not event.amount or event.amount < 0:
        raise _Refused("the amount is not above zero")
    where = (_RETURN.c.provider == event.provider, _RETURN.c.return_id == event.return_id)
    known = change.connection.execute(select(_RETURN).where(*where)).one_or_none()
    report = Return(event.return_id, event.return_kind, event.return_state, event.amount)
    now = change.clock.now_us()
    if known is None:
        change.connection.execute(
            insert(_RETURN).values(
                provider=event.provider,
                return_id=report.id,
                kind=report.kind,
                state=report.state,
                amount=report.amount,
                payment_ref=event.payment_ref,
                order_id=order_id,
                created_us=now,
                updated_us=now,
            )
        )
        return
    if known.order_id not in {None, order_id} or known.kind != report.kind:
        raise _Refused("the refund or dispute belongs to another payment")
    before = Return(report.id, report.kind, ReturnState(known.state), known.amount)
    after = before.merged(report)
    change.connection.execute(
        update(_RETURN)
        .where(*where)
        .values(
            state=after.state,
            amount=after.amount,
            order_id=order_id,
            payment_ref=known.payment_ref or event.payment_ref,
            updated_us=now,
        )
    )


def _is(event: PaymentEvent) -> tuple[ColumnElement[bool], ...]:
    return (_EVENT.c.provider == event.provider, _EVENT.c.event_id == event.id)


def _record(change: Changes, event: PaymentEvent, done: Applied, *, again: bool) -> None:
    values = {"outcome": done.outcome, "order_id": done.order_id, "detail": done.detail}
    if again:
        change.connection.execute(update(_EVENT).where(*_is(event)).values(**values))
    else:
        change.connection.execute(
            insert(_EVENT).values(
                provider=event.provider,
                event_id=event.id,
                type=event.type or event.kind,
                created_us=change.clock.now_us(),
                **values,
            )
        )
    change.audit(
        "payments.event",
        event.id,
        {"provider": event.provider, "order": done.order_id, "outcome": done.outcome},
    )
