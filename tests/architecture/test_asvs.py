"""docs/asvs.md names tests that are there, one row a requirement."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ", re.MULTILINE)
PAGE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROWS = {line.split(" ")[1]: line for line in PAGE.splitlines() if ROW.match(line)}
# Levels 1 and 2 of the chapters that the page has.
ASKED = {
    *("8.1.1", "8.1.2", "8.2.1", "8.2.2", "8.2.3", "8.3.1", "8.4.1"),
    *("9.1.1", "9.1.2", "9.1.3", "9.2.1", "9.2.2", "9.2.3", "9.2.4"),
}


def test_every_requirement_has_one_row():
    assert set(ROWS) == ASKED
    assert len(ROW.findall(PAGE)) == len(ASKED)


@pytest.mark.parametrize("number", ROWS)
def test_the_tests_of_a_requirement_are_there(number):
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", ROWS[number])
    assert named
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {name}\(", text, re.MULTILINE), f"{path}::{name}"
