"""The measurements as one table and as JSON; every figure is the median of the rounds."""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from statistics import median
from typing import Any

from bench.footprint import Footprint
from bench.load import Result
from bench.rounds import Measured, Sample, Step
from rich import box
from rich.console import Console
from rich.table import Table

WIDTH = 176
TITLE = "medians of the rounds; per call: reads by the client, chunks sent by the upstream"
FLOOR = "nginx"
BASE = "direct"
# A stream at 20 ms a token, in processor time that it may take.
TOKEN_US = 20_000


@dataclass(frozen=True)
class Row:
    """One load on one target; None where a figure has no meaning."""

    load: str
    connections: int
    target: str
    samples: int
    calls_per_s: float
    p50_ms: float | None
    p99_ms: float | None
    cpu_us_per_call: float | None
    cpu_us_per_chunk: float | None
    times_nginx: float | None
    added_p50_ms: float | None
    added_p99_ms: float | None
    reads_per_call: float | None
    upstream_chunks_per_call: float | None
    added_first_ms: float | None
    added_gap_p50_ms: float | None
    added_gap_p99_ms: float | None
    streams_a_core: float | None


def rows(measured: Measured) -> list[Row]:
    """Return a row for each load and target, in the order they were first measured."""
    keys = dict.fromkeys(
        (sample.step, sample.target) for samples in measured.rounds for sample in samples
    )
    ordered = sorted(keys, key=lambda key: _rank(key, list(keys)))
    return [_row(step, target, measured) for step, target in ordered]


def footprints(lives: list[Footprint]) -> list[Footprint]:
    """Return each target's, start and rest as medians of its lives; the upstream has none."""
    found = []
    for target in dict.fromkeys(life.target for life in lives if life.start_ms is not None):
        mine = [life for life in lives if life.target == target]
        found.append(
            replace(
                mine[0],
                start_ms=_median(life.start_ms for life in mine),
                rest_mib=_median(life.rest_mib for life in mine),
            )
        )
    return found


def show(measured: Measured, machine: dict[str, Any], console: Console) -> None:
    """Print the table, the footprints, the notes and the verdict."""
    console.print(f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}")
    console.print(_calls_table(rows(measured)))
    console.print(_footprint_table(footprints(measured.lives)))
    for note in measured.notes:
        console.print(f"note: {note}", markup=False)
    for failure in measured.failures:
        console.print(f"FAILED: {failure}", markup=False)


def as_json(measured: Measured, machine: dict[str, Any]) -> dict[str, Any]:
    return {
        "machine": machine,
        "rounds": len(measured.rounds),
        "rows": [asdict(row) for row in rows(measured)],
        "footprints": [asdict(footprint) for footprint in footprints(measured.lives)],
        "notes": measured.notes,
        "failures": measured.failures,
    }


def console() -> Console:
    """Return a console as wide as the table, so that no figure is ever cut short."""
    return Console(highlight=False, width=max(Console().width, WIDTH))


def _rank(key: tuple[Step, str], keys: list[tuple[Step, str]]) -> tuple[int, int]:
    steps = list(dict.fromkeys(step for step, _ in keys))
    first = {BASE: -2, FLOOR: -1}
    return steps.index(key[0]), first.get(key[1], [target for _, target in keys].index(key[1]))


def _row(step: Step, target: str, measured: Measured) -> Row:
    of = [_by_target(samples, step) for samples in measured.rounds]
    mine = [found[target] for found in of if target in found]
    cpu = _median(sample.cpu_us for sample in mine)
    chunks = step.load.chunks
    full_streams = chunks and mine[0].upstream_chunks is None
    per_chunk = cpu / chunks if full_streams and cpu is not None else None
    paced = step.load.paced
    return Row(
        load=step.load.name,
        connections=step.connections,
        target=target,
        samples=len(mine),
        calls_per_s=median(
            (sample.result.calls + sample.result.left) / sample.result.seconds for sample in mine
        ),
        p50_ms=_median(sample.result.p50_ms for sample in mine),
        p99_ms=_median(sample.result.p99_ms for sample in mine),
        cpu_us_per_call=cpu,
        cpu_us_per_chunk=per_chunk,
        times_nginx=_ratio(of, target),
        added_p50_ms=_added(of, target, lambda sample: sample.result.p50_ms),
        added_p99_ms=_added(of, target, lambda sample: sample.result.p99_ms),
        reads_per_call=_median(_reads(sample.result) for sample in mine),
        upstream_chunks_per_call=_median(sample.upstream_chunks for sample in mine),
        added_first_ms=_added(of, target, lambda sample: sample.result.first_p50_ms),
        added_gap_p50_ms=_more(of, target, lambda each: each.result.gap_p50_ms) if paced else None,
        added_gap_p99_ms=_more(of, target, lambda each: each.result.gap_p99_ms) if paced else None,
        streams_a_core=TOKEN_US / per_chunk if paced and per_chunk else None,
    )


