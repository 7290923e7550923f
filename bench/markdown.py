"""A run as a page of the documentation: every figure that people compare."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

from bench.budgets import budgets
from bench.footprint import Footprint
from bench.rounds import Measured
from bench.table import BASE, Row, footprints, rows

INTRODUCTION = """\
# A run

Made by `{command}`, which writes this page; [what it measures and how](benchmarks.md).
Medians of {rounds} rounds on {at}: {cpu}, {cores} cores of a shared machine, {system},
Python {python}. The hub has keys, holds, records, settlement and limits on; the peers keep
no records. A figure in brackets is the multiple of nginx in the same round.
"""


# What people compare: the load, its connections, and what the bars are.
DRAWN = (("chat", 32, "µs a call"), ("stream 40", 32, "µs a chunk"))
BAR_CELLS = 60
_EIGHTHS = " ▏▎▍▌▋▊▉█"


def page(
    measured: Measured, machine: dict[str, Any], known: dict[str, dict[str, float]], command: str
) -> str:
    """Return the page; `known` is what knowing a caller takes, by name."""
    found = [row for row in rows(measured) if row.target != BASE]
    lives = footprints(measured.lives)
    parts = [
        INTRODUCTION.format(command=command, rounds=len(measured.rounds), **machine),
        "## Budgets\n",
        _table(
            ("", "at most", "here", ""),
            [
                (each.name, f"{each.limit:,.4g} {each.unit}", _figure(each.figure, 2), each.verdict)
                for each in budgets(found, lives)
            ],
        ),
        "## CPU of the target\n",
        *(_drawn(found, *drawn) for drawn in DRAWN),
        _loads(found, "µs a call", lambda row: row.cpu_us_per_chunk is None, _cpu),
        _loads(found, "µs a chunk", lambda row: row.cpu_us_per_chunk is not None, _cpu),
        "## Calls a second\n",
        _loads(found, "", lambda row: row.cpu_us_per_chunk is None, _calls),
        "## Added to the upstream's own time, ms\n",
        _added(found),
        "## Footprint\n",
        _footprints(lives),
    ]
    if known:
        lines = [(name, _figure(took["median_us"])) for name, took in known.items()]
        parts += ["## Knowing who calls\n", _table(("", "µs"), lines)]
    if measured.notes:
        parts += ["## Notes, round by round\n", _notes(measured.notes)]
    return "\n".join(parts)


def _drawn(found: Sequence[Row], load: str, connections: int, title: str) -> str:
    """Return bars of what each target took of the processor for a load, on one scale."""
    cpu = {
        row.target: row.cpu_us_per_chunk or row.cpu_us_per_call or 0.0
        for row in found
        if (row.load, row.connections) == (load, connections)
    }
    if not cpu:
        return ""
    most, width = max(cpu.values()), max(map(len, cpu))
    lines = [f"{load}, {connections} connections, {title}", ""]
    for target, figure in cpu.items():
        eighths = max(round(8 * BAR_CELLS * figure / most), 1)
        bar = "█" * (eighths // 8) + _EIGHTHS[eighths % 8].strip()
        lines.append(f"{target:<{width}}  {bar} {_figure(figure)}")
    return "\n".join(["```text", *lines, "```", ""])


def _cpu(row: Row) -> str:
    cpu = row.cpu_us_per_call if row.cpu_us_per_chunk is None else row.cpu_us_per_chunk
    if cpu is None:
        return ""
    return _figure(cpu) + ("" if row.times_nginx is None else f" ({row.times_nginx:.1f})")


def _calls(row: Row) -> str:
    return f"{row.calls_per_s:,.0f}"


def _loads(
    found: Sequence[Row], title: str, chosen: Callable[[Row], bool], cell: Callable[[Row], str]
) -> str:
    """Return a table with a line for each load and a column for each target."""
    targets = list(dict.fromkeys(row.target for row in found))
    cells = {(row.load, row.connections, row.target): cell(row) for row in found if chosen(row)}
    loads = dict.fromkeys((load, connections) for load, connections, _ in cells)
    return _table(
        (title, *targets),
        [
            (
                f"{load}, {connections} connection{'s' * (connections > 1)}",
                *(cells.get((load, connections, target), "") for target in targets),
            )
            for load, connections in loads
        ],
    )


def _added(found: Sequence[Row]) -> str:
    figures: dict[str, Callable[[Row], float | None]] = {
        "p50": lambda row: row.added_p50_ms,
        "p99": lambda row: row.added_p99_ms,
        "to the first token": lambda row: row.added_first_ms,
        "between tokens, p50": lambda row: row.added_gap_p50_ms,
        "between tokens, p99": lambda row: row.added_gap_p99_ms,
    }
    targets = list(dict.fromkeys(row.target for row in found))
    lines = []
    for load, connections in dict.fromkeys((row.load, row.connections) for row in found):
        here = {
            row.target: row for row in found if (row.load, row.connections) == (load, connections)
        }
        for name, figure in figures.items():
            cells = {target: figure(row) for target, row in here.items()}
            if any(cell is not None for cell in cells.values()):
                what = f"{load}, {connections} connection{'s' * (connections > 1)}: {name}"
                lines.append((what, *(_figure(cells.get(target), 2) for target in targets)))
    return _table(("", *targets), lines)


def _footprints(lives: Sequence[Footprint]) -> str:
    def line(
        name: str, figure: Callable[[Footprint], float | None], digits: int = 0
    ) -> tuple[str, ...]:
        return name, *(_figure(figure(life), digits) for life in lives)

    return _table(
        ("", *(life.target for life in lives)),
        [
            line("start, ms", lambda life: life.start_ms),
            line("memory at rest, MiB", lambda life: life.rest_mib),
            line("memory of an idle stream, KiB", lambda life: life.idle_stream_kib),
            line("memory after calls, MiB", lambda life: life.after_mib),
            line("so many calls", lambda life: life.after_calls or None),
            line("installed, MiB", lambda life: life.installed and life.installed.mib),
            line("installed, packages", lambda life: life.installed and life.installed.packages),
        ],
    )


def _notes(notes: Sequence[str]) -> str:
    """Return a line for each thing noted, with what was noted of it in each round."""
    of: dict[str, list[str]] = {}
    for note in notes:
        what, _, said = note.partition(": ")
        of.setdefault(what, []).append(said)
    lines = (f"- {what}: {'; '.join(said)}".removesuffix(": ") for what, said in of.items())
    return "\n".join([*lines, ""])


def _figure(value: float | None, digits: int = 1) -> str:
    return "" if value is None else f"{value:,.{digits}f}"


def _table(head: Sequence[str], lines: Iterable[Sequence[str]]) -> str:
    rule = ["---", *("--:" for _ in head[1:])]
    return "".join(f"| {' | '.join(cells)} |\n" for cells in (head, rule, *lines))
