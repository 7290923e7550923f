"""Answers kept for idempotency keys. The journal writes them; here they are read and pruned."""

from sqlalchemy import Connection, delete, select

from aigne_hub.domain.idempotency import KEPT_US
from aigne_hub.storage import schema

PRUNE_BATCH = 1_000

_CLAIM = schema.idempotency_key.c
_CALL = schema.model_call.c


def kept(connection: Connection, call_id: str) -> tuple[int, str, str, bytes, int] | None:
    """Return status, content type, model, body and charge (nano-credits) of a kept answer."""
    row = connection.execute(
        select(_CLAIM.status, _CLAIM.content_type, _CLAIM.model, _CLAIM.body, _CALL.charge)
        .join_from(schema.idempotency_key, schema.model_call, _CALL.id == _CLAIM.call_id)
        .where(_CLAIM.call_id == call_id, _CLAIM.status.is_not(None))
    ).one_or_none()
    if row is None:
        return None
    return row.status, row.content_type, row.model, bytes(row.body), row.charge or 0


def prune(connection: Connection, now_us: int) -> int:
    """Forget keys that are older than they are kept for, at most PRUNE_BATCH; return how many.

    One whose call still runs stays: its settlement will look for it.
    """
    old = (
        select(_CLAIM.key_digest)
        .where(_CLAIM.created_us <= now_us - KEPT_US, _CLAIM.complete == 1)
        .limit(PRUNE_BATCH)
    )
    return connection.execute(
        delete(schema.idempotency_key).where(_CLAIM.key_digest.in_(old.scalar_subquery()))
    ).rowcount
