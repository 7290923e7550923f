"""Prices of models: their versions, where each came from, and what vendors list."""

import json
from collections.abc import Collection, Mapping
from fnmatch import fnmatchcase
from fractions import Fraction
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Connection, Select, func, insert, select, update

from aigne_hub.catalog.price_import import Plan, Priced, Sale, plan_margin
from aigne_hub.catalog.price_list import Offered
from aigne_hub.domain.charged_by import misfit
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.domain.money import NANO_PER_CREDIT
from aigne_hub.domain.price_text import format_amounts
from aigne_hub.domain.pricing import Amounts
from aigne_hub.storage import accounts, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import Effect, put_rates

# The source of prices that hub.yaml declares: its own again at every start.
DECLARED = "hub.yaml"
SOURCE_MAX = 200

_RATE = schema.rate.c
_MODEL = schema.model.c
_PROVIDER = schema.provider.c


class Version(NamedTuple):
    """One version of a model's prices: nano-credits, its cost nano-dollars."""

    id: str
    model_id: str
    model: str
    version: int
    amounts: dict[str, Any]
    cost: dict[str, Any]
    source: str
    effective_us: int


class Reference(NamedTuple):
    """What a vendor charges by the newest list that was imported, in nano-dollars."""

    amounts: dict[str, Any]
    source: str
    imported_us: int


def versions(
    connection: Connection, *, pattern: str | None = None, every: bool = False
) -> list[Version]:
    """Return the newest version of every live model that has one, or each; by reference.

    `pattern` is a shell-style one over references. The newest version of a model comes first.
    """
    query = _versions().where(_MODEL.removed_us.is_(None), _PROVIDER.removed_us.is_(None))
    found = [_version(row) for row in connection.execute(query if every else _newest(query))]
    return [one for one in found if pattern is None or fnmatchcase(one.model, pattern)]


def history(connection: Connection, model_id: str) -> list[Version]:
    """Return every version of one model's prices, newest first, removed or not."""
    rows = connection.execute(_versions().where(_RATE.model_id == model_id))
    return [_version(row) for row in rows]


def by_id(connection: Connection, rate_id: str) -> Version | None:
    """Return the version that calls name as their price; None for an unknown id."""
    row = connection.execute(_versions().where(_RATE.id == rate_id)).one_or_none()
    return None if row is None else _version(row)


def model_named(connection: Connection, reference: str) -> Priced:
    """Return a model by its reference, also one that is no longer offered. Raises NotFound."""
    provider, _, name = reference.partition("/")
    rows = _priced(connection, _PROVIDER.name == provider, _MODEL.name == name)
    if not rows:
        raise NotFound(f"There is no model {reference[:200]!r}. See: aigne-hub rates list")
    return rows[0]


def priced_models(connection: Connection) -> list[Priced]:
    """Return every live model with the prices in force, by reference."""
    return _priced(connection, _MODEL.removed_us.is_(None), _PROVIDER.removed_us.is_(None))


def set_prices(
    change: Changes, priced: Priced, rates: Amounts, cost: Amounts, source: str
) -> Effect:
    """Make a new version of a model's prices. Raises Conflict for a model hub.yaml prices."""
    if priced.declared:
        raise Conflict(f"hub.yaml declares the prices of {priced.offered.ref}. Change them there.")
    if rates and (problem := misfit(priced.offered.type, rates)):
        raise InvalidRequest(f"{priced.offered.ref}: {problem}.", param="rates")
    if len(source) > SOURCE_MAX or not source.isprintable():
        raise InvalidRequest(f"A source is at most {SOURCE_MAX} characters.", param="source")
    return put_rates(change, priced.model_id, rates, cost=cost, source=source)


def with_margin(
    connection: Connection, sale: Sale, providers: Collection[str] | None = None
) -> Plan:
    """Plan prices from what models cost, of some providers or all."""
    listed = {model_id: one.amounts for model_id, one in references(connection).items()}
    models = [
        priced
        for priced in priced_models(connection)
        if not providers or priced.offered.provider in providers
    ]
    return plan_margin(models, listed, sale)


def apply(change: Changes, plan: Plan) -> None:
    """Do what a plan says, in the caller's transaction: its new versions of prices."""
    for one in (*plan.created, *plan.updated):
        set_prices(change, one.priced, one.rates, one.cost, plan.source)


