"""Which upstreams can serve a call, best first."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from aigne_hub.catalog.snapshot import Credential, Model, Provider, Snapshot
from aigne_hub.domain.errors import InvalidRequest, NoUpstream
from aigne_hub.domain.routing import SmoothRoundRobin
from aigne_hub.gateway.dialects import Dialect
from aigne_hub.providers.languages.registry import translated_to
from aigne_hub.providers.profiles import (
    AIGNE_LANGUAGE,
    ANTHROPIC_LANGUAGE,
    CONVERSE_LANGUAGE,
    GEMINI_LANGUAGE,
    OPENAI_LANGUAGE,
    RESPONSES_LANGUAGE,
    is_keyless,
    languages_of,
)
from aigne_hub.providers.upstream import Upstream

Connect = Callable[[Provider, Credential, str], Upstream]
# What a provider is called with that needs no key.
_KEYLESS = (Credential("", "keyless", 1, ""),)
_FIRST = (0,)
LANGUAGE_NAMES = {
    OPENAI_LANGUAGE: "OpenAI",
    RESPONSES_LANGUAGE: "OpenAI Responses",
    ANTHROPIC_LANGUAGE: "Anthropic",
    GEMINI_LANGUAGE: "Gemini",
    AIGNE_LANGUAGE: "AIGNE",
    CONVERSE_LANGUAGE: "Bedrock Converse",
}
CHAT = "chat"
# Where models that answer chats are called in each language.
CHAT_PATHS = {
    OPENAI_LANGUAGE: "POST /v1/chat/completions",
    RESPONSES_LANGUAGE: "POST /v1/responses",
    ANTHROPIC_LANGUAGE: "POST /v1/messages",
    GEMINI_LANGUAGE: "POST /v1beta/models/{model}:generateContent",
}


@dataclass(frozen=True, slots=True)
class Candidate:
    """A model through one credential. `secret` is known to be kept out of what is shown.

    `languages` are the wire formats in which its provider serves the model.
    """

    model: Model
    credential: str
    upstream: Upstream
    languages: frozenset[str]
    secret: str = field(repr=False)


class _Pool:
    """The credentials of one provider and whose turn it is."""

    def __init__(self, provider: Provider, connect: Connect) -> None:
        self.provider = provider
        self._connect = connect
        self._credentials = provider.credentials or _KEYLESS
        self._is_single = len(self._credentials) == 1
        self._members: dict[str, list[Upstream]] = {}
        self._turns = SmoothRoundRobin([c.weight for c in self._credentials])

    def candidates(self, model: Model, language: str) -> list[Candidate]:
        """Return a candidate for each credential, whosever turn it is."""
        spoken = languages_of(self.provider.kind, model.name)
        if language not in spoken:
            language = translated_to(model.type, spoken) or language
        return [
            Candidate(model, c.name, upstream.serving(model.name), spoken, c.secret)
            for c, upstream in zip(self._credentials, self._connected(language), strict=True)
        ]

    def _connected(self, language: str) -> list[Upstream]:
        """Return what calls this provider in a language with each credential."""
        members = self._members.get(language)
        if members is None:
            members = [self._connect(self.provider, c, language) for c in self._credentials]
            self._members[language] = members
        return members

    def order(self) -> Sequence[int]:
        """Return the positions of the credentials, best first, and take a turn."""
        return _FIRST if self._is_single else self._turns.order()


class Router:
    """Candidates over one snapshot; built anew when the snapshot is swapped.

    Providers that `previous` has in the same state keep their turn.
    """

    def __init__(
        self, snapshot: Snapshot, connect: Connect, previous: "Router | None" = None
    ) -> None:
        self.snapshot = snapshot
        self._candidates: dict[tuple[str, str], list[Candidate]] = {}
        kept: dict[str, _Pool] = {} if previous is None else previous.pools
        self.pools: dict[str, _Pool] = {}
        for provider in snapshot.providers.values():
            pool = kept.get(provider.name)
            if pool is not None and pool.provider == provider:
                self.pools[provider.name] = pool
            elif provider.credentials or is_keyless(provider.kind):
                self.pools[provider.name] = _Pool(provider, connect)

    def candidates(self, models: tuple[Model, ...], language: str) -> Iterator[Candidate]:
        """Return every way to serve one of the models in a language, best first.

        Raises NoUpstream when there is none.

        A pool's turn is taken only when its model is reached: a fallback that is not needed
        does not move the round robin of its provider.
        """
        for model in models:
            if model.provider.name in self.pools:
                return self._in_turn(models, language)
        raise NoUpstream(f"{models[0].ref} has no credential to call its provider with.")

    def bound(
        self, models: tuple[Model, ...], language: str, provider: str, credential: str
    ) -> list[Candidate]:
        """Return the ways to serve one of the models with one credential, best first.

        Empty when that credential, or the provider, is not there any more. No turn is taken.
        """
        found = []
        for model in models:
            if model.provider.name == provider and provider in self.pools:
                candidates = self.pools[provider].candidates(model, language)
                found += [one for one in candidates if one.credential == credential]
        return found

    def _in_turn(self, models: tuple[Model, ...], language: str) -> Iterator[Candidate]:
        for model in models:
            pool = self.pools.get(model.provider.name)
            if pool is None:
                continue
            candidates = self._candidates.get((model.ref, language))
            if candidates is None:
                candidates = pool.candidates(model, language)
                self._candidates[model.ref, language] = candidates
            for index in pool.order():
                yield candidates[index]


def models_of(snapshot: Snapshot, reference: str, dialect: Dialect) -> tuple[Model, ...]:
    """Return the models behind a reference that a dialect reaches, best first.

    Those of its type whose providers speak its language, or one it is translated to.
    Raises NotFound or InvalidRequest.
    """
    models = snapshot.resolve(reference)
    if len(models) == 1:
        model = models[0]
        spoken = languages_of(model.provider.kind, model.name)
        if model.type == dialect.type and dialect.language in spoken:
            return models
    kind, language = dialect.type, dialect.language
    fitting = tuple(model for model in models if model.type == kind)
    if not fitting:
        raise InvalidRequest(
            f"{models[0].ref} is of type {models[0].type}; this path serves {kind} models.",
            param="model",
        )
    reached = tuple(model for model in fitting if is_reached(model, dialect))
    if not reached:
        raise InvalidRequest(_elsewhere(fitting[0], language), param="model")
    return reached


def is_reached(model: Model, dialect: Dialect) -> bool:
    """Tell whether a model of a dialect's type is called through it, translated or not."""
    spoken = languages_of(model.provider.kind, model.name)
    if dialect.language in spoken:
        return True
    return dialect.form is not None and translated_to(model.type, spoken) is not None


def _elsewhere(model: Model, language: str) -> str:
    """Say where a model is served that this path does not reach."""
    said = (
        f"The provider of {model.ref} does not speak the {LANGUAGE_NAMES[language]} format of "
        "this path."
    )
    spoken = sorted(languages_of(model.provider.kind, model.name)) if model.type == CHAT else []
    if not spoken:
        return f"{said} No path of this hub serves it yet."
    # What no caller speaks is reached from any format of theirs.
    paths = [CHAT_PATHS[one] for one in spoken if one in CHAT_PATHS] or list(CHAT_PATHS.values())
    return f"{said} Call the model at {' or '.join(paths)}."
