"""`credits statement` and `credits import`."""

import csv
import io

import pytest

from aigne_hub.cli import main

EMAIL = "ada@example.com"
HEIR = "heir@example.com"


@pytest.fixture
def statement(run, user, capsys, tmp_path):
    """A file with the statement of an account that was granted 2 and 3 credits."""
    run("credits", "grant", "--user", EMAIL, "--amount", "2", "--priority", "7")
    run("credits", "grant", "--user", EMAIL, "--amount", "3", "--category", "promotional")
    assert main(["credits", "statement", "--user", EMAIL, "--format", "csv"]) == 0
    file = tmp_path / "statement.csv"
    file.write_text(capsys.readouterr().out, newline="")
    return file


def test_a_statement_is_printed_in_three_ways(run, statement, capsys):
    rows = list(csv.DictReader(io.StringIO(statement.read_text(), newline="")))
    assert [row["row"] for row in rows] == [
        "opening",
        "transfer",
        "transfer",
        "closing",
        "grant",
        "grant",
    ]
    code, told, _ = run("credits", "statement", "--user", EMAIL)
    assert (code, told["opening_balance"], told["closing_balance"]) == (0, "0", "5")
    assert [one["balance"] for one in told["transfers"]] == ["2", "5"]
    assert main(["credits", "statement", "--user", EMAIL]) == 0
    printed = capsys.readouterr()
    assert printed.out.splitlines()[0].split("\t")[:4] == ["at", "kind", "change", "balance"]
    assert printed.err == "opening balance 0\n"


def test_a_period_is_a_part(run, statement):
    _, whole, _ = run("credits", "statement", "--user", EMAIL)
    cut = whole["transfers"][1]["at"]
    _, before, _ = run("credits", "statement", "--user", EMAIL, "--until", cut)
    _, after, _ = run("credits", "statement", "--user", EMAIL, "--since", cut)
    assert (before["closing_balance"], after["opening_balance"]) == ("2", "2")
    assert before["transfers"] + after["transfers"] == whole["transfers"]
    code, _, error = run("credits", "statement", "--user", EMAIL, "--since", "yesterday")
    assert code == 2
    assert "--since" in error


def test_another_account_carries_it_on_once(run, statement):
    run("users", "create", "--email", HEIR)
    code, made, _ = run("credits", "import", str(statement), "--user", HEIR)
    assert (code, made) == (0, {"grants": 2, "transfers": 2, "known": 0, "balance": "5"})
    code, again, _ = run("credits", "import", str(statement), "--user", HEIR)
    assert (code, again) == (0, {"grants": 0, "transfers": 0, "known": 2, "balance": "5"})
    assert (
        run("credits", "balance", "--user", HEIR)[1]
        == run("credits", "balance", "--user", EMAIL)[1]
    )
    assert run("ledger", "verify")[0] == 0


@pytest.mark.parametrize(
    ("text", "word"),
    [("", "line 1"), ("row,at\n", "line 1"), ("\udcff", "no statement")],
)
def test_another_file_is_refused(run, user, tmp_path, text, word):
    file = tmp_path / "other.csv"
    file.write_bytes(text.encode(errors="surrogateescape"))
    code, _, error = run("credits", "import", str(file), "--user", EMAIL)
    assert code == 2
    assert word in error


def test_a_file_that_was_changed_is_refused(run, user, statement):
    run("users", "create", "--email", HEIR)
    statement.write_text(statement.read_text().replace(",3,3,5,", ",4,3,5,"), newline="")
    code, _, error = run("credits", "import", str(statement), "--user", HEIR)
    assert code == 2
    assert "does not agree" in error
    assert run("credits", "balance", "--user", HEIR)[1]["balance"] == "0"


def test_a_file_that_is_not_there(run, user):
    code, _, error = run("credits", "import", "nowhere.csv", "--user", EMAIL)
    assert code == 1
    assert "nowhere.csv" in error
