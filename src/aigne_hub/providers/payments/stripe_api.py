"""Stripe through its official package, which is imported when it is first used.

Every call blocks, has a time-out, and carries an idempotency key when it moves money. Errors
keep Stripe's short code and nothing else: its messages may quote what a person typed.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from threading import Lock
from typing import TYPE_CHECKING, Final

from aigne_hub.billing.payments import (
    WEBHOOK_TOLERANCE_S,
    ChargeResult,
    ChargeStatus,
    Checkout,
    CheckoutRequest,
    ForgedWebhook,
    Health,
    OffSessionCharge,
    PaymentDeclined,
    PaymentEvent,
    PaymentUnavailable,
    RefundRequest,
    RefundResult,
    VerifiedWebhook,
)
from aigne_hub.domain.errors import InvalidRequest
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.orders import Reason
from aigne_hub.providers.payments import stripe_events
from aigne_hub.providers.payments.stripe_events import (
    FINAL_DECLINES,
    ORDER,
    REASON,
    REFERENCE,
    SAVE_CARD,
    STRIPE,
)

if TYPE_CHECKING:
    import stripe
    from stripe.params import PaymentLinkCreateParams
    from stripe.params.checkout import SessionCreateParams

CONNECT_S: Final = 5.0
READ_S: Final = 20.0
RETRIES: Final = 2
SIGNATURE: Final = "stripe-signature"
# What a payment link lives in the hub's books; a checkout says itself when it ends.
LINK_LIFE_US: Final = 30 * 24 * 3600 * 1_000_000


class StripePayments:
    """Checkout, payment links, saved cards, refunds and webhooks of one Stripe account.

    `signing_secret` empty: webhooks do not exist, and nothing is sold that could not be
    credited. `proxy` is tunnelled through, unless `api_base` is of this machine.
    """

    name = STRIPE

    def __init__(
        self,
        *,
        key: str,
        signing_secret: str,
        api_base: str | None,
        proxy: str | None,
        now_us: Callable[[], int],
    ) -> None:
        self._key = key
        self._signing_secret = signing_secret
        self._api_base = api_base
        self._proxy = proxy
        self._now_us = now_us
        self._opened: stripe.StripeClient | None = None
        self._opening = Lock()

    @property
    def webhooks(self) -> bool:
        return bool(self._signing_secret)

    @property
    def live(self) -> bool | None:
        """The mode of the key: live or test; None when it does not tell."""
        kind = self._key.split("_")[1:2]
        return {"live": True, "test": False}.get(kind[0]) if kind else None

    def health(self) -> Health:
        if not self.webhooks:
            return Health(ok=False, detail="has no webhook_secret, so payments cannot be credited")
        try:
            with _errors():
                self._client().v1.balance.retrieve()
        except (PaymentUnavailable, InvalidRequest, PaymentDeclined) as error:
            return Health(ok=False, detail=str(error))
        mode = {True: "live", False: "test mode", None: "unknown mode"}[self.live]
        return Health(ok=True, detail=f"answers ({mode})")

    def create_checkout(self, request: CheckoutRequest) -> Checkout:
        if not self.webhooks:
            raise PaymentUnavailable(
                "Stripe has no webhook_secret here, so a payment could not be credited."
            )
        return self._payment_link(request) if request.lasting else self._session(request)

    def verify_webhook(self, headers: Mapping[str, str], body: bytes) -> VerifiedWebhook:
        if not self.webhooks:
            raise ForgedWebhook("Stripe has no webhook_secret here.")
        import stripe  # noqa: PLC0415 - 0.3 s that hubs without Stripe do not pay

        try:
            stripe.Webhook.construct_event(
                body,
                headers.get(SIGNATURE),
                self._signing_secret,
                tolerance=WEBHOOK_TOLERANCE_S,
                api_key=self._key,
            )
        except stripe.SignatureVerificationError:
            raise ForgedWebhook(
                f"The signature is missing, wrong, or older than {WEBHOOK_TOLERANCE_S} s."
            ) from None
        except (ValueError, TypeError, AttributeError, RecursionError):
            raise ForgedWebhook("The body is not an event of Stripe.") from None
        return VerifiedWebhook(STRIPE, body)

    def parse_event(self, webhook: VerifiedWebhook) -> PaymentEvent:
        return stripe_events.event_of(json.loads(webhook.body), live=self.live)

    def charge_off_session(self, charge: OffSessionCharge) -> ChargeResult:
        with _errors():
            client = self._client()
            cards = client.v1.payment_methods.list(
                {"customer": charge.customer, "type": "card", "limit": 1}
            )
            if not cards.data:
                raise PaymentDeclined("no_saved_card", final=True)
            intent = client.v1.payment_intents.create(
                {
                    "amount": charge.amount,
                    "currency": charge.currency,
                    "customer": charge.customer,
                    "payment_method": cards.data[0].id,
                    "off_session": True,
                    "confirm": True,
                    "metadata": {
                        ORDER: charge.order_id,
                        REASON: Reason.AUTO_RECHARGE.value,
                        REFERENCE: charge.reference,
                    },
                },
                {"idempotency_key": f"charge/{charge.order_id}"},
            )
        if intent.status in {"succeeded", "processing"}:
            return ChargeResult(ChargeStatus(intent.status), intent.id)
        raise PaymentDeclined("authentication_required", final=True)

    def refund(self, request: RefundRequest) -> RefundResult:
        with _errors():
            refund = self._client().v1.refunds.create(
                {
                    "payment_intent": request.payment_ref,
                    "amount": request.amount,
                    "metadata": {ORDER: request.order_id},
                },
                {"idempotency_key": f"refund/{request.refund_key}"},
            )
        return RefundResult(refund.id, stripe_events.refund_state(refund.status))

    def _session(self, request: CheckoutRequest) -> Checkout:
        params: SessionCreateParams = {
            "mode": "payment",
            "client_reference_id": request.order_id,
            "metadata": _metadata(request),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": request.currency,
                        "unit_amount": request.amount,
                        "product_data": {"name": _product(request)},
                    },
                }
            ],
            # The amount that is credited is the amount that was ordered, in its currency.
            "adaptive_pricing": {"enabled": False},
            "payment_intent_data": {"description": request.reference},
            "success_url": request.page_url,
            "cancel_url": request.page_url,
        }
        if request.save_card:
            params["payment_intent_data"] = {
                "description": request.reference,
                "setup_future_usage": "off_session",
            }
        if request.customer is not None:
            params["customer"] = request.customer
        else:
            if request.save_card:
                params["customer_creation"] = "always"
            if request.email is not None:
                params["customer_email"] = request.email
        with _errors():
            session = self._client().v1.checkout.sessions.create(
                params, {"idempotency_key": f"checkout/{request.order_id}"}
            )
        if session.url is None:
            raise PaymentUnavailable("Stripe made a checkout without an address.")
        return Checkout(session.url, session.id, session.expires_at * 1_000_000)

    def _payment_link(self, request: CheckoutRequest) -> Checkout:
        params: PaymentLinkCreateParams = {
            "metadata": _metadata(request),
            "line_items": [
                {
                    "quantity": 1,
                    "price_data": {
                        "currency": request.currency,
                        "unit_amount": request.amount,
                        "product_data": {"name": _product(request)},
                    },
                }
            ],
            "restrictions": {"completed_sessions": {"limit": 1}},
            "payment_intent_data": {"description": request.reference},
            "after_completion": {"type": "redirect", "redirect": {"url": request.page_url}},
        }
        with _errors():
            link = self._client().v1.payment_links.create(
                params, {"idempotency_key": f"link/{request.order_id}"}
            )
        return Checkout(link.url, link.id, self._now_us() + LINK_LIFE_US)

    def _client(self) -> "stripe.StripeClient":
        with self._opening:
            if self._opened is None:
                import requests  # noqa: PLC0415 - as above
                import stripe  # noqa: PLC0415 - as above

                # The proxy is the hub's setting; the environment's is that of other programs.
                session = requests.Session()
                session.trust_env = False
                self._opened = stripe.StripeClient(
                    self._key,
                    base_addresses={"api": self._api_base} if self._api_base else {},
                    http_client=stripe.RequestsClient(
                        timeout=(CONNECT_S, READ_S), session=session, proxy=self._proxy
                    ),
                    max_network_retries=RETRIES,
                )
            return self._opened


def _product(request: CheckoutRequest) -> str:
    return f"{format_credits(request.credits)} AIGNE Hub credits"


def _metadata(request: CheckoutRequest) -> dict[str, str]:
    return {
        ORDER: request.order_id,
        REFERENCE: request.reference,
        SAVE_CARD: "true" if request.save_card else "false",
    }


@contextmanager
def _errors() -> Iterator[None]:
    """Turn the package's errors into the hub's: declined, refused, or not known."""
    import stripe  # noqa: PLC0415 - as above

    try:
        yield
    except stripe.CardError as error:
        body = error.error
        reason = str((body and body.decline_code) or error.code or "card_declined")
        final = reason in FINAL_DECLINES or error.code in FINAL_DECLINES
        raise PaymentDeclined(reason, final=final) from None
    except stripe.InvalidRequestError as error:
        raise InvalidRequest(
            f"Stripe refused the request ({error.code or error.http_status}: {error.param or '-'})."
        ) from None
    except (stripe.AuthenticationError, stripe.PermissionError):
        raise PaymentUnavailable("Stripe refused the hub's secret key.") from None
    except stripe.StripeError as error:
        raise PaymentUnavailable(f"Stripe did not answer ({type(error).__name__}).") from None
