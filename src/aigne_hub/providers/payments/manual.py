"""The built-in provider: the hub's own page, and an admin who confirms that money came in."""

from collections.abc import Callable, Mapping

from aigne_hub.billing.payments import (
    ChargeResult,
    Checkout,
    CheckoutRequest,
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
from aigne_hub.domain.orders import ReturnState

MANUAL = "manual"
# A bank transfer takes days, and people forget.
ORDER_LIFE_US = 30 * 24 * 3600 * 1_000_000


def checkout_id(order_id: str) -> str:
    """Return what the built-in provider calls the checkout, and later the payment, of an order."""
    return f"checkout/{order_id}"


class ManualPayments:
    """Orders wait for an admin. There are no webhooks, and no cards to charge."""

    name = MANUAL
    webhooks = False

    def __init__(self, now_us: Callable[[], int]) -> None:
        self._now_us = now_us

    def health(self) -> Health:
        return Health(ok=True, detail="an admin confirms each payment")

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        expires_us = self._now_us() + ORDER_LIFE_US
        return Checkout(request.page_url, checkout_id(request.order_id), expires_us)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:  # noqa: ARG002 - nothing it could be given makes one genuine
        raise ForgedWebhook("Manual payments have no webhooks.")

    def parse_event(self, webhook: VerifiedWebhook) -> PaymentEvent:
        raise InvalidRequest(f"A webhook of {webhook.provider} says nothing to manual payments.")

    def charge_off_session(self, charge: OffSessionCharge) -> ChargeResult:  # noqa: ARG002 - there is no card, whoever asks
        raise PaymentDeclined("no_saved_card", final=True)

    def refund(self, request: RefundRequest) -> RefundResult:
        """Note that somebody pays the money back by hand."""
        return RefundResult(request.refund_key, ReturnState.ACTIVE)
