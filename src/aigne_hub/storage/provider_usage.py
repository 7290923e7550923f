"""What the hub's own calls used of a provider, by day and model: to compare with its bill."""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, case, func, select

from aigne_hub.billing.provider_report import Key
from aigne_hub.billing.reconciliation import Own
from aigne_hub.domain.calls import Outcome, UsageSource
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import schema
from aigne_hub.storage.failed_attempts import of_attempts

DAY_US = 24 * 3600 * 1_000_000
_DAY_CHARS = len("2026-01-31")

_CALL = schema.model_call.c
_ATTEMPT = schema.call_attempt.c
_OF_CALLS = [name for name in Own.__slots__ if not name.startswith("failed_")]


def by_day(connection: Connection, provider: str, since_us: int, until_us: int) -> dict[Key, Own]:
    """Return what calls that began in a period used, which should be of whole UTC days.

    Calls that still run are left out, and those that no provider answered; the attempts of
    all that failed are told apart.
    """
    day = _CALL.started_us // DAY_US
    read = _sum(_CALL.input_tokens) + _sum(_CALL.cache_read_tokens) + _sum(_CALL.cache_write_tokens)
    counted = _CALL.usage_source == UsageSource.COUNTED.value
    interrupted = _CALL.outcome == Outcome.INTERRUPTED.value
    broken = _CALL.outcome.in_([Outcome.UPSTREAM_FAILED.value, Outcome.UPSTREAM_TIMEOUT.value])
    rows = connection.execute(
        select(
            day.label("day"),
            _CALL.model,
            func.count().label("calls"),
            read.label("read"),
            _sum(_CALL.cache_read_tokens).label("cached"),
            _sum(_CALL.output_tokens).label("written"),
            _sum(_CALL.cost).label("cost"),
            _count(_CALL.cost.is_(None)).label("uncosted"),
            _count(interrupted).label("interrupted"),
            _count(counted).label("counted"),
            _count(and_(broken, _CALL.output_tokens > 0)).label("failed"),
            _count(_CALL.attempts > 1).label("retried"),
        )
        .where(
            # A call whose hub died has no provider on record, and its model's name has.
            _CALL.model.startswith(f"{provider}/", autoescape=True),
            _CALL.started_us >= since_us,
            _CALL.started_us < until_us,
            _CALL.usage_source.is_not(None),
        )
        .group_by("day", _CALL.model)
    )
    found: dict[Key, Own] = {}
    for row in rows:
        key = _key(row)
        found[key] = Own(**{name: int(getattr(row, name)) for name in _OF_CALLS})
    for key, failed in _failed(connection, provider, since_us, until_us):
        found[key] = found.get(key, Own()).plus(failed)
    return found


def _failed(
    connection: Connection, provider: str, since_us: int, until_us: int
) -> Iterator[tuple[Key, Own]]:
    """Yield what attempts at a provider cost that failed, by the day and the model of each."""
    for row in connection.execute(_attempts(provider, since_us, until_us)):
        failed = Own(failed_attempts=int(row.failed_attempts), failed_cost=int(row.failed_cost))
        if failed != Own():
            yield _key(row), failed


def _attempts(provider: str, since_us: int, until_us: int) -> Select[Any]:
    day = (_ATTEMPT.started_us // DAY_US).label("day")
    return of_attempts(day, _ATTEMPT.model).where(
        _ATTEMPT.provider == provider,
        _ATTEMPT.started_us >= since_us,
        _ATTEMPT.started_us < until_us,
    )


def _key(row: Row[Any]) -> Key:
    day = format_instant(int(row.day) * DAY_US)[:_DAY_CHARS]
    return Key(day, row.model.partition("/")[2])


def _sum(column: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.coalesce(func.sum(column), 0)


def _count(condition: ColumnElement[bool]) -> ColumnElement[Any]:
    return func.sum(case((condition, 1), else_=0))
