"""What is stored of people's passwords."""

from sqlalchemy import Connection, insert, select, update

from aigne_hub.storage import oauth_families, schema
from aigne_hub.storage.changes import Changes
from aigne_hub.storage.users import User

_TABLE = schema.password
_PASSWORD = _TABLE.c


def stored(connection: Connection, user_id: str) -> str | None:
    """Return the hash of a user's password (`crypto.passwords`), None for one without."""
    return connection.execute(
        select(_PASSWORD.hash).where(_PASSWORD.user_id == user_id)
    ).scalar_one_or_none()


def put(change: Changes, user: User, hashed: str) -> None:
    """Give a user a password; OAuth clients have to ask again.

    Whoever calls this ends the sessions that were there. Raises Conflict for a service account.
    """
    user.require_person()
    _write(change, user, hashed)
    oauth_families.end_of_user(change, user.id, "the password changed")
    change.audit("password.set", user.id)


def renew(change: Changes, user: User, old: str, hashed: str) -> None:
    """Replace a hash by another of the same password, unless it has been replaced already."""
    if stored(change.connection, user.id) == old:
        _write(change, user, hashed)
        change.audit("password.renew", user.id)


def _write(change: Changes, user: User, hashed: str) -> None:
    values = {"hash": hashed, "changed_us": change.clock.now_us()}
    done = change.connection.execute(
        update(_TABLE).where(_PASSWORD.user_id == user.id).values(**values)
    )
    if not done.rowcount:
        change.connection.execute(insert(_TABLE).values(user_id=user.id, **values))
