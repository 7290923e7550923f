"""The keys that tokens are signed with: sealed, one signing for each algorithm, rotated.

A new key is published some minutes before it signs, and the one before it verifies for as long
as a token that it signed may live.
"""

import json
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, select, update

from aigne_hub.crypto.envelope import Keyring
from aigne_hub.crypto.jose.keys import Algorithm, new_key
from aigne_hub.domain.oauth.lifetimes import ACCESS_US, KEY_AGE_US, KEY_NOTICE_US, LEEWAY_US
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

_TABLE: Final = schema.signing_key
_KEY: Final = schema.signing_key.c


@dataclass(frozen=True, slots=True)
class SigningKey:
    """What may be shown of a key. It signs from `active_us`, and verifies until `until_us`."""

    id: str
    algorithm: Algorithm
    public: dict[str, str]
    created_us: int
    active_us: int
    until_us: int | None


@dataclass(frozen=True, slots=True)
class Signer:
    """A key and its secret half."""

    id: str
    algorithm: Algorithm
    private: bytes = field(repr=False)


def listed(connection: Connection, now_us: int) -> list[SigningKey]:
    """Return the keys that verify now or will sign, oldest first."""
    rows = connection.execute(select(_TABLE).order_by(_KEY.active_us, _KEY.id))
    return [_key(row) for row in rows if row.until_us is None or row.until_us > now_us]


def find(connection: Connection, key_id: str, now_us: int) -> SigningKey | None:
    """Return a key that verifies now."""
    row = connection.execute(select(_TABLE).where(_KEY.id == key_id)).one_or_none()
    if row is None or (row.until_us is not None and row.until_us <= now_us):
        return None
    return _key(row)


def signer(
    connection: Connection, keyring: Keyring, algorithm: Algorithm, now_us: int
) -> Signer | None:
    """Return the key that signs now; None before the first rotation."""
    query = (
        select(_TABLE)
        .where(_KEY.algorithm == algorithm.value, _KEY.active_us <= now_us)
        .order_by(_KEY.active_us.desc(), _KEY.id.desc())
        .limit(1)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    private = keyring.open(row.sealed_private, **_place(row.id))
    return Signer(row.id, algorithm, private)


def rotate(change: Changes, keyring: Keyring, *, at_once: bool = False) -> list[SigningKey]:
    """Make the next key of each algorithm.

    It signs after KEY_NOTICE_US; at once when it is the first, or when the one before leaked:
    then that one verifies nothing any more, and every access token ends.
    """
    now = change.clock.now_us()
    change.connection.execute(delete(_TABLE).where(_KEY.until_us <= now))
    made = [_rotated(change, keyring, algorithm, now, at_once=at_once) for algorithm in Algorithm]
    change.audit("oauth.keys.rotate", "oauth", {"keys": [key.id for key in made]})
    return made


def is_due(connection: Connection, now_us: int, age_us: int = KEY_AGE_US) -> bool:
    """Tell whether no key is there, or the newest is older than `age_us`."""
    newest = [
        connection.execute(
            select(_KEY.created_us)
            .where(_KEY.algorithm == algorithm.value)
            .order_by(_KEY.created_us.desc())
            .limit(1)
        ).scalar_one_or_none()
        for algorithm in Algorithm
    ]
    return any(created is None or created + age_us <= now_us for created in newest)


def is_old(connection: Connection, now_us: int) -> bool:
    """Tell whether keys are in use and older than KEY_AGE_US."""
    is_used = connection.execute(select(_KEY.id).limit(1)).first() is not None
    return is_used and is_due(connection, now_us)


def _rotated(
    change: Changes, keyring: Keyring, algorithm: Algorithm, now: int, *, at_once: bool
) -> SigningKey:
    own = _KEY.algorithm == algorithm.value
    is_first = change.connection.execute(select(_KEY.id).where(own).limit(1)).first() is None
    active_us = now if at_once or is_first else now + KEY_NOTICE_US
    ends_us = now if at_once else active_us + ACCESS_US + LEEWAY_US
    change.connection.execute(
        update(_TABLE)
        .where(own, _KEY.until_us.is_(None) if not at_once else _KEY.id.is_not(None))
        .values(until_us=ends_us)
    )
    key = new_key(algorithm)
    change.connection.execute(
        insert(_TABLE).values(
            id=key.id,
            algorithm=algorithm.value,
            public_jwk=json.dumps(key.public, sort_keys=True),
            sealed_private=keyring.seal(key.private, **_place(key.id)),
            created_us=now,
            active_us=active_us,
        )
    )
    return SigningKey(key.id, algorithm, key.public, now, active_us, None)


def _key(row: Row[Any]) -> SigningKey:
    return SigningKey(
        row.id,
        Algorithm(row.algorithm),
        json.loads(row.public_jwk),
        row.created_us,
        row.active_us,
        row.until_us,
    )


def _place(key_id: str) -> dict[str, str]:
    return {"table": "signing_key", "row": key_id, "column": "sealed_private"}
