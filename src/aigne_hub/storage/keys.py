"""API keys: shown once, stored as a keyed hash, each an application of its own."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, insert, select, update

from aigne_hub.crypto import api_key
from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.access import DEFAULT_SCOPES, Principal, Scope
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.limits import Limit, Measure, Subject
from aigne_hub.domain.roles import role_named
from aigne_hub.domain.windows import Window
from aigne_hub.storage import identities, roles, schema
from aigne_hub.storage import limits as limits_of
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

NAME_MAX = 100
MODELS_MAX = 100
PATTERN_MAX = 256

_KEY = schema.api_key.c


@dataclass(frozen=True, slots=True)
class Limits:
    """What one key may use. None means no limit; `credit_limit` (nano-credits) has a window."""

    credit_limit: int | None = None
    window: Window | None = None
    rpm: int | None = None
    tpm: int | None = None
    streams: int | None = None

    def require_sensible(self) -> None:
        """Raise InvalidRequest for limits that no new key should have."""
        if (self.credit_limit is None) != (self.window is None):
            raise InvalidRequest("A credit limit needs a window, and a window a credit limit.")
        for name, rate in (("rpm", self.rpm), ("tpm", self.tpm), ("streams", self.streams)):
            if rate == 0:
                raise InvalidRequest(f"{name} is at least 1.", param=name)

    def entries(self) -> Iterator[tuple[Measure, Window, int]]:
        if self.credit_limit is not None and self.window is not None:
            yield Measure.CREDITS, self.window, self.credit_limit
        if self.rpm is not None:
            yield Measure.REQUESTS, Window.MINUTE, self.rpm
        if self.tpm is not None:
            yield Measure.TOKENS, Window.MINUTE, self.tpm
        if self.streams is not None:
            yield Measure.STREAMS, Window.TOTAL, self.streams

    @classmethod
    def of(cls, limits: Iterable[Limit]) -> "Limits":
        """Return the limits of a key as its makers gave them; others are left out."""
        amounts = {(limit.measure, limit.window): limit.amount for limit in limits}
        spending = next((w for m, w in amounts if m is Measure.CREDITS), None)
        return cls(
            None if spending is None else amounts[Measure.CREDITS, spending],
            spending,
            amounts.get((Measure.REQUESTS, Window.MINUTE)),
            amounts.get((Measure.TOKENS, Window.MINUTE)),
            amounts.get((Measure.STREAMS, Window.TOTAL)),
        )


@dataclass(frozen=True, slots=True)
class ApiKey:
    """What may be shown of a key. `app_did` is the application it speaks for by default."""

    id: str
    user_id: str
    name: str
    prefix: str
    app_did: str
    scopes: frozenset[Scope]
    models: tuple[str, ...]
    limits: Limits
    created_us: int
    expires_us: int | None
    revoked_us: int | None


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made: the only moment at which its text exists outside the caller."""

    record: ApiKey
    text: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyHolder:
    """Who presented a key, and whether it still opens anything."""

    principal: Principal
    revoked: bool
    disabled: bool


def create(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    *,
    user: User,
    name: str = "",
    scopes: Collection[Scope] = DEFAULT_SCOPES,
    models: Sequence[str] = (),
    limits: Limits = Limits(),
    expires_us: int | None = None,
) -> NewKey:
    """Make a key for a user. `models` are shell-style patterns; none allows every model."""
    if not scopes:
        raise InvalidRequest("A key needs at least one scope.", param="scope")
    if len(name) > NAME_MAX or not name.isprintable():
        raise InvalidRequest(f"A key's name is at most {NAME_MAX} characters.", param="name")
    _check_patterns(models)
    limits.require_sensible()
    now = change.clock.now_us()
    if expires_us is not None and expires_us <= now:
        raise InvalidRequest("The key would already have expired.", param="expires_at")
    text = api_key.new_key(randbytes)
    application = new_identity(RoleType.APPLICATION, randbytes)
    record = ApiKey(
        id=change.ids(),
        user_id=user.id,
        name=name,
        prefix=api_key.prefix_of(text),
        app_did=application.did,
        scopes=frozenset(scopes),
        models=tuple(models),
        limits=limits,
        created_us=now,
        expires_us=expires_us,
        revoked_us=None,
    )
    identities.keep(change, keyring, application, kind="application", user_id=user.id)
    change.connection.execute(
        insert(schema.api_key).values(
            id=record.id,
            user_id=user.id,
            name=name,
            prefix=record.prefix,
            digest=api_key.digest(text, pepper),
            app_did=record.app_did,
            scopes=" ".join(sorted(scopes)),
            models="\n".join(models),
            created_us=now,
            expires_us=expires_us,
        )
    )
    for measure, window, amount in limits.entries():
        limits_of.put(change, Subject.KEY, record.id, measure, window, amount)
    change.audit("key.create", record.id, {"user": user.id, "prefix": record.prefix, "name": name})
    return NewKey(record, text)


