"""Limits on keys, users, projects and grants: setting, reading, and what is used of them."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from sqlalchemy import Connection, Row, delete, insert, or_, select, update

from aigne_hub.billing.allowance import described
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.limits import LIMITS_MAX, SUBJECTS_OF_CALL, Counter, Limit, Measure, Subject
from aigne_hub.domain.windows import Window
from aigne_hub.storage import schema
from aigne_hub.storage.changes import Changes

PROJECT_CHARS_MAX = 256
# Counters of windows that ended are kept this long for those who ask why.
COUNTERS_KEPT_US = 62 * 24 * 3600 * 1_000_000
PRUNE_BATCH = 5_000
# Counters that one query asks for.
_ASKED = 1_000

_LIMIT = schema.usage_limit.c
_COUNTER = schema.limit_counter.c


@dataclass(frozen=True, slots=True)
class Usage:
    """A limit and its counter in the window of now."""

    limit: Limit
    counter: Counter

    def document(self, now_us: int) -> dict[str, object]:
        """Return it as people and programs are shown it. Amounts are decimal strings."""
        limit = self.limit
        state = described(limit, self.counter, now_us)
        return {
            "limit": state.limit,
            "subject": limit.subject.value,
            "name": limit.name,
            "measure": state.measure,
            "window": state.window,
            "zone": str(limit.zone),
            "amount": state.amount,
            "used": state.used,
            "held": state.held,
            "remaining": state.remaining,
            "resets_at": state.resets_at,
        }


@lru_cache(maxsize=1024)
def zone_of(name: str) -> tzinfo:
    """Return a zone of the IANA database. Raises InvalidRequest."""
    if name == "UTC":
        return UTC
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidRequest(
            f"{name[:80]!r} is not a time zone such as Europe/Berlin.", param="zone"
        ) from None


def put(
    change: Changes,
    subject: Subject,
    name: str,
    measure: Measure,
    window: Window,
    amount: int,
    zone: str = "UTC",
) -> Limit:
    """Set a limit, replacing one on the same measure and window. Raises InvalidRequest.

    `name` is the id of a key, a user or a grant, or the DID of a project. What was used in the
    current window counts against the new amount.
    """
    _require_name(name)
    try:
        limit = Limit(subject, name, measure, window, amount, zone_of(zone))
    except ValueError as error:
        raise InvalidRequest(f"{error}.", param="limit") from None
    connection = change.connection
    of_subject = (_LIMIT.subject == subject.value, _LIMIT.name == name)
    found = connection.execute(select(schema.usage_limit).where(*of_subject)).all()
    same = next((r for r in found if (r.measure, r.period) == (measure.value, window.value)), None)
    if same is not None:
        connection.execute(
            update(schema.usage_limit).where(_LIMIT.id == same.id).values(amount=amount, zone=zone)
        )
    elif len(found) >= LIMITS_MAX // SUBJECTS_OF_CALL:
        raise InvalidRequest("This subject has as many limits as it may have.", param="limit")
    else:
        connection.execute(
            insert(schema.usage_limit).values(
                id=change.ids(),
                subject=subject.value,
                name=name,
                measure=measure.value,
                period=window.value,
                amount=amount,
                zone=zone,
                created_us=change.clock.now_us(),
            )
        )
    change.audit("limit.set", limit.id, {"amount": amount, "zone": zone})
    return limit


def remove(change: Changes, subject: Subject, name: str, measure: Measure, window: Window) -> None:
    """Lift a limit. Raises NotFound."""
    gone = change.connection.execute(
        delete(schema.usage_limit).where(
            _LIMIT.subject == subject.value,
            _LIMIT.name == name,
            _LIMIT.measure == measure.value,
            _LIMIT.period == window.value,
        )
    )
    if not gone.rowcount:
        raise NotFound(f"There is no limit on {measure.value} per {window.value} here.")
    change.audit("limit.remove", f"{subject.value}:{name}/{measure.value}/{window.value}")


def of(connection: Connection, *subjects: tuple[Subject, str]) -> tuple[Limit, ...]:
    """Return the limits of some subjects, in a stable order."""
    if not subjects:
        return ()
    named = or_(
        *((_LIMIT.subject == kind.value) & (_LIMIT.name == name) for kind, name in subjects)
    )
    rows = connection.execute(select(schema.usage_limit).where(named).order_by(_LIMIT.id))
    return tuple(map(_limit, rows))


def of_projects(connection: Connection) -> Mapping[str, tuple[Limit, ...]]:
    """Return the limits of all projects, by DID."""
    found: dict[str, tuple[Limit, ...]] = {}
    rows = connection.execute(
        select(schema.usage_limit)
        .where(_LIMIT.subject == Subject.PROJECT.value)
        .order_by(_LIMIT.id)
    )
    for row in rows:
        found[row.name] = (*found.get(row.name, ()), _limit(row))
    return found


def listed(connection: Connection, user_id: str | None = None) -> list[Limit]:
    """Return every limit there is, or those of one user and the user's keys and grants."""
    query = select(schema.usage_limit).order_by(_LIMIT.subject, _LIMIT.name, _LIMIT.id)
    if user_id is not None:
        key = schema.api_key.c
        keys = select(key.id).where(key.user_id == user_id)
        grant = schema.oauth_grant.c
        grants = select(grant.id).where(grant.user_id == user_id)
        query = query.where(
            or_(
                (_LIMIT.subject == Subject.USER.value) & (_LIMIT.name == user_id),
                (_LIMIT.subject == Subject.KEY.value) & _LIMIT.name.in_(keys),
                (_LIMIT.subject == Subject.GRANT.value) & _LIMIT.name.in_(grants),
            )
        )
    return list(map(_limit, connection.execute(query)))


def used(connection: Connection, limits: Iterable[Limit], now_us: int) -> list[Usage]:
    """Return what is used and held of limits in their windows of now."""
    by_id = {limit.counter_id(now_us): limit for limit in limits}
    counters = _counters(connection, sorted(by_id))
    found = []
    for counter_id, limit in by_id.items():
        counter = counters.get(counter_id) or Counter(counter_id)
        counter.amount = limit.amount
        found.append(Usage(limit, counter))
    return found


def _counters(connection: Connection, ids: Sequence[str]) -> dict[str, Counter]:
    found = {}
    for start in range(0, len(ids), _ASKED):
        asked = _COUNTER.id.in_(ids[start : start + _ASKED])
        for row in connection.execute(select(schema.limit_counter).where(asked)):
            found[row.id] = Counter(row.id, row.used, row.held)
    return found


def prune(connection: Connection, now_us: int) -> int:
    """Delete counters of windows long past, at most PRUNE_BATCH; return how many."""
    old = (
        select(_COUNTER.id)
        .where(_COUNTER.until_us < now_us - COUNTERS_KEPT_US, _COUNTER.held == 0)
        .limit(PRUNE_BATCH)
    )
    return connection.execute(
        delete(schema.limit_counter).where(_COUNTER.id.in_(old.scalar_subquery()))
    ).rowcount


def _limit(row: Row[tuple[object, ...]]) -> Limit:
    return Limit(
        Subject(row.subject),
        row.name,
        Measure(row.measure),
        Window(row.period),
        row.amount,
        zone_of(row.zone),
    )


def _require_name(name: str) -> None:
    if not name.isprintable() or not 0 < len(name) <= PROJECT_CHARS_MAX:
        raise InvalidRequest("A limit names a key, a user, a project or a grant.", param="subject")
