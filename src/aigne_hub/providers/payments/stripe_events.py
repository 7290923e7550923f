"""Stripe's events in the hub's terms. Only what moves money for an order is of interest.

Shapes: https://docs.stripe.com/api/events/types, checked on 2026-11-25 against the fixtures of
Stripe's OpenAPI description. Members are read one by one and with their type, so an event of
another API version that lacks one is refused instead of misread.
"""

from collections.abc import Callable, Mapping
from typing import Any, Final

from aigne_hub.billing.payments import EventKind, PaymentEvent
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.orders import Reason, ReturnKind, ReturnState

STRIPE: Final = "stripe"
ORDER: Final = "order_id"
REASON: Final = "reason"
REFERENCE: Final = "reference"
SAVE_CARD: Final = "save_card"

# Declines that trying again cannot change: https://docs.stripe.com/declines/codes
FINAL_DECLINES: Final = frozenset(
    {
        "authentication_required",
        "expired_card",
        "fraudulent",
        "incorrect_number",
        "invalid_account",
        "lost_card",
        "no_saved_card",
        "pickup_card",
        "restricted_card",
        "revocation_of_all_authorizations",
        "revocation_of_authorization",
        "stolen_card",
        "stop_payment_order",
    }
)
_REFUNDS: Final = {
    "pending": ReturnState.ACTIVE,
    "requires_action": ReturnState.ACTIVE,
    "succeeded": ReturnState.ACTIVE,
    "failed": ReturnState.UNDONE,
    "canceled": ReturnState.UNDONE,
}
# An inquiry ("warning") moves no money; a dispute takes it until it is won.
_DISPUTES: Final = {
    "warning_needs_response": ReturnState.INQUIRY,
    "warning_under_review": ReturnState.INQUIRY,
    "warning_closed": ReturnState.UNDONE,
    "needs_response": ReturnState.ACTIVE,
    "under_review": ReturnState.ACTIVE,
    "prevented": ReturnState.UNDONE,
    "won": ReturnState.UNDONE,
    "lost": ReturnState.FINAL,
}

Object = Mapping[str, Any]


def event_of(event: Object, *, live: bool | None) -> PaymentEvent:
    """Return what an event says. `live`: which mode the key is of, None when it does not tell.

    Raises InvalidRequest for a shape that cannot be read.
    """
    event_id, kind = word(event, "id"), word(event, "type")
    ignored = PaymentEvent(STRIPE, event_id, EventKind.IGNORED, kind)
    read = _READERS.get(kind)
    if read is None:
        return ignored
    if live is not None and event.get("livemode") is not live:
        raise InvalidRequest("The event is not of the mode (live or test) of the hub's key.")
    data = event.get("data")
    item = data.get("object") if isinstance(data, Mapping) else None
    if not isinstance(item, Mapping):
        raise InvalidRequest("The event has no object.")
    return read(item, ignored)


def word(item: Object, name: str) -> str:
    """Return a member that must be a text. Raises InvalidRequest."""
    value = item.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidRequest(f"The event's {name} is not a text.")
    return value


def reference(item: Object, name: str) -> str | None:
    """Return the id of another object, which Stripe gives bare or expanded."""
    value = item.get(name)
    if isinstance(value, Mapping):
        value = value.get("id")
    return value if isinstance(value, str) and value else None


def refund_state(status: object) -> ReturnState:
    """Return how far a refund got; one whose status is new to the hub counts as on its way."""
    return _REFUNDS.get(str(status), ReturnState.ACTIVE)


def _number(item: Object, name: str) -> int:
    value = item.get(name)
    if not isinstance(value, int) or isinstance(value, bool):
        raise InvalidRequest(f"The event's {name} is not a whole number.")
    return value


def _metadata(item: Object, name: str) -> str | None:
    metadata = item.get("metadata")
    value = metadata.get(name) if isinstance(metadata, Mapping) else None
    return value if isinstance(value, str) and value else None


def _completed(session: Object, ignored: PaymentEvent) -> PaymentEvent:
    """Read a checkout that ended: paid only if Stripe says so, not because it was completed."""
    order_id = _metadata(session, ORDER)
    if order_id is None or session.get("mode") != "payment":
        return ignored
    if session.get("payment_status") != "paid":
        return ignored
    named = session.get("client_reference_id")
    if named not in {None, order_id}:
        raise InvalidRequest("The checkout names two orders.")
    saves = _metadata(session, SAVE_CARD) == "true"
    return PaymentEvent(
        provider=STRIPE,
        id=ignored.id,
        kind=EventKind.PAID,
        type=ignored.type,
        order_id=order_id,
        reason=Reason.CHECKOUT,
        external_ids=_checkouts(session),
        payment_ref=reference(session, "payment_intent"),
        amount=_number(session, "amount_total"),
        currency=word(session, "currency"),
        customer=reference(session, "customer"),
        card_saved=saves and reference(session, "customer") is not None,
    )


