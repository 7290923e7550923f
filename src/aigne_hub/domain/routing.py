"""How a candidate is chosen among several: policies, their rules, and whose turn it is."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum

ATTEMPTS_DEFAULT, ATTEMPTS_MAX = 8, 32
RETRIES_MAX = 5
WITHIN_S_DEFAULT, WITHIN_S_MAX = 600, 3_600
CHECK_EVERY_S_DEFAULT, CHECK_EVERY_S_MIN, CHECK_EVERY_S_MAX = 600, 30, 86_400
# Lower percentiles would ask twice as a rule.
HEDGE_PERCENTILE_MIN, HEDGE_PERCENTILE_MAX = 50, 99


class Policy(StrEnum):
    """Which of the healthy candidates of one priority comes first.

    ORDER takes the models in the order they are declared, and the credentials of each by their
    weights; the others choose among all models and credentials at once.
    """

    ORDER = "order"
    WEIGHTED = "weighted"
    PRICE = "price"
    LATENCY = "latency"
    LEAST_OUTSTANDING = "least_outstanding"


# Policies that need to know what is under way and how long it takes.
MEASURED = frozenset({Policy.LATENCY, Policy.LEAST_OUTSTANDING})


class Origin(StrEnum):
    """Who says which policy holds for a call."""

    RULES = "rules"
    ALIAS = "alias"
    CALLER = "caller"


class Hint(StrEnum):
    """What a caller may say about the choice, where the operator allows it."""

    POLICY = "policy"
    PROVIDERS = "providers"


@dataclass(frozen=True, slots=True)
class Rules:
    """The operator's rules for choosing and trying candidates.

    `attempts` bounds a call's tries in all, `retries` how often the last candidate is asked
    again when no other is left. No attempt begins `within_s` seconds after the first one;
    `attempt_s` bounds each that has another candidate behind it, None for the upstream's own
    limit. `hedge_percentile` of a model's observed latencies is how long a call waits before
    it asks a second candidate as well, None for never. Credentials without traffic are
    checked every `check_every_s`, 0 for never.
    """

    policy: Policy = Policy.ORDER
    attempts: int = ATTEMPTS_DEFAULT
    retries: int = 0
    within_s: int = WITHIN_S_DEFAULT
    attempt_s: int | None = None
    affinity: bool = True
    hints: frozenset[Hint] = frozenset()
    hedge_percentile: int | None = None
    check_every_s: int = CHECK_EVERY_S_DEFAULT


class SmoothRoundRobin:
    """Spread picks in proportion to weights, as evenly as possible.

    Each pick adds every weight to its item's credit, takes the richest item and charges it
    the total: the scheme nginx documents for its upstream groups. `order` lists all
    items, the pick first, so the rest can serve as failover.
    """

    def __init__(self, weights: Sequence[int]) -> None:
        if not weights or any(weight <= 0 for weight in weights):
            raise ValueError("weights are positive")
        self._weights = tuple(weights)
        self._credit = [0] * len(weights)

    def order(self, weights: Sequence[int] | None = None) -> list[int]:
        """Return item indexes, best first, and charge the first.

        `weights` are those of just now; an item with 0 takes no part and is left out.
        """
        credit = self._credit
        if len(credit) == 1 and weights is None:
            return [0]
        present = self._weights if weights is None else weights
        taking_part = [index for index, weight in enumerate(present) if weight]
        for index in taking_part:
            credit[index] += present[index]
        taking_part.sort(key=lambda index: -credit[index])
        if taking_part:
            credit[taking_part[0]] -= sum(present)
        return taking_part

    def copy(self) -> "SmoothRoundRobin":
        """Return one whose turns are those that are next here, and take none of them here."""
        made = SmoothRoundRobin(self._weights)
        made._credit = self._credit.copy()
        return made
