"""`python -m bench.streams`: a thousand streams at once for a minute, and what each was charged.

Ten tokens a second reach every client. Afterwards every stream must be on record with the price
of exactly the tokens that were sent, and the books must be in order; exit code 1 otherwise.
"""

import argparse
import sys
import tempfile
import time
from collections import Counter
from contextlib import ExitStack
from pathlib import Path

from bench import upstreams
from bench.cpu import cpu_seconds, rss_mib
from bench.hub import PRICES, Charge, Hub, HubOfTwo
from bench.load import Order, Result, begun
from bench.loads import Load, talk
from bench.process import end_when_told
from bench.stream_upstream import PACES_S, PROMPT_TOKENS
from bench.targets import Direct, Target

STREAMS = 1000
SECONDS = 60
# Several lengths, so that the charge of one stream cannot pass for another's.
LENGTHS = 4
STEP = 10
MILLION = 1_000_000
# All streams have begun within this time.
BEGIN_S = 15.0


def main() -> int:
    arguments = argparse.ArgumentParser(prog="python -m bench.streams", description=__doc__)
    arguments.add_argument("--streams", type=int, default=STREAMS)
    arguments.add_argument("--seconds", type=int, default=SECONDS, help="that each stream lasts")
    arguments.add_argument("--workers", type=int, choices=(1, 2), default=1)
    given = arguments.parse_args()
    end_when_told()
    longest = round(given.seconds / PACES_S["talk"])
    loads = tuple(talk(longest - STEP * place) for place in range(LENGTHS))
    with tempfile.TemporaryDirectory(prefix="aigne-bench-") as name:
        folder = Path(name)
        with upstreams.running(folder) as running:
            hub = (HubOfTwo if given.workers == 2 else Hub)(running, more=loads)
            hub.limits = {"calls_in_flight": 2 * given.streams}
            try:
                hub.start(folder)
                _print("of the upstream itself", _gaps(held(Direct(running), loads, given, folder)))
                found = held(hub, loads, given, folder)
                wrong = [line for result in found for line in result.errors]
                wrong += hub.problems() + charged(hub.charges(), loads, found)
            finally:
                hub.stop()
    _print("of the hub", _gaps(found))
    for line in wrong:
        print(f"FAILED: {line}")
    if not wrong:
        print(f"{given.streams} streams, each charged to the token")
    return 1 if wrong else 0


def held(
    target: Target, loads: tuple[Load, ...], given: argparse.Namespace, folder: Path
) -> list[Result]:
    """Hold streams to their end; the clients of each load are a process of their own."""
    share = given.streams // len(loads)
    process = target.process
    before = 0.0 if process is None else cpu_seconds(process.pid)
    rest = 0.0 if process is None else rss_mib(process.pid)
    with ExitStack() as stack:
        clients = []
        for load in loads:
            order = Order(share, BEGIN_S, load.chunks, count=share)
            clients.append(stack.enter_context(begun([target.request(load)], folder, order)))
        if process is not None:
            time.sleep(given.seconds / 2)
            within = rss_mib(process.pid)
            _print("resident memory", f"{rest:.0f} MiB, with the streams {within:.0f} MiB")
        results = [client.result(given.seconds + BEGIN_S + 90) for client in clients]
    for result in results:
        target.note(result)
    if process is not None:
        used = cpu_seconds(process.pid) - before
        chunks = sum(load.chunks * share for load in loads)
        took = max(result.seconds for result in results)
        _print("tokens a second", f"{chunks / took:,.0f}")
        core = f"{100 * used / took:.0f} % of a core"
        _print("processor", f"{core}, {1e6 * used / chunks:.1f} us a token")
    return results


def charged(charges: list[Charge], loads: tuple[Load, ...], found: list[Result]) -> list[str]:
    """Return what is wrong with the price of each stream."""
    wrong = []
    rates = PRICES["chat"]
    for load, result in zip(loads, found, strict=True):
        price = (PROMPT_TOKENS * rates["input"] + load.chunks * rates["output"]) / MILLION
        mine = Counter(
            (charge.outcome, charge.credits)
            for charge in charges
            if charge.model == f"{load.route}/{load.model}"
        )
        expected = Counter({("completed", price): result.calls})
        if mine != expected:
            wrong.append(f"{load.name}: {dict(mine)} on record instead of {dict(expected)}")
    return wrong


def _gaps(found: list[Result]) -> str:
    """Return the worst of the clients' figures."""
    p50 = max(result.gap_p50_ms or 0.0 for result in found)
    p99 = max(result.gap_p99_ms or 0.0 for result in found)
    return f"gaps of {p50:.1f} ms, p99 {p99:.1f} ms"


def _print(name: str, text: str) -> None:
    print(f"{name:<24} {text}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
