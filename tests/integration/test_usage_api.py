"""Usage by application, by model and over time, as AIGNE's clients ask for it over HTTP."""

import time
from itertools import pairwise

import pytest
from tests.api import Api, admin_of
from tests.books import Books, nano
from tests.caller import ask
from tests.conftest import config_for
from tests.hub import HubProcess

QUICK, FAILS = "gpt-tokens:10:6", "gpt-500"
PRICE = "0.022"  # ten tokens read and six written
APP = "did:abt:zApp"
DAY_S = 24 * 3600


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream, database, database_for):
    config = config_for(upstream, models=[QUICK, FAILS], billing={"enabled": True})
    folder = tmp_path_factory.mktemp("usage")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub):
    with Books(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def caller(hub, books):
    """A customer with three calls of its own and one for an application; one of them failed."""
    made = books.customer(nano("10"))
    for _ in range(2):
        assert ask(hub, f"openai/{QUICK}", key=made.key).status == 200
    assert ask(hub, f"openai/{FAILS}", key=made.key).status == 502
    named = {"x-aigne-hub-client-did": APP}
    assert ask(hub, f"openai/{QUICK}", key=made.key, headers=named).status == 200
    made.closed(4)
    return made


@pytest.fixture(scope="module")
def api(hub, caller):
    return Api(hub, caller.key)


@pytest.fixture(scope="module")
def stranger(hub, books):
    """Another customer, whose one call shows that sums are the caller's own."""
    made = books.customer(nano("10"))
    assert ask(hub, f"openai/{QUICK}", key=made.key).status == 200
    made.closed(1)
    return Api(hub, made.key)


@pytest.fixture(scope="module")
def admin(hub):
    return admin_of(hub)


def test_applications_with_their_sums(api, stranger, admin):
    answer = api.get("/api/usage/projects")
    assert (answer.json["total"], answer.json["page"]) == (2, 1)
    own, app = answer.json["projects"]
    assert (own["totalCalls"], own["successRate"]) == (3, 66.7)
    assert (app["appDid"], app["totalCalls"], app["successRate"]) == (APP, 1, 100.0)
    assert f'"totalCredits":{PRICE},' in answer.text
    assert abs(app["lastCallTime"] - time.time()) < 600
    everybody = admin.get("/api/usage/projects", allUsers="true").json
    assert everybody["total"] == 3
    paged = api.get("/api/usage/projects", sortBy="totalCredits", sortOrder="asc", pageSize=1)
    assert [one["appDid"] for one in paged.json["projects"]] == [APP]


def test_an_application_has_the_name_of_its_key(hub, books):
    customer = books.customer(nano("1"))
    made = hub.cli("keys", "create", "--user", customer.user.email, "--name", "notebook")
    ask(hub, f"openai/{QUICK}", key=made["key"])
    customer.closed(1)
    (shown,) = Api(hub, made["key"]).get("/api/usage/projects").json["projects"]
    assert shown["appName"] == "notebook"


def test_usage_of_each_application_over_time(api):
    shown = api.get("/api/usage/projects/group-trends", timeRange=7).json
    assert shown["granularity"] == "day"
    assert len(shown["trends"]) == 8
    assert {one["appDid"] for one in shown["projects"]} > {APP}
    steps = {b["timestamp"] - a["timestamp"] for a, b in pairwise(shown["trends"])}
    assert steps == {DAY_S}
    calls = [point["byProject"][APP]["totalCalls"] for point in shown["trends"]]
    assert sum(calls) == 1
    assert sum(point["byProject"][APP]["totalUsage"] for point in shown["trends"]) == 16


def test_hours_of_a_day(api):
    now = int(time.time())
    shown = api.get(
        "/api/usage/projects/trends", appDid=APP, startTime=now - DAY_S + 600, endTime=now + 600
    )
    assert shown.json["granularity"] == "hour"
    assert shown.json["project"]["appDid"] == APP
    assert 24 <= len(shown.json["trends"]) <= 25
    assert sum(point["calls"] for point in shown.json["trends"]) == 1
    assert sum(point["successCalls"] for point in shown.json["trends"]) == 1
    assert f'"totalCredits":{PRICE},' in shown.text


def test_calls_of_an_application(api):
    shown = api.get("/api/usage/projects/calls", appDid=APP).json
    assert (shown["count"], shown["page"], shown["pageSize"]) == (1, 1, 20)
    (call,) = shown["list"]
    assert (call["model"], call["appDid"], call["status"]) == (QUICK, APP, "success")
    assert "provider" not in call
    assert api.get("/api/usage/projects/calls").code == "invalid_request"


def test_all_usage_is_for_administrators(api, stranger, admin):
    found = admin.get("/api/usage/trends").json["trends"]
    assert sum(point["calls"] for point in found) >= 5
    assert api.get("/api/usage/trends").code == "forbidden"
    for path in ("projects", "projects/group-trends"):
        assert api.get(f"/api/usage/{path}", allUsers="true").code == "forbidden"
    assert api.get("/api/usage/projects/trends", appDid=APP, allUsers="true").code == "forbidden"


def test_nobody_sees_the_usage_of_others(stranger, caller, hub):
    for query in ({}, {"appDid": APP}):
        shown = stranger.get("/api/usage/projects/trends", **{"appDid": APP, **query}).json
        assert sum(point["calls"] for point in shown["trends"]) == 0


def test_models_called_most(api, stranger, admin):
    shown = api.get("/api/user/usage-stats").json["modelStats"]
    assert shown["totalModelCount"] == 2
    assert [(one["model"], one["totalCalls"]) for one in shown["list"]] == [(QUICK, 3), (FAILS, 1)]
    assert shown["list"][0]["provider"]["name"] == "openai"
    everybody = admin.get("/api/user/admin/user-stats").json["modelStats"]["list"]
    assert everybody[0]["totalCalls"] >= 4
    assert api.get("/api/user/admin/user-stats").code == "forbidden"


def test_names_of_users(api, admin, caller):
    dids = [caller.user.did, "did:abt:zNobody"]
    known, unknown = admin.post("/api/user/admin/user-info", userDids=dids).json["users"]
    assert (known["did"], known["email"]) == (caller.user.did, caller.user.email)
    assert unknown == {
        "did": "did:abt:zNobody",
        "fullName": "Unknown User",
        "email": "",
        "avatar": "",
    }
    assert api.post("/api/user/admin/user-info", userDids=dids).code == "forbidden"
    for wrong in ([], ["x"] * 201, "x", None):
        assert admin.post("/api/user/admin/user-info", userDids=wrong).code == "invalid_request"


@pytest.mark.parametrize(
    "query",
    [
        {"startTime": 100, "endTime": 50},
        {"startTime": 0},
        {"timeRange": 367},
        {"timeRange": 0},
        {"timezoneOffset": 100_000},
        {"startTime": "yesterday"},
    ],
)
def test_a_period_that_makes_no_sense_or_is_too_long(api, query):
    answer = api.get("/api/usage/projects/group-trends", **query)
    assert (answer.status, answer.code) == (400, "invalid_request")


def test_statistics_that_are_not_kept_are_neither_rebuilt_nor_deleted(api, admin):
    day = {"startDate": "2026-01-01", "endDate": "2026-01-02"}
    rebuilt = admin.post("/api/usage/stats/backfill", **day).json
    assert (rebuilt["processed"], rebuilt["ranges"]) == (0, [])
    cleaned = admin.post("/api/user/cleanup-daily-stats", userDid="x", startTime=0, endTime=1).json
    assert cleaned["deleted"] == 0
    for path in ("/api/usage/stats/backfill", "/api/user/cleanup-daily-stats"):
        assert api.post(path).code == "forbidden"


@pytest.mark.parametrize("name", ["balance", "grants", "transactions", "payment-link"])
def test_the_hub_whose_credit_is_spent_is_this_one(hub, api, name):
    answer = api.get(f"/api/user/service/credit/{name}")
    assert (answer.status, answer.json) == (200, api.get(f"/api/user/credit/{name}").json)
    assert Api(hub).get(f"/api/user/service/credit/{name}").code == "unauthenticated"


def test_nobody_is_led_on_from_a_subscription_that_is_not_sold(hub):
    path = "/api/app/client/subscription/success"
    answer = Api(hub).get(path, redirect="https://evil.example", checkout_session_id="cs_1")
    assert (answer.status, answer.code) == (404, "not_found")
    assert "subscription" in answer.message
    assert "location" not in answer.headers
