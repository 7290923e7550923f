"""Automatic top-ups: looks for accounts that run low, and charges the cards they saved.

Nobody waits for this. An order is recorded before the card is charged and names the charge, so
a process that dies in between, or an answer that is lost, leads to the same charge again and
never to a second one.
"""

from dataclasses import dataclass, replace
from typing import Final

from aigne_hub.billing.payments import (
    ChargeStatus,
    Checkout,
    EventKind,
    OffSessionCharge,
    PaymentDeclined,
    PaymentEvent,
    PaymentUnavailable,
)
from aigne_hub.domain.errors import HubError, InvalidRequest
from aigne_hub.domain.orders import Order, Reason
from aigne_hub.domain.recharge import DAY_US, Rule, day_of
from aigne_hub.logs import get_logger
from aigne_hub.payments.cashier import Cashier
from aigne_hub.storage import customers, orders, payment_events, recharges
from aigne_hub.storage.orders import OrderRecord

# Accounts that one run tops up.
BATCH: Final = 100
# Stripe knows an idempotency key for a day; after this a charge is not asked for again.
ORDER_LIFE_US: Final = 20 * 3600 * 1_000_000
ACTOR: Final = "duty:recharge"


@dataclass(frozen=True, slots=True)
class Recharger:
    """Run by one process at a time; were there two, they would make the same charges."""

    cashier: Cashier

    def wanted(self) -> bool:
        """Tell whether there is anything to do now. Reads only."""
        with self.cashier.reading() as view:
            return bool(
                recharges.needy(view, self.cashier.clock.now_us(), 1) or recharges.under_way(view)
            )

    def run(self) -> int:
        """Finish what is under way and top up who runs low; return how many were charged.

        A provider that does not answer ends the run: the same charges are asked for later.
        """
        with self.cashier.reading() as view:
            ids = recharges.under_way(view)[:BATCH]
            left = [orders.load(view, order_id) for order_id in ids]
        charged = 0
        try:
            for record in left:
                charged += self._charge(record)
            with self.cashier.reading() as view:
                rules = recharges.needy(view, self.cashier.clock.now_us(), BATCH)
            for rule in rules:
                made = self._order(rule)
                charged += made is not None and self._charge(made)
        except PaymentUnavailable as error:
            get_logger("aigne_hub.payments").warning("recharge_unanswered", reason=error.message)
        return charged

    def _order(self, found: Rule) -> OrderRecord | None:
        """Record a top-up before it is charged, if it is still due and within the day's caps."""
        desk = self.cashier
        now = desk.clock.now_us()
        with desk.changing(ACTOR) as change:
            rule = recharges.find(change.connection, found.account_id)
            unheld = recharges.unheld(change.connection, found.account_id)
            if rule is None or not rule.due(unheld, now):
                return None
            if recharges.under_way(change.connection, rule.account_id):
                return None
            if rule.provider not in desk.providers:
                recharges.postpone(change, rule, now + DAY_US, f"{rule.provider} is not set up")
                return None
            try:
                amount = desk.offer.price(rule.credits)
            except HubError as error:
                recharges.postpone(change, rule, now + DAY_US, error.message)
                return None
            attempts, spent = recharges.used_today(change.connection, rule.account_id, now)
            capped = rule.refusal(attempts, spent, amount, desk.offer.currency)
            if capped is not None:
                recharges.postpone(change, rule, day_of(now) + DAY_US, capped)
                return None
            return orders.create(
                change,
                desk.randbytes,
                account_id=rule.account_id,
                provider=rule.provider,
                reason=Reason.AUTO_RECHARGE,
                credits_=rule.credits,
                amount=amount,
                currency=desk.offer.currency,
                expires_us=now + ORDER_LIFE_US,
            )

    def _charge(self, record: OrderRecord) -> bool:
        """Charge for an order. Raises PaymentUnavailable when nobody knows whether it was."""
        order = record.order
        provider = self.cashier.providers.get(order.provider)
        now = self.cashier.clock.now_us()
        if order.external_id is not None or now > record.expires_us or provider is None:
            return False  # its provider tells how it ends, or the cashier ends it
        with self.cashier.reading() as view:
            customer = customers.find(view, order.account_id, order.provider)
        if customer is None:
            self._apply(_failed(order, "no_saved_card", final=True))
            return False
        charge = OffSessionCharge(
            order_id=order.id,
            reference=record.reference,
            account_id=order.account_id,
            customer=customer.external_id,
            amount=order.amount,
            currency=order.currency,
        )
        try:
            result = provider.charge_off_session(charge)
        except PaymentDeclined as declined:
            self._apply(_failed(order, declined.reason, final=declined.final))
            return False
        except InvalidRequest:
            # Such as a customer that was deleted there: no charge was made, nor ever will be.
            self._apply(_failed(order, "refused_by_provider", final=True))
            return False
        if result.status is ChargeStatus.PROCESSING:
            with self.cashier.changing(ACTOR) as change:
                pending = Checkout("", result.payment_ref, record.expires_us)
                orders.attach(change, order.id, pending)
            return True
        self._apply(_paid(order, result.payment_ref))
        return True

    def _apply(self, event: PaymentEvent) -> None:
        with self.cashier.changing(ACTOR) as change:
            payment_events.apply(change, event)


def _paid(order: Order, payment_ref: str) -> PaymentEvent:
    return PaymentEvent(
        provider=order.provider,
        id=f"charge/{order.id}",
        kind=EventKind.PAID,
        type="hub.charge",
        order_id=order.id,
        reason=Reason.AUTO_RECHARGE,
        external_ids=(payment_ref,),
        payment_ref=payment_ref,
        amount=order.amount,
        currency=order.currency,
    )


def _failed(order: Order, reason: str, *, final: bool) -> PaymentEvent:
    event = replace(_paid(order, ""), kind=EventKind.FAILED, external_ids=(), payment_ref=None)
    return replace(event, failure=reason, final=final)
