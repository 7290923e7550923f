"""The candidates for one set of models in one format, grouped by who comes before whom."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby

from aigne_hub.domain.latencies import Latencies
from aigne_hub.domain.retry_budget import RetryBudget
from aigne_hub.domain.routing import Policy, SmoothRoundRobin
from aigne_hub.gateway.candidates import Candidate, Pool


class Group:
    """Candidates of one priority, and whose turn it is among them."""

    __slots__ = ("candidates", "names", "turns", "weights")

    def __init__(
        self, candidates: Sequence[Candidate], turns: SmoothRoundRobin | None = None
    ) -> None:
        self.candidates = tuple(candidates)
        self.weights = [candidate.weight for candidate in candidates]
        self.names = [candidate.name for candidate in candidates]
        self.turns = turns or SmoothRoundRobin(self.weights)


class Line:
    """Every way to serve a request, best group first.

    Iterated, it gives its candidates as they stand: what it comes to where there is one.
    """

    __slots__ = ("budget", "candidates", "groups", "has_models", "is_single", "latencies", "policy")

    def __init__(self, groups: Sequence[Group], policy: Policy, budget: RetryBudget) -> None:
        self.groups = tuple(groups)
        self.policy = policy
        self.budget = budget
        self.latencies = Latencies()
        self.candidates = tuple(one for group in groups for one in group.candidates)
        self.is_single = len(self.candidates) == 1
        # Whether they differ in what they can serve at all.
        self.has_models = len({one.model.ref for one in self.candidates}) > 1

    def __iter__(self) -> Iterator[Candidate]:
        return iter(self.candidates)


def in_order(pools: Iterable[Pool], per_model: Iterable[list[Candidate]]) -> list[Group]:
    """Group candidates by model, as the models are declared, and then by priority."""
    groups = []
    for pool, candidates in zip(pools, per_model, strict=True):
        for priority, found in _by_priority(candidates):
            groups.append(Group(found, pool.turns(priority)))
    return groups


def all_at_once(per_model: Iterable[list[Candidate]]) -> list[Group]:
    """Group candidates by priority alone, whatever their model is."""
    candidates = [one for found in per_model for one in found]
    return [Group(found) for _, found in _by_priority(candidates)]


def _by_priority(candidates: list[Candidate]) -> Iterator[tuple[int, list[Candidate]]]:
    ranked = sorted(candidates, key=_priority)
    return ((priority, list(found)) for priority, found in groupby(ranked, _priority))


def _priority(candidate: Candidate) -> int:
    return candidate.priority
