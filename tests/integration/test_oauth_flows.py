"""The authorization server over HTTP: each rule of RFC 6749, 7636, 9207 and 9700 that it keeps."""

import base64
import json
import re
from concurrent.futures import ThreadPoolExecutor
from urllib.parse import urlencode

import pytest
from tests.hub import HubProcess
from tests.oauth import CALLBACK, COOKIE, Person, Site, basic, redemption, request
from tests.patience import until
from tests.person import set_password

from aigne_hub.domain.access import Role
from aigne_hub.domain.oauth.lifetimes import DAY_US, REFRESH_US
from aigne_hub.domain.oauth.scopes import MEANINGS
from aigne_hub.storage import users

CODE_AGAIN = "code is not valid, has expired or was used"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("oauth"), {"billing": {"enabled": True}}) as hub:
        made = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin")
        hub.admin_key = made["key"]
        yield Site(hub)


@pytest.fixture(scope="module")
def app(site):
    """A public web client."""
    return site.client()


@pytest.fixture(scope="module")
def ada(site):
    return Person.sign_in(site, "ada@example.com")


@pytest.fixture(scope="module")
def bob(site):
    return Person.sign_in(site, "bob@example.com")


def confidential(site, **metadata):
    made = site.register(
        key=site.hub.admin_key, **{"redirect_uris": [CALLBACK], "client_name": "Known", **metadata}
    )
    assert made.status == 201, made.text
    return made.json["client_id"], made.json["client_secret"]


def claims(token):
    part = token.split(".")[1]
    return json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))


def chat(site, token):
    body = json.dumps({"model": "demo/echo", "messages": [{"role": "user", "content": "hi"}]})
    sent = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    return site.ask("POST", "/v1/chat/completions", body.encode(), sent)


def refresh(site, client, token, **more):
    return site.token(grant_type="refresh_token", client_id=client, refresh_token=token, **more)


# -- metadata ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["oauth-authorization-server", "openid-configuration"])
def test_the_issuer_is_the_hubs_own_address_exactly(site, name):
    about = site.get(f"/.well-known/{name}").json
    assert about["issuer"] == site.hub.address
    for member in about:
        if member.endswith("_endpoint") or member == "jwks_uri":
            assert about[member].startswith(site.hub.address + "/")
    assert about["response_types_supported"] == ["code"]
    assert about["code_challenge_methods_supported"] == ["S256"]
    assert not {"implicit", "password"} & set(about["grant_types_supported"])
    assert about["authorization_response_iss_parameter_supported"] is True


def test_the_host_header_changes_no_address(site):
    for host in ("evil.example", "evil.example/?", "evil.example#"):
        about = site.ask("GET", "/.well-known/openid-configuration", headers={"host": host})
        assert "evil" not in about.text


def test_the_resource_names_its_server(site):
    about = site.get("/.well-known/oauth-protected-resource").json
    assert about["resource"] == site.hub.address
    assert about["authorization_servers"] == [site.hub.address]


def test_keys_are_public_halves_and_may_be_kept(site):
    answer = site.get("/.well-known/jwks.json")
    assert answer.headers["cache-control"] == "public, max-age=300"
    keys = answer.json["keys"]
    assert {key["alg"] for key in keys} == {"EdDSA", "ES256"}
    assert not any(secret in key for key in keys for secret in ("d", "p", "q", "k"))


@pytest.mark.parametrize("path", ["/v1/models", "/v1/messages", "/api/user/info"])
def test_who_sends_nothing_is_told_where_tokens_are(site, path):
    method = "POST" if path.endswith("messages") else "GET"
    told = site.ask(method, path, b"{}" if method == "POST" else None)
    where = f"{site.hub.address}/.well-known/oauth-protected-resource"
    assert told.status == 401
    assert told.headers["www-authenticate"] == f'Bearer resource_metadata="{where}"'


