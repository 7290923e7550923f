"""Devices that wait until a person approves them on another screen (RFC 8628)."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from aigne_hub.crypto.oauth_secret import Kind, digest, new_secret
from aigne_hub.domain.errors import NotFound, RateLimited
from aigne_hub.domain.oauth import user_codes
from aigne_hub.domain.oauth.errors import OAuthError, Refusal
from aigne_hub.domain.oauth.lifetimes import DEVICE_INTERVAL_S, DEVICE_US, SECOND_US
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

# One address begins so many within their lifetime.
STARTED_MAX: Final = 20
# Each answer `slow_down` adds so much to how long a client waits (RFC 8628, 3.5).
SLOWER_S: Final = 5
INTERVAL_S_MAX: Final = 60
PRUNE_BATCH: Final = 5_000
_HOUR_US: Final = 3_600 * SECOND_US
_RANDOM_BYTES: Final = 32
_NOBODY: Final = "No device waits with this code. Check it, or begin again on the device."

_TABLE: Final = schema.oauth_device
_DEVICE: Final = schema.oauth_device.c
_GUESS: Final = schema.device_guess


@dataclass(frozen=True, slots=True)
class Begun:
    """The two codes of a device: its own, and the one that people type."""

    device_code: str = field(repr=False)
    user_code: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Waiting:
    """A device as the page shows it to who is to approve it."""

    client_id: str
    scopes: tuple[str, ...]
    resource: str
    address: str
    created_us: int


@dataclass(frozen=True, slots=True)
class Approved:
    """An approval that its device collected."""

    grant_id: str
    user_id: str
    user_did: str
    scopes: tuple[str, ...]
    resource: str
    authenticated_us: int


def require_room(connection: Connection, now_us: int, address: str) -> None:
    """Raise OAuthError when too many devices wait, of an address or of all."""
    counts = select(func.count()).select_from(_TABLE).where(_DEVICE.expires_us > now_us)
    own = connection.execute(counts.where(_DEVICE.address == address)).scalar_one()
    if own >= STARTED_MAX or connection.execute(counts).scalar_one() >= user_codes.LIVE_MAX:
        raise OAuthError(
            Refusal.TEMPORARILY_UNAVAILABLE,
            "Too many devices are waiting. Try again in some minutes.",
            retry_after_s=DEVICE_US // SECOND_US,
        )


def begin(
    connection: Connection,
    now_us: int,
    randbytes: Callable[[int], bytes],
    pepper: bytes,
    *,
    client_id: str,
    scopes: tuple[str, ...],
    resource: str,
    address: str,
) -> Begun:
    """Let a device wait. Raises what `require_room` does."""
    require_room(connection, now_us, address)
    prune(connection, now_us)
    text = new_secret(Kind.DEVICE, randbytes)
    code = None
    while code is None:
        code = user_codes.code_of(randbytes(_RANDOM_BYTES))
    connection.execute(
        insert(_TABLE).values(
            digest=digest(Kind.DEVICE, text, pepper),
            user_code_digest=digest(Kind.USER_CODE, code, pepper),
            client_id=client_id,
            scopes=" ".join(scopes),
            resource=resource,
            address=address,
            interval_s=DEVICE_INTERVAL_S,
            created_us=now_us,
            expires_us=now_us + DEVICE_US,
        )
    )
    return Begun(text, user_codes.shown(code))


def find(connection: Connection, now_us: int, pepper: bytes, typed: str) -> Waiting | None:
    """Return the device that waits with a code; None when there is none."""
    row = _by_user_code(connection, now_us, pepper, typed)
    if row is None:
        return None
    scopes = tuple(row.scopes.split())
    return Waiting(row.client_id, scopes, row.resource, row.address, row.created_us)


def require_guesses(connection: Connection, now_us: int, user_id: str) -> None:
    """Raise RateLimited for a user who tried too many codes within the hour."""
    hour = now_us - now_us % _HOUR_US
    if _guesses(connection, user_id, hour) >= user_codes.GUESSES_MAX:
        wait_s = (hour + _HOUR_US - now_us) // SECOND_US + 1
        raise RateLimited("Too many wrong codes. Try again later.", retry_after_s=wait_s)


def count_guess(connection: Connection, now_us: int, user_id: str) -> None:
    """Count a wrong code against a user."""
    hour = now_us - now_us % _HOUR_US
    values = {"hour_us": hour, "failures": _guesses(connection, user_id, hour) + 1}
    known = connection.execute(update(_GUESS).where(_GUESS.c.user_id == user_id).values(**values))
    if not known.rowcount:
        connection.execute(insert(_GUESS).values(user_id=user_id, **values))


def decide(
    change: Changes, pepper: bytes, typed: str, *, grant_id: str | None, authenticated_us: int
) -> None:
    """Approve a device with a grant, or deny it with None. Raises NotFound."""
    row = _by_user_code(change.connection, change.clock.now_us(), pepper, typed)
    if row is None:
        raise NotFound(_NOBODY)
    status = "denied" if grant_id is None else "approved"
    decided = change.connection.execute(
        update(_TABLE)
        .where(_DEVICE.digest == row.digest, _DEVICE.status == "waiting")
        .values(status=status, grant_id=grant_id, authenticated_us=authenticated_us)
    )
    if not decided.rowcount:
        raise NotFound(_NOBODY)
    change.audit(f"oauth.device.{status}", row.client_id, {"address": row.address})


def poll(
    connection: Connection, now_us: int, pepper: bytes, text: str, client_id: str
) -> Approved | OAuthError:
    """Collect what was approved, once, or return why there is nothing to collect.

    The error is to be raised after the commit: how often a device asks is written down.
    """
    row = connection.execute(
        select(_TABLE)
        .where(_DEVICE.digest == digest(Kind.DEVICE, text, pepper), _DEVICE.client_id == client_id)
        .with_for_update()
    ).one_or_none()
    if row is None or row.status == "used":
        return _invalid()
    if row.expires_us <= now_us:
        return OAuthError(Refusal.EXPIRED_TOKEN, "device_code has expired")
    if row.status == "denied":
        return OAuthError(Refusal.ACCESS_DENIED, "the user refused")
    if row.status == "waiting":
        return _too_early(connection, row, now_us)
    used = connection.execute(
        update(_TABLE)
        .where(_DEVICE.digest == row.digest, _DEVICE.status == "approved")
        .values(status="used")
    )
    found = _approved(connection, row)
    return found if used.rowcount and found is not None else _invalid()


def prune(connection: Connection, now_us: int) -> int:
    """Delete what expired a lifetime ago; return how many rows."""
    old = select(_DEVICE.digest).where(_DEVICE.expires_us <= now_us - DEVICE_US)
    return connection.execute(
        delete(_TABLE).where(_DEVICE.digest.in_(old.limit(PRUNE_BATCH)))
    ).rowcount


def _invalid() -> OAuthError:
    return OAuthError(Refusal.INVALID_GRANT, "device_code is not valid")


def _too_early(connection: Connection, row: Row[Any], now_us: int) -> OAuthError:
    interval_s = row.interval_s
    # A second of grace: clocks and networks are not exact.
    is_hasty = row.polled_us is not None and now_us - row.polled_us < (interval_s - 1) * SECOND_US
    if is_hasty:
        interval_s = min(interval_s + SLOWER_S, INTERVAL_S_MAX)
    connection.execute(
        update(_TABLE)
        .where(_DEVICE.digest == row.digest)
        .values(polled_us=now_us, interval_s=interval_s)
    )
    if is_hasty:
        return OAuthError(Refusal.SLOW_DOWN, f"ask every {interval_s} seconds")
    return OAuthError(Refusal.AUTHORIZATION_PENDING, "the user has not decided yet")


def _approved(connection: Connection, row: Row[Any]) -> Approved | None:
    grant = schema.oauth_grant.c
    holder = connection.execute(
        select(grant.user_id, schema.user.c.did)
        .join(schema.user, schema.user.c.id == grant.user_id)
        .where(
            grant.id == row.grant_id,
            grant.revoked_us.is_(None),
            schema.user.c.disabled_us.is_(None),
        )
    ).one_or_none()
    if holder is None:
        return None
    scopes = tuple(row.scopes.split())
    return Approved(
        row.grant_id, holder.user_id, holder.did, scopes, row.resource, row.authenticated_us
    )


def _by_user_code(
    connection: Connection, now_us: int, pepper: bytes, typed: str
) -> Row[Any] | None:
    letters = user_codes.normalised(typed)
    if letters is None:
        return None
    return connection.execute(
        select(_TABLE).where(
            _DEVICE.user_code_digest == digest(Kind.USER_CODE, letters, pepper),
            _DEVICE.status == "waiting",
            _DEVICE.expires_us > now_us,
        )
    ).one_or_none()


def _guesses(connection: Connection, user_id: str, hour_us: int) -> int:
    found = connection.execute(
        select(_GUESS.c.failures).where(_GUESS.c.user_id == user_id, _GUESS.c.hour_us == hour_us)
    ).scalar_one_or_none()
    return found or 0
