"""What other sites, forged forms and stray addresses achieve against people who are signed in."""

from urllib.parse import quote

import pytest
from tests.hub import HubProcess
from tests.person import PASSWORD, Person, age, leads_to, rows, set_password
from tests.visitor import ask

from aigne_hub.storage import schema
from aigne_hub.web.session import RECENT_US

SESSION = "aigne-hub-session"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("guards"), {}) as running:
        yield running


# -- where it leads ---------------------------------------------------------------------------

OWN = [
    "/account",
    "/",
    "/docs",
    "/oauth/authorize?client_id=a&redirect_uri=https%3A%2F%2Fapp.example%2Fback&state=x%23y",
    "/.well-known/service/gen-simple-access-key?__token__=abc",
    "/payment/checkout/pay/credits?a=b/../c",
]
ELSEWHERE = [
    "",
    "account",
    "//evil.example",
    "///evil.example",
    "/\\evil.example",
    "\\/evil.example",
    "\\\\evil.example",
    "https://evil.example",
    "https:evil.example",
    "HTTPS:/evil.example",
    "javascript:alert(1)",
    "data:text/html,x",
    "/%5cevil.example/..//x",
    "/..//evil.example",
    "/../x",
    "/a/../../x",
    "/%2e%2e/x",
    "/.%2E/x",
    "/./x",
    "/a//evil.example",
    "/\t/evil.example",
    "/\n/evil.example",
    "\t//evil.example",
    "/a b",
    "/\x00",
    "/x\r\nset-cookie: a=b",
    "/x#//evil.example",
    "/ä",
    "/<script>",
    "@evil.example",
    "/" + "a" * 4_096,
]


@pytest.fixture(scope="module")
def traveller(hub):
    hub.cli("users", "create", "--email", "traveller@example.com")
    set_password(hub, "traveller@example.com")
    person = Person(hub, "203.0.113.77")
    person.sign_in("traveller@example.com")
    return person


@pytest.mark.parametrize("mount", ["", "/ai-kit"])
@pytest.mark.parametrize("path", OWN)
def test_a_person_comes_back_to_the_page_that_was_asked_for(traveller, path, mount):
    answer = traveller.get(f"{mount}/sign-in?next={quote(path, safe='')}")
    assert leads_to(answer, f"{mount}/sign-in") == f"{mount}{path}"


@pytest.mark.parametrize("path", ELSEWHERE)
def test_nobody_is_sent_to_another_site(traveller, path):
    answer = traveller.get(f"/sign-in?next={quote(path, safe='')}")
    assert leads_to(answer, "/sign-in") == "/account"


def test_a_form_leads_nowhere_else_either(hub, traveller):
    person = Person(hub, "203.0.113.77", dict(traveller.cookies))
    done = person.sign_in("x", page="/sign-in?step-up=1", next="//evil.example", **{"step-up": "1"})
    assert leads_to(done, "/sign-in") == "/account"
    traveller.cookies.update(person.cookies)


def test_the_page_asked_for_is_remembered_with_its_query(hub):
    nobody = Person(hub)
    answer = nobody.get("/account?a=b&c=%2F")
    assert leads_to(answer, "/account") == "/sign-in?next=/account%3Fa%3Db%26c%3D%252F"


# -- other sites ------------------------------------------------------------------------------

FOREIGN = [
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
    {"sec_fetch_site": "Same-Origin"},
    {"sec_fetch_site": ""},
    {"origin": "https://evil.example"},
    {"origin": "null"},
    {"origin": "http://127.0.0.1"},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "file://"},
    {"origin": "http://["},
    {"sec_fetch_site": "cross-site", "origin": "http://127.0.0.1:{port}"},
]


@pytest.mark.parametrize("headers", FOREIGN)
def test_a_form_of_another_site_does_nothing(hub, traveller, headers):
    sent = {name: value.format(port=hub.port) for name, value in headers.items()}
    csrf = traveller.csrf("/account")
    before = traveller.token
    for path in ("/account/keys", "/account/password", "/account/sessions/others/end", "/sign-out"):
        answer = traveller.post(path, {"csrf": csrf, "name": "stolen"}, **sent)
        assert answer.status == 403, path
    device = traveller.csrf("/sign-in?step-up=1")
    form = {"csrf": device, "email": "traveller@example.com", "password": PASSWORD}
    assert traveller.post("/sign-in", form, **sent).status == 403
    assert traveller.token == before
    assert traveller.get("/account").status == 200


