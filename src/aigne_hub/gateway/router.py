"""Which upstreams can serve a call, best first."""

from collections.abc import Callable
from typing import TypeAlias

from aigne_hub.auth.verifier import Fields
from aigne_hub.catalog.snapshot import Model, Snapshot
from aigne_hub.domain.affinity import key_of
from aigne_hub.domain.errors import NoUpstream
from aigne_hub.domain.retry_budget import RetryBudget
from aigne_hub.domain.routing import Origin, Policy, Rules
from aigne_hub.gateway.candidates import Candidate, Connect, Pool
from aigne_hub.gateway.health import Board
from aigne_hub.gateway.line import Group, Line, all_at_once, in_order
from aigne_hub.gateway.needs import misfits, session_of
from aigne_hub.gateway.quoting import Request
from aigne_hub.gateway.route import Route
from aigne_hub.gateway.wishes import HEADER, NONE, Wishes, read_wishes
from aigne_hub.ports import Clock
from aigne_hub.providers.profiles import is_keyless

# A line with one candidate needs no route: its only candidate is asked whatever its health is.
Ways: TypeAlias = Line | Route


class Router:
    """Candidates over one snapshot; built anew when the snapshot or the rules are swapped.

    Providers that `previous` has in the same state keep their turn; what is barred of others
    is let in again.
    """

    def __init__(
        self,
        snapshot: Snapshot,
        rules: Rules,
        connect: Connect,
        board: Board,
        clock: Clock,
        draw: Callable[[], float],
        previous: "Router | None" = None,
    ) -> None:
        self.snapshot = snapshot
        self.rules = rules
        self.budgets: dict[str, RetryBudget] = {} if previous is None else previous.budgets
        self.pools: dict[str, Pool] = {}
        self.board = board
        self.clock = clock
        self._draw = draw
        self._candidates: dict[tuple[str, str], list[Candidate]] = {}
        self._single: dict[tuple[str, str], Line] = {}
        self._lines: dict[tuple[tuple[str, ...], str, Policy], Line] = {}
        kept = {} if previous is None else previous.pools
        for provider in snapshot.providers.values():
            pool = kept.get(provider.name)
            if pool is not None and pool.provider == provider:
                self.pools[provider.name] = pool
                continue
            if pool is not None:
                board.forget(provider.name)
            if provider.credentials or is_keyless(provider.kind):
                self.pools[provider.name] = Pool(provider, connect, board)

    def ways(self, request: Request, language: str, fields: Fields, account: str) -> Ways:
        """Return every way to serve a request in a language, best first, and count the call.

        Raises NoUpstream when there is none, InvalidRequest for wishes that cannot be followed.
        """
        if request.bound is not None:
            return self._fixed(request.bound)
        models = request.models
        if len(models) == 1 and HEADER not in fields:
            line = self._single.get((models[0].ref, language))
            if line is not None:
                line.budget.calls += 1
                return line
        route = self.route(request, language, fields, account)
        route.budget.calls += 1
        return route

    def route(self, request: Request, language: str, fields: Fields, account: str) -> Route:
        """Return the way a call would go just now. Raises as `ways` does."""
        wishes, body = NONE, request.ask.body
        if HEADER in fields:
            wishes = read_wishes(fields[HEADER], self.rules.hints)
        policy, _ = self.policy_for(wishes, request.ask.model)
        line = self.line(wishes.among(request.models), language, policy)
        key = misfit = None
        if line.has_models:
            misfit = misfits(request)
        if not line.is_single and self.rules.affinity:
            key = key_of(account, session_of(fields, body), body)
        now_us = self.clock.now_us()
        return Route(line, self.board, self._draw, now_us=now_us, key=key, misfit=misfit)

    def policy_for(self, wishes: Wishes, reference: str) -> tuple[Policy, Origin]:
        """Return the policy for a call of what a reference names, and who says so."""
        if wishes.policy is not None:
            return wishes.policy, Origin.CALLER
        declared = self.snapshot.policy_of(reference)
        if declared is not None:
            return declared, Origin.ALIAS
        return self.rules.policy, Origin.RULES

    def line(self, models: tuple[Model, ...], language: str, policy: Policy) -> Line:
        """Return the candidates of some models. Raises NoUpstream when there is none."""
        refs = tuple(model.ref for model in models)
        line = self._lines.get((refs, language, policy))
        if line is not None:
            return line
        served = [model for model in models if model.provider.name in self.pools]
        if not served:
            raise NoUpstream(f"{refs[0]} has no credential to call its provider with.")
        found = [self._of(model, language) for model in served]
        if policy is Policy.ORDER:
            pools = [self.pools[model.provider.name] for model in served]
            groups = in_order(pools, found)
        else:
            groups = all_at_once(found)
        line = Line(groups, policy, self._budget(refs[0]))
        self._lines[refs, language, policy] = line
        if line.is_single and len(models) == 1:
            self._single[refs[0], language] = line
        return line

    def bound(
        self, models: tuple[Model, ...], language: str, provider: str, credential: str
    ) -> list[Candidate]:
        """Return the ways to serve one of the models with one credential, best first.

        Empty when that credential, or the provider, is not there any more. No turn is taken.
        """
        served = (m for m in models if m.provider.name == provider and provider in self.pools)
        candidates = (one for model in served for one in self._of(model, language))
        return [one for one in candidates if one.credential == credential]

    def _of(self, model: Model, language: str) -> list[Candidate]:
        candidates = self._candidates.get((model.ref, language))
        if candidates is None:
            candidates = self.pools[model.provider.name].candidates(model, language)
            self._candidates[model.ref, language] = candidates
        return candidates

    def _fixed(self, candidates: list[Candidate]) -> Line:
        budget = self._budget(candidates[0].model.ref)
        budget.calls += 1
        return Line([Group(candidates)], Policy.ORDER, budget)

    def _budget(self, ref: str) -> RetryBudget:
        budget = self.budgets.get(ref)
        if budget is None:
            budget = self.budgets[ref] = RetryBudget(self.clock.monotonic_us())
        return budget
