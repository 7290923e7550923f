"""Providers and credentials as administrators see and change them. No secret leaves here.

What hub.yaml declares is changed there: everything else here raises Conflict for it.
"""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import Connection, Row, or_, select

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.errors import Conflict, NotFound
from aigne_hub.storage import declarations, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.declarations import Declared, Kind, Origin

PROVIDERS_MAX: Final = 256
CREDENTIALS_MAX: Final = 100

_PROVIDER = schema.provider.c
_CREDENTIAL = schema.credential.c
_MODEL = schema.model.c
_SHOWN_MAX = 80


@dataclass(frozen=True, slots=True)
class CredentialRecord:
    id: str
    name: str
    weight: int
    priority: int
    origin: str
    created_us: int


@dataclass(frozen=True, slots=True)
class Vendor:
    """A live provider. `base_url` is None where its kind has an address."""

    id: str
    name: str
    kind: str
    base_url: str | None
    origin: str
    created_us: int
    credentials: tuple[CredentialRecord, ...]

    def credential(self, name: str) -> CredentialRecord:
        """Return a credential by its id or name. Raises NotFound."""
        for one in self.credentials:
            if name in (one.id, one.name):
                return one
        raise NotFound(f"{self.name} has no credential {name[:_SHOWN_MAX]!r}.")


def listed(connection: Connection) -> list[Vendor]:
    """Return every live provider, first declared first."""
    return _vendors(connection)


def find(connection: Connection, name: str) -> Vendor:
    """Return a live provider by its id or name. Raises NotFound."""
    found = _vendors(connection, name)
    if not found:
        raise NotFound(f"There is no provider {name[:_SHOWN_MAX]!r}.")
    return min(found, key=lambda vendor: vendor.id != name)


def create(change: Changes, name: str, *, kind: str, base_url: str | None) -> Vendor:
    """Offer another provider. Raises Conflict for a name that is taken.

    Keys that are left of an earlier one of this name were not given for this address: they go.
    """
    known = listed(change.connection)
    if any(vendor.name == name for vendor in known):
        raise Conflict(f"There is already a provider {name!r}.")
    if len(known) >= PROVIDERS_MAX:
        raise Conflict(f"A hub has at most {PROVIDERS_MAX} providers.")
    put = declarations.put_provider(change, name, kind=kind, base_url=base_url, origin=Origin.API)
    _drop_credentials(change, find(change.connection, put.id))
    return find(change.connection, put.id)


def move(change: Changes, vendor: Vendor, base_url: str | None) -> Vendor:
    """Reach a provider at another address. Its keys go: they were given for the old one."""
    _require_own(vendor.origin, f"the provider {vendor.name}")
    if base_url != vendor.base_url:
        _drop_credentials(change, vendor)
    put = declarations.put_provider(
        change, vendor.name, kind=vendor.kind, base_url=base_url, origin=Origin.API
    )
    return find(change.connection, put.id)


def remove(change: Changes, vendor: Vendor) -> None:
    """Stop offering a provider for good: one of its name that comes later begins empty."""
    _require_own(vendor.origin, f"the provider {vendor.name}")
    _drop_credentials(change, vendor)
    models = change.connection.execute(
        select(_MODEL.id, _MODEL.name).where(
            _MODEL.provider_id == vendor.id, _MODEL.removed_us.is_(None)
        )
    ).all()
    for model in models:
        declarations.remove(change, Declared(Kind.MODEL, f"{vendor.name}/{model.name}", model.id))
    declarations.remove(change, Declared(Kind.PROVIDER, vendor.name, vendor.id))


def add_credential(
    change: Changes,
    keyring: Keyring,
    vendor: Vendor,
    name: str,
    *,
    secret: str,
    weight: int,
    priority: int = 0,
) -> CredentialRecord:
    """Give a provider another key. Raises Conflict for a name that is taken."""
    require_room(vendor, name)
    return _put(change, keyring, vendor, name, secret=secret, weight=weight, priority=priority)


def require_room(vendor: Vendor, name: str) -> None:
    """Raise Conflict when a provider cannot have another key of this name."""
    if any(one.name == name for one in vendor.credentials):
        raise Conflict(f"{vendor.name} has a credential {name!r} already.")
    if len(vendor.credentials) >= CREDENTIALS_MAX:
        raise Conflict(f"A provider has at most {CREDENTIALS_MAX} credentials.")


def replace_credential(
    change: Changes,
    keyring: Keyring,
    vendor: Vendor,
    credential: CredentialRecord,
    *,
    secret: str,
    weight: int,
    priority: int = 0,
) -> CredentialRecord:
    """Use another key under the same name."""
    require_changeable(vendor, credential)
    return _put(
        change, keyring, vendor, credential.name, secret=secret, weight=weight, priority=priority
    )


def require_changeable(vendor: Vendor, credential: CredentialRecord) -> None:
    """Raise Conflict for a key that hub.yaml declares."""
    _require_own(credential.origin, f"the credential {vendor.name}/{credential.name}")


def remove_credential(change: Changes, vendor: Vendor, credential: CredentialRecord) -> None:
    require_changeable(vendor, credential)
    name = f"{vendor.name}/{credential.name}"
    declarations.remove(change, Declared(Kind.CREDENTIAL, name, credential.id))


def _put(
    change: Changes,
    keyring: Keyring,
    vendor: Vendor,
    name: str,
    *,
    secret: str,
    weight: int,
    priority: int,
) -> CredentialRecord:
    put = declarations.put_credential(
        change,
        keyring,
        vendor.name,
        name,
        secret=secret,
        weight=weight,
        priority=priority,
        origin=Origin.API,
    )
    return find(change.connection, vendor.id).credential(put.id)


def _drop_credentials(change: Changes, vendor: Vendor) -> None:
    for one in vendor.credentials:
        name = f"{vendor.name}/{one.name}"
        declarations.remove(change, Declared(Kind.CREDENTIAL, name, one.id))


def _require_own(origin: str, what: str) -> None:
    if origin == Origin.FILE:
        raise Conflict(f"hub.yaml declares {what}. Change it there.")


def _vendors(connection: Connection, name: str | None = None) -> list[Vendor]:
    query = select(schema.provider).where(_PROVIDER.removed_us.is_(None)).order_by(_PROVIDER.id)
    if name is not None:
        query = query.where(or_(_PROVIDER.id == name, _PROVIDER.name == name))
    rows = connection.execute(query).all()
    credentials = _credentials(connection, [row.id for row in rows])
    return [_vendor(row, tuple(credentials[row.id])) for row in rows]


def _credentials(
    connection: Connection, provider_ids: list[str]
) -> dict[str, list[CredentialRecord]]:
    found: defaultdict[str, list[CredentialRecord]] = defaultdict(list)
    rows = connection.execute(
        select(
            _CREDENTIAL.provider_id,
            _CREDENTIAL.id,
            _CREDENTIAL.name,
            _CREDENTIAL.weight,
            _CREDENTIAL.priority,
            _CREDENTIAL.origin,
            _CREDENTIAL.created_us,
        )
        .where(_CREDENTIAL.provider_id.in_(provider_ids), _CREDENTIAL.removed_us.is_(None))
        .order_by(_CREDENTIAL.id)
    )
    for provider_id, *values in rows:
        found[provider_id].append(CredentialRecord(*values))
    return found


def _vendor(row: Row[Any], credentials: tuple[CredentialRecord, ...]) -> Vendor:
    return Vendor(row.id, row.name, row.kind, row.base_url, row.origin, row.created_us, credentials)
