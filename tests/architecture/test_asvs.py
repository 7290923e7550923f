"""docs/asvs.md has every requirement of its chapters once, and names tests that are there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ROW = re.compile(r"^\| (\d+\.\d+\.\d+) \| ([12]) \| ", re.MULTILINE)
PAGE = (ROOT / "docs" / "asvs.md").read_text(encoding="utf-8")
ROWS = {line.split(" ")[1]: line for line in PAGE.splitlines() if ROW.match(line)}
# The levels of each section's requirements, in their order; what follows is of level 3.
LEVELS = """
6.1=122 6.2=111111112222 6.3=1122 6.4=1122 6.5=22222 6.6=222 6.8=2222
7.1=222 7.2=1111 7.3=22 7.4=11222 7.5=22 7.6=22
8.1=12 8.2=112 8.3=1 8.4=2
9.1=111 9.2=1222
10.1=22 10.2=22 10.3=2222 10.4=11111222222 10.5=22222 10.6=22 10.7=222
11.1=22 11.2=222 11.3=112 11.4=1222 11.5=2 11.6=2
12.1=122 12.2=11 12.3=2222
13.1=2 13.2=22222 13.3=22 13.4=12222
14.1=22 14.2=1222 14.3=122
15.1=122 15.2=122 15.3=1222222
16.1=2 16.2=22222 16.3=2222 16.4=222 16.5=222
"""
ASKED = {
    f"{section}.{number}": level
    for section, _, levels in (each.partition("=") for each in LEVELS.split())
    for number, level in enumerate(levels, 1)
}
EXCUSES = ("does not apply: ", "not met")


def test_every_requirement_has_one_row_with_its_level():
    assert sorted(ROW.findall(PAGE)) == sorted(ASKED.items())


@pytest.mark.parametrize("number", ROWS)
def test_the_tests_of_a_requirement_are_there(number):
    *_, here, tests = ROWS[number].strip("| ").split(" | ")
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", tests)
    assert named or here.startswith(EXCUSES)
    assert named or tests == "none"
    for path, name in named:
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^(?:async )?def {name}\(", text, re.MULTILINE), f"{path}::{name}"


def test_the_page_begins_with_what_is_not_met():
    listed = re.search(r"Not met, in whole or in part: ([\d., \n]+)\.", PAGE)
    assert listed is not None
    named = re.findall(r"\d+\.\d+\.\d+", listed[1])
    assert named == [number for number, row in ROWS.items() if " | not met" in row]
