"""Declare providers, credentials, models, rates and aliases, and take them back.

Every `put_…` makes a row be as given and says whether that created, updated or left it.
A removed row keeps its id, so that calls and rates which name it still mean something, and
is revived when its name is declared again.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import Connection, Row, Table, delete, insert, select, update

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.errors import NotFound
from aigne_hub.domain.pricing import Amounts, RateCard
from aigne_hub.domain.routing import Policy
from aigne_hub.storage import schema, target_health
from aigne_hub.storage.catalogue import open_secret, seal_secret
from aigne_hub.storage.changes import Changes


class Origin(StrEnum):
    """Who declares an object: hub.yaml, or an administrator through the API."""

    FILE = "file"
    API = "api"


class Kind(StrEnum):
    PROVIDER = "provider"
    CREDENTIAL = "credential"
    MODEL = "model"
    ALIAS = "alias"


class Effect(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"


_TABLES = {
    Kind.PROVIDER: schema.provider,
    Kind.CREDENTIAL: schema.credential,
    Kind.MODEL: schema.model,
}


@dataclass(frozen=True, slots=True)
class Put:
    """What a `put_…` did, and the row it is about."""

    id: str
    effect: Effect


@dataclass(frozen=True, slots=True)
class Declared:
    """A live object. `name` is its reference: credentials and models as `provider/name`."""

    kind: Kind
    name: str
    id: str


def put_provider(
    change: Changes, name: str, *, kind: str, base_url: str | None, origin: Origin
) -> Put:
    return _put(
        change,
        schema.provider,
        {"name": name},
        {"kind": kind, "base_url": base_url, "origin": origin},
        shown=name,
    )


def put_credential(
    change: Changes,
    keyring: Keyring,
    provider: str,
    name: str,
    *,
    secret: str,
    weight: int,
    priority: int = 0,
    origin: Origin,
) -> Put:
    """Keep a provider's key, sealed for its row. An equal secret is not sealed again."""
    provider_id = _provider_id(change.connection, provider)
    table = schema.credential
    row = change.connection.execute(
        select(table).where(table.c.provider_id == provider_id, table.c.name == name)
    ).one_or_none()
    credential_id = change.ids() if row is None else row.id
    if row is not None and open_secret(keyring, row.id, row.sealed_key) == secret:
        sealed = row.sealed_key
    else:
        sealed = seal_secret(keyring, credential_id, secret)
    return _put(
        change,
        table,
        {"provider_id": provider_id, "name": name},
        {"sealed_key": sealed, "weight": weight, "priority": priority, "origin": origin},
        shown=f"{provider}/{name}",
        new_id=credential_id,
    )


def put_model(
    change: Changes,
    provider: str,
    name: str,
    *,
    type: str,  # noqa: A002 - the column's and the contract's name
    max_output_tokens: int,
    context_tokens: int,
    origin: Origin,
) -> Put:
    return _put(
        change,
        schema.model,
        {"provider_id": _provider_id(change.connection, provider), "name": name},
        {
            "type": type,
            "max_output_tokens": max_output_tokens,
            "context_tokens": context_tokens,
            "origin": origin,
        },
        shown=f"{provider}/{name}",
    )


def put_rates(
    change: Changes,
    model_id: str,
    amounts: Amounts,
    *,
    cost: Amounts,
    source: str,
) -> Effect:
    """Price a model from now on: amounts as `RateCard.of` takes them, in nano-credits.

    `cost` is what the provider charges, in nano-dollars.

    A change is a new version, and calls keep the one they began with; equal prices make
    none. Without amounts the model becomes unpriced.
    """
    RateCard.of("", amounts)
    RateCard.of("", cost)
    table = schema.rate
    row = change.connection.execute(
        select(table).where(table.c.model_id == model_id).order_by(table.c.version.desc()).limit(1)
    ).one_or_none()
    before = (row.amounts, row.cost) if row else (_json({}), _json({}))
    after = (_json(amounts), _json(cost))
    if before == after:
        return Effect.UNCHANGED
    rate_id, version = change.ids(), row.version + 1 if row else 1
    change.connection.execute(
        insert(table).values(
            id=rate_id,
            model_id=model_id,
            version=version,
            amounts=after[0],
            cost=after[1],
            source=source,
            effective_us=change.clock.now_us(),
        )
    )
    detail = {"version": version, "amounts": dict(amounts), "cost": dict(cost), "source": source}
    change.audit("rate.create", model_id, detail)
    return Effect.UPDATED if row else Effect.CREATED


def source_of_rates(connection: Connection, model_id: str) -> str | None:
    """Return where the newest version of a model's prices came from; None without any."""
    table = schema.rate.c
    found: str | None = connection.execute(
        select(table.source)
        .where(table.model_id == model_id)
        .order_by(table.version.desc())
        .limit(1)
    ).scalar_one_or_none()
    return found


