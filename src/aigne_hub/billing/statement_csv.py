"""Statements as CSV (RFC 4180), written for people's spreadsheets and read back exactly."""

import csv
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from aigne_hub.billing.statement import Granted, Movement, Statement, TakenBack, lost
from aigne_hub.domain.instants import format_instant, parse_instant
from aigne_hub.domain.money import format_credits, parse_credits

COLUMNS = (
    "row",
    "at",
    "kind",
    "operation_id",
    "seq",
    "amount",
    "change",
    "balance",
    "debit",
    "credit",
    "grant_id",
    "call_id",
    "model",
    "input_tokens",
    "output_tokens",
    "category",
    "priority",
    "effective_at",
    "expires_at",
    "remaining",
    "source",
    "posted",
    "name",
)
# A cell that begins with one of these is a formula to spreadsheets, or looks like an escaped one.
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "'")
ROWS_MAX = 1_000_000
CELL_MAX = 10_000
DIGITS_MAX = 15

Cells = dict[str, str]


class Unreadable(ValueError):
    """A file that is no statement. The message names the line."""


class _Lines:
    """A csv writer's file: gives back the last line."""

    line = ""

    def write(self, line: str) -> None:
        self.line = line


def write(statement: Statement) -> Iterator[str]:
    """Yield the lines: opening, movements, closing, and of a whole account its grants.

    The amount of the closing one is what nobody paid.
    """
    lines = _Lines()
    writer = csv.DictWriter(lines, COLUMNS, restval="")
    writer.writeheader()
    yield lines.line
    balance = statement.opening
    opening = {"row": "opening", "at": _instant(statement.since_us), "balance": balance}
    for cells in _rows(statement, opening):
        writer.writerow(cells)
        yield lines.line


def _rows(statement: Statement, opening: dict[str, Any]) -> Iterator[Cells]:
    yield {**opening, "balance": format_credits(opening["balance"])}
    balance, written_off = statement.opening, 0
    for one in statement.movements:
        balance = one.balance
        written_off += lost(one)
        yield _movement(one)
    yield {
        "row": "closing",
        "at": _instant(statement.until_us),
        "amount": format_credits(written_off),
        "balance": format_credits(balance),
    }
    for grant in statement.grants:
        yield _grant(grant)
    for back in statement.taken_back:
        yield {
            "row": "reversal",
            "at": format_instant(back.at_us),
            "operation_id": safe_cell(back.operation_id),
            "grant_id": safe_cell(back.grant_id),
            "amount": format_credits(back.amount),
        }


def _movement(one: Movement) -> Cells:
    return {
        "row": "transfer",
        "at": format_instant(one.at_us),
        "kind": one.kind,
        "operation_id": safe_cell(one.operation_id),
        "seq": str(one.seq),
        "amount": format_credits(one.amount),
        "change": format_credits(one.change),
        "balance": format_credits(one.balance),
        "debit": safe_cell(one.debit),
        "credit": safe_cell(one.credit),
        "grant_id": safe_cell(one.grant_id),
        "call_id": safe_cell(one.call_id),
        "model": safe_cell(one.model),
        "input_tokens": _number(one.input_tokens),
        "output_tokens": _number(one.output_tokens),
    }


def _grant(grant: Granted) -> Cells:
    return {
        "row": "grant",
        "at": format_instant(grant.at_us),
        "grant_id": safe_cell(grant.id),
        "amount": format_credits(grant.amount),
        "remaining": format_credits(grant.remaining),
        "category": grant.category,
        "priority": str(grant.priority),
        "source": safe_cell(grant.source),
        "posted": "yes" if grant.posted else "no",
        "effective_at": _instant(grant.effective_us),
        "expires_at": _instant(grant.expires_us),
        "name": safe_cell(grant.name),
    }


def read(lines: Iterable[str]) -> tuple[Statement, int]:
    """Return a statement and its closing balance. Raises Unreadable."""
    reader = csv.DictReader(lines, strict=True)
    found: dict[str, list[Any]] = {name: [] for name in _READERS}
    try:
        _require_columns(reader.fieldnames)
        for cells in reader:
            _require_room(reader.line_num)
            found[_kind(cells)].append(_READERS[cells["row"]](cells))
    except (csv.Error, ValueError) as error:
        raise Unreadable(f"line {max(reader.line_num, 1)}: {error}") from None
    if len(found["opening"]) != 1 or len(found["closing"]) != 1:
        raise Unreadable("it has not one opening and one closing balance")
    (since, opening), (until, closing, written_off) = found["opening"][0], found["closing"][0]
    statement = Statement(
        opening, found["transfer"], since, until, found["grant"], found["reversal"], written_off
    )
    return statement, closing


