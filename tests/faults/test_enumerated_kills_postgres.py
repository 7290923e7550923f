"""SIGKILL at each thing the shipped hub says to PostgreSQL or hears from it.

A commit is two journeys, so a hub dies before it asked, holding locks, before it wrote, and
between COMMIT and its answer. Then PostgreSQL ends the session at such points, or crashes, and the
hub carries on. See test_enumerated_kills for SQLite.
"""

from collections.abc import Callable, Iterator
from signal import SIGKILL, SIGTERM, Signals

import pytest
from tests.databases import Postgres, create_database, migrated
from tests.faults.kill_lanes import (
    killed_while_granting,
    killed_while_starting,
    on_all,
    two_sites,
    until_all_stages,
)
from tests.faults.kill_site import KillSite
from tests.faults.strace import TALKING, Point, spread

# About as many as a start makes that has one call to close.
START_CALLS = 90
# What an answer and a stream whose hold is extended take: none of it is left out.
FIRST_CALLS = range(1, 18)
# About as many as the journal's session makes in a scenario.
SESSION_CALLS = 30
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
        ("recvfrom", 8),
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
    others = sorted(set(range(1, made + 1)) - numbers)
    until_all_stages(sites, [Point(syscall, number) for number in others], KillSite.kill_at)


@pytest.mark.parametrize("most", [4, pytest.param(30, marks=FULL)])
def test_killed_again_while_it_recovers(sites: list[KillSite], most: int):
    died = killed_while_starting(sites, TALKING, lambda _: spread(START_CALLS, most))
    assert min(died) >= 3


@pytest.mark.parametrize("most", [4, pytest.param(25, marks=FULL)])
def test_a_grant_that_is_killed_is_whole_or_nothing(sites: list[KillSite], most: int):
    died, tried = killed_while_granting(sites, most)
    assert died > tried / 2


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KillSite]:
    """A hub on a server that it shares with nobody."""
    server = Postgres()
    try:
        url = migrated(create_database(server.uri, "hub", template="template0"))
        site = KillSite(tmp_path_factory.mktemp("own-hub") / "hub", url)
        yield site
        site.hub.verified()
        site.close()
    finally:
        server.cleanup()


@pytest.mark.parametrize(
    ("syscall", "number", "most"),
    [
        ("recvfrom", SIGTERM, 4),
        ("sendto", SIGTERM, 2),
        ("pwrite64", SIGTERM, 2),
        ("recvfrom", SIGKILL, 2),
        ("pwrite64", SIGKILL, 2),
        *(
            pytest.param(syscall, number, 25, marks=FULL)
            for syscall in ("recvfrom", "sendto", "pwrite64")
            for number in (SIGTERM, SIGKILL)
        ),
    ],
    ids=lambda value: value.name if isinstance(value, Signals) else str(value),
)
def test_the_database_ends_the_session_or_crashes(
    own: KillSite, syscall: str, number: Signals, most: int
):
    """Killing one session of PostgreSQL makes all of it recover, as after a crash."""
    for count in spread(SESSION_CALLS, most):
        own.lose_session_at(Point(syscall, count), number)
