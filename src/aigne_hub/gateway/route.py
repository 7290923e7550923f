"""One call's way through its candidates: who is asked first, and who after a failure.

A candidate that is barred is passed over, or probed by exactly one call; the last one is
asked in spite of it. What cannot serve the request at all is passed over too.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from aigne_hub.domain.affinity import ranked
from aigne_hub.domain.latencies import Latencies
from aigne_hub.domain.retry_budget import RetryBudget
from aigne_hub.domain.routing import Policy, SmoothRoundRobin
from aigne_hub.gateway.candidates import Candidate
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.line import Group, Line

# Gives whose turn it is: itself, or a copy for who only wants to know.
Turns: TypeAlias = Callable[[SmoothRoundRobin], SmoothRoundRobin]

# A conversation stays with its candidate until another would answer this much sooner.
_STAYS_UNTIL = 2


class Route:
    """The candidates of one call, best first; whose turn it is is settled when one is reached.

    `key` is what calls of its conversation share. `misfit` says why a candidate cannot serve
    the request, None when it can; it is None where that does not matter. `now_us` is since 1970.
    """

    __slots__ = ("_board", "_draw", "_key", "_line", "_misfit", "_now_us")

    def __init__(
        self,
        line: Line,
        board: Board,
        draw: Callable[[], float],
        *,
        now_us: int,
        key: bytes | None,
        misfit: Callable[[Candidate], str | None] | None,
    ) -> None:
        self._line = line
        self._board = board
        self._draw = draw
        self._now_us = now_us
        self._key = key
        self._misfit = misfit

    @property
    def budget(self) -> RetryBudget:
        return self._line.budget

    @property
    def latencies(self) -> Latencies:
        return self._line.latencies

    @property
    def is_single(self) -> bool:
        return self._line.is_single

    @property
    def candidates(self) -> tuple[Candidate, ...]:
        return self._line.candidates

    @property
    def is_sticky(self) -> bool:
        """Tell whether the call belongs to a conversation, which stays where it is."""
        return self._key is not None

    def __iter__(self) -> Iterator[Candidate]:
        return self._walk(lambda turns: turns)

    def rehearsed(self) -> Iterator[Candidate]:
        """Give what a call would be given just now, and take nobody's turn."""
        copies: dict[SmoothRoundRobin, SmoothRoundRobin] = {}
        return self._walk(lambda turns: copies.setdefault(turns, turns.copy()))

    def misfit(self, candidate: Candidate) -> str | None:
        """Say why a candidate cannot serve the request, None when it can."""
        return None if self._misfit is None else self._misfit(candidate)

    def _walk(self, turns_of: Turns) -> Iterator[Candidate]:
        fitting = self._fitting()
        probed = self._to_probe(fitting)
        if probed is not None:
            yield probed
        is_any = False
        for group in self._line.groups:
            for candidate in self._ordered(group, fitting, turns_of):
                if candidate is not probed:
                    is_any = True
                    yield candidate
        if not is_any:
            barred = [one for one in fitting if one is not probed]
            yield from sorted(barred, key=_barred_until_us)

    def _fitting(self) -> list[Candidate]:
        """Return who can serve the request; everybody when nobody seems to."""
        candidates, misfit = self._line.candidates, self._misfit
        if misfit is None:
            return list(candidates)
        return [one for one in candidates if misfit(one) is None] or list(candidates)

    def _to_probe(self, fitting: list[Candidate]) -> Candidate | None:
        if not self._board.troubled:
            return None
        return next((one for one in fitting if one.targets.may_probe(self._now_us)), None)

    def _ordered(
        self, group: Group, fitting: list[Candidate], turns_of: Turns
    ) -> Sequence[Candidate]:
        """Return those of a group that may be asked, best first, and take a turn."""
        policy, weights = self._line.policy, None
        if self._board.troubled or len(fitting) < len(self._line.candidates):
            weights = [
                _share(one, self._now_us) if one in fitting else 0 for one in group.candidates
            ]
        if self._key is not None:
            order = ranked(self._key, group.names, group.weights if weights is None else weights)
        else:
            order = turns_of(group.turns).order(weights)
        found = [group.candidates[index] for index in order]
        if policy is Policy.PRICE:
            found.sort(key=price)
        elif policy is Policy.LEAST_OUTSTANDING and found:
            return self._stays(found, _outstanding)
        elif policy is Policy.LATENCY and len(found) > 1:
            return self._stays(found, _cost)
        return found

    def _stays(
        self, found: list[Candidate], measure: Callable[[Candidate], float]
    ) -> list[Candidate]:
        """Put the better of two first, the rest after it; a conversation stays where it is."""
        first, best = found[0], min(found, key=measure)
        if self._key is not None and measure(first) <= _STAYS_UNTIL * measure(best):
            best = first
        elif measure is _cost:
            best = self._of_two(found)
        rest = sorted((one for one in found if one is not best), key=measure)
        return [best, *rest]

    def _of_two(self, found: list[Candidate]) -> Candidate:
        """Return the better of two at random: the best of all would get every call at once."""
        one = int(self._draw() * len(found))
        other = (one + 1 + int(self._draw() * (len(found) - 1))) % len(found)
        return min(found[one], found[other], key=_cost)


def price(candidate: Candidate) -> int:
    """Return what a model's provider charges for one unit of each kind, else its price here."""
    card = candidate.model.cost or candidate.model.rates
    if card is None:
        return 0
    base = card.base
    return base.input + base.output + base.characters + base.second + base.image + base.request


def _share(candidate: Candidate, now_us: int) -> int:
    """Return the weight a candidate has just now, 0 while it is barred."""
    percent = candidate.targets.percent(now_us)
    return percent and max(candidate.weight * percent // 100, 1)


def _outstanding(candidate: Candidate) -> float:
    return (candidate.load.outstanding + 1) / candidate.weight


def _cost(candidate: Candidate) -> float:
    return candidate.load.cost


def _barred_until_us(candidate: Candidate) -> int:
    return candidate.targets.barred_until_us
