"""Grants as programs see them: their state, what is noted on them, sums over them."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    insert,
    or_,
    select,
    update,
)

from aigne_hub.domain.errors import Conflict, InvalidRequest, NotFound
from aigne_hub.ports import Clock
from aigne_hub.storage import accounts, corrections, lists, metering, schema
from aigne_hub.storage.changes import Changes

# The operation that ends a grant before its time; reversals by payments have other names.
_ENDED = "expire/"
_DAY_S = 86_400
_SECOND_US = 1_000_000

_GRANT = schema.credit_grant.c
_NOTE = schema.grant_note.c


class GrantStatus(StrEnum):
    PENDING = "pending"  # not effective yet
    GRANTED = "granted"
    DEPLETED = "depleted"
    EXPIRED = "expired"
    VOIDED = "voided"  # taken back whole


@dataclass(frozen=True, slots=True)
class GrantRecord:
    """A grant with its state now. Amounts are nano-credits, instants Unix microseconds."""

    id: str
    account_id: str
    amount: int
    remaining: int
    category: str
    priority: int
    name: str
    status: GrantStatus
    created_us: int
    effective_us: int | None
    expires_us: int | None
    voided_us: int | None
    metadata: Mapping[str, Any]
    applicability: object
    created_by: str | None
    updated_us: int


@dataclass(frozen=True, slots=True)
class Summary:
    """What is left of an account's live grants, what it can spend, and what it owes.

    `waiting` was metered and is on no account yet; `debt` is overdraft that was used, and is
    part of `available`.
    """

    granted: int
    remaining: int
    grants: int
    available: int
    waiting: int
    debt: int

    @property
    def pending(self) -> int:
        return self.waiting + self.debt


@dataclass(frozen=True, slots=True)
class Filter:
    """Which grants; `start` and `end` are Unix seconds of when they were made."""

    account_id: str | None = None
    status: GrantStatus | None = None
    category: str | None = None
    created_by: str | None = None
    start: int | None = None
    end: int | None = None
    search: str | None = None


@dataclass(frozen=True, slots=True)
class Holder:
    account_id: str
    remaining: int
    grants: int


@dataclass(frozen=True, slots=True)
class Stat:
    """Grants of a day (`day` counts from 1970 in the asked zone), or of all days for None."""

    day: int | None
    grants: int
    granted: int
    remaining: int


def find(connection: Connection, now_us: int, grant_id: str) -> GrantRecord:
    """Return a grant. Raises NotFound."""
    row = connection.execute(_grants(now_us).where(_GRANT.id == grant_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no grant {grant_id[:80]!r}.")
    return _record(row)


def page(
    connection: Connection, now_us: int, wanted: Filter, *, offset: int, limit: int
) -> tuple[int, list[GrantRecord]]:
    """Return how many grants match, and those from `offset` on, newest first."""
    query = _matching(wanted, now_us)
    count, rows = lists.paged(connection, query, _GRANT.id.desc(), offset=offset, limit=limit)
    return count, [_record(row) for row in rows]


def named(connection: Connection, grant_ids: set[str]) -> dict[str, str]:
    """Return the names of grants."""
    rows = connection.execute(
        select(_GRANT.id, _GRANT.name).where(_GRANT.id.in_(sorted(grant_ids)))
    )
    return {row.id: row.name for row in rows}


def note(
    change: Changes,
    grant_id: str,
    *,
    metadata: Mapping[str, Any] | None = None,
    applicability: object = None,
    created_by: str | None = None,
) -> None:
    """Keep what a program says of a grant; members that are None are taken out of `metadata`."""
    known = change.connection.execute(
        select(_NOTE.metadata).where(_NOTE.grant_id == grant_id)
    ).scalar_one_or_none()
    merged = {**json.loads(known or "{}"), **(metadata or {})}
    text = json.dumps({name: value for name, value in merged.items() if value is not None})
    now = change.clock.now_us()
    if known is None:
        change.connection.execute(
            insert(schema.grant_note).values(
                grant_id=grant_id,
                metadata=text,
                applicability=None if applicability is None else json.dumps(applicability),
                created_by=created_by,
                updated_us=now,
            )
        )
    else:
        change.connection.execute(
            update(schema.grant_note)
            .where(_NOTE.grant_id == grant_id)
            .values(metadata=text, updated_us=now)
        )


def end(change: Changes, grant_id: str) -> None:
    """Take back what is left of a grant, before it expires by itself.

    Raises InvalidRequest when nothing is, and Conflict when calls in flight stand on it.
    """
    now = change.clock.now_us()
    record = find(change.connection, now, grant_id)
    account = accounts.load(change.connection, record.account_id, lock=True)
    account.advance(now)
    lot = next((lot for lot in account.lots if lot.id == grant_id), None)
    if lot is None or not lot.remaining:
        raise InvalidRequest("Nothing is left of this grant.", param="expired")
    if lot.posted and lot.remaining > account.balance - account.held:
        raise Conflict("Calls in flight hold credit of this grant; try again when they are done.")
    corrections.reverse_grant(
        change.connection, now, f"{_ENDED}{grant_id}", grant_id, lot.remaining
    )
    change.audit("credits.expire", record.account_id, {"grant": grant_id, "amount": lot.remaining})


def summary(connection: Connection, clock: Clock, account_id: str) -> Summary:
    """Return what an account has, as if everything due had happened already."""
    account = accounts.load(connection, account_id, lock=False)
    account.advance(clock.now_us())
    live = [lot for lot in account.lots if lot.posted and lot.remaining]
    granted = connection.execute(
        select(func.coalesce(func.sum(_GRANT.amount), 0)).where(
            _GRANT.id.in_([lot.id for lot in live])
        )
    ).scalar_one()
    return Summary(
        granted=int(granted),
        remaining=sum(lot.remaining for lot in live),
        grants=len(live),
        available=account.available,
        waiting=metering.pending_of(connection, account_id),
        debt=max(-account.balance, 0),
    )


def holders(
    connection: Connection, now_us: int, *, offset: int, limit: int
) -> tuple[int, list[Holder]]:
    """Return how many accounts have credit, and those from `offset` on, the richest first."""
    remaining = func.sum(_GRANT.remaining)
    query = (
        select(_GRANT.account_id, remaining.label("remaining"), func.count().label("grants"))
        .where(_GRANT.posted, _GRANT.remaining > 0)
        .where(or_(_GRANT.expires_us.is_(None), _GRANT.expires_us > now_us))
        .group_by(_GRANT.account_id)
    )
    richest = (remaining.desc(), _GRANT.account_id)
    count, rows = lists.paged(connection, query, *richest, offset=offset, limit=limit)
    return count, [Holder(row.account_id, int(row.remaining), row.grants) for row in rows]


def stats(
    connection: Connection, now_us: int, wanted: Filter, offset_minutes: int
) -> tuple[Stat, list[Stat]]:
    """Return sums over the grants that match, and the same by day.

    `offset_minutes` is what has to be added to a zone's time to get UTC, as JavaScript's
    getTimezoneOffset tells it.
    """
    matching = _matching(wanted, now_us).subquery().c
    local_s = matching.created_us // _SECOND_US - offset_minutes * 60
    rows = connection.execute(
        select(
            (local_s // _DAY_S).label("day"),
            func.count().label("grants"),
            func.sum(matching.amount).label("granted"),
            func.sum(matching.remaining).label("remaining"),
        )
        .group_by("day")
        .order_by("day")
    )
    days = [Stat(int(row.day), row.grants, int(row.granted), int(row.remaining)) for row in rows]
    total = Stat(
        None,
        sum(day.grants for day in days),
        sum(day.granted for day in days),
        sum(day.remaining for day in days),
    )
    return total, days


def _grants(now_us: int) -> Select[Any]:
    reversal = schema.grant_reversal.c
    taken_back = (
        select(
            reversal.grant_id,
            func.sum(reversal.amount).label("amount"),
            func.max(reversal.created_us).label("created_us"),
            func.min(reversal.operation_id).label("operation_id"),
        )
        .group_by(reversal.grant_id)
        .subquery("taken_back")
    )
    back = taken_back.c
    ended = back.operation_id.startswith(_ENDED)
    status = case(
        (and_(_GRANT.posted.is_(False), _GRANT.effective_us > now_us), GrantStatus.PENDING),
        (ended, GrantStatus.EXPIRED),
        (back.amount >= _GRANT.amount, GrantStatus.VOIDED),
        (_GRANT.expires_us <= now_us, GrantStatus.EXPIRED),
        (_GRANT.remaining == 0, GrantStatus.DEPLETED),
        else_=GrantStatus.GRANTED,
    )
    return select(
        schema.credit_grant,
        status.label("status"),
        case((back.amount >= _GRANT.amount, back.created_us)).label("voided_us"),
        _NOTE.metadata,
        _NOTE.applicability,
        _NOTE.created_by,
        func.coalesce(_NOTE.updated_us, _GRANT.created_us).label("updated_us"),
    ).select_from(
        schema.credit_grant.outerjoin(schema.grant_note, _NOTE.grant_id == _GRANT.id).outerjoin(
            taken_back, back.grant_id == _GRANT.id
        )
    )


def _matching(wanted: Filter, now_us: int) -> Select[Any]:
    query = _grants(now_us)
    conditions: list[ColumnElement[bool]] = []
    if wanted.account_id is not None:
        conditions.append(_GRANT.account_id == wanted.account_id)
    if wanted.category is not None:
        conditions.append(_GRANT.category == wanted.category)
    if wanted.created_by is not None:
        conditions.append(_NOTE.created_by == wanted.created_by)
    if wanted.start is not None:
        conditions.append(_GRANT.created_us >= wanted.start * _SECOND_US)
    if wanted.end is not None:
        conditions.append(_GRANT.created_us < (wanted.end + 1) * _SECOND_US)
    if wanted.search:
        conditions.append(
            or_(
                _GRANT.id == wanted.search,
                _GRANT.name.icontains(wanted.search, autoescape=True),
            )
        )
    query = query.where(*conditions)
    if wanted.status is not None:
        shown = query.selected_columns["status"]
        query = query.where(shown == wanted.status)
    return query


def _record(row: Row[Any]) -> GrantRecord:
    return GrantRecord(
        id=row.id,
        account_id=row.account_id,
        amount=row.amount,
        remaining=row.remaining,
        category=row.category,
        priority=row.priority,
        name=row.name,
        status=GrantStatus(row.status),
        created_us=row.created_us,
        effective_us=row.effective_us,
        expires_us=row.expires_us,
        voided_us=row.voided_us,
        metadata=json.loads(row.metadata or "{}"),
        applicability=None if row.applicability is None else json.loads(row.applicability),
        created_by=row.created_by,
        updated_us=row.updated_us,
    )
