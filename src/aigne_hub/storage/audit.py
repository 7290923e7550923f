"""Reading the audit log: who did what to which object from where."""

from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Row, select

from aigne_hub.domain.audit import Break, Chained, Entry, Head, breaks
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import schema

_LOG = schema.audit_log
_FIELDS = [_LOG.c[name] for name in Entry._fields]
_FETCH: Final = 1_000


class Wanted(NamedTuple):
    """Which entries: None for any. `action` may be the beginning of one, such as `key.`."""

    actor: str | None = None
    action: str | None = None
    object: str | None = None


def entries(connection: Connection, wanted: Wanted, *, limit: int) -> Iterator[dict[str, Any]]:
    """Return entries as they are shown, newest first."""
    query = select(_LOG).order_by(_LOG.c.seq.desc()).limit(limit)
    if wanted.actor is not None:
        query = query.where(_LOG.c.actor == wanted.actor)
    if wanted.action is not None:
        query = query.where(_LOG.c.action.startswith(wanted.action, autoescape=True))
    if wanted.object is not None:
        query = query.where(_LOG.c.object == wanted.object)
    rows = connection.execute(query, execution_options={"yield_per": _FETCH})
    return (_shown(row) for row in rows)


def exported(connection: Connection) -> Iterator[Mapping[str, Any]]:
    """Return every entry with its hash, oldest first: enough to verify the chain elsewhere."""
    query = select(_LOG).order_by(_LOG.c.seq)
    rows = connection.execute(query, execution_options={"yield_per": _FETCH})
    return (
        {**Entry(*(getattr(row, name) for name in Entry._fields))._asdict(), "hash": row.hash.hex()}
        for row in rows
    )


def head(connection: Connection) -> Head:
    """Return where the chain ends, as every change wrote it beside the log."""
    state = schema.hub_state.c
    seq, digest = connection.execute(select(state.audit_seq, state.audit_hash)).one()
    return Head() if digest is None else Head(seq, bytes(digest))


def has(connection: Connection, digest: str) -> bool:
    """Tell whether an entry has this hash, in hexadecimal."""
    try:
        wanted = bytes.fromhex(digest)
    except ValueError:
        return False
    found = select(_LOG.c.seq).where(_LOG.c.hash == wanted)
    return connection.execute(found).first() is not None


def verify(connection: Connection) -> list[Break]:
    """Return where the log is not what was written; nothing when it is whole."""
    query = select(*_FIELDS, _LOG.c.hash).order_by(_LOG.c.seq)
    rows = connection.execute(query, execution_options={"yield_per": _FETCH})
    log = (Chained(Entry(*row[:-1]), bytes(row.hash)) for row in rows)
    return list(breaks(log, head(connection)))


def _shown(row: Row[Any]) -> dict[str, Any]:
    return {
        "seq": row.seq,
        "created_at": format_instant(row.created_us),
        "actor": row.actor,
        "origin": row.origin,
        "action": row.action,
        "object": row.object,
        "detail": row.detail,
        "hash": row.hash.hex(),
        "id": row.id,
    }
