"""The health of targets that all processes share, and that outlives them.

Of two standings of a target the one that changed later stands: whoever changes one has heard
of the one before (`domain.health.Health` never goes back), so clocks that differ do no harm.
"""

import json
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Engine,
    Row,
    and_,
    case,
    delete,
    func,
    insert,
    or_,
    select,
    update,
)

from aigne_hub.domain.credential_news import CredentialNews, disabled, is_worth_telling, restored
from aigne_hub.domain.faults import Fault
from aigne_hub.domain.health import Episode, Standing
from aigne_hub.storage import schema
from aigne_hub.storage.engine import reading, writing
from aigne_hub.storage.inserts import insert_for

# How often a process tells what it saw, and hears what others did.
INTERVAL_S = 1.0
# A target that has been well for so long, or of which nothing was heard, is forgotten.
WELL_KEPT_US: Final = 86_400 * 1_000_000
BARRED_KEPT_US: Final = 7 * WELL_KEPT_US
# No bar is longer: one that seems to be is of a host whose clock is ahead.
BAR_MAX_US: Final = 60 * 1_000_000
# Targets that one statement asks for.
BATCH: Final = 500

_TABLE = schema.target_health
_C = _TABLE.c
_FIELDS = [_C[name] for name in Standing._fields]
# Eleven days of microseconds: what keeps the sum of many small enough.
_MODULUS: Final = 1_000_000_000_000
_STATE = select(
    func.count().label("targets"),
    func.max(_C.changed_us).label("newest_us"),
    func.sum(_C.changed_us % _MODULUS).label("sum_us"),
).select_from(_TABLE)


class _Episode(NamedTuple):
    """A bar that lasts: when it began, and when its owner was told."""

    since_us: int | None = None
    told_us: int | None = None


class _Stored(NamedTuple):
    """What is known of a target before it changes."""

    changed_us: int
    since_us: int | None
    told_us: int | None


class State(NamedTuple):
    """What marks a state of the table: it moves with every change of a standing."""

    targets: int
    newest_us: int
    sum_us: int


def known(engine: Engine) -> list[Standing]:
    return look(engine, None)[1]


def look(engine: Engine, seen: State | None) -> tuple[State, list[Standing]]:
    """Return the table's state, and what is known in it unless that state was seen before."""
    with reading(engine) as connection:
        row = connection.execute(_STATE).one()
        state = State(row.targets, row.newest_us or 0, int(row.sum_us or 0))
        rows = [] if state == seen else connection.execute(select(*_FIELDS)).all()
    return state, [_standing(row) for row in rows]


def episodes(connection: Connection) -> dict[str, Episode]:
    """Return what is known of the bars that last, by target."""
    query = select(_C.target, _C.since_us, _C.probe_until_us).where(_C.fault.is_not(None))
    return {
        row.target: Episode(row.since_us, row.probe_until_us) for row in connection.execute(query)
    }


def record(engine: Engine, standings: Iterable[Standing]) -> list[CredentialNews]:
    """Store what changed, and put what the owner should hear into the outbox of events.

    A newer standing of another process stays. A change ends the claim of whoever was to
    probe. Returns what was told, so that it can be logged by the one who told it.
    """
    news: list[CredentialNews] = []
    ordered = sorted(standings, key=lambda each: each.target)
    if not ordered:
        return news
    with writing(engine) as connection:
        _alone(connection)
        rows = []
        for begin in range(0, len(ordered), BATCH):
            part = ordered[begin : begin + BATCH]
            stored = _stored(connection, [each.target for each in part])
            for standing in part:
                before = stored.get(standing.target)
                if before is None or before.changed_us < standing.changed_us:
                    episode = _followed(before, standing, news)
                    rows.append({**standing._asdict(), **episode._asdict()})
        if rows:
            _put(connection, rows)
        if news:
            _tell(connection, news, {each.target: each.changed_us for each in ordered})
    return news


def _followed(before: _Stored | None, standing: Standing, news: list[CredentialNews]) -> _Episode:
    """Return the episode that a standing belongs to; add to `news` what it makes known."""
    was = _Episode() if before is None else _Episode(before.since_us, before.told_us)
    if standing.fault is None:
        if was.told_us is not None and was.since_us is not None:
            news.append(restored(standing.target, was.since_us))
        return _Episode()
    since_us = standing.changed_us if was.since_us is None else was.since_us
    if was.told_us is not None or not is_worth_telling(standing):
        return was._replace(since_us=since_us)
    news.append(disabled(standing, since_us))
    return _Episode(since_us, standing.changed_us)


