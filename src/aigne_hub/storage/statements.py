"""The journal's statements, written once in SQLAlchemy Core and compiled for a driver.

Each is named with the order of its parameters, so rows are plain tuples.
"""

from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import bindparam, delete, func, insert, literal_column, select, update
from sqlalchemy.engine import Dialect
from sqlalchemy.sql import ClauseElement

from aigne_hub.billing.credits import MeterEvent
from aigne_hub.domain.transfers import Transfer
from aigne_hub.storage import ledger, schema
from aigne_hub.storage.inserts import insert_for

_BEGUN = (
    "id",
    "account_id",
    "user_did",
    "app_did",
    "key_id",
    "process_id",
    "request_id",
    "type",
    "model",
    "stream",
    "rate_id",
    "input_counted",
    "started_us",
)
# A call that is refused is over when it begins. Each has a statement of its own, because a null
# that the SQLite driver is handed costs it as much as four numbers.
OPEN_CALL = (*_BEGUN, "counters", "tokens_reserved")
REFUSE_CALL = (*_BEGUN, "duration_us", "error_code", "error_message")
CLOSE_CALL = (
    "status",
    "outcome",
    "model",
    "rate_id",
    "sent",
    "provider",
    "credential",
    "input_tokens",
    "output_tokens",
    "cache_read_tokens",
    "cache_write_tokens",
    "units",
    "usage_detail",
    "usage_source",
    "charge",
    "cost",
    "duration_us",
    "ttfb_us",
    "attempts",
    "error_code",
    "error_message",
)
ATTEMPT = (
    "call_id",
    "seq",
    "provider",
    "credential",
    "status",
    "error",
    "started_us",
    "duration_us",
    "model",
    "reason",
    "cost",
)
MADE = (
    "account_id",
    "id",
    "kind",
    "provider",
    "credential",
    "model",
    "call_id",
    "created_us",
    "ask_us",
)

# Each of their rows must be there, as the batch left it: a call or hold is resolved once.
MUST_CHANGE = frozenset({"close_call", "close_hold", "extend_hold", "account", "lot"})


@dataclass(frozen=True, slots=True)
class Prepared:
    """SQL text in the driver's parameter style, taking one tuple in `names` order.

    `same` are the columns that an INSERT gives every row the same value.
    """

    sql: str
    names: tuple[str, ...]
    clause: ClauseElement
    same: dict[str, Any] = field(default_factory=dict)


def prepare(statement: ClauseElement, dialect: Dialect, names: tuple[str, ...]) -> Prepared:
    """Compile a statement whose bind parameters are exactly `names`, in that order."""
    compiled: Any = statement.compile(dialect=dialect)
    order = tuple(compiled.positiontup)
    if order != names:
        raise ValueError(f"parameters come as {order}, not {names}")
    return Prepared(str(compiled), names, statement)


def _call_where() -> Any:
    return (schema.model_call.c.id == bindparam("call_id")) & (
        schema.model_call.c.status == literal_column("'processing'")
    )


def _hold_where() -> Any:
    return (schema.hold.c.call_id == bindparam("call_id")) & (
        schema.hold.c.state == literal_column("'pending'")
    )


@dataclass(frozen=True, slots=True)
class Statements:
    """Everything a journal executes, compiled for one dialect."""

    open_call: Prepared
    refuse_call: Prepared
    close_call: Prepared
    sent: Prepared
    progress: Prepared
    open_hold: Prepared
    extend_hold: Prepared
    close_hold: Prepared
    attempt: Prepared
    meter_event: Prepared
    transfer: Prepared
    account: Prepared
    lot: Prepared
    select_account: Prepared
    select_lots: Prepared
    counter: Prepared
    event: Prepared
    select_counter: Prepared
    drop_claim: Prepared
    take_claim: Prepared
    free_claim: Prepared
    close_claim: Prepared
    made: Prepared
    select_claim: Prepared
    dead_letter: Prepared
    heartbeat: Prepared

    @classmethod
    def compiled(cls, dialect: Dialect) -> "Statements":
        return cls(
            **_of_calls(dialect),
            **_of_money(dialect),
            **_of_limits(dialect),
            **_of_claims(dialect),
            **_of_the_hub(dialect),
        )


def _row(dialect: Dialect, table: Any, *names: str, **same: Any) -> Prepared:
    """Insert what is bound under `names`, and what is the `same` in every row."""
    values: dict[str, Any] = {name: bindparam(name) for name in names}
    return replace(prepare(insert(table).values(values | same), dialect, names), same=same)


def _change(dialect: Dialect, table: Any, where: Any, *names: str, **values: Any) -> Prepared:
    return prepare(update(table).where(where).values(values), dialect, names)


