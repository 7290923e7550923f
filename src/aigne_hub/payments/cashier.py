"""Where orders are handled: made, paid, confirmed, refunded, whoever asks.

A provider is asked outside every transaction, and what it answered is applied in one of its
own. Between the two the hub may die: asked again with the same key, the provider gives the
same answer, and its webhook tells the same.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

from aigne_hub.billing.offers import Offer
from aigne_hub.billing.payments import (
    CheckoutRequest,
    EventKind,
    ForgedWebhook,
    PaymentEvent,
    PaymentProvider,
    RefundRequest,
)
from aigne_hub.domain.currencies import format_minor
from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, NotFound
from aigne_hub.domain.orders import Order, Reason, ReturnKind, ReturnState
from aigne_hub.logs import get_logger
from aigne_hub.ports import Clock
from aigne_hub.providers.payments.manual import MANUAL, checkout_id
from aigne_hub.providers.payments.play_money import TEST, PlayMoney
from aigne_hub.storage import customers, orders, payment_events
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.engine import View
from aigne_hub.storage.orders import OrderRecord
from aigne_hub.storage.payment_events import Applied, Outcome

# Until its provider says when a checkout ends.
UNOPENED_LIFE_US: Final = 24 * 3600 * 1_000_000


@dataclass(frozen=True, slots=True)
class Purchase:
    """Credit that somebody wants to buy, in nano. `provider` None: the first there is.

    `lasting` asks for an address that works for days. `anonymous`: the buyer did not say who
    they are, which is nobody's business as long as they pay.
    """

    account_id: str
    credits: int
    provider: str | None = None
    save_card: bool = False
    lasting: bool = False
    anonymous: bool = False


@dataclass(frozen=True, slots=True)
class Cashier:
    """Sells one offer through some providers, by name and in the order they are offered."""

    offer: Offer
    providers: Mapping[str, PaymentProvider]
    clock: Clock
    randbytes: Callable[[int], bytes]
    changing: Callable[[str], AbstractContextManager[Changes]]
    reading: Callable[[], AbstractContextManager[View]]
    page_url: Callable[[str], str]

    def checkout(self, actor: str, purchase: Purchase) -> OrderRecord:
        """Make an order and a page on which it is paid.

        Raises InvalidRequest for an amount, Conflict, RateLimited, PaymentUnavailable.
        """
        with self.changing(actor) as change:
            record = self.order(change, purchase)
        return self.open(actor, record, lasting=purchase.lasting)

    def order(self, change: Changes, purchase: Purchase) -> OrderRecord:
        """Record an order within a change; `open` makes its page afterwards."""
        provider = self._offered(purchase.provider)
        return orders.create(
            change,
            self.randbytes,
            account_id=purchase.account_id,
            provider=provider.name,
            reason=Reason.CHECKOUT,
            credits_=purchase.credits,
            amount=self.offer.price(purchase.credits),
            currency=self.offer.currency,
            expires_us=self.clock.now_us() + UNOPENED_LIFE_US,
            save_card=purchase.save_card,
            anonymous=purchase.anonymous,
        )

    def open(self, actor: str, record: OrderRecord, *, lasting: bool = False) -> OrderRecord:
        """Ask the provider for the page of an order; asked again, it is the same page."""
        order = record.order
        if record.checkout_url is not None:
            return record
        provider = self._known(order.provider)
        with self.reading() as view:
            customer = customers.find(view, order.account_id, order.provider)
        request = CheckoutRequest(
            order_id=order.id,
            reference=record.reference,
            account_id=order.account_id,
            credits=order.credits,
            amount=order.amount,
            currency=order.currency,
            page_url=self.page_url(order.id),
            email=record.email,
            customer=customer.external_id if customer else None,
            save_card=record.save_card,
            lasting=lasting,
        )
        try:
            checkout = provider.create_checkout(request)
        except HubError:
            self._apply(actor, _event(order, EventKind.FAILED, "checkout", "no checkout was made"))
            raise
        with self.changing(actor) as change:
            orders.attach(change, order.id, checkout)
            return orders.load(change.connection, order.id)

    def webhook(self, name: str, headers: Mapping[str, str], body: bytes) -> Applied:
        """Apply a webhook. Header names are lower case.

        Raises NotFound for a provider without webhooks, ForgedWebhook, InvalidRequest, and
        Conflict for what cannot be true of the order it names: nothing is credited.
        """
        provider = self.providers.get(name)
        if provider is None or not provider.webhooks:
            raise NotFound("There is no such payment provider.")
        log = get_logger("aigne_hub.payments")
        try:
            event = provider.parse_event(provider.verify_webhook(headers, body))
        except (ForgedWebhook, InvalidRequest) as error:
            log.warning("webhook_refused", provider=name, reason=error.message, bytes=len(body))
            raise
        applied = self._apply(f"webhook:{name}", event)
        if applied.outcome is Outcome.REFUSED:
            log.warning("webhook_refused", provider=name, event_id=event.id, reason=applied.detail)
            raise Conflict(f"The event was refused: {applied.detail}.")
        return applied

    def pay_with_nothing(self, order_id: str) -> Applied:
        """Pay an order of test mode, by a webhook that goes the way of a real one."""
        provider = self.providers.get(TEST)
        with self.reading() as view:
            order = orders.load(view, order_id).order
        if not isinstance(provider, PlayMoney) or order.provider != TEST:
            raise NotFound("There is no test mode here.")
        headers, body = provider.payment(order)
        return self.webhook(TEST, headers, body)

    def confirm(self, actor: str, name: str) -> OrderRecord:
        """Note that the money of a manual order came in. Raises Conflict for another order."""
        order = self._manual(name)
        event = _event(order, EventKind.PAID, "confirm", None)
        return self._applied(actor, event)

    def reject(self, actor: str, name: str, reason: str) -> OrderRecord:
        """Note that the money of a manual order will not come."""
        order = self._manual(name)
        if order.paid:
            raise Conflict("The order was paid. Refund it instead.")
        return self._applied(actor, _event(order, EventKind.FAILED, "reject", reason))

    def cancel(self, actor: str, name: str) -> OrderRecord:
        """End an order that nobody paid; money that comes later counts all the same.

        Raises Conflict for one that was paid.
        """
        with self.reading() as view:
            record = orders.load(view, name)
        if record.order.paid:
            raise Conflict("The order was paid. Refund it instead.")
        if record.order.closed is not None:
            return record
        return self._applied(actor, _event(record.order, EventKind.EXPIRED, "cancel", None))

    def refund(self, actor: str, name: str, amount: int | None = None) -> OrderRecord:
        """Give money back, all that is left by default, and take the credit back.

        Raises Conflict for an order that was not paid, InvalidRequest for more than is left.
        Asked again after a lost answer, the same amount of the same order is refunded once.
        """
        with self.reading() as view:
            order = orders.load(view, name).order
        if not order.paid or order.payment_ref is None:
            raise Conflict(f"The order is {order.state}: there is nothing to refund.")
        left = order.amount - order.returned
        wanted = left if amount is None else amount
        if not 0 < wanted <= left:
            raise InvalidRequest(
                f"At most {format_minor(left, order.currency)} of this order can be refunded.",
                param="amount",
            )
        key = f"{order.id}/{order.returned}/{wanted}"
        request = RefundRequest(order.id, key, order.payment_ref, wanted, order.currency)
        done = self._known(order.provider).refund(request)
        event = PaymentEvent(
            provider=order.provider,
            id=f"refund/{done.refund_id}/{done.state}",
            kind=EventKind.RETURN,
            type="hub.refund",
            order_id=order.id,
            payment_ref=order.payment_ref,
            amount=wanted,
            currency=order.currency,
            return_id=done.refund_id,
            return_kind=ReturnKind.REFUND,
            return_state=done.state,
        )
        if done.state is ReturnState.UNDONE:
            raise Conflict("The provider says that the refund failed.")
        return self._applied(actor, event)

    def overdue(self, limit: int) -> list[OrderRecord]:
        """Return open orders whose time is over."""
        with self.reading() as view:
            return orders.overdue(view, self.clock.now_us(), limit)

    def expire(self, actor: str, limit: int) -> int:
        """End what is overdue; money that comes later counts all the same."""
        found = self.overdue(limit)
        for record in found:
            self._apply(actor, _event(record.order, EventKind.EXPIRED, "expire", None))
        return len(found)

    def _offered(self, name: str | None) -> PaymentProvider:
        if not self.providers:
            raise Conflict("This hub takes no payments: ask its operator for credit.")
        if name is None:
            return next(iter(self.providers.values()))
        if name not in self.providers:
            known = ", ".join(self.providers)
            raise InvalidRequest(f"A payment provider here is one of: {known}.", param="provider")
        return self.providers[name]

    def _known(self, name: str) -> PaymentProvider:
        if name not in self.providers:
            raise Conflict(f"The order is one of {name}, which is not configured any more.")
        return self.providers[name]

    def _manual(self, name: str) -> Order:
        with self.reading() as view:
            order = orders.load(view, name).order
        if order.provider != MANUAL:
            raise Conflict(f"The order is one of {order.provider}, which confirms by itself.")
        return order

    def _apply(self, actor: str, event: PaymentEvent) -> Applied:
        with self.changing(actor) as change:
            return payment_events.apply(change, event)

    def _applied(self, actor: str, event: PaymentEvent) -> OrderRecord:
        applied = self._apply(actor, event)
        if applied.outcome is Outcome.REFUSED:
            raise Conflict(f"That was refused: {applied.detail}.")
        assert event.order_id is not None
        with self.reading() as view:
            return orders.load(view, event.order_id)


def _event(order: Order, kind: EventKind, what: str, failure: str | None) -> PaymentEvent:
    """Return what the hub itself says about an order."""
    paid = kind is EventKind.PAID
    checkout = order.external_id or checkout_id(order.id)
    return PaymentEvent(
        provider=order.provider,
        id=f"{what}/{order.id}",
        kind=kind,
        type=f"hub.{what}",
        order_id=order.id,
        reason=order.reason,
        external_ids=(checkout,),
        payment_ref=checkout if paid else None,
        amount=order.amount if paid else None,
        currency=order.currency if paid else None,
        failure=failure,
    )
