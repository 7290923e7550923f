"""A video that fails is refunded though its caller never comes back."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from sqlalchemy import select
from tests.books import Books, nano
from tests.caller import post
from tests.faults.settled import assert_settled
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.objects import ASK_AFTER_US
from aigne_hub.storage import schema

GRANTED = nano("10")
COST = nano("0.4")  # four seconds
STANDINGS = ["fails", "lasts", "gone", "2"]
_DUE = "UPDATE upstream_object SET ask_us = created_us WHERE kind = 'video'"
DUE = {"sqlite": [_DUE], "postgresql": [_DUE]}


@dataclass(frozen=True, slots=True)
class Site:
    hub: HubProcess
    books: Books

    def standing(self) -> dict[str, int | None]:
        """Return when each video is asked after, in microseconds after it was made."""
        columns = schema.upstream_object.c
        query = select(columns.model, columns.ask_us - columns.created_us)
        rows = self.books.read(lambda view: view.execute(query).all())
        return {model.rpartition("-")[2]: after_us for model, after_us in rows}


@pytest.fixture(scope="module", params=["sqlite", "postgres"])
def site(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    upstream: FakeUpstream,
    database_for: Callable[[str], str | None],
) -> Iterator[Site]:
    models = [
        {"model": f"openai/sora-{name}", "type": "video", "rates": {"second": "0.1"}}
        for name in STANDINGS
    ]
    credentials = [{"name": "main", "api_key": "sk-good"}]
    config = {
        "providers": [
            {"name": "openai", "base_url": upstream.base_url, "credentials": credentials}
        ],
        "models": models,
        "billing": {"enabled": True},
    }
    folder = tmp_path_factory.mktemp("films")
    with (
        HubProcess(folder, config, database_url=database_for(request.param)) as hub,
        Books(hub) as books,
    ):
        yield Site(hub, books)
        assert_settled(hub)


def test_videos_are_asked_after_and_those_that_failed_are_refunded(
    site: Site, upstream: FakeUpstream
):
    upstream.reset()
    customers = {name: site.books.customer(GRANTED) for name in STANDINGS}
    for name, customer in customers.items():
        body = json.dumps({"model": f"openai/sora-{name}", "prompt": "a tree"}).encode()
        assert post(site.hub, "/v1/videos", body, key=customer.key).status == 200
        assert customer.balance == GRANTED - COST
    assert site.standing() == dict.fromkeys(STANDINGS, ASK_AFTER_US)
    site.books.execute(DUE)
    until(lambda: sum(after_us is None for after_us in site.standing().values()) == 3)
    until(lambda: (site.standing()["lasts"] or 0) >= ASK_AFTER_US)
    balances = {name: customer.balance for name, customer in customers.items()}
    assert balances == dict.fromkeys(STANDINGS, GRANTED - COST) | {"fails": GRANTED}
    asked = [seen for seen in upstream.log() if seen["method"] == "GET"]
    assert len(asked) == len(STANDINGS)