@pytest.mark.parametrize("csrf", ["", "0" * 64, "ä", None])
def test_a_form_without_its_token_does_nothing(traveller, csrf):
    form = {} if csrf is None else {"csrf": csrf}
    assert traveller.post("/account/keys", form).status == 403
    assert traveller.post("/sign-out", form).status == 403
    sign_in = {**form, "email": "traveller@example.com", "password": PASSWORD}
    answer = traveller.post("/sign-in", sign_in)
    assert answer.status == 403
    assert "made anew" in answer.text


def test_the_token_of_another_session_is_none(hub, traveller, caller):
    person, _ = caller
    email = "caller@example.com"
    assert person.post("/account/keys", {"csrf": traveller.csrf("/account")}).status == 403
    # Nobody signs a victim in to their own account: the form belongs to a browser.
    theirs = {"csrf": Person(hub).csrf("/sign-in"), "email": email, "password": PASSWORD}
    assert Person(hub, cookies=dict(person.cookies)).post("/sign-in", theirs).status == 403


@pytest.mark.parametrize("headers", [{"origin": "http://127.0.0.1:{port}"}, {}])
def test_older_browsers_and_programs_may_send_forms(hub, traveller, headers):
    person, email = Person(hub), "traveller@example.com"
    sent = {name: value.format(port=hub.port) for name, value in headers.items()}
    form = {"csrf": person.csrf("/sign-in"), "email": email, "password": PASSWORD}
    assert person.post("/sign-in", form, **sent).status == 303


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/sign-out", "/sign-in?step-up=1"])
def test_no_page_is_shown_in_a_frame(traveller, path):
    headers = traveller.get(path).headers
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "form-action 'self'" in headers["content-security-policy"]


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_another_method_is_refused_whatever_a_form_says(traveller, method):
    headers = {"x-http-method-override": "POST"}
    assert traveller.send(method, "/sign-out", {"_method": "POST"}, headers).status == 405
    assert traveller.send("GET", "/sign-out", None, headers).status == 200
    assert traveller.get("/account").status == 200


@pytest.mark.parametrize(
    "host", ["x/?", "x/#", "x?y", "a b", "a@b", "a/../b", "[::1", "a:99999999", "", "a,b"]
)
def test_a_host_that_is_none_opens_no_page(hub, host):
    answer = ask(hub, "GET", "/account", headers={"host": host, "accept": "text/html"})
    assert answer.status in (303, 400)
    if answer.status == 303:
        assert answer.headers["location"] == "./sign-in?next=/account"


# -- the API ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def caller(hub):
    hub.cli("users", "create", "--email", "caller@example.com")
    set_password(hub, "caller@example.com")
    person = Person(hub, "203.0.113.78")
    person.sign_in("caller@example.com")
    key = hub.cli("keys", "create", "--user", "caller@example.com")["key"]
    return person, key


READS = ("/api/user/info", "/api/user/limits", "/api/user/explain", "/api/user/sessions",
         "/api/usage/quota", "/api/user/model-calls", "/api/user/credit/grants",
         "/api/user/webhooks")  # fmt: skip


@pytest.mark.parametrize("path", READS)
def test_the_account_api_takes_the_cookie_of_a_session(hub, caller, path):
    person, key = caller
    by_cookie, by_key = person.get(path), ask(hub, "GET", path, key=key)
    assert (by_cookie.status, by_key.status) == (200, 200), by_cookie.text
    assert person.get(path, sec_fetch_site="same-origin").status == 200


@pytest.mark.parametrize("path", ["/api/ai-providers", "/payment/api/customers/me", "/v1/models",
                                  "/api/admin/grants", "/api/admin/limits"])  # fmt: skip
def test_nothing_else_does(caller, path):
    person, _ = caller
    answer = person.get(path, accept="application/json")
    assert answer.status == 401, answer.text


@pytest.mark.parametrize("name", ["authorization", "x-api-key", "x-goog-api-key", "api-key"])
def test_a_key_beside_a_cookie_is_one_credential_too_many(caller, name):
    person, key = caller
    value = f"Bearer {key}" if name == "authorization" else key
    answer = person.send("GET", "/api/user/info", None, {name: value, "accept": "*/*"})
    assert answer.status == 400
    assert "not both" in answer.text


