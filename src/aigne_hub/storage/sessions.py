"""Sessions of people who signed in: a row each, found by a keyed hash of the cookie's token.

A session ends LIFETIME_US after it began, UNUSED_US after it was last used, when its person
signs out or revokes it, and with the user. Its row is deleted: the audit log keeps the trace.
"""

import hmac
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from aigne_hub.crypto import base58
from aigne_hub.domain.errors import Forbidden, NotFound
from aigne_hub.storage import schema, users
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

_DAY_US: Final = 24 * 3600 * 1_000_000
LIFETIME_US: Final = 30 * _DAY_US
UNUSED_US: Final = 7 * _DAY_US
# A use is written down when the last one noted is this old.
TOUCH_US: Final = 300 * 1_000_000
# Of one user; one more ends the one that was used longest ago.
SESSIONS_MAX: Final = 50
USER_AGENT_MAX: Final = 200
ADDRESS_MAX: Final = 60
PRUNE_BATCH: Final = 5_000

_TOKEN_BYTES = 32
_TOKEN_CHARS_MAX = 44  # of base58
_TABLE = schema.session
_SESSION = _TABLE.c
_GONE = "There is no such session: it has ended, or it is not yours."


@dataclass(frozen=True, slots=True)
class Session:
    """A live session. `authenticated_us` is when its person last proved who they are."""

    id: str
    user: User
    method: str
    user_agent: str
    address: str
    created_us: int
    authenticated_us: int
    used_us: int

    @property
    def expires_us(self) -> int:
        return min(self.created_us + LIFETIME_US, self.used_us + UNUSED_US)


@dataclass(frozen=True, slots=True)
class NewSession:
    """A session just begun: the only moment at which its token exists outside the browser."""

    id: str
    token: str = field(repr=False)


def begin(
    change: Changes,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    user: User,
    method: str,
    *,
    user_agent: str,
    address: str,
) -> NewSession:
    """Begin a session of a person who has just proved who they are, by `method`.

    Raises Forbidden for a disabled user, Conflict for a service account. To rotate, end the
    session that was there before.
    """
    if user.disabled:
        raise Forbidden("This user has been disabled.")
    user.require_person()
    now = change.clock.now_us()
    token = base58.encode(randbytes(_TOKEN_BYTES))
    session_id = change.ids()
    _make_room(change.connection, user.id)
    change.connection.execute(
        insert(_TABLE).values(
            id=session_id,
            digest=_digest(token, pepper),
            user_id=user.id,
            method=method,
            user_agent=_shown(user_agent)[:USER_AGENT_MAX],
            address=_shown(address)[:ADDRESS_MAX],
            created_us=now,
            authenticated_us=now,
            used_us=now,
        )
    )
    change.audit("session.begin", session_id, {"user": user.id, "method": method})
    return NewSession(session_id, token)


def find(connection: Connection, pepper: bytes, token: str, now_us: int) -> Session | None:
    """Return the live session of a cookie's token; None for any other text."""
    if not 0 < len(token) <= _TOKEN_CHARS_MAX:
        return None
    row = connection.execute(
        select(_TABLE).where(_SESSION.digest == _digest(token, pepper), *_live(now_us))
    ).one_or_none()
    if row is None:
        return None
    user = users.named(connection, [row.user_id])[row.user_id]
    return None if user.disabled else _session(row, user)


def listed(connection: Connection, user: User, now_us: int) -> list[Session]:
    """Return a user's live sessions, the one used last first."""
    rows = connection.execute(
        select(_TABLE)
        .where(_SESSION.user_id == user.id, *_live(now_us))
        .order_by(_SESSION.used_us.desc(), _SESSION.id.desc())
    )
    return [_session(row, user) for row in rows]


def touch(connection: Connection, session_id: str, now_us: int) -> None:
    """Note that a session is in use."""
    connection.execute(update(_TABLE).where(_SESSION.id == session_id).values(used_us=now_us))


def end(change: Changes, user: User, session_id: str) -> None:
    """End a session of a user. Raises NotFound for one that has ended or is another's."""
    ended = 0
    # Of a NUL byte, which an address can have, PostgreSQL makes an error.
    if session_id.isprintable():
        ended = change.connection.execute(
            delete(_TABLE).where(_SESSION.id == session_id, _SESSION.user_id == user.id)
        ).rowcount
    if not ended:
        raise NotFound(_GONE)
    change.audit("session.end", session_id, {"user": user.id})


def end_presented(change: Changes, pepper: bytes, token: str) -> None:
    """End the session of a cookie's token, if there is one: a sign-in replaces it."""
    row = change.connection.execute(
        select(_SESSION.id, _SESSION.user_id).where(_SESSION.digest == _digest(token, pepper))
    ).one_or_none()
    if row is not None:
        change.connection.execute(delete(_TABLE).where(_SESSION.id == row.id))
        change.audit("session.end", row.id, {"user": row.user_id})


def end_all(change: Changes, user: User, *, but: str | None = None) -> int:
    """End every session of a user, except `but`; return how many that were."""
    which = [_SESSION.user_id == user.id]
    if but is not None:
        which.append(_SESSION.id != but)
    ended = change.connection.execute(delete(_TABLE).where(*which)).rowcount
    if ended:
        change.audit("session.end_all", user.id, {"ended": ended})
    return ended


def prune(connection: Connection, now_us: int) -> int:
    """Delete sessions that are over, a batch at a time; return how many that were."""
    over = or_(_SESSION.created_us <= now_us - LIFETIME_US, _SESSION.used_us <= now_us - UNUSED_US)
    old = select(_SESSION.id).where(over).limit(PRUNE_BATCH)
    return connection.execute(delete(_TABLE).where(_SESSION.id.in_(old))).rowcount


def _make_room(connection: Connection, user_id: str) -> None:
    """Leave room for one more session of a user; changes are serialised, so it stays."""
    newest = (
        select(_SESSION.id)
        .where(_SESSION.user_id == user_id)
        .order_by(_SESSION.used_us.desc(), _SESSION.id.desc())
        .limit(SESSIONS_MAX - 1)
    )
    connection.execute(
        delete(_TABLE).where(_SESSION.user_id == user_id, _SESSION.id.not_in(newest))
    )


def _live(now_us: int) -> tuple[Any, Any]:
    return (_SESSION.created_us > now_us - LIFETIME_US, _SESSION.used_us > now_us - UNUSED_US)


def _session(row: Row[Any], user: User) -> Session:
    return Session(
        row.id,
        user,
        row.method,
        row.user_agent,
        row.address,
        row.created_us,
        row.authenticated_us,
        row.used_us,
    )


def _digest(token: str, pepper: bytes) -> bytes:
    """Return the keyed hash of a token, which is that of no API key with the same text."""
    return hmac.digest(pepper, b"session\0" + token.encode("utf-8", "surrogatepass"), "sha256")


def _shown(text: str) -> str:
    return "".join(char for char in text if char.isprintable())