def refer(change: Changes, plan: Plan) -> None:
    """Keep what the plan's list says that vendors charge, also for models hub.yaml prices."""
    for one in plan.references:
        _put_reference(change, one.priced.model_id, one.cost, plan.source)
    if plan.references:
        counts = {
            "created": len(plan.created),
            "updated": len(plan.updated),
            "unchanged": len(plan.unchanged),
            "declared": len(plan.declared),
        }
        change.audit("rates.import", plan.source, counts)


def credit_price(connection: Connection, given: Fraction | None = None) -> Fraction:
    """Return what a credit costs in dollars: as given, else as hub.yaml sells it.

    Raises InvalidRequest when it sells it in another currency.
    """
    if given is not None:
        return given
    nano = accounts.terms(connection).credit_price
    if nano is None:
        raise InvalidRequest(
            "Credits are not sold in dollars here. Say what one costs in dollars.",
            param="credit_price",
        )
    return Fraction(nano, NANO_PER_CREDIT)


def references(connection: Connection) -> dict[str, Reference]:
    """Return what vendors list, by the model's id."""
    table = schema.price_reference
    return {
        row.model_id: Reference(json.loads(row.amounts), row.source, row.imported_us)
        for row in connection.execute(select(table))
    }


def document(version: Version) -> dict[str, Any]:
    """Return a version as operators see it: decimals, and when it took effect in microseconds."""
    return {
        "model": version.model,
        "version": version.version,
        "amounts": format_amounts(version.amounts),
        "cost": format_amounts(version.cost),
        "source": version.source,
    }


def _put_reference(change: Changes, model_id: str, amounts: Amounts, source: str) -> None:
    table = schema.price_reference
    values = {
        "amounts": json.dumps(dict(amounts), sort_keys=True),
        "source": source,
        "imported_us": change.clock.now_us(),
    }
    known = change.connection.execute(
        update(table).where(table.c.model_id == model_id).values(**values)
    )
    if not known.rowcount:
        change.connection.execute(insert(table).values(model_id=model_id, **values))


def _versions() -> Select[Any]:
    return (
        select(schema.rate, _PROVIDER.name.label("provider"), _MODEL.name.label("model"))
        .join(schema.model, _MODEL.id == _RATE.model_id)
        .join(schema.provider, _PROVIDER.id == _MODEL.provider_id)
        .order_by(_PROVIDER.name, _MODEL.name, _RATE.version.desc())
    )


def _newest(query: Select[Any]) -> Select[Any]:
    newest = (
        select(_RATE.model_id, func.max(_RATE.version).label("version"))
        .group_by(_RATE.model_id)
        .subquery()
    )
    return query.join(
        newest, (newest.c.model_id == _RATE.model_id) & (newest.c.version == _RATE.version)
    )


def _version(row: Any) -> Version:
    return Version(
        row.id,
        row.model_id,
        f"{row.provider}/{row.model}",
        row.version,
        json.loads(row.amounts),
        json.loads(row.cost),
        row.source,
        row.effective_us,
    )


def _models() -> Select[Any]:
    return (
        select(
            _MODEL.id,
            _MODEL.name,
            _MODEL.type,
            _PROVIDER.name.label("provider"),
            _PROVIDER.kind,
            _PROVIDER.base_url,
        )
        .join(schema.provider, _PROVIDER.id == _MODEL.provider_id)
        .order_by(_PROVIDER.name, _MODEL.name)
    )


def _priced(connection: Connection, *wanted: ColumnElement[bool]) -> list[Priced]:
    newest = _newest(_versions())
    rates: Mapping[str, Any] = {row.model_id: row for row in connection.execute(newest)}
    query = _models().where(*wanted)
    return [_of(row, rates.get(row.id)) for row in connection.execute(query)]


def _of(model: Any, rate: Any) -> Priced:
    amounts = json.loads(rate.amounts) if rate is not None else {}
    cost = json.loads(rate.cost) if rate is not None else {}
    return Priced(
        Offered(model.provider, model.kind, model.base_url, model.name, model.type),
        model.id,
        amounts,
        cost,
        rate.source if rate is not None else "",
        declared=rate is not None and rate.source == DECLARED and bool(amounts or cost),
    )