def claim(
    engine: Engine, targets: Iterable[str], process_id: str, now_us: int, until_us: int
) -> set[str]:
    """Claim the probes of barred targets until then; return those that nobody else has.

    A target whose bar was made longer in the meantime is nobody's. A probe needs the permits
    of the provider, the credential and the model it goes to, so whoever claims one of them
    gets the others: what is of the same line as a target that another process probes stays
    its own.
    """
    free = or_(_C.probe_until_us.is_(None), _C.probe_until_us <= now_us)
    is_over = or_(_C.until_us <= now_us, _C.until_us > now_us + BAR_MAX_US)
    due = and_(_C.fault.is_not(None), is_over)
    probed = select(_C.target).where(_C.probe_until_us > now_us, _C.prober != process_id)
    claimed = set()
    with writing(engine) as connection:
        _alone(connection)
        others = list(connection.execute(probed).scalars())
        for target in sorted(targets):
            if any(_of_one_line(target, other) for other in others):
                continue
            done = connection.execute(
                update(_TABLE)
                .where(_C.target == target, due, free)
                .values(prober=process_id, probe_until_us=until_us)
            )
            if done.rowcount:
                claimed.add(target)
    return claimed


def release(engine: Engine, targets: Iterable[str], process_id: str) -> None:
    """Give up claims, for another process to probe."""
    with writing(engine) as connection:
        for target in sorted(targets):
            connection.execute(
                update(_TABLE)
                .where(_C.target == target, _C.prober == process_id)
                .values(prober=None, probe_until_us=None)
            )


def forget(connection: Connection, provider: str, now_us: int) -> None:
    """Let in what belongs to a provider that is configured anew; nobody is told of it.

    Belongs into the transaction that changes the configuration: a process that starts after
    it, and one that reads the table before the configuration, know nothing of the old bars.
    """
    connection.execute(
        update(_TABLE)
        .where(_of_provider(provider), _C.fault.is_not(None))
        .values(
            fault=None,
            until_us=0,
            changed_us=case((_C.changed_us >= now_us, _C.changed_us + 1), else_=now_us),
            since_us=None,
            told_us=None,
            prober=None,
            probe_until_us=None,
        )
    )


def prune(connection: Connection, now_us: int) -> int:
    """Delete what was heard of long ago; return how many."""
    well = and_(_C.fault.is_(None), _C.changed_us <= now_us - WELL_KEPT_US)
    old = or_(well, _C.changed_us <= now_us - BARRED_KEPT_US)
    some = select(_C.target).where(old).limit(BATCH)
    return connection.execute(delete(_TABLE).where(_C.target.in_(some))).rowcount


def _alone(connection: Connection) -> None:
    """Wait for other processes, so that what is written follows from what was read."""
    connection.execute(select(schema.hub_state.c.version).with_for_update())


def _of_one_line(one: str, other: str) -> bool:
    """Tell whether one of two targets is the other, or its provider or credential."""
    return f"{one}:".startswith(f"{other}:") or f"{other}:".startswith(f"{one}:")


def _of_provider(provider: str) -> ColumnElement[bool]:
    below = f"{provider}:"
    return or_(_C.target == provider, func.substr(_C.target, 1, len(below)) == below)


def _stored(connection: Connection, targets: list[str]) -> dict[str, _Stored]:
    columns = (_C.target, _C.changed_us, _C.since_us, _C.told_us)
    rows = connection.execute(select(*columns).where(_C.target.in_(targets)))
    return {target: _Stored(*values) for target, *values in rows}


def _put(connection: Connection, rows: list[dict[str, Any]]) -> None:
    insert = insert_for(connection.dialect)
    made = insert(_TABLE)
    names = (*Standing._fields, *_Episode._fields)
    values: dict[str, Any] = {name: made.excluded[name] for name in names if name != "target"}
    values |= {"prober": None, "probe_until_us": None}
    connection.execute(made.on_conflict_do_update(index_elements=["target"], set_=values), rows)


def _tell(connection: Connection, news: list[CredentialNews], at_us: dict[str, int]) -> None:
    rows = [
        {
            "id": each.id,
            "type": each.type.value,
            "account_id": None,
            "payload": json.dumps(each.document()),
            "created_us": at_us[f"{each.provider}:{each.credential}"],
        }
        for each in news
    ]
    connection.execute(insert(schema.event), rows)


def _standing(row: Row[Any]) -> Standing:
    fault = None if row.fault is None else Fault(row.fault)
    return Standing(row.target, fault, row.until_us, row.bars, row.changed_us)
