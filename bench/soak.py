"""`python -m bench.soak`: half load for hours; memory and descriptors must stay flat.

Unary calls, streams and clients that leave, by several accounts. The hub's processes are sampled
every few seconds; afterwards a line is fitted through what was sampled after warm-up, and the
records are compared with what the clients saw. Exit code 1 when something grows or is wrong.
"""

import argparse
import os
import sys
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path

from bench import upstreams
from bench.cpu import cpu_seconds, open_files, rss_mib
from bench.growth import Allowance, Growth, judge
from bench.hub import PRICES, Hub, HubOfTwo
from bench.load import Held, Order, Request, Result, begun, run
from bench.loads import LEAVE_AFTER, LOADS, Load
from bench.process import end_when_told
from bench.stream_upstream import PROMPT_TOKENS

MINUTES = 120.0
SAMPLE_S = 5.0
TELL_S = 60.0
ACCOUNTS = 20
# What may be added after warm-up; two quiet samples of a busy hub differ by a few MiB.
MEMORY = Allowance("MiB", at_all=4.0, an_hour=3.0)
DESCRIPTORS = Allowance("open files", at_all=3.0, an_hour=1.0)
CAPACITY_S = 5.0
CAPACITY_CONNECTIONS = 32
# Of what the hub can do: unary calls take most of half its time, streams the rest.
UNARY_SHARE = 0.4
UNARY_CONNECTIONS = 16
STREAM_CONNECTIONS = 20
LEAVING_CONNECTIONS = 4
LEAVING_PAUSE_MS = 500.0
SETTLE_S = 3.0
NANO = 1_000  # of a price per million tokens, in a token's nano-credits

CHAT, HELD, LEAVES = (
    next(load for load in LOADS if load.name == name)
    for name in ("chat", "streams held", "client leaves")
)
UNARY_TOKENS = 2


@dataclass
class Samples:
    """What was read of the hub's processes, at what second."""

    times: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)
    files: list[float] = field(default_factory=list)

    def take(self, at: float, pid: int) -> None:
        self.times.append(at)
        self.memory.append(rss_mib(pid))
        self.files.append(float(open_files(pid)))

    def judged(self) -> list[Growth]:
        return [
            judge("memory", MEMORY, self.times, self.memory),
            judge("descriptors", DESCRIPTORS, self.times, self.files),
        ]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.soak", description=__doc__)
    default = float(os.environ.get("SOAK_MINUTES", MINUTES))
    arguments.add_argument("--minutes", type=float, default=default)
    arguments.add_argument("--workers", type=int, choices=(1, 2), default=1)
    given = arguments.parse_args()
    end_when_told()
    with tempfile.TemporaryDirectory(prefix="aigne-soak-") as name:
        folder = Path(name)
        with upstreams.running(folder) as running:
            hub = (HubOfTwo if given.workers == 2 else Hub)(running)
            try:
                hub.start(folder)
                growths, wrong = soak(hub, 60 * given.minutes, folder)
            finally:
                hub.stop()
    for growth in growths:
        print(growth)
    for line in wrong:
        print(f"FAILED: {line}")
    if not wrong:
        print("every call is on record at its price, and the books are in order")
    return 1 if wrong or not all(growth.flat for growth in growths) else 0


def soak(hub: Hub, seconds: float, folder: Path) -> tuple[list[Growth], list[str]]:
    """Load the hub for so long; return how it grew and what is wrong with its records."""
    assert hub.process is not None
    full = run(CHAT, hub.request(CHAT), CAPACITY_CONNECTIONS, CAPACITY_S, folder)
    capacity = full.calls / full.seconds
    pause_ms = max(1000 * UNARY_CONNECTIONS / (UNARY_SHARE * capacity) - (full.p50_ms or 0), 0.1)
    print(f"{capacity:,.0f} calls/s at most; {seconds / 60:.0f} minutes at half load", flush=True)
    time.sleep(SETTLE_S)
    before = hub.totals()
    orders = {
        CHAT: Order(UNARY_CONNECTIONS, seconds, 0, pause_ms=pause_ms),
        HELD: Order(STREAM_CONNECTIONS, seconds, HELD.chunks),
        LEAVES: Order(
            *(LEAVING_CONNECTIONS, seconds, LEAVES.chunks),
            leave_after=LEAVE_AFTER,
            pause_ms=LEAVING_PAUSE_MS,
        ),
    }
    keys = hub.keys(ACCOUNTS)
    used_s, samples = cpu_seconds(hub.process.pid), Samples()
    with ExitStack() as stack:
        clients = {
            load: stack.enter_context(begun(_by_each(hub.request(load), keys), folder, order))
            for load, order in orders.items()
        }
        _watch(hub.process.pid, seconds, samples, clients)
        results = {load: client.result() for load, client in clients.items()}
    used_s = cpu_seconds(hub.process.pid) - used_s
    calls = sum(result.calls + result.left for result in results.values())
    print(f"{calls:,} calls, {100 * used_s / seconds:.0f} % of a core")
    time.sleep(SETTLE_S)
    return samples.judged(), unrecorded(hub, before, results) + hub.unbalanced()


def unrecorded(hub: Hub, before: dict, results: dict[Load, Result]) -> list[str]:
    """Return how the records differ from what clients saw, in sentences."""
    wrong = [f"{load.name}: {error}" for load, result in results.items() for error in result.errors]
    expected = {}
    for load, result in results.items():
        model = f"{load.route}/{load.model}"
        if load is LEAVES:
            expected[model, "client_cancelled"] = (result.left, None)
        else:
            tokens = load.chunks or UNARY_TOKENS
            rates = PRICES["chat"]
            price = int(NANO * (PROMPT_TOKENS * rates["input"] + tokens * rates["output"]))
            expected[model, "completed"] = (result.calls, price)
    for kind, total in hub.totals().items():
        known = before.get(kind)
        calls = total.calls - (known.calls if known else 0)
        nano = total.nano - (known.nano if known else 0)
        seen, price = expected.pop(kind, (0, None))
        if calls != seen:
            wrong.append(f"{kind}: {calls} calls on record, clients saw {seen}")
        elif price is not None and nano != price * calls:
            wrong.append(f"{kind}: {calls} calls cost {nano} nano-credits, not {price} each")
    wrong += [f"{kind}: no call on record" for kind, (seen, _) in expected.items() if seen]
    return wrong


def _watch(pid: int, seconds: float, samples: Samples, clients: dict[Load, Held]) -> None:
    begin = told = time.monotonic()
    while (at := time.monotonic() - begin) < seconds and not any(
        client.ended for client in clients.values()
    ):
        samples.take(at, pid)
        if time.monotonic() - told >= TELL_S:
            told = time.monotonic()
            now = f"{samples.memory[-1]:.0f} MiB, {samples.files[-1]:.0f} open files"
            print(f"  {at / 60:5.0f} min  {now}", flush=True)
        time.sleep(SAMPLE_S)


def _by_each(request: Request, keys: tuple[str, ...]) -> list[Request]:
    return [
        replace(request, headers={**request.headers, "authorization": f"Bearer {key}"})
        for key in keys
    ]


if __name__ == "__main__":
    sys.exit(main())
