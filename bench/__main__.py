"""`python -m bench`: what a call costs through the hub, beside nginx and its peers."""

import argparse
import asyncio
import json
import os
import platform
import shlex
import shutil
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from bench import authentication, last, markdown, upstreams
from bench.hub import Hub, HubOfTwo
from bench.load import WRK, LoadError
from bench.loads import LOADS
from bench.nginx import BINARY
from bench.postgres import HubOfTwoOnPostgres, HubOnPostgres
from bench.process import StartError, end_when_told
from bench.rivals import RIVALS
from bench.rounds import Measured, Plan, measure, steps
from bench.table import as_json, console, rows, show
from bench.targets import Direct, Nginx, Target, UnavailableError

ROUNDS = 3
SECONDS = 3.0
QUICK_SECONDS = 2.0
OURS: tuple[type[Target], ...] = (Direct, Nginx, Hub)
OTHERS: tuple[type[Target], ...] = (HubOfTwo, HubOnPostgres, HubOfTwoOnPostgres, *RIVALS)


def main() -> int:
    given = _arguments()
    end_when_told()
    for tool in (BINARY, WRK):
        if shutil.which(tool) is None:
            print(f"{tool} is missing; on Debian: apt-get install nginx-light wrk", file=sys.stderr)
            return 2
    chosen = {name for name in given.only.split(",") if name}
    kinds = OURS if given.quick and not chosen else OURS + OTHERS
    unknown = chosen - {kind.name for kind in kinds} - {load.name for load in LOADS}
    if unknown:
        print(f"--only: there is no target or load {sorted(unknown)}", file=sys.stderr)
        return 2
    loads = [load for load in LOADS if load.name in chosen]
    plan = Plan(
        steps(loads or LOADS, quick=given.quick),
        QUICK_SECONDS if given.quick else SECONDS,
        given.rounds or (1 if given.quick else ROUNDS),
        ceiling=not given.quick,
        footprints=not given.quick and not loads,
    )
    kinds = tuple(kind for kind in kinds if kind.name in chosen) or kinds
    machine = _machine()
    try:
        measured = _measure(plan, kinds)
    except (StartError, LoadError, RuntimeError) as error:
        print(f"FAILED: {error}", file=sys.stderr)
        return 1
    show(measured, machine, console())
    known = {} if chosen else asyncio.run(authentication.measured())
    for name, took in known.items():
        print(f"authentication, {name}: {took['median_us']} us")
    if given.page is not None:
        given.page.write_text(markdown.page(measured, machine, known, _command(given)))
    if given.out is not None:
        given.out.write_text(json.dumps(as_json(measured, machine), indent=2) + "\n")
    found = rows(measured)
    for verdict in last.compare(found, last.load()):
        print(verdict)
    if given.save and not measured.failures:
        last.save(found, f"{machine['at']}, {machine['cpu']}, {machine['cores']} cores")
    return 1 if measured.failures else 0


def _measure(plan: Plan, kinds: tuple[type[Target], ...]) -> Measured:
    with tempfile.TemporaryDirectory(prefix="aigne-bench-") as name:
        folder = Path(name)
        with upstreams.running(folder) as running:
            targets = []
            for kind in kinds:
                try:
                    targets.append(kind(running))
                except UnavailableError as missing:
                    _say(f"skipped {kind.name}: {missing}")
            return measure(plan, targets, running, folder, _say)


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _arguments() -> argparse.Namespace:
    arguments = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    arguments.add_argument(
        "--quick", action="store_true", help="one short round of nginx and the hub, in a minute"
    )
    arguments.add_argument(
        "--only", default="", metavar="NAMES", help="targets or loads by name, joined by commas"
    )
    arguments.add_argument("--rounds", type=int, help=f"default {ROUNDS}, with --quick 1")
    arguments.add_argument("--out", type=Path, metavar="FILE", help="also write JSON there")
    arguments.add_argument(
        "--page", type=Path, metavar="FILE", help="also write a page of documentation there"
    )
    arguments.add_argument(
        "--save", action="store_true", help="make this run the one that others compare with"
    )
    return arguments.parse_args()


def _command(given: argparse.Namespace) -> str:
    """Return what makes the same page again, wherever else this run's figures go."""
    words = ["python", "-m", "bench", *(["--quick"] if given.quick else [])]
    for name in ("only", "rounds", "page"):
        value = getattr(given, name)
        words += [f"--{name}", str(value)] if value else []
    return shlex.join(words)


def _machine() -> dict[str, Any]:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return {
        "cpu": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.platform(),
        "python": platform.python_version(),
        "load_average": os.getloadavg()[0],
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
    }


if __name__ == "__main__":
    sys.exit(main())