def _of_calls(dialect: Dialect) -> dict[str, Prepared]:
    call = schema.model_call
    # A fallback has a price of its own; otherwise the call keeps the one it began with.
    served_at: Any = func.coalesce(bindparam("b_rate_id"), call.c.rate_id)
    closing: dict[str, Any] = {name: bindparam(f"b_{name}") for name in CLOSE_CALL}
    closing["rate_id"] = served_at
    names = (*(f"b_{name}" for name in CLOSE_CALL), "call_id")
    return {
        "open_call": _row(dialect, call, *OPEN_CALL, status=literal_column("'processing'")),
        "refuse_call": _row(
            dialect,
            call,
            *REFUSE_CALL,
            status=literal_column("'failed'"),
            outcome=literal_column("'rejected'"),
            charge=literal_column("0"),
        ),
        "close_call": _change(dialect, call, _call_where(), *names, **closing),
        "sent": _change(dialect, call, _call_where(), "call_id", sent=literal_column("1")),
        "progress": _change(
            dialect,
            call,
            _call_where(),
            "b_rate_id",
            "delivered",
            "call_id",
            delivered_tokens=bindparam("delivered"),
            rate_id=served_at,
        ),
        "attempt": _row(dialect, schema.call_attempt, *ATTEMPT),
        # A provider that gives an id twice has the first one's known.
        "made": prepare(
            _insert_new(dialect, schema.upstream_object, MADE, ("account_id", "id")), dialect, MADE
        ),
    }


def _of_money(dialect: Dialect) -> dict[str, Prepared]:
    hold = schema.hold
    more = hold.c.amount + bindparam("more")
    return {
        "open_hold": _row(
            dialect,
            hold,
            "call_id",
            "account_id",
            "amount",
            "created_us",
            "expires_us",
            state=literal_column("'pending'"),
        ),
        "extend_hold": _change(dialect, hold, _hold_where(), "more", "call_id", amount=more),
        "close_hold": _change(
            dialect,
            hold,
            _hold_where(),
            "b_state",
            "b_captured",
            "b_resolved",
            "call_id",
            state=bindparam("b_state"),
            captured=bindparam("b_captured"),
            resolved_us=bindparam("b_resolved"),
        ),
        "meter_event": _row(dialect, schema.meter_event, *MeterEvent._fields),
        "transfer": prepare(ledger.INSERT_TRANSFER, dialect, Transfer._fields),
        "account": prepare(
            ledger.UPDATE_ACCOUNT, dialect, ("balance", "held", "next_due_us", "account_id")
        ),
        "lot": prepare(ledger.UPDATE_LOT, dialect, ("remaining", "is_posted", "grant_id")),
        "select_account": prepare(ledger.SELECT_ACCOUNT, dialect, ("account_id",)),
        "select_lots": prepare(ledger.SELECT_LOTS, dialect, ("account_id",)),
    }


def _of_limits(dialect: Dialect) -> dict[str, Prepared]:
    counter, event = schema.limit_counter, schema.event
    names = ("id", "used", "held", "amount", "alerted", "until_us")
    events = ("id", "type", "account_id", "payload", "created_us")
    return {
        "counter": prepare(_upsert(dialect, counter, names), dialect, names),
        # An event that happened again is the same event.
        "event": prepare(_insert_new(dialect, event, events), dialect, events),
        "select_counter": prepare(
            select(*(counter.c[name] for name in names)).where(
                counter.c.id == bindparam("counter_id")
            ),
            dialect,
            ("counter_id",),
        ),
    }


def _of_claims(dialect: Dialect) -> dict[str, Prepared]:
    claim = schema.idempotency_key
    by_call = claim.c.call_id == bindparam("of_call")
    by_key = claim.c.key_digest == bindparam("digest")
    kept = ("status", "content_type", "model", "body")
    closing: dict[str, Any] = {name: bindparam(f"b_{name}") for name in kept}
    return {
        "take_claim": _row(dialect, claim, "key_digest", "body_digest", "call_id", "created_us"),
        "drop_claim": prepare(delete(claim).where(by_key), dialect, ("digest",)),
        "free_claim": prepare(delete(claim).where(by_call), dialect, ("of_call",)),
        "close_claim": prepare(
            update(claim).where(by_call).values(**closing, complete=literal_column("1")),
            dialect,
            (*(f"b_{name}" for name in kept), "of_call"),
        ),
        "select_claim": prepare(
            select(
                claim.c.key_digest,
                claim.c.body_digest,
                claim.c.call_id,
                claim.c.created_us,
                claim.c.complete,
                claim.c.status.is_not(None),
            ).where(by_key),
            dialect,
            ("digest",),
        ),
    }


def _upsert(dialect: Dialect, table: Any, names: tuple[str, ...]) -> Any:
    made = insert_for(dialect)(table).values({name: bindparam(name) for name in names})
    changed = {name: made.excluded[name] for name in names if name != "id"}
    return made.on_conflict_do_update(index_elements=["id"], set_=changed)


def _insert_new(
    dialect: Dialect, table: Any, names: tuple[str, ...], key: tuple[str, ...] = ("id",)
) -> Any:
    made = insert_for(dialect)(table).values({name: bindparam(name) for name in names})
    return made.on_conflict_do_nothing(index_elements=list(key))


def _of_the_hub(dialect: Dialect) -> dict[str, Prepared]:
    process = schema.process
    return {
        "dead_letter": _row(
            dialect, schema.dead_letter, "id", "operation", "payload", "error", "created_us"
        ),
        "heartbeat": _change(
            dialect,
            process,
            process.c.id == bindparam("process_id"),
            "seen",
            "process_id",
            seen_us=bindparam("seen"),
        ),
    }
