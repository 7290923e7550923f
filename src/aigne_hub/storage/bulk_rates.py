"""Costs of many models at once, as AIGNE Hub's clients send them (wire/aigne.md, section 4).

A request names providers and models loosely and gives costs per token; what matches gets
the cost, and with a margin also rates. Nothing is changed before the whole plan is known.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, select

from aigne_hub.catalog.model_limits import limits_of
from aigne_hub.catalog.price_import import Priced, Sale, in_dollars, scaled
from aigne_hub.catalog.price_list import (
    MILLION,
    Offered,
    Unusable,
    canonical,
    require_paid,
    spellings,
)
from aigne_hub.domain.charged_by import misfit
from aigne_hub.storage import declarations, prices, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import (
    Declared,
    Kind,
    Origin,
)

SOURCE: Final = "bulk sync"
# What clients call types of models, beside our own names.
TYPES: Final[Mapping[str, str]] = {
    "chatCompletion": "chat",
    "imageGeneration": "image",
    "image_generation": "image",
    **{name: name for name in ("chat", "embedding", "image", "video")},
}
# What the output of a type is charged by, and per how many.
_OUTPUT: Final[Mapping[str, tuple[str, Fraction]]] = {
    "image": ("image", Fraction(1)),
    "video": ("second", Fraction(1)),
}
_PER_TOKEN: Final = ("input", "cache_read", "cache_write")
_NAME: Final = re.compile(r"[^\s?#%\x00-\x1f\x7f]{1,256}")


class Wanted(NamedTuple):
    """One line of a request: dollars per token, or per image or second of output.

    `costs` has `input`, `output`, `cache_read` and `cache_write`, as far as they are given.
    """

    provider: str
    model: str
    costs: Mapping[str, Fraction]
    source: str = ""
    is_new: bool = False
    type: str = "chat"


class Step(NamedTuple):
    """What one line comes to: new prices of a model. `priced` has no id before it is made."""

    priced: Priced
    rates: Mapping[str, Any]
    cost: Mapping[str, Any]
    source: str


@dataclass(slots=True)
class Sync:
    """What a request would do, line by line."""

    updated: list[Step] = field(default_factory=list)
    unchanged: list[Step] = field(default_factory=list)
    created: list[Step] = field(default_factory=list)
    unmatched: list[Wanted] = field(default_factory=list)
    errors: list[tuple[Wanted, str]] = field(default_factory=list)
    deprecated: list[Priced] = field(default_factory=list)


def plan(
    connection: Connection, lines: Iterable[Wanted], sale: Sale | None, *, deprecate: bool
) -> Sync:
    """Match lines to models. Without a `sale` costs change and rates stay.

    With `deprecate`, chat models of the providers that are named are taken out of the offer
    when no line matches them; those that hub.yaml declares stay.
    """
    models = prices.priced_models(connection)
    providers = _providers(connection)
    found = Sync()
    matched: set[str] = set()
    named: set[str] = set()
    for line in lines:
        provider = providers.get(line.provider) or providers.get(canonical(line.provider))
        if provider is None:
            found.unmatched.append(line)
            continue
        named.add(provider.name)
        own = [priced for priced in models if priced.offered.provider == provider.name]
        priced = _match(own, line.model)
        if priced is not None:
            matched.add(priced.model_id)
            _update(found, priced, line, sale)
        elif line.is_new:
            _create(found, provider, line, sale)
        else:
            found.unmatched.append(line)
    if deprecate:
        declared = {one.id for one in declarations.declared(connection, Origin.FILE)}
        found.deprecated = [
            priced
            for priced in models
            if priced.offered.provider in named
            and priced.offered.type == "chat"
            and priced.model_id not in matched | declared
        ]
    return found


def apply(change: Changes, sync: Sync) -> None:
    """Do what a plan says, in the caller's transaction."""
    for step in sync.updated:
        prices.set_prices(change, step.priced, step.rates, step.cost, step.source)
    for step in sync.created:
        offered = step.priced.offered
        known = limits_of(offered.name)
        put = declarations.put_model(
            change,
            offered.provider,
            offered.name,
            type=offered.type,
            max_output_tokens=known.max_output_tokens,
            context_tokens=known.context_tokens,
            origin=Origin.API,
        )
        declarations.put_rates(change, put.id, step.rates, cost=step.cost, source=step.source)
    for priced in sync.deprecated:
        declarations.remove(change, Declared(Kind.MODEL, priced.offered.ref, priced.model_id))


class _Provider(NamedTuple):
    id: str
    name: str
    kind: str
    base_url: str | None


def _providers(connection: Connection) -> dict[str, _Provider]:
    """Return live providers by everything a request may call them: id, name, other names."""
    table = schema.provider
    rows = connection.execute(
        select(table.c.id, table.c.name, table.c.kind, table.c.base_url)
        .where(table.c.removed_us.is_(None))
        .order_by(table.c.id)
    )
    found: dict[str, _Provider] = {}
    for row in rows:
        provider = _Provider(*row)
        found[provider.id] = provider
        found[provider.name] = provider
        found.setdefault(canonical(provider.name), provider)
    return found


def _match(models: Sequence[Priced], name: str) -> Priced | None:
    """Return the model of a name: exact, else one that is the same without its date."""
    by_name = {priced.offered.name.lower(): priced for priced in models}
    for spelled in spellings(name):
        if spelled in by_name:
            return by_name[spelled]
    wanted = set(spellings(name))
    return next((priced for own, priced in by_name.items() if wanted & set(spellings(own))), None)


def _update(found: Sync, priced: Priced, line: Wanted, sale: Sale | None) -> None:
    if priced.declared:
        found.errors.append((line, "hub.yaml declares its prices"))
        return
    try:
        cost = {**priced.cost, **_cost(line, priced.offered.type)}
        require_paid(priced.offered.type, cost)
        rates = priced.rates if sale is None else scaled(cost, sale.factor)
    except Unusable as error:
        found.errors.append((line, str(error)))
        return
    step = Step(priced, rates, cost, line.source or SOURCE)
    if rates and (problem := misfit(priced.offered.type, rates)):
        found.errors.append((line, problem))
    elif (rates, cost) == (priced.rates, priced.cost):
        found.unchanged.append(step)
    else:
        found.updated.append(step)


def _create(found: Sync, provider: _Provider, line: Wanted, sale: Sale | None) -> None:
    if not _NAME.fullmatch(line.model):
        found.errors.append((line, "is no name of a model"))
        return
    offered = Offered(provider.name, provider.kind, provider.base_url, line.model, line.type)
    try:
        cost = _cost(line, line.type)
        require_paid(line.type, cost)
        rates = {} if sale is None else scaled(cost, sale.factor)
    except Unusable as error:
        found.errors.append((line, str(error)))
        return
    step = Step(Priced(offered, "", {}, {}), rates, cost, line.source or SOURCE)
    if problem := misfit(line.type, rates or cost):
        found.errors.append((line, problem))
    else:
        found.created.append(step)


def _cost(line: Wanted, kind: str) -> dict[str, Any]:
    """Return a line's costs above zero in nano-dollars. Raises Unusable without any."""
    unit, per = _OUTPUT.get(kind, ("output", MILLION))
    dollars = {name: line.costs[name] * MILLION for name in _PER_TOKEN if line.costs.get(name)}
    if line.costs.get("output"):
        dollars[unit] = line.costs["output"] * per
    if not dollars:
        raise Unusable("has no cost above zero")
    return in_dollars(dollars)
