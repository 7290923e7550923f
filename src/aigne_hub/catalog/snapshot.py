"""The configuration the data plane reads: immutable, swapped as a whole on every change."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType

from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.limits import Limit
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.routing import Policy

_SEPARATOR = re.compile("[/:]")


@dataclass(frozen=True, slots=True)
class Credential:
    """One key of a provider, decrypted. Its secret never appears in a repr.

    Those of the lowest `priority` come first; equal ones share calls by `weight`.
    """

    id: str
    name: str
    weight: int
    secret: str = field(repr=False)
    priority: int = 0


@dataclass(frozen=True, slots=True)
class Provider:
    """A vendor account. `trusted` means the operator declared its address."""

    id: str
    name: str
    kind: str
    base_url: str | None
    trusted: bool
    credentials: tuple[Credential, ...]


@dataclass(frozen=True, slots=True)
class Model:
    """A model a provider offers. `ref` is `provider/name`; `rates` is None when unpriced.

    `cost` is what the provider charges, None when nobody said.
    """

    ref: str
    name: str
    type: str
    provider: Provider
    max_output_tokens: int
    context_tokens: int
    rates: RateCard | None
    created_us: int = 0
    cost: RateCard | None = None


@dataclass(frozen=True, slots=True)
class Alias:
    """A name for models. Without a `policy` they are tried in the order declared."""

    name: str
    model: str
    fallbacks: tuple[str, ...] = ()
    policy: Policy | None = None


def _respelled(reference: str) -> str:
    """Return a reference that AIGNE's clients spell their way: `Open-AI:model`."""
    split = _SEPARATOR.search(reference)
    if split is None:
        return reference
    provider = reference[: split.start()].lower().replace("-", "")
    return f"{provider}/{reference[split.end() :]}"


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything a call needs to know, as of one version of the configuration."""

    version: int
    providers: Mapping[str, Provider]
    models: Mapping[str, Model]
    aliases: Mapping[str, Alias]
    by_name: Mapping[str, tuple[Model, ...]]
    project_limits: Mapping[str, tuple[Limit, ...]]

    @classmethod
    def of(
        cls,
        version: int,
        providers: Mapping[str, Provider],
        models: Mapping[str, Model],
        aliases: Mapping[str, Alias],
        project_limits: Mapping[str, tuple[Limit, ...]] = MappingProxyType({}),
    ) -> "Snapshot":
        names: dict[str, tuple[Model, ...]] = {}
        for model in models.values():
            names[model.name] = (*names.get(model.name, ()), model)
        return cls(version, providers, models, aliases, names, project_limits)

    def resolve(self, reference: str) -> tuple[Model, ...]:
        """Return the models behind a reference, best first.

        `provider/model` names one; an alias its model and fallbacks; a bare name every
        provider that offers it; `Provider:model` one, where that is no other's name.
        Raises NotFound for anything else.
        """
        model = self.models.get(reference)
        if model is not None:
            return (model,)
        if not reference:
            raise InvalidRequest("The request names no model.", param="model")
        alias = self.aliases.get(reference)
        if alias is not None:
            found = (self.models.get(ref) for ref in (alias.model, *alias.fallbacks))
            models = tuple(model for model in found if model is not None)
            if models:
                return models
        named = self.by_name.get(reference)
        if named:
            return named
        respelled = self.models.get(_respelled(reference))
        if respelled is not None:
            return (respelled,)
        shown = reference if len(reference) <= 200 else f"{reference[:200]}…"
        raise NotFound(
            f"The model {shown!r} is not offered here. GET /v1/models lists what is.",
            param="model",
        )

    def policy_of(self, reference: str) -> Policy | None:
        """Return the policy by which to choose among the models that `resolve` returns.

        An alias has its own, or its order; None, for any other reference, is the operator's.
        """
        alias = self.aliases.get(reference)
        if alias is None or not any(ref in self.models for ref in (alias.model, *alias.fallbacks)):
            return None
        return alias.policy or Policy.ORDER
