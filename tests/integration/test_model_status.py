"""The status of models, as calls of any process show it."""

import json
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from tests.caller import ask
from tests.conftest import config_for
from tests.hub import HubProcess
from tests.patience import until
from tests.upstream.client import FakeUpstream

from aigne_hub.domain.model_status import ModelStatus
from aigne_hub.storage import model_statuses

WORKS, FAILS = "gpt-4o-mini", "gpt-503"
NOWHERE = "127.0.0.1:1"


@pytest.fixture(scope="module")
def served(
    tmp_path_factory: pytest.TempPathFactory, upstream: FakeUpstream
) -> Iterator[HubProcess]:
    config = config_for(upstream, models=[WORKS, FAILS])
    config["providers"].append({"name": "gone", "base_url": f"http://{NOWHERE}/v1"})
    config["providers"][-1]["credentials"] = [{"name": "main", "api_key": "sk-x"}]
    config["models"].append({"model": "gone/m", "type": "chat"})
    with HubProcess(tmp_path_factory.mktemp("status") / "hub", config) as running:
        yield running


def listed(served: HubProcess, path: str, name: str) -> dict[str, Any]:
    request = urllib.request.Request(
        f"{served.address}{path}", headers={"authorization": f"Bearer {served.key}"}
    )
    with urllib.request.urlopen(request) as answer:
        value = json.load(answer)
    models = value["data"] if isinstance(value, dict) else value
    return next(one for one in models if name in {one.get("id"), one.get("key")})


def test_lists_of_models_say_how_their_last_calls_went(served: HubProcess):
    good, bad = f"openai/{WORKS}", f"openai/{FAILS}"
    assert listed(served, "/v1/models", good)["status"] is None
    ask(served, good)
    ask(served, bad)
    status = listed(served, "/v1/models", good)["status"]
    assert (status["available"], status["error"]) == (True, None)
    assert status["response_ms"] > 0
    status = listed(served, "/v1/models", bad)["status"]
    assert (status["available"], status["error"]["code"]) == (False, "unavailable")
    # The public list is written again every two seconds.
    until(lambda: (listed(served, "/api/ai/models", bad)["status"] or {}).get("available") is False)
    assert listed(served, "/api/ai/models", good)["status"]["available"] is True


def test_who_shows_no_key_is_not_told_where_a_provider_is(served: HubProcess):
    ask(served, "gone/m")
    told = listed(served, "/v1/models", "gone/m")["status"]["error"]
    assert told["code"] == "unreachable"
    assert NOWHERE in told["message"]
    with urllib.request.urlopen(f"{served.address}/api/ai/models") as answer:
        assert NOWHERE not in answer.read().decode()
    until(lambda: listed(served, "/api/ai/models", "gone/m")["status"] is not None)
    public = listed(served, "/api/ai/models", "gone/m")["status"]["error"]
    assert public == {"code": "unreachable", "message": "unreachable"}


def test_models_are_listed_with_what_they_read_and_can_do(served: HubProcess):
    model = listed(served, "/v1/models", f"openai/{WORKS}")
    assert model["modalities"] == {"input": ["text", "image", "file"], "output": ["text"]}
    assert model["features"] == ["tools", "structured_output"]


def test_statuses_are_shared_and_the_newer_stands(hub: Any):
    engine = hub.engine
    first = ModelStatus("p/a", available=True, checked_us=5, response_us=7)
    other = ModelStatus("p/b", available=False, checked_us=5, code="timeout", message="slow")
    model_statuses.record(engine, [first, other])
    older = first._replace(available=False, checked_us=4)
    newer = other._replace(checked_us=6, code="unavailable")
    model_statuses.record(engine, [older, newer])
    assert sorted(model_statuses.known(engine)) == [first, newer]
