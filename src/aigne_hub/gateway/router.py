"""Which upstreams can serve a call, best first."""

from collections.abc import Callable
from dataclasses import dataclass

from aigne_hub.catalog.snapshot import Credential, Model, Provider, Snapshot
from aigne_hub.domain.errors import InvalidRequest, NoUpstream
from aigne_hub.domain.routing import SmoothRoundRobin
from aigne_hub.providers.upstream import Upstream

Connect = Callable[[Provider, Credential], Upstream]


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model through one credential."""

    model: Model
    credential: str
    upstream: Upstream


class _Pool:
    """The credentials of one provider and whose turn it is."""

    def __init__(self, provider: Provider, connect: Connect) -> None:
        self.members = [(c.name, connect(provider, c)) for c in provider.credentials]
        self._turns = SmoothRoundRobin([c.weight for c in provider.credentials])

    def in_turn(self) -> list[tuple[str, Upstream]]:
        if len(self.members) == 1:
            return self.members
        return [self.members[index] for index in self._turns.order()]


class Router:
    """Candidates over one snapshot; built anew when the snapshot is swapped."""

    def __init__(self, snapshot: Snapshot, connect: Connect) -> None:
        self.snapshot = snapshot
        self._pools = {
            provider.name: _Pool(provider, connect)
            for provider in snapshot.providers.values()
            if provider.credentials
        }

    def models(self, reference: str, kind: str) -> tuple[Model, ...]:
        """Return the models of `kind` behind a reference; raises NotFound or InvalidRequest."""
        models = self.snapshot.resolve(reference)
        fitting = tuple(model for model in models if model.type == kind)
        if not fitting:
            raise InvalidRequest(
                f"{models[0].ref} is of type {models[0].type}; this path serves {kind} models.",
                param="model",
            )
        return fitting

    def candidates(self, models: tuple[Model, ...]) -> list[Candidate]:
        """Return every way to serve one of the models; raises NoUpstream without any."""
        found = [
            Candidate(model, name, upstream)
            for model in models
            if model.provider.name in self._pools
            for name, upstream in self._pools[model.provider.name].in_turn()
        ]
        if not found:
            raise NoUpstream(f"{models[0].ref} has no credential to call its provider with.")
        return found
