"""Prices over HTTP: the bulk update that existing clients send, and the margin report."""

import http.client
import json
import signal
import time

import pytest
from tests.books import Books
from tests.hub import HubProcess

from aigne_hub.storage import prices

BULK = "/api/ai-providers/bulk-rate-update"
CREDIT = 10**9
ECHO = {"model": "demo/echo", "type": "chat", "rates": {"request": "1"}}
CONFIG = {
    "billing": {"enabled": True},
    "providers": [
        {"name": "google", "kind": "openai", "base_url": "http://127.0.0.1:9/v1"},
        {"name": "demo"},
        {"name": "openai", "base_url": "http://127.0.0.1:9/v1"},
    ],
    "models": [
        {"model": "google/gemini-x", "type": "chat"},
        {"model": "openai/gpt-x", "type": "chat"},
        {"model": "openai/gpt-x-0", "type": "chat"},
        {"model": "openai/painter", "type": "image"},
        {
            "model": "openai/fixed",
            "type": "chat",
            "rates": {"input": "1"},
            "cost": {"input": "0.5"},
        },
        ECHO,
    ],
}


@pytest.fixture(scope="module")
def serving(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("rates"), CONFIG) as running, Books(running) as books:
        yield running, books


@pytest.fixture(scope="module")
def call(serving):
    hub, _ = serving
    key = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin")["key"]

    def call(method, path, body=None, key=key):
        connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        connection.request(method, path, None if body is None else json.dumps(body), headers)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        connection.close()
        return answer.status, content

    return call


def rates(serving):
    _, books = serving
    return {one.model: prices.document(one) for one in books.read(prices.versions)}


def update(model, provider="openai", inside=1.5e-07, outside=6e-07, **more):
    costs = {"input": inside, "output": outside}
    return {"providerId": provider, "model": model, "unitCosts": costs, **more}


def test_only_administrators_price_models(call, serving):
    hub, books = serving
    member = books.customer().key
    for key in (member, hub.key):
        for method, path in (
            ("POST", BULK),
            ("POST", "/api/ai/bulk-rate-update"),
            ("GET", "/api/admin/rates/margins"),
            ("POST", "/api/admin/rates/rerate"),
        ):
            status, answer = call(method, path, {} if method == "POST" else None, key=key)
            assert (status, answer["error"]["code"]) == (403, "forbidden")


def test_costs_are_synced_matched_by_any_name_and_shown_first(call, serving):
    body = {
        "mode": "sync",
        "applyRates": True,
        "profitMargin": 20,
        "creditPrice": 0.1,
        "dryRun": True,
        "updates": [
            update("gpt-x-2024-07-18", caching={"readRate": "0.000000075"}, source="a page"),
            update("gemini-x", provider="gemini"),
            update("half", outside=0, isNew=True),
            update("painter", outside=0.04, inside=0),
            update("unheard"),
            update("nobody", provider="nobody"),
            update("gpt-x-0", inside=0, outside=0),
            update("fixed"),
            update("brand-new", isNew=True, modelType="chatCompletion"),
            update("a b", isNew=True),
        ],
        "somethingElse": "is ignored",
    }
    before = rates(serving)
    status, shown = call("POST", BULK, body)
    assert status == 200
    assert rates(serving) == before
    assert {name: value for name, value in shown["summary"].items() if value} == {
        "total": 10, "updated": 3, "created": 1, "unmatched": 2, "errors": 4,
    }  # fmt: skip
    status, done = call("POST", "/api/ai/bulk-rate-update", {**body, "dryRun": False})
    assert status == 200
    assert {**done, "dryRun": True} == shown
    first = done["updated"][0]
    assert (first["model"], first["provider"], first["source"]) == ("gpt-x", "openai", "a page")
    assert first["newUnitCosts"] == {"input": "0.00000015", "output": "0.0000006"}
    assert first["oldRates"] == {"input": "0", "output": "0"}
    assert first["newRates"] == {"input": "0.0000018", "output": "0.0000072"}
    assert done["updated"][2]["newRates"] == {"input": "0", "output": "0.48"}
    errors = {error["model"]: error["error"] for error in done["errors"]}
    assert errors == {
        "gpt-x-0": "has no cost above zero",
        "half": "has no price for output above zero",
        "fixed": "hub.yaml declares its prices",
        "a b": "is no name of a model",
    }
    after = rates(serving)
    assert after["openai/gpt-x"]["amounts"] == {
        "input": "1.8", "output": "7.2", "cache_read": "0.9",
    }  # fmt: skip
    assert after["openai/gpt-x"]["cost"]["cache_read"] == "0.075"
    assert after["google/gemini-x"]["amounts"] == {"input": "1.8", "output": "7.2"}
    assert after["openai/painter"]["amounts"] == {"image": "0.48"}
    assert after["openai/brand-new"]["amounts"] == {"input": "1.8", "output": "7.2"}
    assert after["openai/fixed"] == before["openai/fixed"]
    assert after["openai/gpt-x"]["version"] == 1
    status, again = call("POST", BULK, body)
    assert (again["summary"]["updated"], again["summary"]["unchanged"]) == (0, 4)


