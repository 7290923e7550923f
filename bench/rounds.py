"""Measure every load on every target, interleaved, round after round."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench.cpu import cpu_seconds, rss_mib
from bench.load import Result, call, run
from bench.loads import Kind, Load
from bench.process import StartError
from bench.targets import Target
from bench.upstreams import Upstreams

# Work a target does after its answers, such as recording them, belongs to the calls' CPU.
SETTLE_S = 0.5
WARM_CALLS = 64
WARM_CONNECTIONS = 8
WARM_S = 10.0


@dataclass(frozen=True)
class Step:
    """One line of the plan: a load at a number of connections."""

    load: Load
    connections: int


@dataclass(frozen=True)
class Sample:
    """One measurement. CPU is None for the upstream itself."""

    step: Step
    target: str
    result: Result
    cpu_us: float | None
    upstream_chunks: float | None  # per call; only where clients leave


@dataclass(frozen=True)
class Life:
    """One target in one round: its start and its memory."""

    target: str
    start_ms: float | None
    rest_mib: float | None
    after_mib: float | None


@dataclass
class Measured:
    """Everything that was measured; `failures` void the run, `notes` do not."""

    rounds: list[list[Sample]] = field(default_factory=list)
    lives: list[Life] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What to run; with `ceiling` the upstream alone too where no latency is compared with it."""

    steps: tuple[Step, ...]
    seconds: float
    rounds: int
    ceiling: bool


def measure(
    plan: Plan,
    targets: list[Target],
    upstreams: Upstreams,
    folder: Path,
    say: Callable[[str], None],
) -> Measured:
    """Run the plan; every target lives anew in each round, and the order rotates."""
    measured = Measured()
    for number in range(plan.rounds):
        place = folder / f"round-{number + 1}"
        place.mkdir()
        turn = number % len(targets)
        with ExitStack() as stack:
            started = [
                target
                for target in targets[turn:] + targets[:turn]
                if _started(target, place, stack, measured, say)
            ]
            say(f"round {number + 1}")
            _round(plan, started, upstreams, place, measured, say)
    return measured


def _started(
    target: Target, folder: Path, stack: ExitStack, measured: Measured, say: Callable[[str], None]
) -> bool:
    """Start a target until the stack ends; a peer that does not come up is only left out."""
    stack.callback(target.stop)
    try:
        target.start(folder)
    except StartError as error:
        if target.ours:
            raise
        measured.notes.append(str(error))
        return False
    took = "" if target.start_ms is None else f" in {target.start_ms:.0f} ms"
    say(f"{target.name} is ready{took}")
    return True


def _round(
    plan: Plan,
    targets: list[Target],
    upstreams: Upstreams,
    folder: Path,
    measured: Measured,
    say: Callable[[str], None],
) -> None:
    time.sleep(SETTLE_S)
    rest = {target.name: _memory(target) for target in targets}
    samples = []
    for step in plan.steps:
        for target in targets:
            if target.bare and step.connections > 1 and not plan.ceiling:
                continue
            sample = _sample(step, target, plan.seconds, upstreams, folder)
            if sample is None:
                continue
            samples.append(sample)
            say(f"  {step.load.name} x{step.connections} {target.name}: {_brief(sample)}")
            wrong = [
                f"{target.name}, {step.load.name} x{step.connections}: {error}"
                for error in sample.result.errors
            ]
            (measured.failures if target.ours else measured.notes).extend(wrong)
    measured.rounds.append(samples)
    for target in targets:
        life = Life(target.name, target.start_ms, rest[target.name], _memory(target))
        measured.lives.append(life)
        measured.failures += [f"{target.name}: {problem}" for problem in target.problems()]


def _sample(
    step: Step, target: Target, seconds: float, upstreams: Upstreams, folder: Path
) -> Sample | None:
    request = target.request(step.load)
    if request is None:
        return None
    leaves = step.load.kind is Kind.LEAVE
    if not leaves:
        warm = call(
            request,
            folder,
            connections=min(WARM_CONNECTIONS, step.connections),
            seconds=WARM_S,
            chunks=step.load.chunks,
            count=WARM_CALLS,
        )
        target.note(warm)
        time.sleep(SETTLE_S)
    chunks_before = upstreams.chunks_streamed() if leaves else 0
    before = _cpu(target)
    result = run(step.load, request, step.connections, seconds, folder)
    time.sleep(SETTLE_S)
    used = _cpu(target) - before
    target.note(result)
    calls = max(result.calls + result.left, 1)
    chunks = (upstreams.chunks_streamed() - chunks_before) / calls if leaves else None
    cpu_us = None if target.process is None else 1e6 * used / calls
    return Sample(step, target.name, result, cpu_us, chunks)


def _cpu(target: Target) -> float:
    return 0.0 if target.process is None else cpu_seconds(target.process.pid)


def _memory(target: Target) -> float | None:
    return None if target.process is None else rss_mib(target.process.pid)


def _brief(sample: Sample) -> str:
    result = sample.result
    rate = (result.calls + result.left) / result.seconds
    cpu = "" if sample.cpu_us is None else f", {sample.cpu_us:.1f} us CPU a call"
    return f"{rate:,.0f} calls/s{cpu}"


def steps(loads: Iterable[Load], *, quick: bool) -> tuple[Step, ...]:
    return tuple(
        Step(load, connections)
        for load in loads
        for connections in (load.quick if quick else load.connections)
    )
