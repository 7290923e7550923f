"""SIGKILL at each thing the shipped hub says to PostgreSQL or hears from it.

A commit is two journeys, so a hub dies before it asked, holding locks, before it wrote, and
between COMMIT and its answer. See test_enumerated_kills for SQLite.
"""

from collections.abc import Callable, Iterator

import pytest
from tests.faults.kill_lanes import (
    STAGES,
    killed_while_granting,
    killed_while_starting,
    on_all,
    stages,
    two_sites,
)
from tests.faults.kill_site import KillSite
from tests.faults.strace import TALKING, Point, spread

# About as many as a start makes that has one call to close.
START_CALLS = 90
# What an answer and a stream whose hold is extended take: none of it is left out.
FIRST_CALLS = range(1, 18)
pytestmark = pytest.mark.timeout(300)
FULL = [pytest.mark.full, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def sites(
    tmp_path_factory: pytest.TempPathFactory, new_postgres: Callable[[], str]
) -> Iterator[list[KillSite]]:
    with two_sites(tmp_path_factory.mktemp("killed"), new_postgres) as made:
        yield made


@pytest.mark.parametrize(
    ("syscall", "most"),
    [
        ("sendto", 6),
        ("recvfrom", 12),
        pytest.param("sendto", None, marks=FULL),
        pytest.param("recvfrom", None, marks=FULL),
        pytest.param("write", 40, marks=FULL),
    ],
)
def test_killed_while_talking_to_the_database(
    sites: list[KillSite], syscall: str, most: int | None
):
    made = sites[0].rehearse(syscall, None)
    numbers = {*spread(made, most), *(FIRST_CALLS if syscall == "sendto" else ())}
    on_all(sites, [Point(syscall, number) for number in sorted(numbers)], KillSite.kill_at)
    assert stages(sites) >= STAGES


@pytest.mark.parametrize("most", [4, pytest.param(30, marks=FULL)])
def test_killed_again_while_it_recovers(sites: list[KillSite], most: int):
    died = killed_while_starting(sites, TALKING, lambda _: spread(START_CALLS, most))
    assert min(died) >= 3


@pytest.mark.parametrize("most", [4, pytest.param(25, marks=FULL)])
def test_a_grant_that_is_killed_is_whole_or_nothing(sites: list[KillSite], most: int):
    died, tried = killed_while_granting(sites, most)
    assert died > tried / 2
