"""Fixtures shared by the tests that need a hub and an upstream over real sockets."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hub import HubProcess
from tests.upstream.client import FakeUpstream

RATES = {"input": "1000", "output": "2000"}  # 0.001 and 0.002 credits a token


@pytest.fixture(scope="session")
def upstream() -> Iterator[FakeUpstream]:
    with FakeUpstream() as running:
        yield running


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


@pytest.fixture
def new_hub(tmp_path: Path, upstream: FakeUpstream) -> Iterator[Callable[..., HubProcess]]:
    """Start hubs; `new_hub(workers=2, models=[…], billing={…})`."""
    started: list[HubProcess] = []

    def start(*, workers: int = 1, **config: Any) -> HubProcess:
        folder = tmp_path / f"hub{len(started)}"
        hub = HubProcess(folder, config_for(upstream, **config), workers=workers)
        started.append(hub)
        return hub

    yield start
    for hub in started:
        hub.stop()
