"""`/api/app`: applications with keys of their own, over HTTP."""

from concurrent.futures import ThreadPoolExecutor

import pytest
from tests.api import Api, admin_of
from tests.books import Books, nano
from tests.caller import ask
from tests.conftest import config_for
from tests.hub import HubProcess

from aigne_hub.crypto import base58

QUICK = "gpt-tokens:10:6"
# A test key and its application address, made by ArcBlock's own packages.
PUBLIC_KEY = "e4852b7091317e3622068e62a5127d1fb0d4ae2fc50213295e10652d2f0abfc7"
ADDRESS = "zNKtCNqYWLYWYW3gWRA1vnRykfCBZYHZvzKr"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, upstream, database, database_for):
    config = config_for(upstream, models=[QUICK], billing={"enabled": True})
    folder = tmp_path_factory.mktemp("apps")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def nobody(hub):
    return Api(hub)


@pytest.fixture(scope="module")
def admin(hub):
    return admin_of(hub)


def signed(api, method, path, body=None, app_id=ADDRESS):
    headers = {"x-app-id": app_id, "x-component-sig": "00", "x-timestamp": "1700000000"}
    return api.send(method, path, body=body, headers=headers)


def test_an_unknown_application_has_no_status(nobody):
    for app_id in ("", "nonsense", "zNKmfGJzTfNHwrNLRJgVFxBuBFrxXzNjuqDC"):
        answer = signed(nobody, "GET", "/api/app/status", app_id=app_id)
        assert (answer.status, answer.json) == (200, None)


@pytest.mark.parametrize(
    "text",
    [PUBLIC_KEY, f"0x{PUBLIC_KEY}", "z" + base58.encode(bytes.fromhex(PUBLIC_KEY))],
    ids=["hex", "0x", "base58"],
)
def test_an_application_registers_its_key_however_often(nobody, text):
    for _ in range(2):
        answer = nobody.post("/api/app/register", publicKey=text)
        assert (answer.status, answer.json["id"]) == (200, ADDRESS)
        assert "/payment/checkout/pay/" in answer.json["paymentLink"]
    status = signed(nobody, "GET", "/api/app/status")
    assert (status.status, status.json) == (200, None)


@pytest.mark.parametrize("text", ["", "0x", "zz", "00" * 32, "ab" * 31, "x" * 64, "z" + "1" * 40])
def test_what_is_no_key_is_refused(nobody, text):
    answer = nobody.post("/api/app/register", publicKey=text)
    assert (answer.status, answer.code) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/app/config"),
        ("PATCH", "/api/app/config"),
        ("GET", "/api/app/usage"),
        ("POST", "/api/app/subscription/cancel"),
        ("POST", "/api/app/subscription/recover"),
    ],
)
def test_what_takes_a_signature_takes_no_other(nobody, method, path):
    answer = signed(nobody, method, path, {"useAIKitService": False})
    assert (answer.status, answer.code) == (401, "unauthenticated")
    assert "signature" in answer.message


def test_an_administrator_reads_how_the_hub_works(hub, admin):
    assert admin.get("/api/app/config").json == {"useAIKitService": False}
    same = admin.send("PATCH", "/api/app/config", body={"useAIKitService": False})
    assert same.json == {"useAIKitService": False}
    assert admin.send("PATCH", "/api/app/config", body={"useAIKitService": True}).code == "conflict"
    assert Api(hub, hub.key).get("/api/app/config").code == "forbidden"


def test_registrations_of_one_key_at_once(hub):
    """All of them succeed, whichever is first."""
    key = "11" * 32
    with ThreadPoolExecutor(8) as pool:
        answers = list(
            pool.map(lambda _: Api(hub).post("/api/app/register", publicKey=key), range(8))
        )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.json["id"] for answer in answers}) == 1


def test_usage_is_told_by_model_and_day(hub, admin):
    with Books(hub) as books:
        customer = books.customer(nano("10"))
        named = {"x-aigne-hub-client-did": "did:abt:zApp"}
        for headers in (named, {}):
            assert ask(hub, f"openai/{QUICK}", key=customer.key, headers=headers).status == 200
        customer.closed(2)
    whole = admin.get("/api/app/usage").json["list"]
    assert sum(day["promptTokens"] for day in whole) == 20
    own = admin.get("/api/app/usage", appDid="did:abt:zApp")
    (day,) = own.json["list"]
    assert (day["model"], day["completionTokens"]) == (f"openai/{QUICK}", 6)
    assert '"usedCredits":0.022,' in own.text
    assert Api(hub, hub.key).get("/api/app/usage").code == "forbidden"