def put_alias(
    change: Changes,
    name: str,
    *,
    model: str,
    fallbacks: Sequence[str],
    policy: Policy | None = None,
    origin: Origin,
) -> Effect:
    table = schema.alias
    values = {
        "model": model,
        "fallbacks": "\n".join(fallbacks),
        "policy": policy,
        "origin": origin,
    }
    row = change.connection.execute(select(table).where(table.c.name == name)).one_or_none()
    if row is None:
        change.connection.execute(insert(table).values(name=name, **values))
        change.audit("alias.create", name, values)
        return Effect.CREATED
    if all(getattr(row, column) == value for column, value in values.items()):
        return Effect.UNCHANGED
    change.connection.execute(update(table).where(table.c.name == name).values(**values))
    change.audit("alias.update", name, values)
    return Effect.UPDATED


def declared(connection: Connection, origin: Origin) -> list[Declared]:
    """Return every live object of an origin, aliases first and providers last."""
    found = [
        Declared(Kind.ALIAS, name, name)
        for name in connection.execute(
            select(schema.alias.c.name).where(schema.alias.c.origin == origin)
        ).scalars()
    ]
    provider = schema.provider
    for kind, table in ((Kind.MODEL, schema.model), (Kind.CREDENTIAL, schema.credential)):
        rows = connection.execute(
            select(table.c.id, provider.c.name.label("provider"), table.c.name)
            .join(provider, provider.c.id == table.c.provider_id)
            .where(table.c.origin == origin, table.c.removed_us.is_(None))
            .order_by(table.c.id)
        )
        found += [Declared(kind, f"{row.provider}/{row.name}", row.id) for row in rows]
    rows = connection.execute(
        select(provider.c.id, provider.c.name)
        .where(provider.c.origin == origin, provider.c.removed_us.is_(None))
        .order_by(provider.c.id)
    )
    return found + [Declared(Kind.PROVIDER, row.name, row.id) for row in rows]


def remove(change: Changes, target: Declared) -> None:
    """Stop offering an object; what stands below a provider goes with it.

    Calls keep what they began with. Removing a provider leaves the rows of its models and
    credentials as they are, so that it comes back with those an administrator made.
    """
    if target.kind is Kind.ALIAS:
        change.connection.execute(delete(schema.alias).where(schema.alias.c.name == target.id))
    else:
        table = _TABLES[target.kind]
        change.connection.execute(
            update(table).where(table.c.id == target.id).values(removed_us=change.clock.now_us())
        )
    change.audit(f"{target.kind}.remove", target.id, {"name": target.name})
    if target.kind in (Kind.PROVIDER, Kind.CREDENTIAL):
        _let_in(change, target.name)


def _put(
    change: Changes,
    table: Table,
    key: Mapping[str, Any],
    values: Mapping[str, Any],
    *,
    shown: str,
    new_id: str | None = None,
) -> Put:
    """Make the row under a unique key have these values and be live."""
    where = [table.c[column] == value for column, value in key.items()]
    row = change.connection.execute(select(table).where(*where)).one_or_none()
    if row is None:
        row_id = new_id or change.ids()
        change.connection.execute(
            insert(table).values(
                id=row_id, created_us=change.clock.now_us(), removed_us=None, **key, **values
            )
        )
        change.audit(f"{table.name}.create", row_id, _detail(shown, values))
        return Put(row_id, Effect.CREATED)
    if row.removed_us is None and _same(row, values):
        return Put(row.id, Effect.UNCHANGED)
    change.connection.execute(
        update(table).where(table.c.id == row.id).values(removed_us=None, **values)
    )
    change.audit(f"{table.name}.update", row.id, _detail(shown, values))
    if table is not schema.model:
        _let_in(change, shown)
    revived = row.removed_us is not None
    return Put(row.id, Effect.CREATED if revived else Effect.UPDATED)


def _let_in(change: Changes, name: str) -> None:
    """Forget what barred a provider, or the one of a credential, that is not what it was."""
    target_health.forget(change.connection, name.partition("/")[0], change.clock.now_us())


def _same(row: Row[Any], values: Mapping[str, Any]) -> bool:
    return all(getattr(row, column) == value for column, value in values.items())


def _detail(shown: str, values: Mapping[str, Any]) -> dict[str, object]:
    public = {column: value for column, value in values.items() if column != "sealed_key"}
    return {"name": shown, **public}


def _provider_id(connection: Connection, name: str) -> str:
    table = schema.provider
    found: str | None = connection.execute(
        select(table.c.id).where(table.c.name == name)
    ).scalar_one_or_none()
    if found is None:
        raise NotFound(f"There is no provider {name!r}.")
    return found


def _json(amounts: Amounts) -> str:
    return json.dumps(dict(amounts), sort_keys=True)
