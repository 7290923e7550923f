"""How a stock AIGNE client finds the hub and gets a key, over HTTP."""

import base64
import http.client
import json
import re
from urllib.parse import urlencode

import pytest
from tests.api import Api, admin_of
from tests.hub import HubProcess
from tests.unit.test_crypto_cryptojs import decrypt

from aigne_hub.storage import connect_sessions
from aigne_hub.web.aigne.blocklet import COMPONENT_DID

SESSION = "/.well-known/service/api/access-key/session"
PAGE = "/.well-known/service/gen-simple-access-key"
BLOCKLET = "/__blocklet__.js"


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for):
    config = {"billing": {"enabled": True}}
    folder = tmp_path_factory.mktemp("connect")
    with HubProcess(folder, config, database_url=database_for(database)) as running:
        yield running


@pytest.fixture(scope="module")
def nobody(hub):
    return Api(hub)


@pytest.fixture(scope="module")
def ada(hub):
    return hub.cli("users", "create", "--email", "ada@example.com")


@pytest.fixture
def session(nobody):
    return begin(nobody)


def begin(nobody, address="192.0.2.1"):
    # A proxy on the same machine says who asks.
    answer = nobody.send("POST", SESSION, headers={"x-forwarded-for": address})
    assert answer.status == 200, answer.text
    assert set(answer.json) == {"id"}
    return answer.json["id"]


def token(session):
    return base64.urlsafe_b64encode(session.encode()).decode().rstrip("=")


def page(hub, method="GET", sent=None, **query):
    """Return status, headers and text of the page as a browser gets it."""
    connection = http.client.HTTPConnection("127.0.0.1", hub.port, timeout=60)
    headers = {"accept": "text/html"}
    if sent is not None:
        headers["content-type"] = "application/x-www-form-urlencoded"
    content = None if sent is None else urlencode(sent)
    connection.request(method, f"{PAGE}?{urlencode(query)}", content, headers)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, dict(answer.getheaders()), text


def approve(hub, session, user="ada@example.com"):
    return hub.run("approve", "connect", session, "--user", user)


# -- where the hub is ---------------------------------------------------------------------


@pytest.mark.parametrize("path", [BLOCKLET, f"/ai-kit{BLOCKLET}"])
def test_a_client_asks_where_the_hub_is_before_anything_else(tmp_path, path):
    """The first request of a process, which has no control plane yet."""
    with HubProcess(tmp_path, {}) as hub:
        answer = Api(hub).get(path, type="json")
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.json["prefix"] == "/ai-kit/"
        assert answer.json["appUrl"] == f"{hub.address.rpartition(':')[0]}:{hub.port}/"
        (mounted,) = answer.json["componentMountPoints"]
        assert mounted["did"] == COMPONENT_DID == "z8ia3xzq2tMq8CRHfaXj1BTYJyYnEcHbqP8cJ"
        assert (mounted["mountPoint"], mounted["status"]) == ("/ai-kit", "running")
        assert answer.json["componentId"].rpartition("/")[2] == COMPONENT_DID


def test_without_a_type_it_is_a_script_that_says_the_same(nobody):
    answer = nobody.get(BLOCKLET)
    assert answer.headers["content-type"].startswith("text/javascript")
    value = re.fullmatch(r"window\.blocklet = (\{.*\});\n", answer.text)
    assert json.loads(value[1]) == nobody.get(BLOCKLET, type="json").json


def test_the_public_address_is_the_one_of_the_file(tmp_path):
    with HubProcess(tmp_path, {"public_url": "https://hub.example.com/ai"}) as hub:
        shown = Api(hub).get(BLOCKLET, type="json").json
    assert (shown["appUrl"], shown["prefix"]) == ("https://hub.example.com/ai/", "/ai/ai-kit/")
    assert shown["componentMountPoints"][0]["mountPoint"] == "/ai/ai-kit"


# -- scripts of other origins -------------------------------------------------------------


CLIENT_PATHS = [
    "/api/user/info",
    SESSION,
    "/ai-kit/api/ai/models",
    "/v1/chat/completions",
    "/v1/models",
    "/ai-kit/api/v2/chat",
]


@pytest.mark.parametrize("path", CLIENT_PATHS)
def test_scripts_of_any_origin_may_ask(nobody, path):
    asked = {"origin": "https://app.example", "access-control-request-method": "GET"}
    answer = nobody.send("OPTIONS", path, headers=asked)
    assert answer.status == 204
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "authorization" in answer.headers["access-control-allow-headers"]
    assert "access-control-allow-credentials" not in answer.headers


def test_a_script_can_read_why_it_was_refused(nobody):
    for path in ("/api/user/info", "/v1/models"):
        answer = nobody.send("GET", path, headers={"origin": "https://app.example"})
        assert (answer.status, answer.code) == (401, "unauthenticated")
        assert answer.headers["access-control-allow-origin"] == "*"
        assert answer.headers["access-control-expose-headers"] == "*"


@pytest.mark.parametrize("path", ["/api/admin/grants", PAGE, "/"])
def test_administration_and_pages_are_not_for_other_origins(nobody, path):
    asked = {"origin": "https://evil.example", "access-control-request-method": "POST"}
    for method in ("OPTIONS", "GET"):
        answer = nobody.send(method, path, headers=asked)
        assert "access-control-allow-origin" not in answer.headers


# -- getting a key ------------------------------------------------------------------------


