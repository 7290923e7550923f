"""What was signed for one use: seen once in all processes, until it is too old to be used."""

from typing import Final

from sqlalchemy import Connection, delete, select

from aigne_hub.storage import schema
from aigne_hub.storage.inserts import insert_for

PRUNE_BATCH: Final = 5_000

_TABLE = schema.used_signature


def use(connection: Connection, mark: bytes, expires_us: int) -> bool:
    """Note a mark (32 bytes) and tell whether it was not there: of all who ask, one is told so."""
    insert = insert_for(connection.dialect)
    noted = insert(_TABLE).values(mark=mark, expires_us=expires_us).on_conflict_do_nothing()
    return connection.execute(noted.returning(_TABLE.c.mark)).first() is not None


def prune(connection: Connection, now_us: int) -> int:
    """Forget what is too old to be used, a batch at a time; return how many that were."""
    old = select(_TABLE.c.mark).where(_TABLE.c.expires_us <= now_us).limit(PRUNE_BATCH)
    return connection.execute(delete(_TABLE).where(_TABLE.c.mark.in_(old))).rowcount
