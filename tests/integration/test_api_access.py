"""The API over HTTP: who gets in, and how what is wrong is answered."""

import http.client
import json

import pytest
from tests.hub import HubProcess


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    config = {"billing": {"enabled": True}}
    with HubProcess(tmp_path_factory.mktemp("api"), config) as running:
        yield running


def call(hub, method, path, body=None, key=None, headers=()):
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    sent = {"content-type": "application/json", **dict(headers)}
    if key is not None:
        sent["authorization"] = f"Bearer {key}"
    connection.request(method, path, None if body is None else json.dumps(body), sent)
    answer = connection.getresponse()
    content = answer.read()
    connection.close()
    return answer.status, json.loads(content) if content else None


def test_an_account_route_needs_a_key(hub):
    status, answer = call(hub, "GET", "/api/user/credit/balance")
    assert (status, answer["error"]["code"]) == (401, "unauthenticated")


def test_an_account_route_shows_the_callers_own_credit(hub):
    hub.cli("credits", "grant", "--user", hub.user, "--amount", "2.5")
    status, answer = call(hub, "GET", "/api/user/credit/balance", key=hub.key)
    assert status == 200
    assert (answer["balance"], answer["currency"]["decimal"]) == ("2500000000", 9)