@pytest.mark.parametrize("path", ["token", "userinfo", "register", "revoke"])
def test_a_client_may_be_a_page_of_another_origin(site, path):
    sent = {"origin": "https://app.example.com", "access-control-request-method": "POST"}
    assert site.ask("OPTIONS", f"/oauth/{path}", headers=sent).status == 204
    answer = site.ask("POST", f"/oauth/{path}", b"", {"origin": "https://app.example.com"})
    assert answer.headers["access-control-allow-origin"] == "*"
    assert "access-control-allow-credentials" not in answer.headers


def test_pages_are_open_to_no_other_origin(site):
    sent = {"origin": "https://app.example.com"}
    for path in ("authorize", "device"):
        assert (
            "access-control-allow-origin"
            not in site.ask("GET", f"/oauth/{path}", headers=sent).headers
        )


def test_one_of_many_redeems_a_code_and_one_a_refresh_token(site, app, ada):
    """Over HTTP; ten thousand at the stores are in test_oauth_races."""
    asked = redemption(app, ada.code(app))
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: site.token(**asked), range(48)))
    (won,) = [answer for answer in answers if answer.status == 200]
    assert {answer.json["error"] for answer in answers if answer is not won} == {"invalid_grant"}
    # Whoever came second is who the code was made for, so all of it has ended.
    assert refresh(site, app, won.json["refresh_token"]).status == 400
    text = ada.tokens(app)["refresh_token"]
    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda _: refresh(site, app, text), range(48)))
    assert [answer.status for answer in answers].count(200) == 1


# -- the way there and back ---------------------------------------------------------------


def test_a_person_lets_a_program_call_models(site, app, ada):
    sent = ada.consents(app)
    assert sent.status == 303
    assert sent.location.startswith(CALLBACK + "?")
    assert sent.query()["state"] == "the state"
    assert sent.query()["iss"] == site.hub.address
    given = site.token(**redemption(app, sent.query()["code"]))
    assert (given.status, given.headers["cache-control"]) == (200, "no-store")
    token = claims(given.json["access_token"])
    assert token["iss"] == token["aud"] == site.hub.address
    assert (token["sub"], token["client_id"]) == (ada.user.did, app)
    assert token["exp"] - token["iat"] <= 3600
    assert chat(site, given.json["access_token"]).status in {200, 402}


def test_an_id_token_says_who_signed_in_and_when(site, app, ada):
    given = ada.tokens(app, nonce="n-1")
    about = claims(given["id_token"])
    assert (about["aud"], about["nonce"], about["sub"]) == (app, "n-1", ada.user.did)
    assert about["auth_time"] < about["iat"]
    assert about["at_hash"]
    told = site.bearer("/oauth/userinfo", given["access_token"])
    assert told.json == {"sub": ada.user.did}


def test_userinfo_tells_what_was_allowed_and_no_more(site, app, bob):
    given = bob.tokens(app, scope="openid email profile")
    told = site.bearer("/oauth/userinfo", given["access_token"]).json
    assert (told["email"], told["email_verified"], told["role"]) == (
        "bob@example.com",
        False,
        "member",
    )


def test_userinfo_needs_openid(site, app, bob):
    given = bob.tokens(app, scope="inference")
    told = site.bearer("/oauth/userinfo", given["access_token"])
    assert (told.status, told.json["error"]) == (403, "insufficient_scope")
    assert "id_token" not in given


@pytest.mark.parametrize("token", ["", "x", "a.b.c", "blocklet-x"])
def test_userinfo_refuses_what_is_no_token(site, token):
    told = site.bearer("/oauth/userinfo", token)
    assert (told.status, told.json["error"]) == (401, "invalid_token")
    assert told.headers["www-authenticate"].startswith("Bearer ")


def test_an_id_token_opens_nothing(site, app, ada):
    given = ada.tokens(app)
    assert chat(site, given["id_token"]).status == 401
    assert site.bearer("/oauth/userinfo", given["id_token"]).status == 401


def test_a_token_for_another_resource_opens_nothing_here(site, app, ada):
    given = ada.tokens(app, resource="https://api.example.com")
    assert claims(given["access_token"])["aud"] == "https://api.example.com"
    assert chat(site, given["access_token"]).status == 401
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401


def test_a_token_is_not_for_a_resource_that_was_not_authorized(site, app, ada):
    code = ada.code(app)
    given = site.token(**redemption(app, code, resource="https://api.example.com"))
    assert given.json["error"] == "invalid_target"