def test_entries_of_a_page_take_the_dearest_write_and_what_is_gone_is_deprecated(call, serving):
    call("POST", BULK, {"mode": "sync", "updates": [update("doomed", isNew=True)]})
    entry = {
        "provider": "openai",
        "modelId": "gpt-x",
        "inputCostPerToken": 2e-07,
        "outputCostPerToken": 8e-07,
        "cachedInputCostPerToken": 1e-07,
        "cacheTiers": [
            {"label": "5m write", "costPerToken": 2.5e-07},
            {"label": "1h write", "costPerToken": 4e-07},
            {"label": "read", "costPerToken": 9},
        ],
    }
    body = {"mode": "sync", "entries": [entry], "deprecateUnmatched": True}
    status, done = call("POST", BULK, body)
    assert status == 200
    gone = {one["model"] for one in done["deprecated"]}
    assert "doomed" in gone
    assert "gpt-x-0" not in gone  # hub.yaml declares it
    after = rates(serving)
    assert after["openai/gpt-x"]["cost"] == {
        "input": "0.2", "output": "0.8", "cache_read": "0.1", "cache_write": "0.4",
    }  # fmt: skip
    assert "openai/doomed" not in after


def test_a_margin_prices_everything_that_has_a_cost(call, serving):
    cost = {"input": 1e-06, "output": 2e-06}
    call("POST", BULK, {"mode": "sync", "updates": [update("gpt-x", unitCosts=cost)]})
    body = {"profitMargin": 50, "creditPrice": "1", "dryRun": True}
    status, shown = call("POST", BULK, body)
    assert (status, shown["parameters"]) == (200, {"profitMargin": "50", "creditPrice": "1"})
    line = next(one for one in shown["summary"] if one["model"] == "gpt-x")
    assert (line["newInputRate"], line["newOutputRate"]) == ("0.0000015", "0.000003")
    assert line.keys() == {
        "id", "model", "provider", "oldInputRate", "newInputRate", "oldOutputRate", "newOutputRate",
    }  # fmt: skip
    status, done = call("POST", BULK, {**body, "dryRun": False})
    assert (status, {**done, "dryRun": True}) == (200, shown)
    assert rates(serving)["openai/gpt-x"]["amounts"]["input"] == "1.5"
    status, again = call("POST", BULK, body)
    assert (again["updated"], again["summary"]) == (0, [])
    report = call("GET", "/api/admin/rates/margins?credit_price=1")[1]
    models = {one["model"]: one for one in report["models"]}
    assert models["openai/gpt-x"]["below_cost"] is False
    report = call("GET", "/api/admin/rates/margins?credit_price=0.5")[1]
    models = {one["model"]: one for one in report["models"]}
    assert models["openai/gpt-x"]["below_cost"] is True


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"profitMargin": 20},
        {"profitMargin": 20, "creditPrice": 0},
        {"profitMargin": -1, "creditPrice": 1},
        {"profitMargin": "x", "creditPrice": 1},
        {"profitMargin": True, "creditPrice": 1},
        {"profitMargin": 1e300, "creditPrice": 1},
        {"mode": "other"},
        {"mode": "sync"},
        {"mode": "sync", "updates": [update("m", applyRates=True)], "applyRates": True},
        {"mode": "sync", "updates": [update("m", inside=-1)]},
        {"mode": "sync", "updates": [update("m", modelType="dance")]},
        {"mode": "sync", "updates": [{"model": "m"}]},
        {"mode": "sync", "updates": "all"},
    ],
)
def test_a_bulk_update_that_makes_no_sense_changes_nothing(call, serving, body):
    before = rates(serving)
    status, answer = call("POST", BULK, body)
    assert (status, answer["error"]["code"]) == (400, "invalid_request")
    assert rates(serving) == before


