"""The journal's statements for PostgreSQL: each writes all rows of a batch at once.

They are made from those in `statements`: what is a parameter there is a member of a row
here, and the one parameter is a JSON array of rows. Encoding it costs the hub less than
binding each value, and the server parses and plans a statement once a connection.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from typing import Any

from sqlalchemy import (
    BigInteger,
    BindParameter,
    Boolean,
    Integer,
    LargeBinary,
    Select,
    Text,
    any_,
    bindparam,
    cast,
    collate,
    extract,
    func,
    literal_column,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.dialects.postgresql import ARRAY, JSONB, insert
from sqlalchemy.sql import ClauseElement, Delete, Insert, Update, visitors
from sqlalchemy.types import NullType, TypeEngine

from aigne_hub.storage import ledger, schema
from aigne_hub.storage.statements import MUST_CHANGE, Prepared, Statements

_DIALECT = postgresql.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call] # as all dialects

# What the store calls them; the rest are named as in `Statements`.
BEGIN, COMMIT, ROLLBACK = "begin", "commit", "rollback"
LOCK_ACCOUNTS, READ_LOTS = "lock_accounts", "read_lots"
MAKE_COUNTERS, LOCK_COUNTERS = "make_counters", "lock_counters"
LOCK_CLAIMS = "lock_claims"
READ_CLOCK = "read_clock"
MARK, READ_MARK = "mark", "read_mark"

Reader = Callable[[bytes], Any]


@dataclass(frozen=True, slots=True)
class Compiled:
    """`texts` by name, with parameters `$1`, `$2`, …; `readers` of the columns of a SELECT."""

    texts: dict[str, str]
    readers: dict[str, tuple[Reader, ...]]


def compiled() -> Compiled:
    texts, readers = {}, {}
    for name, clause in _statements():
        texts[name] = str(clause.compile(dialect=_DIALECT))
        if isinstance(clause, Select):
            readers[name] = tuple(_reader(column.type) for column in clause.selected_columns)
    return Compiled(texts, readers)


def _statements() -> Iterator[tuple[str, ClauseElement]]:
    yield BEGIN, text("BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE")
    yield COMMIT, text("COMMIT")
    yield ROLLBACK, text("ROLLBACK")
    yield from _accounts()
    yield from _counters_and_claims()
    yield from _marks()
    single = Statements.compiled(_DIALECT)
    for field in fields(single):
        prepared: Prepared = getattr(single, field.name)
        if isinstance(prepared.clause, Insert):
            yield field.name, _insert(prepared.clause, prepared)
        elif isinstance(prepared.clause, Update | Delete):
            changing = _over_rows(prepared.clause, prepared.names)
            yield field.name, _every(changing) if field.name in MUST_CHANGE else changing


def _accounts() -> Iterator[tuple[str, ClauseElement]]:
    """Yield what locks accounts and reads them.

    An account's lock covers its lots: whoever changes them holds it. Locks are taken in the
    order of ids, as the stores take theirs, so that no two transactions wait for each other.
    """
    account, lot = schema.account.c, schema.credit_grant.c
    yield (
        LOCK_ACCOUNTS,
        select(account.id, account.balance, account.held, account.overdraft, account.due_us)
        .where(account.id == _any_of("ids"))
        .order_by(collate(account.id, "C"))
        .with_for_update(),
    )
    yield (
        READ_LOTS,
        ledger.LOTS.add_columns(lot.account_id)
        .join_from(schema.credit_grant, schema.account, account.id == lot.account_id)
        .where(
            account.id == _any_of("ids"),
            lot.remaining > literal_column("0"),
            or_(
                account.id == _any_of("charged"),
                account.due_us <= bindparam("as_of_us", type_=BigInteger),
            ),
        ),
    )


def _counters_and_claims() -> Iterator[tuple[str, ClauseElement]]:
    """Yield what locks counters and claims.

    A counter that is not there cannot be locked, so it is made first: two processes that
    count the first call of a window would overwrite each other.
    """
    counter, claim = schema.limit_counter.c, schema.idempotency_key.c
    member = _members_of("ids")
    yield (
        MAKE_COUNTERS,
        insert(schema.limit_counter)
        .from_select(["id"], select(member).order_by(collate(member, "C")))
        .on_conflict_do_nothing(index_elements=["id"]),
    )
    yield (
        LOCK_COUNTERS,
        select(
            counter.id,
            counter.used,
            counter.held,
            counter.amount,
            counter.alerted,
            counter.until_us,
        )
        .where(counter.id == _any_of("ids"))
        .order_by(collate(counter.id, "C"))
        .with_for_update(),
    )
    yield (
        LOCK_CLAIMS,
        select(
            claim.key_digest,
            claim.body_digest,
            claim.call_id,
            claim.created_us,
            claim.complete,
            claim.status.is_not(None),
        )
        .where(claim.key_digest == _any_of("digests", LargeBinary()))
        .order_by(claim.key_digest)
        .with_for_update(),
    )


def _marks() -> Iterator[tuple[str, ClauseElement]]:
    """Yield the clock, and what tells whether a COMMIT happened whose answer was lost."""
    process = schema.process
    now = extract("epoch", func.clock_timestamp()) * literal_column("1000000")
    yield READ_CLOCK, select(cast(now, BigInteger))
    mark = update(process).where(process.c.id == bindparam("process_id"))
    mark = mark.values(batch=bindparam("number"))
    yield MARK, _every(_over_rows(mark, ("number", "process_id")))
    yield READ_MARK, select(process.c.batch).where(process.c.id == bindparam("id", type_=Text))


def _members_of(name: str) -> Any:
    """Return the members of a parameter that is a JSON array of strings."""
    given = cast(bindparam(name, type_=Text), JSONB)
    return func.jsonb_array_elements_text(given, type_=Text).column_valued(f"{name}_member")


def _any_of(name: str, kind: TypeEngine[Any] | None = None) -> Any:
    """Return what to compare a column with that may be any member of a parameter."""
    kind = kind or Text()
    members = select(_value(_members_of(name), kind)).scalar_subquery()
    return any_(func.array(members, type_=ARRAY(kind)))


def _value(member: Any, kind: TypeEngine[Any]) -> Any:
    """Return a text taken from JSON as a value of a type. Bytes are written in base64."""
    if isinstance(kind, LargeBinary):
        return func.decode(member, literal_column("'base64'"), type_=kind)
    return cast(member, Text() if isinstance(kind, NullType) else kind)


def _rows() -> Any:
    """Return the one parameter of a statement that writes: a JSON array of rows."""
    return cast(bindparam("rows", type_=Text), JSONB)


def _members(clause: ClauseElement, names: tuple[str, ...]) -> dict[str, Any]:
    """Return, for each parameter of a statement for one row, the member that stands for it."""
    single: Any = clause.compile(dialect=_DIALECT)
    row = func.jsonb_array_elements(_rows(), type_=JSONB).column_valued("r")
    return {
        name: _value(
            row.op("->>", return_type=Text())(literal_column(str(index))),
            single.binds[name].type,
        )
        for index, name in enumerate(names)
    }


def _insert(clause: Insert, prepared: Prepared) -> ClauseElement:
    members = _members(clause, prepared.names) | prepared.same
    made: Any = insert(clause.table).from_select(list(members), select(*members.values()))
    # What happens on a conflict stays as it is.
    made._post_values_clause = clause._post_values_clause  # noqa: SLF001 - nothing public reads it
    inserted: ClauseElement = made
    return inserted


def _over_rows(clause: Update | Delete, names: tuple[str, ...]) -> Any:
    members = _members(clause, names)

    def replaced(element: Any, **_: Any) -> Any:
        return members.get(element.key) if isinstance(element, BindParameter) else None

    return visitors.replacement_traverse(clause, {}, replaced)


def _every(clause: Any) -> ClauseElement:
    """Return the statement so that it fails (division by zero) unless every row was there.

    Whoever reads how many rows changed would have to wait for the answer before the COMMIT.
    """
    changed = clause.returning(literal_column("1").label("one")).cte("changed")
    complete = cast(func.count() == func.jsonb_array_length(_rows()), Integer)
    return select(func.mod(literal_column("1"), complete)).select_from(changed)


def _reader(kind: TypeEngine[Any]) -> Reader:
    """Return what reads the text form of a type."""
    match kind:
        case Boolean():
            return lambda value: value == b"t"
        case LargeBinary():
            return lambda value: bytes.fromhex(value[2:].decode())
        case Integer():
            return int
    return bytes.decode
