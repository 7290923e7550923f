"""Choosing among equals: smooth weighted round robin."""

from collections.abc import Sequence


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
        self._total = sum(weights)
        self._credit = [0] * len(weights)

    def order(self) -> list[int]:
        """Return item indexes, best first, and charge the first."""
        credit = self._credit
        if len(credit) == 1:
            return [0]
        for index, weight in enumerate(self._weights):
            credit[index] += weight
        ranked = sorted(range(len(credit)), key=lambda index: -credit[index])
        credit[ranked[0]] -= self._total
        return ranked
