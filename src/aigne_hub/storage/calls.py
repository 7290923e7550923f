"""Call records as operators see them: the contract's `calls list` and `calls show`."""

from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from aigne_hub.domain.calls import Outcome, Status
from aigne_hub.domain.errors import InvalidRequest, NotFound
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.money import format_credits
from aigne_hub.domain.operations import Reason
from aigne_hub.storage import rerating, schema
from aigne_hub.storage.users import User

LIMIT_MAX = 1_000_000
# How far back refused calls are looked for.
REFUSED_AMONG = 10_000
_FETCH = 2_000

_CALL = schema.model_call.c
_ATTEMPT = schema.call_attempt.c


def list_calls(
    connection: Connection, *, user: User | None, status: str | None, limit: int
) -> Iterator[dict[str, object]]:
    """Yield the newest `limit` calls, newest first, without holding them all in memory.

    Amounts are decimal credits, times RFC 3339, `attempts` a count. `held` is what the call
    held in all, also after it was settled; `cost` what the vendor charges, in dollars.
    Raises InvalidRequest at once.
    """
    if not 1 <= limit <= LIMIT_MAX:
        raise InvalidRequest(f"A limit is 1 to {LIMIT_MAX:,}.", param="limit")
    query = _calls().order_by(_CALL.id.desc()).limit(limit)
    if user is not None:
        query = query.where(_CALL.account_id == user.id)
    if status is not None:
        query = query.where(_CALL.status == _status(status))
    rows = connection.execute(query, execution_options={"yield_per": _FETCH})
    return (_shown(row) for row in rows)


def show_call(connection: Connection, call_id: str) -> dict[str, object]:
    """Return one call, with the list of its attempts at upstreams. Raises NotFound.

    `credits` is what it was charged at first, `adjusted` what it is charged since its price
    was corrected, or null.
    """
    row = connection.execute(_calls().where(_CALL.id == call_id)).one_or_none()
    if row is None:
        raise NotFound(f"There is no call {call_id[:80]!r}. See: aigne-hub calls list")
    attempts = connection.execute(
        select(schema.call_attempt).where(_ATTEMPT.call_id == call_id).order_by(_ATTEMPT.seq)
    )
    shown = [_attempt(attempt) for attempt in attempts]
    if row.attempts and not shown:
        shown = [_only_attempt(row)]
    now = rerating.charged_now(connection, call_id)
    adjusted = None if now is None else format_credits(now)
    return {**_shown(row), "adjusted": adjusted, "attempts": shown}


@dataclass(frozen=True, slots=True)
class Refusal:
    """A call that was refused after its caller was known."""

    call_id: str
    model: str
    code: str
    message: str
    started_us: int


def refusals(
    connection: Connection, account_id: str, key_id: str | None, limit: int
) -> list[Refusal]:
    """Return the newest refused calls of an account, or of one of its keys, newest first.

    They are looked for among its newest REFUSED_AMONG calls.
    """
    newest = (
        select(_CALL.id)
        .where(_CALL.account_id == account_id)
        .order_by(_CALL.id.desc())
        .limit(REFUSED_AMONG)
        .subquery()
    )
    query = (
        select(_CALL.id, _CALL.model, _CALL.error_code, _CALL.error_message, _CALL.started_us)
        .join(newest, newest.c.id == _CALL.id)
        .where(_CALL.outcome == Outcome.REJECTED.value)
        .order_by(_CALL.id.desc())
        .limit(limit)
    )
    if key_id is not None:
        query = query.where(_CALL.key_id == key_id)
    return [
        Refusal(row.id, row.model, row.error_code, row.error_message or "", row.started_us)
        for row in connection.execute(query)
    ]


def _calls() -> Select[Any]:
    hold = schema.hold.c
    return select(schema.model_call, hold.amount.label("held")).outerjoin(
        schema.hold, hold.call_id == _CALL.id
    )


def _status(text: str) -> Status:
    try:
        return Status(text)
    except ValueError:
        known = ", ".join(Status)
        raise InvalidRequest(f"A status is one of {known}.", param="status") from None


def _shown(row: Row[Any]) -> dict[str, object]:
    error = None
    if row.error_code is not None:
        error = {"code": row.error_code, "message": row.error_message}
    return {
        "id": row.id,
        "status": row.status,
        "outcome": row.outcome,
        "type": row.type,
        "model": row.model,
        "provider": row.provider,
        "credential": row.credential,
        "user_did": row.user_did,
        "app_did": row.app_did,
        "input_tokens": row.input_tokens or 0,
        "output_tokens": row.output_tokens or 0,
        "cache_read_tokens": row.cache_read_tokens or 0,
        "cache_write_tokens": row.cache_write_tokens or 0,
        "units": row.units or 0,
        "credits": format_credits(row.charge or 0),
        "cost": None if row.cost is None else format_credits(row.cost),
        "held": format_credits(row.held or 0),
        "usage_source": row.usage_source,
        "started_at": format_instant(row.started_us),
        "duration_ms": _milliseconds(row.duration_us),
        "ttfb_ms": _milliseconds(row.ttfb_us),
        "attempts": row.attempts,
        "error": error,
    }


def _attempt(row: Row[Any]) -> dict[str, object]:
    return {
        "provider": row.provider,
        "credential": row.credential,
        "model": row.model,
        "reason": row.reason,
        "status": row.status,
        "error": row.error,
        "started_at": format_instant(row.started_us),
        "duration_ms": _milliseconds(row.duration_us),
        "cost": _cost(row.cost),
    }


def _only_attempt(call: Row[Any]) -> dict[str, object]:
    """Return the attempt of a call that its first upstream answered."""
    return {
        "provider": call.provider,
        "credential": call.credential,
        "model": call.model,
        "reason": Reason.CHOSEN.value,
        "status": HTTPStatus.OK.value,
        "error": None,
        "started_at": format_instant(call.started_us),
        "duration_ms": _milliseconds(call.duration_us),
        "cost": _cost(call.cost),
    }


def _cost(nano: int | None) -> str | None:
    """Return credits, None where nobody said what the provider charges."""
    return None if nano is None else format_credits(nano)


def _milliseconds(us: int | None) -> float | None:
    return None if us is None else us / 1_000
