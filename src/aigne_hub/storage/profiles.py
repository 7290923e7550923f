"""What wallets say of their people. Nobody has checked it, so nothing is decided by it."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, insert, select

from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

_PROFILE = schema.profile.c


@dataclass(frozen=True, slots=True)
class Profile:
    name: str
    email: str


def put(change: Changes, user_id: str, name: str, email: str) -> None:
    """Keep what the wallet said last."""
    change.connection.execute(delete(schema.profile).where(_PROFILE.user_id == user_id))
    change.connection.execute(
        insert(schema.profile).values(
            user_id=user_id, name=name, email=email, updated_us=change.clock.now_us()
        )
    )


def of(connection: Connection, user_id: str) -> Profile | None:
    row = connection.execute(
        select(_PROFILE.name, _PROFILE.email).where(_PROFILE.user_id == user_id)
    ).one_or_none()
    return None if row is None else Profile(row.name, row.email)
