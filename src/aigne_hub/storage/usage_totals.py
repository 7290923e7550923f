"""What calls came to: by application, by model, and over time. Sums are of the calls themselves.

Averages are over calls that succeeded. Credits are what calls were charged when they ended;
later refunds and corrections are in the ledger, not here.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple

from sqlalchemy import (
    BigInteger,
    ColumnElement,
    Connection,
    Row,
    Select,
    and_,
    case,
    func,
    literal,
    select,
)

from aigne_hub.domain.ids import first_id
from aigne_hub.storage import schema

DAY_US: Final = 24 * 3600 * 1_000_000
HOUR_US: Final = 3600 * 1_000_000
# A call's id is made when it starts, give or take what clocks differ.
_CLOCKS_US: Final = 60 * 1_000_000

_CALL = schema.model_call.c
_KEY = schema.api_key.c
_SUCCESS = _CALL.status == "success"
_TOKENS = (
    func.coalesce(_CALL.input_tokens, 0)
    + func.coalesce(_CALL.output_tokens, 0)
    + func.coalesce(_CALL.cache_read_tokens, 0)
    + func.coalesce(_CALL.cache_write_tokens, 0)
)
_MEASURES = (
    func.count().label("calls"),
    func.sum(case((_SUCCESS, 1), else_=0)).label("succeeded"),
    func.sum(func.coalesce(_CALL.charge, 0)).label("credits"),
    # Tokens of all kinds; images, seconds or characters where there are none.
    func.sum(case((_TOKENS > 0, _TOKENS), else_=func.coalesce(_CALL.units, 0))).label("usage"),
    func.sum(case((_SUCCESS, func.coalesce(_CALL.duration_us, 0)), else_=0)).label("duration_us"),
    func.sum(case((_SUCCESS, func.coalesce(_CALL.ttfb_us, 0)), else_=0)).label("ttfb_us"),
    func.sum(case((and_(_SUCCESS, _CALL.ttfb_us.is_not(None)), 1), else_=0)).label("begun"),
    func.max(_CALL.started_us).label("last_us"),
)


class Period(NamedTuple):
    """Unix microseconds, `until_us` exclusive."""

    since_us: int
    until_us: int


@dataclass(frozen=True, slots=True)
class Wanted:
    """Whose calls, within a period; None is everybody's, and every application's."""

    period: Period
    account_id: str | None = None
    app_did: str | None = None


@dataclass(frozen=True, slots=True)
class Totals:
    """Sums over calls. Nano-credits, microseconds; `begun` is how many had a first byte."""

    calls: int = 0
    succeeded: int = 0
    credits: int = 0
    usage: int = 0
    duration_us: int = 0
    ttfb_us: int = 0
    begun: int = 0
    last_us: int = 0


class ModelCount(NamedTuple):
    provider: str
    model: str
    calls: int


class ModelDay(NamedTuple):
    """One model on one day, which begins at `day_us`. `charge` is in nano-credits."""

    model: str
    day_us: int
    charge: int
    input_tokens: int
    output_tokens: int
    images: int


NOTHING: Final = Totals()


def by_application(
    connection: Connection,
    wanted: Wanted,
    *,
    order: Literal["calls", "credits", "last_us"] = "calls",
    descending: bool = True,
    offset: int,
    limit: int,
) -> tuple[int, list[tuple[str, Totals]]]:
    """Return how many applications called, and the sums of those from `offset` on."""
    count = connection.execute(_calls(wanted, func.count(_CALL.app_did.distinct()))).scalar_one()
    query = _calls(wanted, _CALL.app_did, *_MEASURES).group_by(_CALL.app_did).subquery()
    key = query.c[order].desc() if descending else query.c[order].asc()
    rows = connection.execute(
        select(query).order_by(key, query.c.app_did).offset(offset).limit(limit)
    )
    return count, [(row.app_did, _totals(row)) for row in rows]


def names_of(connection: Connection, app_dids: Sequence[str]) -> dict[str, str]:
    """Return what applications are called: the names of the keys they stand for."""
    rows = connection.execute(
        select(_KEY.app_did, _KEY.name).where(_KEY.app_did.in_(app_dids), _KEY.name != "")
    )
    return {row.app_did: row.name for row in rows}


def over_time(
    connection: Connection, wanted: Wanted, *, size_us: int, shift_us: int
) -> dict[int, Totals]:
    """Return sums by the instant their bucket begins; empty buckets are left out.

    Buckets have `size_us` and begin on multiples of it, moved by `shift_us`.
    """
    bucket = _bucket(size_us, shift_us)
    rows = connection.execute(_calls(wanted, bucket, *_MEASURES).group_by(bucket))
    return {row.bucket * size_us + shift_us: _totals(row) for row in rows}


def over_time_by_application(
    connection: Connection, wanted: Wanted, app_dids: Sequence[str], *, size_us: int, shift_us: int
) -> dict[tuple[int, str], Totals]:
    """Return the same for each of some applications."""
    bucket = _bucket(size_us, shift_us)
    query = _calls(wanted, bucket, _CALL.app_did, *_MEASURES).where(_CALL.app_did.in_(app_dids))
    rows = connection.execute(query.group_by(bucket, _CALL.app_did))
    return {(row.bucket * size_us + shift_us, row.app_did): _totals(row) for row in rows}


def by_model(connection: Connection, wanted: Wanted, *, limit: int) -> tuple[int, list[ModelCount]]:
    """Return how many models were called, and those most often called."""
    calls = func.count().label("calls")
    query = _calls(wanted, _CALL.model, func.max(_CALL.provider).label("provider"), calls)
    query = query.group_by(_CALL.model)
    rows = connection.execute(query.order_by(calls.desc(), _CALL.model).limit(limit)).all()
    count = connection.execute(_calls(wanted, func.count(_CALL.model.distinct()))).scalar_one()
    return count, [ModelCount(row.provider or "", row.model, row.calls) for row in rows]


def by_model_and_day(connection: Connection, wanted: Wanted, *, limit: int) -> list[ModelDay]:
    """Return what each model was used on each day (UTC), the newest day first."""
    bucket = _bucket(DAY_US, 0)
    query = _calls(
        wanted,
        _CALL.model,
        bucket,
        func.sum(func.coalesce(_CALL.charge, 0)).label("charge"),
        func.sum(func.coalesce(_CALL.input_tokens, 0)).label("read"),
        func.sum(func.coalesce(_CALL.output_tokens, 0)).label("wrote"),
        func.sum(case((_CALL.type == "image", func.coalesce(_CALL.units, 0)), else_=0)).label(
            "images"
        ),
    )
    rows = connection.execute(
        query.group_by(_CALL.model, bucket).order_by(bucket.desc(), _CALL.model).limit(limit)
    )
    return [
        ModelDay(
            row.model,
            row.bucket * DAY_US,
            int(row.charge),
            int(row.read),
            int(row.wrote),
            int(row.images),
        )
        for row in rows
    ]


def _bucket(size_us: int, shift_us: int) -> ColumnElement[int]:
    # Literals, because two parameters are two expressions to PostgreSQL's GROUP BY.
    shift, size = (literal(us, BigInteger, literal_execute=True) for us in (shift_us, size_us))
    return ((_CALL.started_us - shift) // size).label("bucket")


def _calls(wanted: Wanted, *columns: Any) -> Select[Any]:
    """Return a query over calls that have ended, by the index on ids, which are times."""
    since_us, until_us = wanted.period
    query = (
        select(*columns)
        .select_from(schema.model_call)
        .where(
            _CALL.id >= first_id(since_us - _CLOCKS_US),
            _CALL.id < first_id(until_us + _CLOCKS_US),
            _CALL.started_us >= since_us,
            _CALL.started_us < until_us,
            _CALL.status != "processing",
        )
    )
    if wanted.account_id is not None:
        query = query.where(_CALL.account_id == wanted.account_id)
    if wanted.app_did is not None:
        query = query.where(_CALL.app_did == wanted.app_did)
    return query


def _totals(row: Row[Any]) -> Totals:
    """Return sums as integers: PostgreSQL adds to numerics."""
    return Totals(
        row.calls,
        int(row.succeeded),
        int(row.credits),
        int(row.usage),
        int(row.duration_us),
        int(row.ttfb_us),
        int(row.begun),
        row.last_us,
    )