def _checkouts(session: Object) -> tuple[str, ...]:
    link = reference(session, "payment_link")
    return (word(session, "id"), link) if link else (word(session, "id"),)


def _ended(kind: EventKind) -> Callable[[Object, PaymentEvent], PaymentEvent]:
    def read(session: Object, ignored: PaymentEvent) -> PaymentEvent:
        # Everybody who opens a payment link gets a checkout: one that ends is not the end.
        order_id = _metadata(session, ORDER)
        if order_id is None or reference(session, "payment_link") is not None:
            return ignored
        return PaymentEvent(
            provider=STRIPE,
            id=ignored.id,
            kind=kind,
            type=ignored.type,
            order_id=order_id,
            external_ids=_checkouts(session),
            failure=ignored.type,
        )

    return read


def _charged(intent: Object, ignored: PaymentEvent) -> PaymentEvent:
    """Read a payment without a person. Those of checkouts are told by the checkout."""
    if _metadata(intent, REASON) != Reason.AUTO_RECHARGE:
        return ignored
    # A captured payment received its amount; what simulates Stripe may leave the member out.
    received = "amount_received" if "amount_received" in intent else "amount"
    return PaymentEvent(
        provider=STRIPE,
        id=ignored.id,
        kind=EventKind.PAID,
        type=ignored.type,
        order_id=_metadata(intent, ORDER),
        reason=Reason.AUTO_RECHARGE,
        external_ids=(word(intent, "id"),),
        payment_ref=word(intent, "id"),
        amount=_number(intent, received),
        currency=word(intent, "currency"),
    )


def _declined(intent: Object, ignored: PaymentEvent) -> PaymentEvent:
    if _metadata(intent, REASON) != Reason.AUTO_RECHARGE:
        return ignored
    error = intent.get("last_payment_error")
    code = (error.get("decline_code") or error.get("code")) if isinstance(error, Mapping) else None
    return PaymentEvent(
        provider=STRIPE,
        id=ignored.id,
        kind=EventKind.FAILED,
        type=ignored.type,
        order_id=_metadata(intent, ORDER),
        external_ids=(word(intent, "id"),),
        failure=str(code or ignored.type),
        final=str(code) in FINAL_DECLINES,
    )


def _refund(refund: Object, ignored: PaymentEvent) -> PaymentEvent:
    state = refund_state(refund.get("status"))
    return _return(refund, ignored, ReturnKind.REFUND, state, word(refund, "id"))


def _refunded(charge: Object, ignored: PaymentEvent) -> PaymentEvent:
    """Read the total of a charge's refunds: all that endpoints without refund events get."""
    payment = reference(charge, "payment_intent")
    if payment is None or not _number(charge, "amount_refunded"):
        return ignored
    total = {**charge, "amount": charge["amount_refunded"]}
    return _return(total, ignored, ReturnKind.TOTAL, ReturnState.ACTIVE, f"total/{payment}")


def _dispute(dispute: Object, ignored: PaymentEvent) -> PaymentEvent:
    state = _DISPUTES.get(word(dispute, "status"))
    if state is None:
        raise InvalidRequest("The dispute's status is not known to this version of the hub.")
    return _return(dispute, ignored, ReturnKind.DISPUTE, state, word(dispute, "id"))


def _return(
    item: Object, ignored: PaymentEvent, kind: ReturnKind, state: ReturnState, return_id: str
) -> PaymentEvent:
    payment = reference(item, "payment_intent")
    if payment is None:
        return ignored  # the hub takes payments by payment intents only
    return PaymentEvent(
        provider=STRIPE,
        id=ignored.id,
        kind=EventKind.RETURN,
        type=ignored.type,
        payment_ref=payment,
        amount=_number(item, "amount"),
        currency=word(item, "currency"),
        return_id=return_id,
        return_kind=kind,
        return_state=state,
    )


_READERS: Final[Mapping[str, Callable[[Object, PaymentEvent], PaymentEvent]]] = {
    "checkout.session.completed": _completed,
    "checkout.session.async_payment_succeeded": _completed,
    "checkout.session.async_payment_failed": _ended(EventKind.FAILED),
    "checkout.session.expired": _ended(EventKind.EXPIRED),
    "payment_intent.succeeded": _charged,
    "payment_intent.payment_failed": _declined,
    "payment_intent.canceled": _declined,
    "charge.refunded": _refunded,
    "refund.created": _refund,
    "refund.updated": _refund,
    "refund.failed": _refund,
    "charge.refund.updated": _refund,
    "charge.dispute.created": _dispute,
    "charge.dispute.updated": _dispute,
    "charge.dispute.closed": _dispute,
    "charge.dispute.funds_withdrawn": _dispute,
    "charge.dispute.funds_reinstated": _dispute,
}
# What an endpoint in Stripe's dashboard must send.
EVENT_TYPES: Final = tuple(_READERS)
