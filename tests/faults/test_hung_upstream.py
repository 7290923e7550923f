"""A provider that hangs: every stream is released within its limit, and nothing of it is left."""

import re
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import pytest
from tests.books import Books, Customer, nano, price
from tests.caller import Reply, ask
from tests.faults.server import FaultServer
from tests.faults.table_calls import RATES
from tests.hub import HubProcess
from tests.patience import until

STREAMS = 200
# Long enough for all of them to have begun before the first is given up.
LIMIT_S = 5
KEY = "sk-of-the-hung-one"
# Silent from the start, and after three words.
SCENARIOS = {"never": "F02-silence", "midway": "F24-silence"}
_OPEN = re.compile(rb"^aigne_hub_upstream_connections_open (\d+)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Site:
    faults: FaultServer
    hub: HubProcess
    customers: dict[str, Customer]

    def ask(self, name: str) -> Reply:
        return ask(self.hub, f"{name}/model", key=self.customers[name].key, stream=True)

    @property
    def open_upstream(self) -> int:
        with urllib.request.urlopen(f"{self.hub.address}/metrics") as answer:
            found = _OPEN.search(answer.read())
        assert found is not None
        return int(found[1])


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("hung")
    with FaultServer(folder) as faults:
        config = {
            "providers": [
                {
                    "name": name,
                    "kind": "openai",
                    "base_url": faults.base_url(scenario),
                    "credentials": [{"name": "main", "api_key": f"{KEY}-{name}"}],
                }
                for name, scenario in SCENARIOS.items()
            ],
            "models": [
                {"model": f"{name}/model", "type": "chat", "rates": RATES} for name in SCENARIOS
            ],
            "billing": {"enabled": True},
            "limits": {"upstream_first_byte_s": LIMIT_S, "stream_idle_s": LIMIT_S},
        }
        with HubProcess(folder / "hub", config) as hub, Books(hub) as books:
            customers = {name: books.customer(nano("1000")) for name in SCENARIOS}
            faults.seen(f"{KEY}-midway")
            yield Site(faults, hub, customers)


@pytest.fixture(scope="module")
def replies(site: Site) -> dict[str, list[Reply]]:
    """What came of all streams, by provider."""
    with ThreadPoolExecutor(len(SCENARIOS) * STREAMS) as pool:
        asked = {name: [pool.submit(site.ask, name) for _ in range(STREAMS)] for name in SCENARIOS}
        return {name: [one.result() for one in each] for name, each in asked.items()}


@pytest.mark.parametrize("name", SCENARIOS)
def test_streams_on_a_hung_provider_are_released_and_leave_nothing(
    site: Site, replies: dict[str, list[Reply]], name: str
):
    customer, counts = site.customers[name], site.faults.counts(SCENARIOS[name])
    calls = customer.closed(STREAMS)
    assert {call["outcome"] for call in calls} == {"upstream_timeout"}
    assert all(call["duration_ms"] >= 1000 * LIMIT_S for call in calls)
    for reply in replies[name]:
        assert reply.error["code"] == "upstream_timeout"
        assert not reply.done
    if name == "never":
        assert {reply.status for reply in replies[name]} == {504}
        assert {call["credits"] for call in calls} == {"0"}
        assert customer.balance == nano("1000")
    else:
        assert {reply.text for reply in replies[name]} == {"w0 w1 w2 "}
        assert all(nano(call["credits"]) == price(call, RATES) > 0 for call in calls)
        assert customer.balance == nano("1000") - sum(nano(call["credits"]) for call in calls)
    assert customer.held == 0
    assert counts.requests == STREAMS
    until(lambda: site.faults.counts(SCENARIOS[name]).open == 0)
    until(lambda: site.open_upstream == 0)
    site.hub.verified()
