"""Two sites that die at the same time, and what is true after all their deaths."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue

from tests.faults.kill_site import KillSite
from tests.faults.strace import Point, spread

RECOVERY_MAX_S = 2.0
# What of a call's life the deaths must have met.
STAGES = {
    "answer: not opened",
    "answer: held",
    "stream: delivering",
    "stream: hold extended",
    "batch",
}


@contextmanager
def two_sites(folder: Path, database_url: Callable[[], str | None]) -> Iterator[list[KillSite]]:
    made: list[KillSite] = []
    try:
        made.append(KillSite(folder / "left", database_url()))
        made.append(KillSite(folder / "right", database_url()))
        yield made
    finally:
        for site in made:
            site.close()
    stages = Counter(stage for site in made for stage in site.stages)
    print(f"\ndeaths by stage: {dict(sorted(stages.items()))}")
    slowest = max((seconds for site in made for seconds in site.recovery_s), default=0)
    print(f"slowest recovery: {slowest:.2f} s")


def on_all(
    sites: Sequence[KillSite], points: Sequence[Point], kill: Callable[[KillSite, Point], None]
) -> None:
    """Take the points one by one on whichever site is free."""
    waiting: SimpleQueue[Point] = SimpleQueue()
    for point in points:
        waiting.put(point)

    def work(site: KillSite) -> None:
        while True:
            try:
                point = waiting.get_nowait()
            except Empty:
                return
            try:
                kill(site, point)
            except BaseException as error:
                error.add_note(f"killed at {point}: {site.trace.read_text()[-600:]}")
                raise

    with ThreadPoolExecutor(len(sites)) as pool:
        list(pool.map(work, sites))
    for site in sites:
        assert max(site.recovery_s, default=0.0) < RECOVERY_MAX_S
        site.hub.verified()


def until_all_stages(
    sites: Sequence[KillSite], points: Sequence[Point], kill: Callable[[KillSite, Point], None]
) -> None:
    """Take more points, two at a time, until the deaths have met every stage of a call.

    What falls between two commits moves a little from run to run, so chosen points can miss a
    stage that takes few of them.
    """
    for first in range(0, len(points), len(sites)):
        if stages(sites) >= STAGES:
            return
        on_all(sites, points[first : first + len(sites)], kill)
    assert stages(sites) >= STAGES


def stages(sites: Sequence[KillSite]) -> set[str]:
    return {stage for site in sites for stage in site.stages}


def killed_while_starting(
    sites: Sequence[KillSite], syscalls: Sequence[str], numbers: Callable[[str], list[int]]
) -> list[int]:
    """Cut a stream; let each start die a little later than the one before, and the last live.

    Returns how many starts died at each system call.
    """

    def kill(site: KillSite, syscall: str) -> int:
        asked = site.kill_in_stream()
        died = 0
        for number in numbers(syscall):
            if site.start_until(Point(syscall, number)) is not None:
                break
            died += 1
            site.check_remains()
        site.start()
        site.check(asked)
        return died

    with ThreadPoolExecutor(len(sites)) as pool:
        return list(pool.map(kill, sites, syscalls))


def killed_while_granting(sites: Sequence[KillSite], most: int) -> tuple[int, int]:
    """Kill commands that grant credit; return how many died, of how many."""
    made = sites[0].grant_until("7", None)
    assert made is not None
    points = [
        Point(syscall, number)
        for syscall in sites[0].syscalls
        for number in spread(made[syscall], most)
    ]
    died: list[bool] = []
    on_all(sites, points, lambda site, point: died.append(site.grant_until("7", point) is None))
    return died.count(True), len(points)
