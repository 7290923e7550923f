"""A model through one credential, and the credentials of a provider."""

from collections.abc import Callable
from dataclasses import dataclass, field

from aigne_hub.catalog.snapshot import Credential, Model, Provider
from aigne_hub.domain.load import Load
from aigne_hub.domain.routing import SmoothRoundRobin
from aigne_hub.gateway.health import Board, Targets
from aigne_hub.providers.languages.registry import translated_to
from aigne_hub.providers.profiles import languages_of
from aigne_hub.providers.upstream import Upstream

Connect = Callable[[Provider, Credential, str], Upstream]
# What a provider is called with that needs no key.
_KEYLESS = (Credential("", "keyless", 1, ""),)


@dataclass(frozen=True, slots=True, eq=False)
class Candidate:
    """A model through one credential. `secret` is known to be kept out of what is shown.

    `languages` are the wire formats in which its provider serves the model; `targets` what
    can bar it. `load` is shared by the candidates of a model and credential.
    """

    model: Model
    credential: str
    upstream: Upstream
    languages: frozenset[str]
    secret: str = field(repr=False)
    targets: Targets
    load: Load
    weight: int = 1
    priority: int = 0

    @property
    def name(self) -> str:
        return self.targets.model.standing.target


class Pool:
    """The credentials of one provider, connected, and whose turn it is."""

    def __init__(self, provider: Provider, connect: Connect, board: Board) -> None:
        self.provider = provider
        self._connect = connect
        self._board = board
        self._credentials = provider.credentials or _KEYLESS
        self._members: dict[str, list[Upstream]] = {}
        self._loads: dict[tuple[str, str], Load] = {}
        self._turns: dict[int, SmoothRoundRobin] = {}

    def candidates(self, model: Model, language: str) -> list[Candidate]:
        """Return a candidate for each credential, whosever turn it is."""
        spoken = languages_of(self.provider.kind, model.name)
        if language not in spoken:
            language = translated_to(model.type, spoken) or language
        return [
            Candidate(
                model,
                one.name,
                upstream.serving(model.name),
                spoken,
                one.secret,
                self._board.targets(self.provider.name, one.name, model.name),
                self._loads.setdefault((one.name, model.name), Load()),
                one.weight,
                one.priority,
            )
            for one, upstream in zip(self._credentials, self._connected(language), strict=True)
        ]

    @property
    def credentials(self) -> tuple[Credential, ...]:
        """What the provider is called with; one without a secret where it needs no key."""
        return self._credentials

    def load(self, credential: str, model: str) -> Load | None:
        """Return what is measured of a model through a credential, None before a call can be."""
        return self._loads.get((credential, model))

    def turns(self, priority: int) -> SmoothRoundRobin:
        """Return whose turn it is among the credentials of one priority, for all models."""
        turns = self._turns.get(priority)
        if turns is None:
            weights = [one.weight for one in self._credentials if one.priority == priority]
            turns = self._turns[priority] = SmoothRoundRobin(weights)
        return turns

    def _connected(self, language: str) -> list[Upstream]:
        """Return what calls this provider in a language with each credential."""
        members = self._members.get(language)
        if members is None:
            members = [self._connect(self.provider, c, language) for c in self._credentials]
            self._members[language] = members
        return members