def _require_columns(names: Sequence[str] | None) -> None:
    if tuple(names or ()) != COLUMNS:
        raise ValueError(f"its columns are not {','.join(COLUMNS)}")


def _require_room(line: int) -> None:
    if line > ROWS_MAX:
        raise ValueError(f"a statement has at most {ROWS_MAX:,} lines")


def _kind(cells: dict[str, Any]) -> str:
    """Return what kind of row it is; its cells are as many as columns, and of sensible length."""
    if None in cells or None in cells.values():
        raise ValueError("it has not as many cells as there are columns")
    if any(len(cell) > CELL_MAX for cell in cells.values()):
        raise ValueError(f"a cell is longer than {CELL_MAX:,} characters")
    kind: str = cells["row"]
    if kind not in _READERS:
        raise ValueError(f"{kind[:40]!r} is no kind of row")
    return kind


def _read_balance(cells: Cells) -> tuple[int | None, int]:
    return _read_instant(cells["at"]), parse_credits(cells["balance"])


def _read_closing(cells: Cells) -> tuple[int | None, int, int]:
    return *_read_balance(cells), parse_credits(cells["amount"])


def _read_movement(cells: Cells) -> Movement:
    return Movement(
        at_us=parse_instant(cells["at"]),
        kind=cells["kind"],
        operation_id=_required(cells, "operation_id"),
        seq=_read_count(cells["seq"]),
        amount=parse_credits(cells["amount"]),
        change=parse_credits(cells["change"]),
        balance=parse_credits(cells["balance"]),
        debit=_read_text(cells["debit"]),
        credit=_read_text(cells["credit"]),
        grant_id=_read_text(cells["grant_id"]) or None,
        call_id=_read_text(cells["call_id"]) or None,
        model=_read_text(cells["model"]) or None,
        input_tokens=_read_number(cells["input_tokens"]),
        output_tokens=_read_number(cells["output_tokens"]),
    )


def _read_grant(cells: Cells) -> Granted:
    if cells["posted"] not in {"yes", "no"}:
        raise ValueError("posted is yes or no")
    return Granted(
        id=_required(cells, "grant_id"),
        at_us=parse_instant(cells["at"]),
        amount=parse_credits(cells["amount"]),
        remaining=parse_credits(cells["remaining"]),
        category=cells["category"],
        priority=_read_count(cells["priority"]),
        source=_read_text(cells["source"]),
        posted=cells["posted"] == "yes",
        effective_us=_read_instant(cells["effective_at"]),
        expires_us=_read_instant(cells["expires_at"]),
        name=_read_text(cells["name"]),
    )


def _read_taken_back(cells: Cells) -> TakenBack:
    return TakenBack(
        operation_id=_required(cells, "operation_id"),
        at_us=parse_instant(cells["at"]),
        grant_id=_required(cells, "grant_id"),
        amount=parse_credits(cells["amount"]),
    )


_READERS: dict[str, Callable[[Cells], object]] = {
    "opening": _read_balance,
    "closing": _read_closing,
    "transfer": _read_movement,
    "grant": _read_grant,
    "reversal": _read_taken_back,
}


def safe_cell(value: str | None) -> str:
    """Return text as a cell that no spreadsheet takes for a formula; `read` undoes it."""
    value = value or ""
    return f"'{value}" if value.startswith(_FORMULA) else value


def _read_text(cell: str) -> str:
    return cell.removeprefix("'")


def _required(cells: Cells, name: str) -> str:
    value = _read_text(cells[name])
    if not value or not value.isprintable():
        raise ValueError(f"{name} is missing or not printable")
    return value


def _read_count(cell: str) -> int:
    if not (cell.isascii() and cell.isdigit() and len(cell) <= DIGITS_MAX):
        raise ValueError(f"{cell[:40]!r} is not a whole number")
    return int(cell)


def _instant(instant_us: int | None) -> str:
    return "" if instant_us is None else format_instant(instant_us)


def _read_instant(cell: str) -> int | None:
    return parse_instant(cell) if cell else None


def _number(value: int | None) -> str:
    return "" if value is None else str(value)


def _read_number(cell: str) -> int | None:
    return _read_count(cell) if cell else None
