"""What a settled call is charged once its price has turned out to be wrong."""

from typing import NamedTuple

from aigne_hub.domain.calls import Outcome
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.usage import Usage


class Charged(NamedTuple):
    """A settled call: its usage, and what it was charged at which version of the price.

    `charge` is the original one, `unpaid` says that its account could not pay all of it.
    """

    usage: Usage
    outcome: Outcome
    charge: int
    rate_id: str
    unpaid: bool = False


def recharge(call: Charged, card: RateCard) -> int:
    """Return what the call is charged at another version of its model's price.

    At the version it was admitted with, that is what it was charged at first, whatever
    corrections came between. A call that took all its account had is never charged more than
    it was: one that was cut off for want of credit, and one whose rest was written off.
    """
    if card.id == call.rate_id:
        return call.charge
    price = card.cost(call.usage)
    if call.outcome is Outcome.CUT_OFF or call.unpaid:
        return min(price, call.charge)
    return price