def _reads(result: Result) -> float | None:
    return None if result.reads is None else result.reads / max(result.calls + result.left, 1)


def _by_target(samples: list[Sample], step: Step) -> dict[str, Sample]:
    return {sample.target: sample for sample in samples if sample.step == step}


def _ratio(of: list[dict[str, Sample]], target: str) -> float | None:
    """Return the median over the rounds of the target's CPU in multiples of nginx's."""
    pairs = [(found[target], found[FLOOR]) for found in of if {target, FLOOR} <= found.keys()]
    return _median(
        mine.cpu_us / floor.cpu_us if mine.cpu_us is not None and floor.cpu_us else None
        for mine, floor in pairs
    )


def _added(
    of: list[dict[str, Sample]], target: str, figure: Callable[[Sample], float | None]
) -> float | None:
    """Return the latency added to the upstream's own; at one connection, where nothing queues."""
    step = next(found[target].step for found in of if target in found)
    return _more(of, target, figure) if step.connections == 1 else None


def _more(
    of: list[dict[str, Sample]], target: str, figure: Callable[[Sample], float | None]
) -> float | None:
    """Return how much more a figure is than the upstream's own in the same round."""
    pairs = [(found[target], found[BASE]) for found in of if {target, BASE} <= found.keys()]
    if target == BASE:
        return None
    figures = [(figure(mine), figure(base)) for mine, base in pairs]
    return _median(a - b for a, b in figures if a is not None and b is not None)


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return median(known) if known else None


def _calls_table(found: list[Row]) -> Table:
    table = Table(title=TITLE, box=box.SIMPLE, pad_edge=False, padding=(0, 1, 0, 0))
    for name in ("load", "conns", "target"):
        table.add_column(name, justify="right" if name == "conns" else "left", no_wrap=True)
    for name in (
        *("calls/s", "CPU us/call", "x nginx", "us/chunk"),
        *("p50 ms", "p99 ms", "+p50 ms", "+p99 ms", "+first ms"),
        *("+gap p50", "+gap p99", "held/core", "reads", "sent"),
    ):
        table.add_column(name, justify="right", no_wrap=True)
    last = None
    for row in found:
        if last not in {None, (row.load, row.connections)}:
            table.add_section()
        last = (row.load, row.connections)
        table.add_row(
            row.load,
            str(row.connections),
            row.target,
            f"{row.calls_per_s:,.0f}",
            _figure(row.cpu_us_per_call, 1),
            _figure(row.times_nginx, 1),
            _figure(row.cpu_us_per_chunk, 2),
            _figure(row.p50_ms, 2),
            _figure(row.p99_ms, 2),
            _figure(row.added_p50_ms, 3),
            _figure(row.added_p99_ms, 3),
            _figure(row.added_first_ms, 3),
            _figure(row.added_gap_p50_ms, 3),
            _figure(row.added_gap_p99_ms, 3),
            _figure(row.streams_a_core, 0),
            _figure(row.reads_per_call, 1),
            _figure(row.upstream_chunks_per_call, 1),
        )
    return table


def _footprint_table(found: list[Footprint]) -> Table:
    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column("target")
    for name in (
        *("start ms", "MiB at rest", "KiB an idle stream", "MiB after", "calls"),
        *("packages", "installed MiB"),
    ):
        table.add_column(name, justify="right")
    for each in found:
        disk = each.installed
        figures = (
            *(each.start_ms, each.rest_mib, each.idle_stream_kib, each.after_mib),
            *(each.after_calls or None, disk and disk.packages, disk and disk.mib),
        )
        table.add_row(each.target, *(_figure(figure, 0) for figure in figures))
    return table


def _figure(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:,.{digits}f}"
