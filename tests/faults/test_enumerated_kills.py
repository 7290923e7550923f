"""SIGKILL at each durable system call of a call's life, over the whole shipped hub on SQLite.

strace kills the hub when it enters its N-th write or sync. Two hubs die at the same time, each
again and again over one ageing database, and each start is the recovery of the death before:
nothing lost, nothing double, what was delivered is charged, and all of it in under two seconds.
"""

from collections.abc import Iterator

import pytest
from tests.faults.kill_lanes import (
    killed_while_granting,
    killed_while_starting,
    on_all,
    two_sites,
    until_all_stages,
)
from tests.faults.kill_site import KillSite
from tests.faults.strace import Point, spread

DATABASE, WAL = "hub.db", "hub.db-wal"
# About as many as a start makes that has one call to close.
START_CALLS = {"pwrite64": 30, "fsync": 8}
pytestmark = pytest.mark.timeout(300)
FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sites(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[KillSite]]:
    with two_sites(tmp_path_factory.mktemp("killed"), lambda: None) as made:
        yield made


@pytest.mark.parametrize(
    ("syscall", "most"),
    [
        ("pwrite64", 20),
        ("fsync", 10),
        ("write", 4),
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
        others = set(range(1, made + 1)) - {point.number for point in points}
        until_all_stages(
            sites, [Point(syscall, each, on) for each in sorted(others)], KillSite.kill_at
        )


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
    died = killed_while_starting(
        sites, list(START_CALLS), lambda syscall: spread(START_CALLS[syscall], most)
    )
    assert min(died) >= 4


@pytest.mark.parametrize("most", [4, pytest.param(25, marks=FULL)])
def test_a_grant_that_is_killed_is_whole_or_nothing(sites: list[KillSite], most: int):
    died, tried = killed_while_granting(sites, most)
    assert died > tried / 2