def test_a_token_lacks_scopes_that_were_not_asked(site, app, ada):
    given = ada.tokens(app, scope="openid")
    assert given["scope"] == "openid inference"
    assert site.bearer("/v1/models", given["access_token"]).status == 403
    assert site.bearer("/api/admin/grants", given["access_token"]).status == 403


# -- authorization requests that are wrong --------------------------------------------------


@pytest.mark.parametrize(
    "changed",
    [
        {"client_id": "nobody"},
        {"client_id": None},
        {"redirect_uri": None},
        {"redirect_uri": CALLBACK + "/"},
        {"redirect_uri": CALLBACK + "?next=1"},
        {"redirect_uri": CALLBACK + "#a"},
        {"redirect_uri": CALLBACK.upper()},
        {"redirect_uri": CALLBACK.replace("/cb", "//cb")},
        {"redirect_uri": CALLBACK.replace("/cb", "/%2e/cb")},
        {"redirect_uri": CALLBACK.replace("https://", "https://u@")},
        {"redirect_uri": CALLBACK.replace("com/", "com:444/")},
        {"redirect_uri": "https://evil.example/cb"},
        {"redirect_uri": "javascript:alert(1)"},
        {"redirect_uri": "//evil.example"},
    ],
    ids=str,
)
def test_nobody_is_sent_to_an_address_that_is_not_registered(app, ada, changed):
    answer = ada.authorize(app, **changed)
    assert answer.status == 400
    assert "location" not in answer.headers
    assert "http-equiv" not in answer.text


def test_an_address_that_stands_twice_is_not_followed(site, app, ada):
    asked = urlencode(request(app)) + "&redirect_uri=https%3A%2F%2Fevil.example"
    assert ada.get(f"/oauth/authorize?{asked}").status == 400


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"response_type": "token"}, "unsupported_response_type"),
        ({"response_type": "id_token token"}, "unsupported_response_type"),
        ({"response_type": "code token"}, "unsupported_response_type"),
        ({"response_type": None}, "invalid_request"),
        ({"response_mode": "fragment"}, "invalid_request"),
        ({"code_challenge": None}, "invalid_request"),
        ({"code_challenge_method": None}, "invalid_request"),
        ({"code_challenge_method": "plain"}, "invalid_request"),
        ({"code_challenge": "a" * 42}, "invalid_request"),
        ({"code_challenge": "a" * 129}, "invalid_request"),
        ({"scope": "admin"}, "invalid_scope"),
        ({"scope": "openid everything"}, "invalid_scope"),
        ({"resource": "not a uri"}, "invalid_target"),
        ({"request": "eyJhbGciOiJub25lIn0.e30."}, "request_not_supported"),
        ({"request_uri": "https://evil.example/r"}, "request_uri_not_supported"),
        ({"prompt": "none login"}, "invalid_request"),
        ({"prompt": "create"}, "invalid_request"),
        ({"max_age": "soon"}, "invalid_request"),
    ],
    ids=str,
)
def test_a_wrong_request_goes_back_to_its_client(site, app, ada, changed, error):
    answer = ada.authorize(app, **changed)
    assert answer.status == 303
    assert answer.location.startswith(CALLBACK + "?")
    told = answer.query()
    assert (told["error"], told["state"], told["iss"]) == (error, "the state", site.hub.address)
    assert "code" not in told


def test_who_is_not_signed_in_signs_in_first(site, app):
    answer = site.get(f"/oauth/authorize?{urlencode(request(app))}")
    assert answer.status == 303
    assert answer.location.partition("?")[0].endswith("sign-in")
    assert "oauth" in answer.query()["next"]


def test_nobody_is_asked_when_the_client_forbids_it(site, app):
    asked = urlencode(request(app, prompt="none"))
    assert site.get(f"/oauth/authorize?{asked}").query()["error"] == "login_required"
    carol = Person.sign_in(site, "carol@example.com")
    assert carol.authorize(app, prompt="none").query()["error"] == "consent_required"
    carol.code(app)
    assert "code" in carol.authorize(app, prompt="none").query()