def test_a_key_that_a_person_approved_reaches_the_program(hub, nobody, ada, session):
    waiting = nobody.get(SESSION, sid=session)
    assert (waiting.status, waiting.json) == (200, {"id": session, "status": "waiting"})
    done = approve(hub, session)
    assert (done.returncode, json.loads(done.stdout)) == (0, {"ok": True})
    first, second = (nobody.get(SESSION, sid=session) for _ in range(2))
    assert first.headers["cache-control"] == "no-store"
    keys = {
        decrypt(a.json["accessKeySecret"], a.json["accessKeyId"], a.json["challenge"])
        for a in (first, second)
    }
    assert first.json["accessKeyId"] == second.json["accessKeyId"]
    (key,) = keys
    assert key.startswith("blocklet-")
    assert "." not in key
    assert Api(hub, key).get("/api/user/info").json["user"]["did"] == ada["did"]
    assert nobody.delete(SESSION, sid=session).status == 200
    assert nobody.get(SESSION, sid=session).code == "not_found"
    assert Api(hub, key).get("/api/user/info").status == 200


def test_the_key_can_use_models_and_administer_nothing(hub, nobody, session):
    approve(hub, session, hub.user)
    answer = nobody.get(SESSION, sid=session).json
    key = decrypt(answer["accessKeySecret"], answer["accessKeyId"], answer["challenge"])
    assert Api(hub, key).get("/v1/models").status == 200
    assert Api(hub, key).get("/api/admin/grants").code == "forbidden"


@pytest.mark.parametrize("sid", ["unknown", "a.b", "Ω"])
def test_an_unknown_session_is_not_found(nobody, sid):
    for method in ("GET", "DELETE"):
        answer = nobody.send(method, SESSION, query={"sid": sid})
        assert (answer.status, answer.code) == (404, "not_found")
        assert "aigne hub connect" in answer.message


def test_a_session_without_an_id_is_refused(nobody):
    assert nobody.get(SESSION).code == "invalid_request"
    assert nobody.get(SESSION, sid="x" * 1000).code == "invalid_request"


def test_a_session_is_approved_once(hub, nobody, ada, session):
    assert approve(hub, session).returncode == 0
    assert approve(hub, session, hub.user).returncode == 3
    assert approve(hub, "unknown").returncode == 4


def test_a_session_that_its_program_ended_cannot_be_approved(hub, nobody, ada, session):
    assert nobody.delete(SESSION, sid=session).json == {"id": session, "status": "ended"}
    assert approve(hub, session).returncode == 4
    assert page(hub, __token__=token(session))[0] == 404


def test_one_address_begins_only_so_many(nobody):
    for number in range(connect_sessions.STARTED_MAX):
        # One subscriber has a whole network of addresses.
        begin(nobody, f"2001:db8::{number + 1:x}")
    refused = nobody.send("POST", SESSION, headers={"x-forwarded-for": "2001:db8::ffff"})
    assert (refused.status, refused.code) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0
    begin(nobody, "2001:db8:1::1")


# -- the page -----------------------------------------------------------------------------


def test_the_page_says_who_asks_and_how_to_approve(hub, session):
    status, headers, html = page(hub, __token__=token(session), source="@aigne/cli <script>")
    assert status == 200
    assert f"aigne-hub approve connect {session} --user U" in html
    assert "192.0.2.1" in html
    assert "@aigne/cli &lt;script&gt;" in html
    assert 'http-equiv="refresh"' in html
    assert headers["cache-control"] == "no-store"
    assert headers["referrer-policy"] == "same-origin"


def test_the_page_with_a_form_does_not_throw_away_what_is_typed(hub, session):
    html = page(hub, __token__=token(session), form="1")[2]
    assert "<form" in html
    assert 'http-equiv="refresh"' not in html


def test_an_administrators_key_approves_on_the_page(hub, nobody, ada, session):
    form = {"__token__": token(session), "user": "ada@example.com", "key": admin_of(hub).key}
    status, headers, _ = page(hub, "POST", form)
    assert status == 303
    assert form["key"] not in headers["location"]
    assert "Approved" in page(hub, __token__=token(session))[2]
    assert "accessKeySecret" in nobody.get(SESSION, sid=session).json
    # Its page outlives the session for who looks a moment later.
    assert nobody.delete(SESSION, sid=session).status == 200
    assert "Approved" in page(hub, __token__=token(session))[2]


def test_the_page_takes_no_other_key(hub, nobody, ada, session):
    member = hub.cli("keys", "create", "--user", "ada@example.com", "--scope", "admin")["key"]
    for key, expected in (("", 401), ("blocklet-wrong", 401), (hub.key, 403), (member, 403)):
        form = {"__token__": token(session), "user": "ada@example.com", "key": key}
        status, _, html = page(hub, "POST", form)
        assert status == expected
        assert not key or key not in html
    assert nobody.get(SESSION, sid=session).json["status"] == "waiting"


def test_an_admin_does_not_approve_for_an_owner(hub, nobody, session):
    hub.cli("users", "create", "--email", "eve@example.com", "--role", "admin")
    key = hub.cli("keys", "create", "--user", "eve@example.com", "--scope", "admin")["key"]
    form = {"__token__": token(session), "user": hub.user, "key": key}
    assert page(hub, "POST", form)[0] == 403
    assert nobody.get(SESSION, sid=session).json["status"] == "waiting"


@pytest.mark.parametrize("wrong", ["", "####", "w7w", "A" * 5000])
def test_a_page_of_no_session(hub, wrong):
    status, _, html = page(hub, __token__=wrong)
    assert status == 404
    assert "There is no such connection" in html


def test_no_secret_is_in_the_log(hub, nobody, ada, session):
    admin = admin_of(hub).key
    page(hub, "POST", {"__token__": token(session), "user": "ada@example.com", "key": admin})
    answer = nobody.get(SESSION, sid=session).json
    key = decrypt(answer["accessKeySecret"], answer["accessKeyId"], answer["challenge"])
    log = hub.log()
    assert not [secret for secret in (admin, key, session) if secret in log]