@pytest.mark.parametrize("cookie", ["", "x", "1" * 43, "1" * 5_000, '"a"', "a%00"])
def test_a_cookie_of_no_session_is_answered_without_a_redirect(hub, cookie):
    headers = {"cookie": f"{SESSION}={cookie}"}
    answer = ask(hub, "GET", "/api/user/info", headers=headers)
    assert answer.status == 401
    assert answer.code == "unauthenticated"


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_scripts_of_other_sites_read_nothing_with_the_cookie(caller, site):
    person, _ = caller
    assert person.get("/api/user/info", sec_fetch_site=site, accept="*/*").status == 403


def test_a_change_by_cookie_says_that_it_comes_from_the_hub_itself(hub, caller):
    person, _ = caller
    hook = "/api/user/sessions/none"
    for headers, status in (
        ({}, 403),
        ({"origin": "https://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"origin": f"http://127.0.0.1:{hub.port}"}, 404),
        ({"sec-fetch-site": "same-origin"}, 404),
    ):
        sent = {"accept": "*/*", **headers}
        assert person.send("DELETE", hook, None, sent).status == status, headers


def test_a_session_is_ended_by_the_api(hub, caller):
    person, key = caller
    phone = Person(hub, "203.0.113.79")
    phone.sign_in("caller@example.com")
    listed = ask(hub, "GET", "/api/user/sessions", key=key).json["sessions"]
    assert [one["current"] for one in listed] == [False, False]
    newest = listed[0]["id"]
    own = {"sec-fetch-site": "same-origin", "accept": "*/*"}
    assert person.send("DELETE", f"/api/user/sessions/{newest}", None, own).status == 200
    assert phone.get("/account").status == 303
    assert ask(hub, "DELETE", f"/api/user/sessions/{newest}", key=key).status == 404
    audit = rows(hub, schema.audit_log, schema.audit_log.c.action == "session.end")
    assert any(row.object == newest and row.actor.startswith("user:") for row in audit)


def test_a_secret_is_made_by_cookie_only_soon_after_signing_in(hub, caller):
    person, key = caller
    own = {"sec-fetch-site": "same-origin", "accept": "*/*", "content-type": "application/json"}
    own["cookie"] = f"{SESSION}={person.token}"
    body = {"url": "https://hooks.example.com/a"}
    made = ask(hub, "POST", "/api/user/webhooks", body=body, headers=own)
    assert made.status == 201, made.text
    age(hub, "caller@example.com", RECENT_US)
    refused = ask(hub, "POST", "/api/user/webhooks", body=body, headers=own)
    assert (refused.status, refused.code) == (403, "forbidden")
    rule = ask(hub, "PUT", "/api/user/credit/auto-recharge", body={}, headers=own)
    assert rule.status in (400, 403)
    assert ask(hub, "POST", "/api/user/webhooks", body=body, key=key).status == 201
    # What was made before can be looked at and removed.
    hook = f"/api/user/webhooks/{made.json['id']}"
    assert ask(hub, "DELETE", hook, headers=own).status == 200
    age(hub, "caller@example.com", -RECENT_US)


@pytest.mark.parametrize("path", READS)
def test_no_other_origin_is_let_in_with_the_cookie(hub, caller, path):
    person, _ = caller
    asked = {"origin": "https://evil.example", "access-control-request-method": "DELETE"}
    preflight = person.send("OPTIONS", path, None, asked)
    answer = person.send("GET", path, None, {"origin": "https://evil.example", "accept": "*/*"})
    assert answer.status == 403
    for one in (preflight, answer):
        # Without this no browser sends the cookie along, nor shows a script the answer.
        assert "access-control-allow-credentials" not in one.headers
        assert one.headers["access-control-allow-origin"] == "*"


@pytest.mark.parametrize("path", ["/sign-in", "/account", "/sign-out", "/api/user/info"])
def test_head_and_options_change_and_tell_nothing(hub, caller, path):
    person, _ = caller
    before = {row.id for row in rows(hub, schema.session)}
    head = person.send("HEAD", path)
    assert head.body == b""
    assert person.send("OPTIONS", path).status in (200, 204, 405)
    assert {row.id for row in rows(hub, schema.session)} == before
