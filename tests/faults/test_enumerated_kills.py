"""SIGKILL at each durable system call of a call's life, over the whole shipped hub.

strace kills the hub when it enters its N-th write or sync. Two hubs die at the same time, each
again and again over one ageing database, and each start is the recovery of the death before:
nothing lost, nothing double, what was delivered is charged, and all of it in under two seconds.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from queue import Empty, SimpleQueue

import pytest
from tests.faults.kill_site import KillSite
from tests.faults.strace import DURABLE, Point, spread

RECOVERY_MAX_S = 2.0
DATABASE, WAL = "hub.db", "hub.db-wal"
# About as many as a start makes that has one call to close.
START_CALLS = {"pwrite64": 30, "fsync": 8}
STAGES = {
    "answer: not opened",
    "answer: held",
    "stream: delivering",
    "stream: hold extended",
    "batch",
}
pytestmark = pytest.mark.timeout(300)
FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[KillSite]]:
    folder = tmp_path_factory.mktemp("killed")
    made: list[KillSite] = []
    try:
        made.append(KillSite(folder / "left"))
        made.append(KillSite(folder / "right"))
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


@pytest.mark.parametrize(
    ("syscall", "most"),
    [
        ("pwrite64", 26),
        ("fsync", 12),
        ("write", 6),
        pytest.param("pwrite64", 160, marks=FULL),
        pytest.param("fsync", None, marks=FULL),
        pytest.param("write", 40, marks=FULL),
    ],
)
def test_killed_at_a_write_or_sync_of_the_journal(
    sites: list[KillSite], syscall: str, most: int | None
):
    """`write` is no durable call: there the hub dies before it tells anybody anything."""
    on = None if syscall == "write" else WAL
    made = sites[0].rehearse(syscall, on)
    points = [Point(syscall, number, on) for number in spread(made, most)]
    assert len(points) == (most or made)
    on_all(sites, points, KillSite.kill_at)
    if syscall == "pwrite64":
        assert {stage for site in sites for stage in site.stages} >= STAGES


@pytest.mark.parametrize(
    ("syscall", "most"),
    [
        ("pwrite64", 6),
        ("fsync", 2),
        ("ftruncate", 1),
        pytest.param("pwrite64", 40, marks=FULL),
        pytest.param("fsync", None, marks=FULL),
    ],
)
def test_killed_while_the_log_is_copied_into_the_database(
    sites: list[KillSite], syscall: str, most: int | None
):
    made = sites[0].rehearse(syscall, DATABASE)
    points = [Point(syscall, number, DATABASE) for number in spread(made, most)]
    on_all(sites, points, KillSite.kill_at)


@pytest.mark.parametrize("most", [6, pytest.param(None, marks=FULL)])
def test_killed_again_while_it_recovers(sites: list[KillSite], most: int | None):
    """A stream was cut; each start dies a little later than the one before, the last lives."""

    def kill(site: KillSite, syscall: str) -> int:
        asked = site.kill_in_stream()
        died = 0
        for number in spread(START_CALLS[syscall], most):
            if site.start_until(Point(syscall, number)) is not None:
                break
            died += 1
            site.check_image()
        site.start()
        site.check(asked)
        return died

    with ThreadPoolExecutor(len(sites)) as pool:
        died = list(pool.map(kill, sites, START_CALLS))
    assert min(died) >= 4


@pytest.mark.parametrize("most", [4, pytest.param(25, marks=FULL)])
def test_a_grant_that_is_killed_is_whole_or_nothing(sites: list[KillSite], most: int):
    made = sites[0].grant_until("7", None)
    assert made is not None
    points = [
        Point(syscall, number) for syscall in DURABLE for number in spread(made[syscall], most)
    ]
    died: list[bool] = []
    on_all(sites, points, lambda site, point: died.append(site.grant_until("7", point) is None))
    assert died.count(True) > len(points) / 2
