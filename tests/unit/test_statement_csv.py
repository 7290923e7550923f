"""Statements as CSV: what is written is read back, and no spreadsheet runs it."""

import csv
import io
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aigne_hub.billing import statement_csv
from aigne_hub.billing.statement import Granted, Movement, Statement, TakenBack
from aigne_hub.domain.money import AMOUNT_MAX

# What ids and names may be: printable, and not empty where something is named.
names = st.text(
    st.characters(exclude_categories=["C", "Zl", "Zp"]), min_size=1, max_size=20
).filter(str.isprintable)
amounts = st.integers(1, AMOUNT_MAX)
instants = st.integers(0, 4_000_000_000_000_000)
movements = st.builds(
    Movement,
    at_us=instants,
    kind=st.sampled_from(["grant", "capture", "refund"]),
    operation_id=names,
    seq=st.integers(0, 1000),
    amount=amounts,
    change=st.integers(-AMOUNT_MAX, AMOUNT_MAX),
    balance=st.integers(-AMOUNT_MAX, AMOUNT_MAX),
    debit=names,
    credit=names,
    grant_id=st.none() | names,
    call_id=st.none() | names,
    model=st.none() | names,
    input_tokens=st.none() | st.integers(0, 10**9),
    output_tokens=st.none() | st.integers(0, 10**9),
)
granted = st.builds(
    Granted,
    id=names,
    at_us=instants,
    amount=amounts,
    remaining=st.integers(0, AMOUNT_MAX),
    category=st.sampled_from(["paid", "promotional"]),
    priority=st.integers(0, 100),
    source=names,
    posted=st.booleans(),
    effective_us=st.none() | instants,
    expires_us=st.none() | instants,
    name=st.just("") | names,
)
taken_back = st.builds(
    TakenBack, operation_id=names, at_us=instants, grant_id=names, amount=amounts
)
statements = st.builds(
    Statement,
    opening=st.integers(-AMOUNT_MAX, AMOUNT_MAX),
    movements=st.lists(movements, max_size=5),
    since_us=st.none() | instants,
    until_us=st.none() | instants,
    grants=st.lists(granted, max_size=3),
    taken_back=st.lists(taken_back, max_size=3),
)


def text_of(statement: Statement) -> str:
    return "".join(statement_csv.write(statement))


@settings(deadline=None)  # a busy machine is no failure
@given(statements)
def test_what_is_written_is_read_back(statement: Statement):
    text = text_of(statement)
    found, closing = statement_csv.read(io.StringIO(text, newline=""))
    assert found == statement
    listed = list(statement.movements)
    assert closing == (listed[-1].balance if listed else statement.opening)


@settings(deadline=None)  # a busy machine is no failure
@given(statements)
def test_no_cell_is_a_formula(statement: Statement):
    for row in csv.DictReader(io.StringIO(text_of(statement), newline="")):
        for name, cell in row.items():
            if name not in {"amount", "change", "balance", "remaining"}:
                assert not cell.startswith(("=", "+", "-", "@", "\t", "\r")), cell


HEAD = ",".join(statement_csv.COLUMNS)
EMPTY = dict.fromkeys(statement_csv.COLUMNS, "")
OPENING = {**EMPTY, "row": "opening", "balance": "0"}
CLOSING = {**EMPTY, "row": "closing", "amount": "0", "balance": "0"}
MOVED = {
    **EMPTY,
    "row": "transfer",
    "at": "2026-01-01T00:00:00Z",
    "kind": "grant",
    "operation_id": "g",
    "seq": "0",
    "amount": "1",
    "change": "1",
    "balance": "1",
    "debit": "promotional",
    "credit": "customer",
}


def file_of(*rows: dict[str, str]) -> str:
    out = io.StringIO(newline="")
    writer = csv.DictWriter(out, statement_csv.COLUMNS)
    writer.writeheader()
    writer.writerows(rows)
    return out.getvalue()


@pytest.mark.parametrize("text", ["", "row,at\nopening,\n", "a", f"{HEAD},more\n", "\x00"])
def test_another_file_is_told_apart_by_its_first_line(text: str):
    with pytest.raises(statement_csv.Unreadable, match="line 1"):
        statement_csv.read(io.StringIO(text, newline=""))


@pytest.mark.parametrize(
    ("name", "cell"),
    [
        *product(
            ["amount", "change", "balance"], ["", "1e3", "1,5", "0.0000000001", "NaN", "9" * 40]
        ),
        *product(["seq"], ["", "-1", "1.0", "x", "1" * 20, "²"]),
        *product(["at"], ["", "yesterday", "2026-01-01T00:00:00"]),
        ("operation_id", ""),
        ("operation_id", "a\nb"),
        ("row", "transfers"),
        ("row", ""),
        ("debit", "x" * 20_000),
    ],
)
def test_a_cell_that_makes_no_sense_is_named_by_its_line(name: str, cell: str):
    text = file_of(OPENING, {**MOVED, name: cell}, CLOSING)
    with pytest.raises(statement_csv.Unreadable, match=r"^line [3-4]: "):
        statement_csv.read(io.StringIO(text, newline=""))


@pytest.mark.parametrize(
    "rows", [(), (OPENING,), (CLOSING,), (OPENING, OPENING, CLOSING), (OPENING, CLOSING, CLOSING)]
)
def test_a_statement_has_one_beginning_and_one_end(rows: tuple[dict[str, str], ...]):
    with pytest.raises(statement_csv.Unreadable, match="one opening and one closing"):
        statement_csv.read(io.StringIO(file_of(*rows), newline=""))


@pytest.mark.parametrize("line", ["opening\n", f"{'x,' * 60}\n", 'opening,"\n'])
def test_a_line_of_other_cells_is_refused(line: str):
    with pytest.raises(statement_csv.Unreadable, match="line"):
        statement_csv.read(io.StringIO(f"{HEAD}\n{line}", newline=""))


def test_a_file_without_end_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(statement_csv, "ROWS_MAX", 10)
    text = file_of(OPENING, *[MOVED] * 20, CLOSING)
    with pytest.raises(statement_csv.Unreadable, match="at most 10 lines"):
        statement_csv.read(io.StringIO(text, newline=""))
