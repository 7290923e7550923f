"""`python -m bench.overload`: more callers than the hub takes on at once.

Those beyond its limit must be told 503 and when to come back, before anything is held or
recorded; those that are let in must be served about as fast as at the limit, and memory must stay
as it is. Exit code 1 otherwise.
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

from bench import upstreams
from bench.cpu import rss_mib
from bench.hub import Hub
from bench.load import Order, Result, begun
from bench.loads import LOADS
from bench.process import end_when_told

LIMIT = 64
CALLERS = 640
SECONDS = 20.0
# A caller that was refused comes back sooner than it was told to.
PAUSE_MS = 100.0
# Refusing the others takes some of the time in which calls were served.
SLOWER_MAX = 4.0
GROWTH_MAX_MIB = 30.0

CHAT = LOADS[0]


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.overload", description=__doc__)
    arguments.add_argument("--limit", type=int, default=LIMIT, help="calls the hub runs at once")
    arguments.add_argument("--callers", type=int, default=CALLERS)
    arguments.add_argument("--seconds", type=float, default=SECONDS)
    given = arguments.parse_args()
    end_when_told()
    with tempfile.TemporaryDirectory(prefix="aigne-bench-") as name:
        folder = Path(name)
        with upstreams.running(folder) as running:
            hub = Hub(running)
            hub.limits = {"calls_in_flight": given.limit}
            try:
                hub.start(folder)
                wrong = judged(hub, given, folder)
            finally:
                hub.stop()
    for line in wrong:
        print(f"FAILED: {line}")
    return 1 if wrong else 0


def judged(hub: Hub, given: argparse.Namespace, folder: Path) -> list[str]:
    """Load the hub up to its limit and beyond; return what is wrong, in sentences."""
    assert hub.process is not None
    at_limit = _loaded(hub, given.limit, given.seconds / 2, folder)
    before = rss_mib(hub.process.pid)
    beyond = _loaded(hub, given.callers, given.seconds, folder)
    within = rss_mib(hub.process.pid)
    for name, result in ((given.limit, at_limit), (given.callers, beyond)):
        print(
            f"{name:5} callers: {result.calls / result.seconds:8,.0f} calls/s,"
            f" {result.refused / result.seconds:8,.0f} refused/s,"
            f" p50 {result.p50_ms or 0:.1f} ms, p99 {result.p99_ms or 0:.1f} ms"
        )
    print(f"resident memory {before:.0f} -> {within:.0f} MiB")
    wrong = [*at_limit.errors, *beyond.errors, *hub.problems()]
    if at_limit.refused:
        wrong.append(f"{at_limit.refused} calls were refused at the limit")
    if not beyond.refused:
        wrong.append("no call was refused beyond the limit")
    if not beyond.calls:
        wrong.append("no call was served beyond the limit")
    slower = (beyond.p99_ms or 0.0) / max(at_limit.p99_ms or 0.0, 1.0)
    if slower > SLOWER_MAX:
        wrong.append(f"p99 of the calls that were served is {slower:.1f} times that at the limit")
    if within - before > GROWTH_MAX_MIB:
        wrong.append(f"memory grew by {within - before:.0f} MiB")
    return wrong


def _loaded(hub: Hub, callers: int, seconds: float, folder: Path) -> Result:
    order = Order(callers, seconds, 0, pause_ms=PAUSE_MS, refusable=True)
    with begun([hub.request(CHAT)], folder, order) as held:
        result = held.result()
    hub.note(result)
    time.sleep(1)
    return result


if __name__ == "__main__":
    sys.exit(main())
