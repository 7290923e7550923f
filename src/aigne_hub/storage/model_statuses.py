"""The statuses of models that all processes share, and that outlive them."""

from sqlalchemy import Engine, select

from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.storage import schema
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.inserts import insert_for

# How often a process stores what it saw and reads what others did.
INTERVAL_S = 2.0

_TABLE = schema.model_status
_FIELDS = [_TABLE.c[name] for name in ModelStatus._fields]


def record(engine: Engine, statuses: list[ModelStatus]) -> None:
    """Store statuses; a newer one of another process stays."""
    insert = insert_for(engine.dialect)
    made = insert(_TABLE)
    newer = made.excluded.checked_us > _TABLE.c.checked_us
    values = {name: made.excluded[name] for name in ModelStatus._fields if name != "model"}
    # In one order everywhere: two processes that store the same models must not wait in a ring.
    rows = [{**each._asdict(), "available": int(each.available)} for each in sorted(statuses)]
    with writing(engine) as connection:
        connection.execute(
            made.on_conflict_do_update(index_elements=["model"], set_=values, where=newer), rows
        )


def known(engine: Engine) -> list[ModelStatus]:
    with reading(engine) as connection:
        rows = connection.execute(select(*_FIELDS)).all()
    return [ModelStatus(*row)._replace(available=bool(row.available)) for row in rows]
