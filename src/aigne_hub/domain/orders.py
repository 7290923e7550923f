"""Orders: credit that somebody pays for, as facts that may arrive in any order.

A payment provider tells what happened late, twice and in the wrong order. So an order is a
set of facts that only grow (paid or not, which returns there are and how far each got), and
its state and the credit that is to stand for it are functions of that set.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from aigne_hub.domain.money import round_half_up


class Reason(StrEnum):
    """How an order came about: which of a provider's events may complete it."""

    CHECKOUT = "checkout"
    AUTO_RECHARGE = "auto_recharge"


class OrderState(StrEnum):
    OPEN = "open"
    PAID = "paid"
    FAILED = "failed"
    EXPIRED = "expired"
    REFUNDED = "refunded"
    DISPUTED = "disputed"


class ReturnKind(StrEnum):
    """`total` is what a provider says was refunded of a payment in all, by any refunds."""

    REFUND = "refund"
    TOTAL = "total"
    DISPUTE = "dispute"


class ReturnState(StrEnum):
    """How far a refund or a dispute got; the later of two reports wins, never the earlier.

    `inquiry`: the payer's bank asks, no money moved. `active`: the money is on its way back
    or gone. `undone`: the refund failed or the dispute was won, the money stays. `final`: the
    dispute was lost.
    """

    INQUIRY = "inquiry"
    ACTIVE = "active"
    UNDONE = "undone"
    FINAL = "final"

    @property
    def counts(self) -> bool:
        """Whether the money is on its way back to the payer, or there."""
        return self in {ReturnState.ACTIVE, ReturnState.FINAL}


_RANK = {
    ReturnState.INQUIRY: 0,
    ReturnState.ACTIVE: 1,
    ReturnState.UNDONE: 2,
    ReturnState.FINAL: 3,
}


@dataclass(frozen=True, slots=True)
class Return:
    """A refund or dispute of a payment. `id` is the provider's, `amount` in minor units."""

    id: str
    kind: ReturnKind
    state: ReturnState
    amount: int

    def merged(self, other: "Return") -> "Return":
        """Return the later of two reports of one return; the order of reports is no matter."""
        return max(self, other, key=lambda one: (_RANK[one.state], one.amount))


@dataclass(frozen=True, slots=True)
class Order:
    """What is known of an order. `credits` in nano, `amount` in minor units of `currency`.

    `external_id` is what the provider calls the checkout, `payment_ref` what it calls the
    payment itself, to which refunds and disputes refer. `closed` is how it ended without
    money; money that comes later counts all the same.
    """

    id: str
    account_id: str
    provider: str
    reason: Reason
    credits: int
    amount: int
    currency: str
    external_id: str | None = None
    payment_ref: str | None = None
    paid: bool = False
    closed: OrderState | None = None
    returns: tuple[Return, ...] = ()

    @property
    def returned(self) -> int:
        """Minor units that went back to the payer, never more than was paid."""
        return returned(self.amount, self.returns)

    @property
    def returned_credits(self) -> int:
        """Nano-credits that the paid order is to lose: in proportion, exact for the whole."""
        return round_half_up(self.credits * self.returned, self.amount) if self.paid else 0

    @property
    def state(self) -> OrderState:
        if not self.paid:
            return self.closed or OrderState.OPEN
        disputes = [one for one in self.returns if one.kind is ReturnKind.DISPUTE]
        if any(one.state.counts for one in disputes):
            return OrderState.DISPUTED
        return OrderState.REFUNDED if self.returned == self.amount else OrderState.PAID


def returned(amount: int, returns: Iterable[Return]) -> int:
    """Return how much of a payment of `amount` went back.

    A provider may report single refunds, their total, or both; a refund that failed is no
    longer in the total.
    """
    refunds = disputes = undone = total = 0
    for one in returns:
        match one.kind:
            case ReturnKind.DISPUTE:
                disputes += one.amount if one.state.counts else 0
            case ReturnKind.TOTAL:
                total = max(total, one.amount)
            case ReturnKind.REFUND:
                refunds += one.amount if one.state.counts else 0
                undone += one.amount if one.state is ReturnState.UNDONE else 0
    return min(amount, max(refunds, total - undone) + disputes)


def mismatch(
    order: Order,
    *,
    provider: str,
    reason: Reason | None,
    external_ids: Iterable[str],
    amount: int | None,
    currency: str | None,
) -> str | None:
    """Say why money that came in cannot be for this order; None when it can.

    The identity of the checkout is checked as well: knowing an order's id is not enough. A
    charge without a person has no checkout, and its answer may have been lost.
    """
    if order.provider != provider:
        return f"the order is one of {order.provider}, not of {provider}"
    if order.reason is not reason:
        return f"the order is a {order.reason}, and the payment is not"
    known = order.external_id
    lost_answer = known is None and order.reason is Reason.AUTO_RECHARGE
    if not lost_answer and known not in tuple(external_ids):
        return "the checkout is not the one that was made for the order"
    if currency != order.currency:
        return "the currency is not the order's"
    if amount != order.amount:
        return "the amount is not the order's"
    return None
