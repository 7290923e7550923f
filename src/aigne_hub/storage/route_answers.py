"""Idempotency keys of the web API: one effect and one answer for a day.

The claim and the answer are written in the transaction of the effect. A request that asks a
payment provider in between claims first and answers in a second transaction; when it dies, the
next one with its key goes on with what it had begun.
"""

from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, delete, insert, select, update

from aigne_hub.domain.errors import Conflict, IdempotencyMismatch
from aigne_hub.domain.idempotency import KEPT_US, Claim
from aigne_hub.storage import schema

# A request that asks a payment provider ends within this, or has died.
RUNNING_US: Final = 120 * 1_000_000
PRUNE_BATCH: Final = 5_000
_TABLE = schema.route_answer


@dataclass(frozen=True, slots=True)
class Begun:
    """What a request with a key meets: an answer, what an earlier one worked on, or nothing."""

    status: int | None = None
    body: str | None = None
    target: str | None = None


def begin(connection: Connection, now_us: int, claim: Claim) -> Begun:
    """Claim a key. Raises IdempotencyMismatch for another body, Conflict while one runs."""
    key = _TABLE.c.key_digest == claim.key_digest
    row = connection.execute(select(_TABLE).where(key).with_for_update()).one_or_none()
    if row is not None and row.created_us + KEPT_US <= now_us:
        connection.execute(delete(_TABLE).where(key))
        row = None
    if row is None:
        connection.execute(
            insert(_TABLE).values(
                key_digest=claim.key_digest,
                body_digest=claim.body_digest,
                created_us=now_us,
                running_until_us=now_us + RUNNING_US,
            )
        )
        return Begun()
    if row.body_digest != claim.body_digest:
        raise IdempotencyMismatch("The Idempotency-Key was used before for another request.")
    if row.status is not None:
        return Begun(row.status, row.body, row.target)
    if row.running_until_us > now_us:
        raise Conflict("A request with this Idempotency-Key is still running.")
    connection.execute(update(_TABLE).where(key).values(running_until_us=now_us + RUNNING_US))
    return Begun(target=row.target)


def note(connection: Connection, claim: Claim, target: str) -> None:
    """Remember what a request works on, before it asks somebody outside."""
    _update(connection, claim, target=target)


def keep(connection: Connection, claim: Claim, status: int, body: str) -> None:
    """Keep the answer for who repeats the request."""
    _update(connection, claim, status=status, body=body)


def free(connection: Connection, claim: Claim) -> None:
    """Forget a claim: its request had no effect and may be made again."""
    connection.execute(delete(_TABLE).where(_TABLE.c.key_digest == claim.key_digest))


def prune(connection: Connection, now_us: int) -> int:
    """Delete what is older than a day, a batch at a time; return how many rows that were."""
    old = (
        select(_TABLE.c.key_digest)
        .where(_TABLE.c.created_us <= now_us - KEPT_US)
        .limit(PRUNE_BATCH)
    )
    return connection.execute(delete(_TABLE).where(_TABLE.c.key_digest.in_(old))).rowcount


def _update(connection: Connection, claim: Claim, **values: object) -> None:
    connection.execute(
        update(_TABLE).where(_TABLE.c.key_digest == claim.key_digest).values(**values)
    )