@pytest.mark.parametrize(
    "query", ["since=yesterday", "until=2026-01-01", "credit_price=0", "credit_price=x"]
)
def test_a_report_of_no_period_is_refused(call, query):
    status, answer = call("GET", f"/api/admin/rates/margins?{query}")
    assert (status, answer["error"]["code"]) == (400, "invalid_request")


def test_callers_see_every_price_of_a_model(call, serving):
    hub, _ = serving
    priced = ("input=1", "output=2", "long_context.9.input=3", "service_tiers.batch.input=0.5")
    hub.cli("rates", "set", "openai/gpt-x-0", *priced)
    deadline = time.monotonic() + 60
    while (shown := call("GET", "/v1/models/openai/gpt-x-0", key=hub.key)[1])["pricing"] is None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pricing = shown["pricing"]
    assert (pricing["input"], pricing["output"], pricing["cache_read"]) == ("1", "2", "1")
    assert pricing["long_context"][0]["above"] == 9
    assert pricing["long_context"][0]["input"] == "3"
    assert "output" not in pricing["long_context"][0]
    assert pricing["service_tiers"]["batch"]["input"] == "0.5"
    assert pricing["service_tiers"]["batch"]["output"] == "2"


RERATE = "/api/admin/rates/rerate"
PERIOD = {"since": "2020-01-01T00:00:00Z", "until": "2100-01-01T00:00:00Z"}


def test_charges_of_a_period_are_corrected_once(call, serving):
    hub, books = serving
    customer = books.customer(10 * CREDIT)
    body = {"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}
    assert call("POST", "/v1/chat/completions", body, key=customer.key)[0] == 200
    assert customer.balance == 9 * CREDIT
    cheaper = [*CONFIG["models"][:-1], {**ECHO, "rates": {"request": "0.25"}}]
    hub.configure({**CONFIG, "models": cheaper})
    hub.process.send_signal(signal.SIGHUP)
    deadline = time.monotonic() + 60
    while rates(serving)["demo/echo"]["version"] == 1:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    asked = {"model": "demo/echo", **PERIOD}
    status, shown = call("POST", RERATE, {**asked, "dry_run": True})
    assert (status, shown["version"], shown["calls"], shown["posted"]) == (200, 2, 1, None)
    assert shown["users"] == [{"user_did": customer.user.did, "calls": 1, "difference": "-0.75"}]
    for calls in (1, 0):
        status, done = call("POST", RERATE, asked)
        assert (status, done["posted"]["calls"], done["posted"]["complete"]) == (200, calls, True)
        assert customer.balance == 9_750_000_000
    assert books.call(customer.call()["id"])["adjusted"] == "0.25"
    hub.verified()


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({}, 400),
        ({"model": "openai/fixed", "since": "x", "until": "y"}, 400),
        ({"model": "openai/fixed", **PERIOD, "rate": 0}, 400),
        ({"model": "openai/fixed", **PERIOD, "rate": "1"}, 400),
        ({"model": "openai/fixed", **PERIOD, "until": PERIOD["since"]}, 400),
        ({"model": "openai/fixed", **PERIOD, "rate": 9}, 404),
        ({"model": "openai/none", **PERIOD}, 404),
    ],
)
def test_a_rerating_that_makes_no_sense_is_refused(call, body, status):
    assert call("POST", RERATE, body)[0] == status
