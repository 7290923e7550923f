"""Test mode: a button that pays at once, through a webhook that the hub signs itself.

The webhook takes the way of a real one (raw body, signature, parsing), so what is tried out
here is what runs with a provider that takes money.
"""

import hmac
from collections.abc import Callable, Mapping

import msgspec

from aigne_hub.billing.payments import (
    WEBHOOK_TOLERANCE_S,
    ChargeResult,
    Checkout,
    CheckoutRequest,
    EventKind,
    ForgedWebhook,
    Health,
    OffSessionCharge,
    PaymentDeclined,
    PaymentEvent,
    RefundRequest,
    RefundResult,
    VerifiedWebhook,
)
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.orders import Order, Reason, ReturnState
from aigne_hub.providers.payments.manual import ORDER_LIFE_US, checkout_id

TEST = "test"
SIGNATURE = "aigne-hub-signature"
_SECOND_US = 1_000_000


class _Paid(msgspec.Struct, forbid_unknown_fields=True):
    """The one event there is."""

    id: str
    order: str
    checkout: str
    amount: int
    currency: str


class PlayMoney:
    """Pays orders with nothing. `secret` signs its webhooks."""

    name = TEST
    webhooks = True

    def __init__(self, secret: bytes, now_us: Callable[[], int]) -> None:
        self._secret = secret
        self._now_us = now_us

    def health(self) -> Health:
        return Health(ok=True, detail="TEST MODE: nobody pays anything")

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        expires_us = self._now_us() + ORDER_LIFE_US
        return Checkout(request.page_url, checkout_id(request.order_id), expires_us)

    def payment(self, order: Order) -> tuple[dict[str, str], bytes]:
        """Return the header and body of the webhook that pays an order."""
        checkout = checkout_id(order.id)
        paid = _Paid(f"paid/{order.id}", order.id, checkout, order.amount, order.currency)
        body = msgspec.json.encode(paid)
        timestamp = self._now_us() // _SECOND_US
        return {SIGNATURE: f"t={timestamp},v1={self._signature(timestamp, body)}"}, body

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        parts = dict(part.partition("=")[::2] for part in headers.get(SIGNATURE, "").split(","))
        stamp = parts.get("t", "")
        timestamp = int(stamp) if stamp.isascii() and stamp.isdecimal() else 0
        expected = self._signature(timestamp, body)
        if not hmac.compare_digest(expected.encode(), parts.get("v1", "").encode()):
            raise ForgedWebhook("The signature of the webhook is missing or wrong.")
        if abs(self._now_us() // _SECOND_US - timestamp) > WEBHOOK_TOLERANCE_S:
            raise ForgedWebhook(f"The webhook is older than {WEBHOOK_TOLERANCE_S} s.")
        return VerifiedWebhook(TEST, body)

    def parse_event(self, webhook: VerifiedWebhook) -> PaymentEvent:
        try:
            paid = msgspec.json.decode(webhook.body, type=_Paid)
        except msgspec.DecodeError:
            raise InvalidRequest("The webhook's body is not an event of test mode.") from None
        return PaymentEvent(
            provider=TEST,
            id=paid.id,
            kind=EventKind.PAID,
            type="test.paid",
            order_id=paid.order,
            reason=Reason.CHECKOUT,
            external_ids=(paid.checkout,),
            payment_ref=paid.checkout,
            amount=paid.amount,
            currency=paid.currency,
        )

    def charge_off_session(self, charge: OffSessionCharge) -> ChargeResult:  # noqa: ARG002 - there is no card, whoever asks
        raise PaymentDeclined("no_saved_card", final=True)

    def refund(self, request: RefundRequest) -> RefundResult:
        return RefundResult(request.refund_key, ReturnState.ACTIVE)

    def _signature(self, timestamp: int, body: bytes) -> str:
        return hmac.new(self._secret, b"%d." % timestamp + body, "sha256").hexdigest()
