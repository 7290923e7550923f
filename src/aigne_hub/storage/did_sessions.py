"""Sessions of DID Connect: what a code on a screen stands for, and how far its wallet is.

The token in the code is a secret of those who see it: a digest is kept. A step is answered once:
every change names the step and the status that it changes, so of two answers one wins. A
session ends LIVE_US after it began, and KEPT_US after it was over.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from aigne_hub.domain.errors import Conflict, Overloaded, RateLimited
from aigne_hub.storage import schema

_SECOND_US: Final = 1_000_000
LIVE_US: Final = 300 * _SECOND_US
KEPT_US: Final = 60 * _SECOND_US
# One address begins so many sessions within this time.
RATE_US: Final = 300 * _SECOND_US
STARTED_MAX: Final = 60
SESSIONS_MAX: Final = 10_000
TOKEN_CHARS_MAX: Final = 64
PRUNE_BATCH: Final = 5_000

Action = Literal["login", "bind", "switch"]
Over = Literal["error", "busy", "forbidden"]

_TOKEN_BYTES = 16
_OPEN = ("created", "scanned")
_TABLE = schema.did_session
_SESSION = _TABLE.c
_USED = "This request has been answered already, or has ended."


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a session is begun for, and by whom."""

    action: Action
    origin: str
    address: str
    browser: bytes | None = field(default=None, repr=False)
    encryption_key: bytes | None = None
    for_user_id: str | None = None
    back_to: str = ""


@dataclass(frozen=True, slots=True)
class DidSession:
    """A session as it is now. `token` is known while a request that named it is handled."""

    token: str = field(repr=False)
    wanted: Wanted
    status: str
    step: int
    asked: str
    did: str | None
    public_key: bytes | None
    wallet: str
    user_id: str | None
    error: str
    login_token: bytes | None = field(repr=False)
    created_us: int
    collected_us: int | None

    @property
    def digest(self) -> bytes:
        return _digest(self.token)

    @property
    def is_open(self) -> bool:
        return self.status in _OPEN


def require_room(connection: Connection, now_us: int, address: str) -> None:
    """Raise RateLimited for one session too many of an address, Overloaded of all together."""
    counts = select(func.count()).select_from(_TABLE)
    recent = (_SESSION.address == address, _SESSION.created_us > now_us - RATE_US)
    if connection.execute(counts.where(*recent)).scalar_one() >= STARTED_MAX:
        raise RateLimited(
            "Too many sign-ins were begun from this address. Wait some minutes.",
            retry_after_s=RATE_US // _SECOND_US,
        )
    if connection.execute(counts.where(_SESSION.expires_us > now_us)).scalar_one() >= SESSIONS_MAX:
        raise Overloaded("Too many sign-ins wait for their wallets. Retry in some minutes.")


def begin(
    connection: Connection,
    now_us: int,
    randbytes: Callable[[int], bytes],
    wanted: Wanted,
    asked: str,
) -> str:
    """Begin a session; return its token, which the wallet is shown. Raises as `require_room`."""
    require_room(connection, now_us, wanted.address)
    prune(connection, now_us)
    token = randbytes(_TOKEN_BYTES).hex()
    connection.execute(
        insert(_TABLE).values(
            digest=_digest(token),
            action=wanted.action,
            status="created",
            step=0,
            asked=asked,
            origin=wanted.origin,
            address=wanted.address,
            browser=wanted.browser,
            encryption_key=wanted.encryption_key,
            for_user_id=wanted.for_user_id,
            back_to=wanted.back_to,
            wallet="",
            error="",
            created_us=now_us,
            expires_us=now_us + LIVE_US,
        )
    )
    return token


def find(
    connection: Connection, now_us: int, token: str, *, lock: bool = False
) -> DidSession | None:
    """Return a session, for a while also one that is over."""
    if not 0 < len(token) <= TOKEN_CHARS_MAX:
        return None
    query = select(_TABLE).where(_SESSION.digest == _digest(token), _SESSION.expires_us > now_us)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else _session(row, token)


def scan(connection: Connection, session: DidSession, wallet: str) -> None:
    """Note that a wallet has read the code."""
    _change(connection, session, status="scanned", wallet=wallet)


def advance(
    connection: Connection, session: DidSession, did: str, public_key: bytes, asked: str
) -> None:
    """Go on to the next step with the wallet that answered. Raises Conflict when one has."""
    _change(
        connection,
        session,
        status="scanned",
        step=session.step + 1,
        did=did,
        public_key=public_key,
        asked=asked,
    )


def succeed(
    connection: Connection,
    session: DidSession,
    now_us: int,
    *,
    user_id: str,
    did: str,
    public_key: bytes,
    login_token: bytes | None,
) -> None:
    """End a session well, for whoever began it to collect. Raises Conflict when it is over."""
    _change(
        connection,
        session,
        status="succeed",
        user_id=user_id,
        did=did,
        public_key=public_key,
        login_token=login_token,
        expires_us=now_us + KEPT_US,
    )


def fail(
    connection: Connection, session: DidSession, now_us: int, status: Over, error: str
) -> None:
    """End a session badly. Raises Conflict when it is over."""
    _change(connection, session, status=status, error=error, expires_us=now_us + KEPT_US)


def collect(connection: Connection, session: DidSession, now_us: int) -> bool:
    """Hand the outcome over to its browser; tell whether nobody had it before."""
    done = connection.execute(
        update(_TABLE)
        .where(_SESSION.digest == session.digest, _SESSION.collected_us.is_(None))
        .values(collected_us=now_us)
    )
    return done.rowcount == 1


def drop(connection: Connection, session: DidSession) -> None:
    """Forget a session that no wallet has read."""
    connection.execute(
        delete(_TABLE).where(_SESSION.digest == session.digest, _SESSION.status == "created")
    )


def prune(connection: Connection, now_us: int) -> int:
    """Delete what is long over, a batch at a time; return how many rows that were."""
    over = (_SESSION.expires_us <= now_us, _SESSION.created_us <= now_us - RATE_US)
    old = select(_SESSION.digest).where(*over).limit(PRUNE_BATCH)
    return connection.execute(delete(_TABLE).where(_SESSION.digest.in_(old))).rowcount


def _change(connection: Connection, session: DidSession, **values: object) -> None:
    done = connection.execute(
        update(_TABLE)
        .where(
            _SESSION.digest == session.digest,
            _SESSION.step == session.step,
            _SESSION.status.in_(_OPEN),
        )
        .values(**values)
    )
    if done.rowcount != 1:
        raise Conflict(_USED)


def _session(row: Row[Any], token: str) -> DidSession:
    wanted = Wanted(
        row.action,
        row.origin,
        row.address,
        row.browser,
        row.encryption_key,
        row.for_user_id,
        row.back_to,
    )
    return DidSession(
        token,
        wanted,
        row.status,
        row.step,
        row.asked,
        row.did,
        row.public_key,
        row.wallet,
        row.user_id,
        row.error,
        row.login_token,
        row.created_us,
        row.collected_us,
    )


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
