"""Sessions by which a program gets a key that a person approves, without seeing a password.

A session begins for anybody, a person approves it for a user, and the program that began it
collects a key. The key is made when it is collected, so one that nobody takes never exists;
its text is kept, sealed, for HANDOVER_US, because the stock CLI reads it twice.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from aigne_hub.crypto import base58
from aigne_hub.crypto.envelope import Keyring
from aigne_hub.domain.errors import Conflict, Forbidden, NotFound, Overloaded, RateLimited
from aigne_hub.storage import keys, schema, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

_SECOND_US: Final = 1_000_000
# As long as the stock CLI asks.
LIVE_US: Final = 4_500 * _SECOND_US
HANDOVER_US: Final = 60 * _SECOND_US
# One address begins so many sessions within this time, ended ones included.
RATE_US: Final = 600 * _SECOND_US
STARTED_MAX: Final = 20
SESSIONS_MAX: Final = 10_000
ID_CHARS_MAX: Final = 64
PRUNE_BATCH: Final = 5_000

_ID_BYTES = 24
_KEY_NAME = "AIGNE CLI"
_GONE = (
    "There is no such connection: it has expired, has ended, or its key was collected. "
    "Begin again with `aigne hub connect`."
)
_TABLE = schema.connect_session
_SESSION = _TABLE.c


@dataclass(frozen=True, slots=True)
class Session:
    """A session as its page shows it. `user_id` is None until somebody approved it."""

    address: str
    created_us: int
    user_id: str | None
    ended: bool


@dataclass(frozen=True, slots=True)
class Collected:
    """A key in the hands of the program that asked for it."""

    key_id: str
    text: str = field(repr=False)


def require_room(connection: Connection, now_us: int, address: str) -> None:
    """Raise RateLimited for one session too many of an address, Overloaded of all together."""
    counts = select(func.count()).select_from(_TABLE)
    recent = (_SESSION.address == address, _SESSION.created_us > now_us - RATE_US)
    if connection.execute(counts.where(*recent)).scalar_one() >= STARTED_MAX:
        raise RateLimited(
            "Too many connections were begun from this address. Wait some minutes.",
            retry_after_s=RATE_US // _SECOND_US,
        )
    if connection.execute(counts.where(_SESSION.expires_us > now_us)).scalar_one() >= SESSIONS_MAX:
        raise Overloaded("Too many connections are waiting to be approved. Retry in some minutes.")


def begin(
    connection: Connection, now_us: int, randbytes: Callable[[int], bytes], address: str
) -> str:
    """Begin a session for a program at an address; return its id, of which a digest is kept.

    Raises what `require_room` does.
    """
    require_room(connection, now_us, address)
    prune(connection, now_us)
    session_id = base58.encode(randbytes(_ID_BYTES))
    connection.execute(
        insert(_TABLE).values(
            digest=_digest(session_id),
            address=address,
            created_us=now_us,
            expires_us=now_us + LIVE_US,
        )
    )
    return session_id


def find(connection: Connection, now_us: int, session_id: str) -> Session:
    """Return a session, for a while also one that ended. Raises NotFound."""
    row = _live(connection, now_us, session_id)
    return Session(row.address, row.created_us, row.user_id, row.ended_us is not None)


def approve(change: Changes, session_id: str, user: User) -> None:
    """Let a session have a key of a user. Raises NotFound, or Conflict when it was approved."""
    row = _open(change.connection, change.clock.now_us(), session_id, lock=True)
    if row.user_id is not None:
        raise Conflict("This connection has been approved already.")
    if user.disabled:
        raise Conflict("The user is disabled, so no key of theirs would work.")
    _update(change.connection, session_id, user_id=user.id)
    change.audit("connect.approve", user.id, {"address": row.address})


def poll(
    connection: Connection, keyring: Keyring, now_us: int, session_id: str
) -> tuple[bool, Collected | None]:
    """Return whether an open session was approved, and its key if that was made.

    Raises NotFound for a session that never was, has ended or expired.
    """
    row = _open(connection, now_us, session_id)
    return row.user_id is not None, _kept(row, keyring)


def collect(
    change: Changes,
    keyring: Keyring,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    session_id: str,
) -> Collected:
    """Make the key of an approved session, or return the one that was made.

    Raises NotFound, or Forbidden when its user has been disabled meanwhile.
    """
    now = change.clock.now_us()
    row = _open(change.connection, now, session_id, lock=True)
    kept = _kept(row, keyring)
    if kept is not None:
        return kept
    assert row.user_id is not None
    user = users.find(change.connection, row.user_id)
    if user.disabled:
        raise Forbidden("The user who was to get this key has been disabled.")
    made = keys.create(change, keyring, randbytes, pepper, user=user, name=_KEY_NAME)
    _update(
        change.connection,
        session_id,
        key_id=made.record.id,
        sealed_key=keyring.seal(made.text.encode(), **_place(row.digest)),
        expires_us=now + HANDOVER_US,
    )
    return Collected(made.record.id, made.text)


def end(connection: Connection, now_us: int, session_id: str) -> None:
    """Forget the key's text; the session opens nothing any more. Raises NotFound."""
    row = _open(connection, now_us, session_id, lock=True)
    # The row stays as long as it counts against its address, and its page may look.
    kept_us = max(row.created_us + RATE_US, now_us + HANDOVER_US)
    _update(connection, session_id, sealed_key=None, ended_us=now_us, expires_us=kept_us)


def prune(connection: Connection, now_us: int) -> int:
    """Delete what has expired, a batch at a time; return how many rows that were."""
    old = select(_SESSION.digest).where(_SESSION.expires_us <= now_us).limit(PRUNE_BATCH)
    return connection.execute(delete(_TABLE).where(_SESSION.digest.in_(old))).rowcount


def _open(connection: Connection, now_us: int, session_id: str, *, lock: bool = False) -> Row[Any]:
    row = _live(connection, now_us, session_id, lock=lock)
    if row.ended_us is not None:
        raise NotFound(_GONE)
    return row


def _live(connection: Connection, now_us: int, session_id: str, *, lock: bool = False) -> Row[Any]:
    query = select(_TABLE).where(
        _SESSION.digest == _digest(session_id), _SESSION.expires_us > now_us
    )
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    if row is None:
        raise NotFound(_GONE)
    return row


def _kept(row: Row[Any], keyring: Keyring) -> Collected | None:
    if row.sealed_key is None:
        return None
    return Collected(row.key_id, keyring.open(row.sealed_key, **_place(row.digest)).decode())


def _update(connection: Connection, session_id: str, **values: object) -> None:
    connection.execute(
        update(_TABLE).where(_SESSION.digest == _digest(session_id)).values(**values)
    )


def _digest(session_id: str) -> bytes:
    return hashlib.sha256(session_id.encode("utf-8", "surrogatepass")).digest()


def _place(digest: bytes) -> dict[str, str]:
    return {"table": "connect_session", "row": digest.hex(), "column": "sealed_key"}
