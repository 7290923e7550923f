"""Measure every load on every target, interleaved, round after round."""

import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

from bench import footprint
from bench.cpu import cpu_seconds
from bench.footprint import Footprint
from bench.load import LoadError, Result, call, run
from bench.loads import Kind, Load
from bench.process import StartError
from bench.targets import Target
from bench.upstreams import Upstreams

# Work a target does after its answers, such as recording them, belongs to the calls' CPU.
SETTLE_S = 0.5
WARM_CALLS = 64
WARM_CONNECTIONS = 8
WARM_S = 10.0
# What a measurement takes besides its own seconds, and a target's start and checks in a round.
AROUND_S = 2.5
LIFE_S = 12.0
FOOTPRINT_S = 50.0


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
    shares: tuple[int, ...] = ()  # calls of each of several processes
    beside_us: float = 0.0  # CPU per call of a server it needs


@dataclass
class Measured:
    """Everything that was measured; `failures` void the run, `notes` do not."""

    rounds: list[list[Sample]] = field(default_factory=list)
    lives: list[Footprint] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Plan:
    """What to run; with `ceiling` the upstream alone too where no latency is compared with it."""

    steps: tuple[Step, ...]
    seconds: float
    rounds: int
    ceiling: bool
    footprints: bool = True

    def minutes(self, targets: list[Target]) -> float:
        """Return about how long it takes."""
        samples = sum(
            1
            for target in targets
            for step in self.steps
            if target.takes(step.load) and not (target.bare and not self.ceiling)
        )
        a_round = samples * (self.seconds + AROUND_S) + len(targets) * LIFE_S
        footprints = self.footprints * sum(target.footprint for target in targets)
        return (self.rounds * a_round + footprints * FOOTPRINT_S) / 60


def measure(
    plan: Plan,
    targets: list[Target],
    upstreams: Upstreams,
    folder: Path,
    say: Callable[[str], None],
) -> Measured:
    """Run the plan; every target lives anew in each round, and the order rotates."""
    measured = Measured()
    say(f"about {plan.minutes(targets):.0f} minutes: {plan.rounds} rounds, {len(targets)} targets")
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
            say(f"round {number + 1} of {plan.rounds}")
            _footprints(plan, number, started, place, measured, say)
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
        say(f"left out: {error}")
        return False
    took = "" if target.start_ms is None else f" in {target.start_ms:.0f} ms"
    say(f"{target.name} is ready{took}")
    return True


def _footprints(
    plan: Plan,
    number: int,
    targets: list[Target],
    folder: Path,
    measured: Measured,
    say: Callable[[str], None],
) -> None:
    """Take every target's memory: at rest each time, the rest of it in the first round."""
    time.sleep(SETTLE_S)
    for target in targets:
        whole = plan.footprints and target.footprint and not number
        try:
            taken = footprint.take(target, folder, say, whole=whole)
        except LoadError as error:
            if target.ours:
                raise
            measured.notes.append(f"{target.name}, footprint: {error}")
        else:
            measured.lives.append(taken)


def _round(
    plan: Plan,
    targets: list[Target],
    upstreams: Upstreams,
    folder: Path,
    measured: Measured,
    say: Callable[[str], None],
) -> None:
    samples = []
    for place, step in enumerate(plan.steps, 1):
        for target in targets:
            if target.bare and step.connections > 1 and not plan.ceiling:
                continue
            title = f"{step.load.name} x{step.connections} {target.name}"
            try:
                sample = _sample(step, target, plan.seconds, upstreams, folder)
            except LoadError as error:
                if target.ours:
                    raise
                measured.notes.append(f"{title}: {error}")
                continue
            if sample is None:
                continue
            samples.append(sample)
            say(f"  {place}/{len(plan.steps)} {title}: {_brief(sample)}")
            if sample.beside_us:
                measured.notes.append(f"{title}: {sample.beside_us:.0f} us CPU a call beside it")
            if sample.shares:
                measured.notes.append(f"{title}: calls by process {_split(sample.shares)}")
            wrong = [f"{title}: {error}" for error in sample.result.errors]
            (measured.failures if target.ours else measured.notes).extend(wrong)
    measured.rounds.append(samples)
    for target in targets:
        measured.failures += [f"{target.name}: {problem}" for problem in target.problems()]


def _sample(
    step: Step, target: Target, seconds: float, upstreams: Upstreams, folder: Path
) -> Sample | None:
    if not target.takes(step.load):
        return None
    request = target.request(step.load)
    leaves = step.load.kind is Kind.LEAVE
    if not leaves and step.load.warm:
        warm = call(
            request,
            folder,
            connections=WARM_CONNECTIONS,
            seconds=WARM_S,
            chunks=step.load.chunks,
            count=WARM_CALLS,
        )
        target.note(warm)
        time.sleep(SETTLE_S)
    chunks_before = upstreams.chunks_streamed() if leaves else 0
    shares, beside_s = target.shares(), target.beside_s()
    before = _cpu(target)
    result = run(step.load, request, step.connections, seconds, folder)
    time.sleep(SETTLE_S)
    used, beside_s = _cpu(target) - before, target.beside_s() - beside_s
    target.note(result)
    calls = max(result.calls + result.left, 1)
    chunks = (upstreams.chunks_streamed() - chunks_before) / calls if leaves else None
    cpu_us = None if target.process is None else 1e6 * used / calls
    # Those that ended with an earlier life are not among the busiest.
    begun = sorted(count - shares.get(name, 0) for name, count in target.shares().items())
    begun = begun[-target.workers :]
    return Sample(step, target.name, result, cpu_us, chunks, tuple(begun), 1e6 * beside_s / calls)


def _cpu(target: Target) -> float:
    return 0.0 if target.process is None else cpu_seconds(target.process.pid)


def _split(shares: tuple[int, ...]) -> str:
    return " / ".join(f"{100 * share / max(sum(shares), 1):.0f} %" for share in shares)


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
