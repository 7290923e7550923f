"""Models with their prices as administrators list, add, change and remove them one by one."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, select

from aigne_hub.catalog.model_limits import limits_of
from aigne_hub.catalog.price_import import Priced
from aigne_hub.domain.charged_by import misfit
from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.storage import declarations, prices, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import Declared, Kind, Origin
from aigne_hub.storage.vendors import Vendor

SOURCE = "api"


def find(connection: Connection, model_id: str, vendor: Vendor | None = None) -> Priced:
    """Return a live model by its id, of one provider if that is given. Raises NotFound."""
    for priced in prices.priced_models(connection):
        own = vendor is None or priced.offered.provider == vendor.name
        if priced.model_id == model_id and own:
            return priced
    raise NotFound(f"There is no rate {model_id[:80]!r}.")


def add(
    change: Changes,
    vendor: Vendor,
    name: str,
    *,
    kind: str,
    rates: Mapping[str, Any],
    cost: Mapping[str, Any],
    max_output_tokens: int | None = None,
) -> Priced:
    """Offer a model of a provider at prices in nano-credits; `cost` is in nano-dollars.

    Raises Conflict when the provider offers it already, InvalidRequest for prices that a model
    of its type cannot have.
    """
    reference = f"{vendor.name}/{name}"
    for priced in prices.priced_models(change.connection):
        if priced.offered.ref == reference:
            raise Conflict(f"{reference} has rates already.")
    if problem := misfit(kind, rates):
        raise InvalidRequest(f"{reference}: {problem}.", param="rates")
    known = limits_of(name)
    put = declarations.put_model(
        change,
        vendor.name,
        name,
        type=kind,
        max_output_tokens=max_output_tokens or known.max_output_tokens,
        context_tokens=known.context_tokens,
        origin=Origin.API,
    )
    declarations.put_rates(change, put.id, rates, cost=cost, source=SOURCE)
    return find(change.connection, put.id)


def price(
    change: Changes, priced: Priced, rates: Mapping[str, Any], cost: Mapping[str, Any]
) -> Priced:
    """Price a model anew. Raises Conflict for one that hub.yaml prices."""
    prices.set_prices(change, priced, rates, cost, SOURCE)
    return find(change.connection, priced.model_id)


def remove(change: Changes, priced: Priced) -> None:
    """Stop offering a model. Raises Conflict for one that hub.yaml declares."""
    origin = change.connection.execute(
        select(schema.model.c.origin).where(schema.model.c.id == priced.model_id)
    ).scalar_one()
    if origin == Origin.FILE:
        raise Conflict(f"hub.yaml declares {priced.offered.ref}. Change it there.")
    declarations.remove(change, Declared(Kind.MODEL, priced.offered.ref, priced.model_id))