@pytest.mark.parametrize("changed", [{"prompt": "login"}, {"max_age": "0"}, {"max_age": "60"}])
def test_a_client_may_want_its_user_to_sign_in_again(app, ada, changed):
    answer = ada.authorize(app, **changed)
    assert answer.status == 303
    assert answer.query()["step-up"] == "1"
    assert "prompt" not in answer.query()["next"]


def test_consent_is_remembered_until_more_is_asked(site):
    app = site.client()
    dora = Person.sign_in(site, "dora@example.com")
    dora.code(app)
    assert dora.authorize(app).status == 303
    assert dora.authorize(app, prompt="consent").status == 200
    assert dora.authorize(app, scope="openid models").status == 200


def test_a_head_makes_no_code_for_who_has_consented(site):
    app = site.client()
    fay = Person.sign_in(site, "fay@example.com")
    fay.code(app)
    path = f"/oauth/authorize?{urlencode(request(app))}"
    answer = site.ask("HEAD", path, headers={"cookie": f"{COOKIE}={fay.cookie}"})
    assert answer.status == 405
    assert "location" not in answer.headers


def test_a_native_client_asks_each_time(site, ada):
    address = "http://127.0.0.1:9999/cb"
    app = site.client(redirect_uris=[address])
    for port in (9999, 51004):
        there = f"http://127.0.0.1:{port}/cb"
        page = ada.authorize(app, redirect_uri=there)
        assert page.status == 200
        sent = ada.consents(app, redirect_uri=there)
        given = site.token(**redemption(app, sent.query()["code"], redirect_uri=there))
        assert given.status == 200
    assert ada.authorize(app, redirect_uri="http://localhost:9999/cb").status == 400


def test_a_person_may_refuse(app, bob):
    told = bob.consents(app, {"decision": "deny"}, prompt="consent").query()
    assert (told["error"], told["state"]) == ("access_denied", "the state")


def test_who_has_just_signed_in_goes_back_by_a_page(site, app):
    """The form that they signed in with may lead nowhere but to this hub."""
    eve = Person.sign_in(site, "eve@example.com", ago_s=200)
    eve.code(app)
    fresh = Person.sign_in(site, "eve@example.com", ago_s=0)
    page = fresh.authorize(app)
    assert page.status == 200
    assert f'content="0;url={CALLBACK}?code=' in page.text.replace("&amp;", "&")


# -- the consent page is a person's own doing -------------------------------------------------


def test_a_form_of_another_site_allows_nothing(app, ada, bob):
    fields = ada.authorize(app, prompt="consent").hidden()
    allow = {**fields, "decision": "allow"}
    crossed = ada.post("/oauth/authorize", allow, sec_fetch_site="cross-site")
    assert crossed.status == 403
    assert ada.post("/oauth/authorize", allow, origin="https://evil.example").status == 403
    assert ada.post("/oauth/authorize", {**allow, "csrf": ""}).status == 403
    # The field of one person's page is worth nothing to another.
    assert bob.post("/oauth/authorize", allow).status == 403


def test_nobody_frames_the_page_and_nothing_runs_in_it(app, ada):
    page = ada.authorize(app, prompt="consent")
    policy = page.headers["content-security-policy"]
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self' https://app.example.com" in policy
    assert "script" not in policy
    assert page.headers["cache-control"] == "no-store"


def test_what_a_client_says_of_itself_is_text(site, ada):
    app = site.client(client_name='<script>alert("x")</script>', logo_uri="javascript:alert(1)")
    page = ada.authorize(app)
    assert "<script" not in page.text
    assert "&lt;script&gt;" in page.text
    assert "javascript" not in page.text
    assert "registered itself" in page.text


def test_a_person_is_told_what_they_allow_to_whom_and_until_when(app, ada):
    page = ada.authorize(app, prompt="consent", resource="https://api.example.com").text
    assert "You go back to <strong>app.example.com" in page
    for scope in ("openid", "inference"):
        assert MEANINGS[scope] in page
    assert "<code>https://api.example.com</code>" in page
    assert f"{REFRESH_US // DAY_US} days at the latest" in page
    assert ada.user.did in page or ada.user.email in page


