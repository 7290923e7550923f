"""Fixtures shared by the tests that need a hub and an upstream over real sockets."""

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import settings

from tests.databases import Postgres, create_database, migrated
from tests.hub import HubProcess
from tests.nursery import nursery
from tests.upstream.client import FakeUpstream

# How long an example takes says more about the machine's other work than about the code.
settings.register_profile("hub", deadline=None)
settings.load_profile("hub")

# The files that take longest, mostly waiting: they begin first, or they would run alone at the end.
LONGEST = (
    "test_matrix.py",
    "test_enumerated_kills_postgres.py",
    "test_enumerated_kills.py",
    "test_ledger_machine.py",
    "test_payment_kit_hubs.py",
    "test_pool.py",
    "test_fault_table.py",
    "test_kill.py",
    "test_cli.py",
    "test_shutdown.py",
    "test_exactly_k.py",
)

RATES = {"input": "1000", "output": "2000"}  # 0.001 and 0.002 credits a token


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    order = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: order.get(item.path.name, len(order)))


@pytest.fixture(scope="session", autouse=True)
def hubs_come_from_one_nursery() -> Iterator[None]:
    """End it before coverage is counted, for its imports are measured too."""
    yield
    if nursery.cache_info().currsize:
        nursery().close()


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as running:
        yield running


@pytest.fixture(scope="session")
def postgres_uri() -> Iterator[str]:
    """The address of a PostgreSQL server that lives as long as the session."""
    server = Postgres()
    yield server.uri
    server.cleanup()


@pytest.fixture(scope="session")
def database_names() -> Iterator[str]:
    return (f"hub_{number}" for number in itertools.count())


@pytest.fixture(scope="session")
def new_postgres(postgres_uri: str, database_names: Iterator[str]) -> Callable[[], str]:
    """Make migrated, empty databases; each call returns the address of a new one."""
    migrated(create_database(postgres_uri, "hub_template", template="template0"))
    return lambda: create_database(postgres_uri, next(database_names), template="hub_template")


@pytest.fixture(scope="session")
def database_for(request: pytest.FixtureRequest) -> Callable[[str], str | None]:
    """Return the address of a new database of a kind; None for the SQLite file of the hub."""
    return lambda kind: request.getfixturevalue("new_postgres")() if kind == "postgres" else None


def config_for(upstream: FakeUpstream, **more: Any) -> dict[str, Any]:
    """Return a hub.yaml with the fake upstream as `openai` and every scenario model priced."""
    names = more.pop("models", ["gpt-4o-mini"])
    key = more.pop("api_key", "sk-good")
    credentials = more.pop("credentials", [{"name": "main", "api_key": key}])
    models = [
        {"model": f"openai/{name}", "type": "chat", "rates": more.get("rates", RATES)}
        for name in names
    ]
    more.pop("rates", None)
    models += [
        {"model": "openai/text-embedding-3-small", "type": "embedding", "rates": {"input": "1000"}},
        {"model": "openai/gpt-image-1", "type": "image", "rates": {"image": "0.04"}},
    ]
    provider = {"name": "openai", "base_url": upstream.base_url, "credentials": credentials}
    return {"providers": [provider], "models": models, **more}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def database(request: pytest.FixtureRequest) -> str:
    """A kind of database: what must hold on both is tested on both."""
    return str(request.param)


@pytest.fixture
def new_hub(
    tmp_path: Path, upstream: FakeUpstream, database_for: Callable[[str], str | None]
) -> Iterator[Callable[..., HubProcess]]:
    """Start hubs; `new_hub(workers=2, database="postgres", models=[…], billing={…})`."""
    started: list[HubProcess] = []

    def start(*, workers: int = 1, database: str = "sqlite", **config: Any) -> HubProcess:
        hub = HubProcess(
            tmp_path / f"hub{len(started)}",
            config_for(upstream, **config),
            workers=workers,
            database_url=database_for(database),
        )
        started.append(hub)
        return hub

    yield start
    for hub in started:
        hub.stop()
