"""Read the catalogue as the data plane wants it: one immutable snapshot of what is live."""

import json
from collections import defaultdict
from collections.abc import Mapping
from typing import NamedTuple

from sqlalchemy import Connection, func, select

from aigne_hub.catalog.snapshot import Alias, Credential, Model, Provider, Snapshot
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.pricing import RateCard
from aigne_hub.domain.routing import Policy
from aigne_hub.storage import limits, schema
from aigne_hub.storage.changes import version


def load_snapshot(connection: Connection, keyring: Keyring) -> Snapshot:
    """Return everything that is offered now, with secrets opened and the newest rates.

    Read it in one transaction (`engine.reading`). Raises SealBroken when a credential was
    sealed with another key.
    """
    providers = _providers(connection, keyring)
    models = _models(connection, providers)
    return Snapshot.of(
        version(connection),
        {provider.name: provider for provider in providers.values()},
        {model.ref: model for model in models},
        _aliases(connection),
        limits.of_projects(connection),
    )


def seal_secret(keyring: Keyring, credential_id: str, secret: str) -> bytes:
    return keyring.seal(secret.encode(), table="credential", row=credential_id, column="sealed_key")


def open_secret(keyring: Keyring, credential_id: str, sealed: bytes) -> str:
    return keyring.open(sealed, table="credential", row=credential_id, column="sealed_key").decode()


def _providers(connection: Connection, keyring: Keyring) -> dict[str, Provider]:
    """Return live providers by id."""
    table = schema.credential
    credentials: defaultdict[str, list[Credential]] = defaultdict(list)
    for row in connection.execute(
        select(table).where(table.c.removed_us.is_(None)).order_by(table.c.id)
    ):
        secret = open_secret(keyring, row.id, row.sealed_key)
        credentials[row.provider_id].append(
            Credential(row.id, row.name, row.weight, secret, row.priority)
        )
    table = schema.provider
    return {
        row.id: Provider(
            id=row.id,
            name=row.name,
            kind=row.kind,
            base_url=row.base_url,
            trusted=row.origin == "file",
            credentials=tuple(credentials[row.id]),
        )
        for row in connection.execute(
            select(table).where(table.c.removed_us.is_(None)).order_by(table.c.id)
        )
    }


def _models(connection: Connection, providers: Mapping[str, Provider]) -> list[Model]:
    """Return the live models of live providers, first declared first."""
    rates = _rates(connection)
    listed = _listed(connection)
    table = schema.model
    found = []
    for row in connection.execute(
        select(table).where(table.c.removed_us.is_(None)).order_by(table.c.id)
    ):
        provider = providers.get(row.provider_id)
        if provider is None:
            continue
        found.append(
            Model(
                ref=f"{provider.name}/{row.name}",
                name=row.name,
                type=row.type,
                provider=provider,
                max_output_tokens=row.max_output_tokens,
                context_tokens=row.context_tokens,
                rates=rates[row.id].price if row.id in rates else None,
                created_us=row.created_us,
                cost=(rates[row.id].cost if row.id in rates else None) or listed.get(row.id),
            )
        )
    return found


def _listed(connection: Connection) -> dict[str, RateCard]:
    """Return what vendors list, by the model's id: the cost of models that state none."""
    table = schema.price_reference.c
    rows = connection.execute(select(table.model_id, table.amounts))
    return {row.model_id: card for row in rows if (card := card_of(None, row.amounts))}


class Priced(NamedTuple):
    """One version of a model's prices: what callers pay, and what the provider charges."""

    price: RateCard | None
    cost: RateCard | None


def _rates(connection: Connection) -> dict[str, Priced]:
    """Return the newest version of every model's prices, by the model's id."""
    table = schema.rate
    newest = (
        select(table.c.model_id, func.max(table.c.version).label("version"))
        .group_by(table.c.model_id)
        .subquery()
    )
    rows = connection.execute(
        select(table.c.id, table.c.model_id, table.c.amounts, table.c.cost).join(
            newest,
            (newest.c.model_id == table.c.model_id) & (newest.c.version == table.c.version),
        )
    )
    return {
        row.model_id: Priced(card_of(row.id, row.amounts), card_of(row.id, row.cost))
        for row in rows
    }


def card_of(rate_id: str | None, amounts: str | None) -> RateCard | None:
    """Return the card of a rate's column; None when it has no amounts, so no price."""
    by_unit = json.loads(amounts or "{}")
    return RateCard.of(rate_id or "", by_unit) if by_unit else None


def _aliases(connection: Connection) -> dict[str, Alias]:
    table = schema.alias
    return {
        row.name: Alias(
            row.name,
            row.model,
            tuple(row.fallbacks.split("\n")) if row.fallbacks else (),
            Policy(row.policy) if row.policy else None,
        )
        for row in connection.execute(select(table).order_by(table.c.name))
    }