def test_every_page_of_who_is_signed_in_has_a_way_out(app, ada):
    consent = ada.authorize(app, prompt="consent").text
    pages = [ada.get(path).text for path in ("/account", "/account/wallet", "/oauth/device")]
    for page in (consent, *pages):
        assert re.search(r'<form [^>]*method="post" action="[./]*sign-out">', page)


def test_the_form_is_worth_no_more_than_an_address(app, ada):
    fields = ada.authorize(app, prompt="consent").hidden()
    evil = fields["asked"].replace("app.example.com", "evil.example")
    answer = ada.post("/oauth/authorize", {**fields, "asked": evil, "decision": "allow"})
    assert answer.status == 400
    assert "location" not in answer.headers


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH"])
def test_other_methods_are_refused(site, method):
    assert site.ask(method, "/oauth/authorize").status == 405
    assert site.ask("GET", "/oauth/token").status == 405


def test_a_method_is_what_it_is(site, app):
    sent = {"x-http-method-override": "POST", "x-method-override": "POST"}
    answer = site.ask("GET", f"/oauth/token?{urlencode(redemption(app, 'x'))}", headers=sent)
    assert answer.status == 405


def test_a_preflight_gives_out_no_code(site, app, ada):
    ada.code(app)
    asked = f"/oauth/authorize?{urlencode(request(app))}"
    answer = site.ask("OPTIONS", asked)
    assert answer.status in {204, 405}
    assert "location" not in answer.headers


