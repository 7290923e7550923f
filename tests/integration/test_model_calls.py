"""`/api/user/model-calls`: whose calls are shown, which, and how they are exported."""

import csv
import io
import time

import pytest
from tests.api import Api, admin_of
from tests.books import Books, nano
from tests.caller import ask
from tests.conftest import config_for
from tests.hub import HubProcess

PATH = "/api/user/model-calls"
QUICK, FAILS = "gpt-tokens:10:6", "gpt-500"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream, database, database_for):
    config = config_for(upstream, models=[QUICK, FAILS], billing={"enabled": True})
    folder = tmp_path_factory.mktemp("calls")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def books(hub):
    with Books(hub) as opened:
        yield opened


@pytest.fixture(scope="module")
def caller(hub, books):
    """A customer with three calls: two served, the older for an application, and one failed."""
    made = books.customer(nano("10"))
    named = {"x-request-id": "=trace-1", "x-aigne-hub-client-did": "did:abt:zApp"}
    assert ask(hub, f"openai/{QUICK}", key=made.key, headers=named).status == 200
    assert ask(hub, f"openai/{FAILS}", key=made.key).status == 502
    assert ask(hub, f"openai/{QUICK}", key=made.key).status == 200
    made.closed(3)
    return made


def models(answer):
    return [one["model"] for one in answer.json["list"]]


def test_a_call_has_the_members_that_clients_read(hub, caller):
    answer = Api(hub, caller.key).get(PATH, status="success", pageSize=1)
    assert answer.json["count"] == 2
    assert answer.json["paging"] == {"page": 1, "pageSize": 1}
    (call,) = answer.json["list"]
    assert '"credits":0.022,' in answer.text
    assert (call["model"], call["type"], call["totalUsage"]) == (QUICK, "chatCompletion", 16)
    assert call["usageMetrics"]["totalTokens"] == 16
    assert call["userInfo"]["email"] == caller.user.email
    assert (call["provider"]["name"], call["provider"]["baseUrl"]) == ("openai", "")
    assert abs(call["callTime"] - time.time()) < 600


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ({}, [QUICK, FAILS, QUICK]),
        ({"page": 2, "pageSize": 2}, [QUICK]),
        ({"status": "failed"}, [FAILS]),
        ({"model": "GPT-5"}, [FAILS]),
        ({"model": "%"}, []),
        ({"type": "chatCompletion"}, [QUICK, FAILS, QUICK]),
        ({"type": "embedding"}, []),
        ({"providerId": "nobody"}, []),
        ({"appDid": "did:abt:zApp"}, [QUICK]),
        ({"search": "trace-1"}, [QUICK]),
        ({"search": "trace-1", "searchFields": "model,id"}, []),
        ({"minDurationSeconds": 3600}, []),
        ({"startTime": 4_000_000_000}, []),
        ({"endTime": 1}, []),
    ],
)
def test_filters(hub, caller, query, found):
    assert models(Api(hub, caller.key).get(PATH, **query)) == found


@pytest.mark.parametrize(
    "query",
    [
        {"pageSize": 101},
        {"page": 0},
        {"status": "odd"},
        {"searchFields": "secret"},
        {"startTime": "now"},
        {"search": "x" * 101},
    ],
)
def test_what_makes_no_filter_is_refused(hub, caller, query):
    assert Api(hub, caller.key).get(PATH, **query).code == "invalid_request"


def test_everybodys_calls_are_for_administrators(hub, books, caller):
    other = Api(hub, books.customer().key)
    assert models(other.get(PATH)) == []
    for path in (PATH, f"{PATH}/export"):
        assert other.get(path, allUsers="true").status == 403
        assert Api(hub).get(path).status == 401
        # The owner's role alone is not enough: the key needs the scope.
        assert Api(hub, hub.key).get(path, allUsers="true").status == 403
    everybody = admin_of(hub).get(PATH, allUsers="true").json
    assert everybody["count"] >= 3
    assert caller.user.did in {one["userDid"] for one in everybody["list"]}


def test_an_export_is_csv_that_no_spreadsheet_runs(hub, caller):
    answer = Api(hub, caller.key).get(f"{PATH}/export", locale="zh")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"].startswith('attachment; filename="model-calls-20')
    rows = list(csv.reader(io.StringIO(answer.text, newline="")))
    assert (len(rows), rows[0][0], {len(row) for row in rows}) == (4, "时间", {15})
    assert rows[-1][1] == "'=trace-1"
    english = Api(hub, caller.key).get(f"{PATH}/export", status="failed")
    headed = list(csv.DictReader(io.StringIO(english.text, newline="")))
    assert [(row["Model"], row["Credits"]) for row in headed] == [(f"openai/{FAILS}", "0")]
