"""The last committed result, and how a run compares with it.

Compared are ratios to nginx in the same run, which hold from machine to machine far better than
microseconds do.
"""

import json
from dataclasses import dataclass
from pathlib import Path

from bench.table import Row

FILE = Path(__file__).with_name("last.json")
TARGET = "hub"
# Less than this is the scheduler's doing: two quiet runs of one commit differ by so much.
SAME_PERCENT = 15.0


@dataclass(frozen=True)
class Verdict:
    """One row of the hub beside the committed one; `percent` above 0 is dearer than it was."""

    row: str
    was: float
    now: float

    @property
    def percent(self) -> float:
        return 100 * (self.now / self.was - 1)

    @property
    def word(self) -> str:
        if abs(self.percent) <= SAME_PERCENT:
            return "same"
        return "worse" if self.percent > 0 else "better"

    def __str__(self) -> str:
        what = self.word if self.word == "same" else f"{self.word} by {abs(self.percent):.0f} %"
        return f"{self.row:<28} {self.was:6.1f} -> {self.now:6.1f} x nginx  {what}"


def ratios(rows: list[Row]) -> dict[str, float]:
    """Return the hub's multiples of nginx by load and connections."""
    return {
        f"{row.load} x{row.connections}": row.times_nginx
        for row in rows
        if row.target == TARGET and row.times_nginx is not None
    }


def compare(rows: list[Row], was: dict[str, float]) -> list[Verdict]:
    """Return a verdict on each row that was measured then and now."""
    now = ratios(rows)
    return [Verdict(name, was[name], now[name]) for name in now if name in was]


def load() -> dict[str, float]:
    """Return the committed ratios; {} when there are none."""
    if not FILE.exists():
        return {}
    found: dict[str, float] = json.loads(FILE.read_text())["times_nginx"]
    return found


def save(rows: list[Row], made: str) -> None:
    """Write this run over the committed one; rows that were not measured are kept."""
    known = load() | {name: round(value, 2) for name, value in ratios(rows).items()}
    FILE.write_text(json.dumps({"made": made, "times_nginx": known}, indent=2) + "\n")