# -- codes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changed", "error"),
    [
        ({"code_verifier": None}, "invalid_request"),
        ({"code_verifier": "a" * 42}, "invalid_request"),
        ({"code_verifier": "a" * 129}, "invalid_request"),
        ({"code_verifier": "a" * 43}, "invalid_grant"),
        ({"code_verifier": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"}, "invalid_grant"),
        ({"redirect_uri": None}, "invalid_request"),
        ({"redirect_uri": CALLBACK + "/"}, "invalid_grant"),
        ({"code": None}, "invalid_request"),
        ({"code": "hub-code-wrong"}, "invalid_grant"),
        ({"grant_type": None}, "invalid_request"),
        ({"grant_type": "password"}, "unsupported_grant_type"),
        ({"grant_type": "implicit"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unauthorized_client"),
        ({"client_id": None}, "invalid_client"),
        ({"client_id": "nobody"}, "invalid_client"),
        ({"client_secret": "anything"}, "invalid_client"),
    ],
    ids=str,
)
def test_a_redemption_that_is_wrong_in_one_way_costs_nothing(site, app, ada, changed, error):
    code = ada.code(app)
    refused = site.token(**redemption(app, code, **changed))
    assert refused.json["error"] == error
    assert refused.status == (401 if error == "invalid_client" else 400)
    assert site.token(**redemption(app, code)).status == 200


def test_a_code_used_twice_ends_what_it_gave(site, app, ada):
    code = ada.code(app)
    given = site.token(**redemption(app, code)).json
    assert site.token(**redemption(app, code)).json == {
        "error": "invalid_grant",
        "error_description": CODE_AGAIN,
    }
    assert refresh(site, app, given["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401


def test_somebody_elses_client_ends_nothing_with_a_code(site, app, ada):
    thief = site.client(client_name="Thief")
    code = ada.code(app)
    given = site.token(**redemption(app, code)).json
    for stolen in (
        redemption(thief, code),
        redemption(app, code, code_verifier="a" * 43),
        redemption(app, code, redirect_uri=CALLBACK + "/"),
    ):
        assert site.token(**stolen).json["error"] == "invalid_grant"
    assert refresh(site, app, given["refresh_token"]).status == 200


# -- refresh tokens -----------------------------------------------------------------------


def test_a_refresh_token_is_followed_by_another(site, app, ada):
    first = ada.tokens(app)
    second = refresh(site, app, first["refresh_token"])
    assert second.status == 200
    assert second.json["refresh_token"] != first["refresh_token"]
    assert refresh(site, app, second.json["refresh_token"]).status == 200


def test_a_refresh_token_used_twice_ends_its_family(site, app, ada):
    first = ada.tokens(app)
    second = refresh(site, app, first["refresh_token"]).json
    assert refresh(site, app, first["refresh_token"]).json["error"] == "invalid_grant"
    assert refresh(site, app, second["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", second["access_token"]).status == 401


def test_somebody_elses_client_ends_nothing_with_a_refresh_token(site, app, ada):
    thief = site.client(client_name="Thief")
    first = ada.tokens(app)
    second = refresh(site, app, first["refresh_token"]).json
    for stolen in (first["refresh_token"], second["refresh_token"]):
        assert refresh(site, thief, stolen).json["error"] == "invalid_grant"
    assert refresh(site, app, second["refresh_token"]).status == 200


def test_a_refresh_never_widens(site, app, ada):
    first = ada.tokens(app, scope="openid inference")
    wide = refresh(site, app, first["refresh_token"], scope="openid inference models")
    assert wide.json["error"] == "invalid_scope"
    other = refresh(site, app, first["refresh_token"], resource="https://api.example.com")
    assert other.json["error"] == "invalid_target"
    narrow = refresh(site, app, first["refresh_token"], scope="inference")
    assert narrow.json["scope"] == "inference"
    assert claims(narrow.json["access_token"])["scope"] == "inference"


def test_a_disabled_user_refreshes_nothing_ever_again(site, app):
    fred = Person.sign_in(site, "fred@example.com")
    given = fred.tokens(app)
    site.hub.cli("users", "disable", "--user", "fred@example.com")
    assert refresh(site, app, given["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401
    site.change(
        lambda _, change: users.enable(change, users.find(change.connection, "fred@example.com"))
    )
    assert refresh(site, app, given["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401


def test_another_password_ends_what_was_refreshed(site, app):
    gina = Person.sign_in(site, "gina@example.com")
    given = gina.tokens(app)
    set_password(site.hub, "gina@example.com")
    assert refresh(site, app, given["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401


# -- clients that can prove who they are ------------------------------------------------------


def test_a_confidential_client_proves_itself_as_it_registered(site, ada):
    client, secret = confidential(site, token_endpoint_auth_method="client_secret_basic")
    asked = redemption(client, ada.code(client))
    for headers, more in (
        ({}, {}),
        ({}, {"client_secret": secret}),
        (basic(client, "wrong"), {}),
        (basic("other", secret), {}),
        ({"authorization": "Basic !!!"}, {}),
        ({"authorization": f"Bearer {secret}"}, {}),
    ):
        refused = site.token(headers, **asked, **more)
        assert refused.json["error"] in {"invalid_client", "invalid_request"}
        assert refused.status in {400, 401}
    both = site.token(basic(client, secret), **asked, client_secret=secret)
    assert both.json["error"] == "invalid_request"
    assert site.token(basic(client, secret), **asked).status == 200


def test_a_secret_in_the_body_is_for_who_registered_it(site, ada):
    client, secret = confidential(site, token_endpoint_auth_method="client_secret_post")
    asked = redemption(client, ada.code(client))
    assert site.token(basic(client, secret), **asked).json["error"] == "invalid_client"
    assert site.token(**asked, client_secret=secret).status == 200


def test_a_refusal_names_how_to_authenticate_and_tells_nothing(site):
    known, _ = confidential(site)
    told = [
        site.token(basic(client, "wrong"), grant_type="client_credentials")
        for client in (known, "nobody")
    ]
    assert told[0].body == told[1].body
    assert told[0].headers["www-authenticate"].startswith("Basic")


def test_an_assertion_is_not_served_and_so_never_replayed(site, app, ada):
    asked = redemption(app, ada.code(app))
    kind = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"
    for _ in range(2):
        refused = site.token(**asked, client_assertion_type=kind, client_assertion="a.b.c")
        assert refused.json["error"] == "invalid_client"


def test_a_client_acts_for_who_pays_for_it(site):
    client, secret = confidential(
        site, grant_types=["client_credentials"], redirect_uris=[], scope="inference models"
    )
    given = site.token(basic(client, secret), grant_type="client_credentials", scope="models")
    assert given.status == 200
    assert not {"refresh_token", "id_token"} & given.json.keys()
    assert claims(given.json["access_token"])["sub"] == client
    assert site.bearer("/v1/models", given.json["access_token"]).status == 200
    assert chat(site, given.json["access_token"]).status == 403
    assert site.bearer("/oauth/userinfo", given.json["access_token"]).status == 401
    wide = site.token(basic(client, secret), grant_type="client_credentials", scope="admin")
    assert wide.json["error"] == "invalid_scope"


def test_a_disabled_client_is_nobody(site, ada):
    client = site.client()
    given = ada.tokens(client)
    site.hub.cli("oauth", "clients", "disable", client)
    assert refresh(site, client, given["refresh_token"]).json["error"] == "invalid_client"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401
    assert ada.authorize(client).status == 400


# -- requests that are no requests ------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b'{"grant_type":"refresh_token"}', "application/json"),
        (b"grant_type=refresh_token", "text/plain"),
        (b"grant_type=refresh_token&grant_type=password", "application/x-www-form-urlencoded"),
        (b"a=" + b"1" * 20_000, "application/x-www-form-urlencoded"),
        (b"&".join(b"a%d=1" % n for n in range(40)), "application/x-www-form-urlencoded"),
        (b"", "application/x-www-form-urlencoded"),
        (b"\xff\xfe=\x00", "application/x-www-form-urlencoded"),
    ],
)
@pytest.mark.parametrize("path", ["token", "introspect", "revoke", "device_authorization"])
def test_a_body_that_is_no_form_is_refused(site, path, body, kind):
    answer = site.ask("POST", f"/oauth/{path}", body, {"content-type": kind})
    assert answer.status in {400, 401}
    assert answer.json["error"] in {"invalid_request", "invalid_client"}
    assert answer.headers["cache-control"] == "no-store"


def test_secrets_stand_in_no_address(site, app):
    answer = site.form("/oauth/token?client_secret=x", redemption(app, "x"))
    assert answer.json["error"] == "invalid_request"


# -- revocation and introspection -----------------------------------------------------------


def test_introspection_is_for_clients_that_prove_themselves(site, app, ada):
    given = ada.tokens(app)
    asked = {"token": given["access_token"]}
    assert site.form("/oauth/introspect", asked).status == 401
    assert site.form("/oauth/introspect", {**asked, "client_id": app}).status == 401
    client, secret = confidential(site)
    told = site.form("/oauth/introspect", asked, basic(client, secret)).json
    assert (told["active"], told["sub"], told["client_id"]) == (True, ada.user.did, app)
    assert told["aud"] == told["iss"] == site.hub.address


@pytest.mark.parametrize("token", ["x", "a.b.c", "hub-refresh-x", "blocklet-x", "é"])
def test_an_unknown_token_is_not_active_and_no_error(site, token):
    client, secret = confidential(site)
    told = site.form("/oauth/introspect", {"token": token}, basic(client, secret))
    assert (told.status, told.json) == (200, {"active": False})
    assert site.form("/oauth/revoke", {"token": token}, basic(client, secret)).status == 200


def test_a_revoked_access_token_opens_nothing(site, app, ada):
    given = ada.tokens(app)
    assert site.form("/oauth/revoke", {"token": given["access_token"]}).status == 401
    asked = {"token": given["access_token"], "client_id": app}
    for _ in range(2):
        assert site.form("/oauth/revoke", asked).status == 200
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401
    assert refresh(site, app, given["refresh_token"]).status == 200


def test_a_revoked_refresh_token_ends_all_of_its_family(site, app, ada):
    given = ada.tokens(app)
    site.form("/oauth/revoke", {"token": given["refresh_token"], "client_id": app})
    assert refresh(site, app, given["refresh_token"]).json["error"] == "invalid_grant"
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 401


def test_somebody_elses_client_revokes_nothing(site, app, ada):
    thief = site.client(client_name="Thief")
    given = ada.tokens(app)
    for token in (given["access_token"], given["refresh_token"]):
        answer = site.form("/oauth/revoke", {"token": token, "client_id": thief})
        assert answer.status == 200
    assert site.bearer("/oauth/userinfo", given["access_token"]).status == 200
    assert refresh(site, app, given["refresh_token"]).status == 200


# -- registration -------------------------------------------------------------------------


def test_a_stranger_registers_a_public_client(site):
    made = site.register(
        redirect_uris=[CALLBACK],
        client_name="App",
        jwks_uri="http://169.254.169.254/latest",
        logo_uri='javascript:alert("x")',
        software_statement="a.b.c",
    )
    assert made.status == 201
    assert made.headers["cache-control"] == "no-store"
    assert made.json["token_endpoint_auth_method"] == "none"
    assert not {"client_secret", "jwks_uri", "logo_uri"} & made.json.keys()


@pytest.mark.parametrize(
    "metadata",
    [
        {"redirect_uris": ["https://10.0.0.1/cb"]},
        {"redirect_uris": ["http://169.254.169.254/"]},
        {"redirect_uris": ["http://app.example.com/cb"]},
        {"redirect_uris": ["https://app.example.com/cb#x"]},
        {"redirect_uris": [CALLBACK], "token_endpoint_auth_method": "client_secret_post"},
        {"redirect_uris": [CALLBACK], "grant_types": ["client_credentials"]},
        {"redirect_uris": [CALLBACK], "scope": "admin"},
    ],
)
def test_a_stranger_registers_nothing_else(site, metadata):
    made = site.register(**metadata)
    assert made.status == 400
    assert made.json["error"] in {"invalid_redirect_uri", "invalid_client_metadata"}


@pytest.mark.parametrize("body", [b"", b"[]", b"{", b"null", b"[" * 9_000, b"x" * 20_000])
def test_a_registration_is_a_json_object(site, body):
    made = site.ask("POST", "/oauth/register", body, {"content-type": "application/json"})
    assert made.status == 400
    assert made.json["error"] in {"invalid_client_metadata", "invalid_request"}


@pytest.mark.parametrize("key", ["wrong", "own"])
def test_a_key_that_is_no_administrators_registers_nothing(site, key):
    text = site.hub.key if key == "own" else "blocklet-wrong"
    made = site.register(key=text, redirect_uris=[CALLBACK])
    assert (made.status, made.json["error"]) == (401, "invalid_token")


# -- what a client may do with an account ------------------------------------------------------


def test_a_client_reads_an_account_and_changes_nothing(site, app, ada):
    token = ada.tokens(app)["access_token"]
    assert site.bearer("/api/user/credit/balance", token).status == 200
    assert site.bearer("/api/user/explain", token).status == 200
    for method, path in (
        ("PUT", "/api/user/credit/auto-recharge"),
        ("POST", "/api/user/credit/redeem"),
        ("POST", "/api/user/webhooks"),
        ("DELETE", "/api/user/grants/x"),
        ("PUT", "/api/user/grants/x"),
        ("POST", "/payment/api/auto-recharge-configs/submit"),
        ("POST", "/payment/api/checkout-sessions"),
    ):
        answer = site.ask(
            method,
            path,
            b"{}",
            {"authorization": f"Bearer {token}", "content-type": "application/json"},
        )
        assert answer.status == 403, path


def test_admin_is_granted_by_administrators_who_prove_themselves(site):
    client, secret = confidential(site, scope="openid admin inference")
    member = Person.sign_in(site, "member@example.com")
    told = member.authorize(client, scope="admin").query()
    assert told["error"] == "invalid_scope"
    old = Person.sign_in(site, "root@example.com", Role.ADMIN, ago_s=3_000)
    assert old.authorize(client, scope="admin").query()["step-up"] == "1"
    root = Person.sign_in(site, "root@example.com", Role.ADMIN)
    code = root.code(client, scope="admin")
    asked = redemption(client, code)
    given = site.token(basic(client, secret), **asked).json
    assert site.bearer("/api/admin/grants", given["access_token"]).status == 200
    site.hub.cli("users", "set-role", "member", "--user", "root@example.com")
    # Whoever serves notices within a second; the test asks until then.
    until(lambda: site.bearer("/api/admin/grants", given["access_token"]).status == 403)
