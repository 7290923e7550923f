"""What a target takes besides CPU: its start, its memory, its place on the disk."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bench.cpu import rss_mib
from bench.installed import Installed
from bench.load import Order, begun, call, run
from bench.loads import IDLE, LOADS
from bench.stream_upstream import IDLE_S
from bench.targets import Target

CHAT = LOADS[0]
IDLE_STREAMS = 500
# Streams that were opened this long ago have all begun and none has ended.
HELD_S = IDLE_S / 2
CALLS = 100_000
CONNECTIONS = 32
# A slow target makes as many of the calls as it can in this time.
CALLS_S = 35.0
PIECE_S = 2.0
SETTLE_S = 0.5
MIB_KIB = 1024


@dataclass(frozen=True)
class Footprint:
    """Memory is resident; a page that processes share counts once for each of them."""

    target: str
    start_ms: float | None
    rest_mib: float | None
    idle_stream_kib: float | None = None
    after_mib: float | None = None
    after_calls: int = 0
    installed: Installed | None = None


def take(target: Target, folder: Path, say: Callable[[str], None], *, whole: bool) -> Footprint:
    """Measure a target that has just started; with `whole` under streams and calls too."""
    if target.process is None:
        return Footprint(target.name, None, None)
    rest = rss_mib(target.process.pid)
    if not whole:
        return Footprint(target.name, target.start_ms, rest)
    idle = _idle_stream_kib(target, folder)
    say(f"  {target.name}: {rest:.0f} MiB at rest, {idle or 0:.0f} KiB an idle stream")
    made = _calls(target, folder)
    after = rss_mib(target.process.pid)
    say(f"  {target.name}: {after:.0f} MiB after {made:,} calls")
    return Footprint(target.name, target.start_ms, rest, idle, after, made, target.installed_size())


def _idle_stream_kib(target: Target, folder: Path) -> float | None:
    assert target.process is not None
    request = target.request(IDLE)
    before = rss_mib(target.process.pid)
    order = Order(IDLE_STREAMS, 2 * IDLE_S, IDLE.chunks, count=IDLE_STREAMS)
    with begun([request], folder, order) as held:
        time.sleep(HELD_S)
        within = rss_mib(target.process.pid)
        result = held.result()
    target.note(result)
    if result.errors or result.calls != IDLE_STREAMS:
        return None
    return (within - before) * MIB_KIB / IDLE_STREAMS


def _calls(target: Target, folder: Path) -> int:
    request = target.request(CHAT)
    target.note(call(request, folder, connections=8, seconds=CALLS_S, chunks=0, count=64))
    made, deadline, wanted_s = 0, time.monotonic() + CALLS_S, PIECE_S
    while made < CALLS and (left := deadline - time.monotonic()) > 1:
        result = run(CHAT, request, CONNECTIONS, min(wanted_s, left), folder)
        target.note(result)
        made += result.calls
        if not result.calls:
            break
        wanted_s = (CALLS - made) * result.seconds / result.calls
    time.sleep(SETTLE_S)
    return made