def listed(connection: Connection, user: User) -> list[ApiKey]:
    """Return a user's keys, oldest first, revoked ones included."""
    rows = connection.execute(
        select(schema.api_key).where(_KEY.user_id == user.id).order_by(_KEY.id)
    )
    return [_record(connection, row) for row in rows.all()]


def find(connection: Connection, key_id: str) -> ApiKey:
    """Return a key, revoked or not. Raises NotFound."""
    found = known(connection, key_id)
    if found is None:
        raise NotFound(f"There is no key {key_id[:80]!r}. See: aigne-hub keys list")
    return found


def known(connection: Connection, key_id: str) -> ApiKey | None:
    """Return a key, revoked or not; None for a caller who came by other means."""
    row = connection.execute(select(schema.api_key).where(_KEY.id == key_id)).one_or_none()
    return None if row is None else _record(connection, row)


def revoke(change: Changes, key_id: str) -> ApiKey:
    """Make a key useless for good; revoking it again changes nothing. Raises NotFound."""
    record = find(change.connection, key_id)
    if record.revoked_us is not None:
        return record
    now = change.clock.now_us()
    change.connection.execute(
        update(schema.api_key).where(_KEY.id == key_id).values(revoked_us=now)
    )
    change.audit("key.revoke", key_id, {"prefix": record.prefix})
    return replace(record, revoked_us=now)


def find_by_digest(connection: Connection, digest: bytes) -> KeyHolder | None:
    """Return who holds the key with this digest (`crypto.api_key.digest`), None for nobody.

    Also answers for keys that expired, were revoked or whose user is disabled: it is the
    caller who refuses them, in words that say which.
    """
    return _holder(connection, _KEY.digest == digest)


def holder_of(connection: Connection, key_id: str) -> KeyHolder:
    """Return who holds a key that exists, as `find_by_digest` does."""
    holder = _holder(connection, _KEY.id == key_id)
    assert holder is not None
    return holder


def _holder(connection: Connection, where: ColumnElement[bool]) -> KeyHolder | None:
    row = connection.execute(
        select(schema.api_key, schema.user.c.did, schema.user.c.role, schema.user.c.disabled_us)
        .join(schema.user, schema.user.c.id == _KEY.user_id)
        .where(where)
    ).one_or_none()
    if row is None:
        return None
    principal = Principal(
        user_id=row.user_id,
        user_did=row.did,
        key_id=row.id,
        app_did=row.app_did,
        role=role_named(row.role),
        scopes=_scopes(row),
        models=_patterns(row),
        expires_us=row.expires_us,
        limits=limits_of.of(connection, (Subject.KEY, row.id), (Subject.USER, row.user_id)),
        permissions=roles.permissions_of(connection, row.role),
    )
    return KeyHolder(
        principal,
        revoked=row.revoked_us is not None,
        disabled=row.disabled_us is not None,
    )


def _check_patterns(models: Sequence[str]) -> None:
    if len(models) > MODELS_MAX:
        raise InvalidRequest(f"A key names at most {MODELS_MAX} model patterns.", param="model")
    for pattern in models:
        if not pattern.strip() or len(pattern) > PATTERN_MAX or not pattern.isprintable():
            raise InvalidRequest(
                f"{pattern[:80]!r} is not a model pattern such as openai/gpt-*.", param="model"
            )


def _scopes(row: Row[Any]) -> frozenset[Scope]:
    return frozenset(map(Scope, row.scopes.split()))


def _patterns(row: Row[Any]) -> tuple[str, ...]:
    return tuple(row.models.split("\n")) if row.models else ()


def _record(connection: Connection, row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        user_id=row.user_id,
        name=row.name,
        prefix=row.prefix,
        app_did=row.app_did,
        scopes=_scopes(row),
        models=_patterns(row),
        limits=Limits.of(limits_of.of(connection, (Subject.KEY, row.id))),
        created_us=row.created_us,
        expires_us=row.expires_us,
        revoked_us=row.revoked_us,
    )
