"""DID Connect over HTTP: who may sign in by a wallet, and what must not work."""

import json
import re
import sqlite3
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.api import Api
from tests.hub import HubProcess
from tests.wallet import (
    HERE,
    Wallet,
    begin,
    given,
    go_through,
    now_us,
    presentation,
    told,
)

from aigne_hub.crypto import arcblock_jwt, did_key, multibase
from aigne_hub.crypto.did import KeyType, RoleType, did_of, parse
from aigne_hub.storage import did_sessions
from aigne_hub.storage.did_sessions import LIVE_US

ISSUER = Wallet(role=RoleType.APPLICATION)


@pytest.fixture(scope="module")
def hub(tmp_path_factory, database, database_for):
    config = {"billing": {"enabled": True, "new_user_credits": "5"}}
    folder = tmp_path_factory.mktemp("wallets")
    with HubProcess(folder, config, database_url=database_for(database), workers=2) as running:
        yield running


@pytest.fixture(scope="module")
def nobody(hub):
    return Api(hub)


@pytest.fixture
def wallet():
    return Wallet()


def users_of(hub: HubProcess) -> dict[str, dict[str, Any]]:
    return {user["did"]: user for user in hub.cli("users", "list")}


def refused(said: dict[str, Any], words: str) -> None:
    assert said["status"] == "error"
    assert words in said["errorMessage"], said["errorMessage"]


@pytest.mark.parametrize("key", [KeyType.ED25519, KeyType.SECP256K1, KeyType.ETHEREUM])
def test_a_new_wallet_becomes_a_user_who_may_call(hub, nobody, key):
    wallet = Wallet(key)
    handshake = begin(nobody)
    assert handshake.status().json["status"] == "created"
    assert go_through(handshake, wallet)["status"] == "ok"
    told = handshake.status().json
    assert told["status"] == "succeed"
    assert told["did"] == wallet.did.address
    me = Api(hub, told["loginToken"]).get("/api/user/info").json
    did = did_of(wallet.did.address)
    assert me["user"]["did"] == did
    user = users_of(hub)[did]
    assert (user["role"], user["email"], user["disabled"]) == ("member", None, False)
    assert hub.cli("credits", "balance", "--user", did)["balance"] == "5"


def test_the_same_wallet_is_the_same_user_the_next_time(hub, nobody, wallet):
    for _ in range(2):
        assert go_through(begin(nobody), wallet)["status"] == "ok"
    assert list(users_of(hub)).count(did_of(wallet.did.address)) == 1
    assert hub.cli("credits", "balance", "--user", did_of(wallet.did.address))["balance"] == "5"


def test_what_a_wallet_is_told_step_by_step(hub, nobody, wallet):
    """As recorded in did-connect-trace.json."""
    handshake = begin(nobody)
    assert handshake.url.startswith("https://abtwallet.io/i/?action=requestAuth&url=http%253A%252F")
    assert handshake.path == f"/api/did/login/auth?_t_={handshake.token}"
    first = handshake.ask()
    assert first["action"] == "responseAuth"
    assert re.fullmatch(r"[0-9A-F]{32}", first["challenge"])
    assert first["url"] == f"{hub.address}{handshake.path}"
    assert first["chainInfo"] == {"id": "none", "host": "none", "type": "arcblock"}
    assert first["appInfo"]["publisher"] == first["iss"]
    assert [claim["type"] for claim in first["requestedClaims"]] == ["authPrincipal"]
    assert HERE in first["requestedClaims"][0]["description"]
    scanned = handshake.status(**{"user-agent": "x"}).json
    assert (scanned["status"], scanned["currentStep"]) == ("scanned", 0)
    claims = [{"type": "authPrincipal"}]
    second = handshake.answer(wallet, wallet.token(first["challenge"], claims))
    assert second["challenge"] != first["challenge"]
    (profile,) = second["requestedClaims"]
    assert profile["items"] == ["fullName", "email"]
    assert handshake.status().json["currentStep"] == 1
    last = handshake.answer(wallet, wallet.token(second["challenge"], given(wallet, second)))
    assert (last["status"], last.get("errorMessage", "")) == ("ok", "")
    refused(handshake.ask(), "has been answered already")


def test_a_wallet_says_what_it_is(nobody):
    handshake = begin(nobody)
    agent = "ABTWallet/5.1.0 (iPhone; iOS 19)"
    nobody.send("GET", handshake.path, headers={"user-agent": agent})
    wallet = handshake.status().json["connectedWallet"]
    assert wallet == {"os": "ios", "version": "5.1.0", "jwt": "1.1.0"}


def test_blocklet_servers_own_spelling(nobody, wallet):
    answer = nobody.send("POST", "/.well-known/service/api/did/login/token")
    assert "%2F.well-known%252Fservice" in answer.json["url"].replace("%252F.", "%2F.")
    token = answer.json["token"]
    path = f"/.well-known/service/api/did/login/auth?_t_={token}"
    request = told(nobody.get(path))
    assert request["url"].endswith(path)
    claims = [{"type": "authPrincipal"}]
    sent = wallet.sent(wallet.token(request["challenge"], claims))
    assert told(nobody.send("POST", path, body=sent))["requestedClaims"][0]["type"] == "profile"


def test_an_answer_may_be_a_form(hub, nobody, wallet):
    from urllib.parse import urlencode  # noqa: PLC0415 - only here
    from urllib.request import Request, urlopen  # noqa: PLC0415 - only here

    handshake = begin(nobody)
    request = handshake.ask()
    token = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    sent = urlencode({**wallet.sent(token), "_t_": handshake.token}).encode()
    with urlopen(Request(f"{hub.address}/api/did/login/auth", sent)) as answer:
        body = json.loads(answer.read())
    key = multibase.decode(body["appPk"])
    assert arcblock_jwt.verify(body["authInfo"], key, now_us()).body["action"] == "responseAuth"


# Challenges: single use, for one session, one action and one hub, and for five minutes.


def test_a_challenge_is_answered_once(nobody, wallet):
    handshake = begin(nobody)
    request = handshake.ask()
    token = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    assert "requestedClaims" in handshake.answer(wallet, token)
    refused(handshake.answer(wallet, token), "Challenge mismatch")
    assert handshake.status().json["status"] == "scanned"


def test_the_last_answer_counts_once_too(hub, nobody, wallet):
    handshake = begin(nobody)
    request = handshake.ask()
    first = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    request = handshake.answer(wallet, first)
    token = wallet.token(request["challenge"], given(wallet, request))
    assert handshake.answer(wallet, token)["status"] == "ok"
    refused(handshake.answer(wallet, token), "Challenge mismatch")
    assert handshake.status().json["status"] == "succeed"


def test_of_many_answers_at_once_one_counts(hub, nobody, wallet):
    """Over two processes, and on both databases."""
    handshake = begin(nobody)
    request = handshake.ask()
    first = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    request = handshake.answer(wallet, first)
    said = at_once(
        8,
        lambda: handshake.answer(
            wallet, wallet.token(request["challenge"], given(wallet, request))
        ),
    )
    assert [each["status"] for each in said].count("ok") == 1
    keys = hub.cli("keys", "list", "--user", did_of(wallet.did.address))
    assert len(keys) == 1


def at_once(count: int, ask: Callable[[], dict[str, Any]]) -> list[dict[str, Any]]:
    said: list[dict[str, Any]] = []
    threads = [threading.Thread(target=lambda: said.append(ask())) for _ in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(said) == count
    return said


def test_a_challenge_is_for_its_own_session(nobody, wallet):
    one, other = begin(nobody), begin(nobody)
    request = one.ask()
    other.ask()
    token = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    refused(other.answer(wallet, token), "Challenge mismatch")
    assert "requestedClaims" in one.answer(wallet, token)


def test_a_session_is_for_its_own_action(nobody, wallet):
    handshake = begin(nobody)
    request = handshake.ask()
    token = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    path = handshake.path.replace("/login/", "/switch/")
    refused(handshake.answer(wallet, token, path), "not found or expired")
    refused(handshake.ask(path), "not found or expired")


@pytest.mark.parametrize("audience", ["https://elsewhere.example", "did:abt:z1", ["a"], 1])
def test_a_token_for_another_audience_is_refused(nobody, wallet, audience):
    handshake = begin(nobody)
    challenge = handshake.ask()["challenge"]
    claims = [{"type": "authPrincipal"}]
    refused(
        handshake.answer(wallet, wallet.token(challenge, claims, aud=audience)), "another audience"
    )
    here = wallet.token(challenge, claims, aud=nobody.hub.address)
    assert "requestedClaims" in handshake.answer(wallet, here)


def test_a_challenge_is_for_the_place_where_the_hub_was(tmp_path, wallet):
    config = {"public_url": "https://one.example"}
    with HubProcess(tmp_path, config) as hub:
        handshake = begin(Api(hub))
        path = f"/api/did/login/auth?_t_={handshake.token}"
        challenge = handshake.ask(path)["challenge"]
        hub.stop()
        hub.configure({"public_url": "https://two.example"})
        hub.start()
        token = wallet.token(challenge, [{"type": "authPrincipal"}])
        refused(handshake.answer(wallet, token, path), "The hub has moved")


def test_a_session_ends_after_five_minutes(tmp_path, wallet):
    """As if five minutes had passed: its row says when it ends."""
    with HubProcess(tmp_path, {}) as hub:
        api = Api(hub)
        handshake = begin(api)
        request = handshake.ask()
        assert LIVE_US == 300 * 1_000_000
        with sqlite3.connect(tmp_path / "hub.db") as database:
            lives = "SELECT expires_us - created_us FROM did_session"
            assert database.execute(lives).fetchone() == (LIVE_US,)
            past = "UPDATE did_session SET expires_us = expires_us - ?, created_us = created_us - ?"
            database.execute(past, (LIVE_US, LIVE_US))
        database.close()
        token = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
        refused(handshake.answer(wallet, token), "not found or expired")
        assert handshake.status().status == 400
        begin(api)  # the next one tidies up
        with sqlite3.connect(tmp_path / "hub.db") as database:
            assert database.execute("SELECT count(*) FROM did_session").fetchone() == (1,)
        database.close()


def test_an_old_token_is_refused(nobody, wallet):
    handshake = begin(nobody)
    challenge = handshake.ask()["challenge"]
    body = {"action": "responseAuth", "challenge": challenge, "requestedClaims": []}
    old = arcblock_jwt.sign(wallet.did, wallet.secret, body, now_us() - 400 * 1_000_000)
    refused(handshake.answer(wallet, old), "it has expired")
    assert handshake.status().json["status"] == "scanned"


def test_a_token_of_another_key_is_refused(nobody, wallet):
    handshake = begin(nobody)
    challenge = handshake.ask()["challenge"]
    stranger = Wallet()
    token = wallet.token(challenge, [{"type": "authPrincipal"}])
    refused(handshake.answer(stranger, token), "its issuer is not of the public key")
    forged = stranger.token(challenge, [], iss=did_of(wallet.did.address))
    refused(handshake.answer(stranger, forged), "its issuer is not of the public key")


def test_another_wallet_in_the_next_step_is_forbidden(nobody, wallet):
    handshake = begin(nobody)
    request = handshake.ask()
    first = wallet.token(request["challenge"], [{"type": "authPrincipal"}])
    request = handshake.answer(wallet, first)
    other = Wallet()
    answer = other.token(request["challenge"], given(other, request))
    refused(handshake.answer(other, answer), "Another wallet began this")
    status = handshake.status()
    assert status.status == 403
    assert "Another wallet" in status.json["error"]
    right = wallet.token(request["challenge"], given(wallet, request))
    refused(handshake.answer(wallet, right), "Challenge mismatch")


@pytest.mark.parametrize(
    ("action", "status", "words"),
    [("declineAuth", "error", "declined"), ("busy", "busy", "busy"), ("other", None, "none of")],
)
def test_a_wallet_may_decline(nobody, wallet, action, status, words):
    handshake = begin(nobody)
    challenge = handshake.ask()["challenge"]
    refused(handshake.answer(wallet, wallet.token("", [], action=action)), "Challenge mismatch")
    refused(handshake.answer(wallet, wallet.token(challenge, [], action=action)), words)
    told = handshake.status().json
    if status is None:
        assert told["status"] == "scanned"
    else:
        assert told["status"] == status
        assert words in told["error"]


# Who may collect.


def test_who_sees_the_code_cannot_collect(nobody, wallet):
    handshake = begin(nobody)
    go_through(handshake, wallet)
    told = handshake.status(address="198.51.100.66").json
    assert told["status"] == "succeed"
    assert not {"loginToken", "did", "pk"} & set(told)
    assert "loginToken" in handshake.status().json


def test_a_browser_collects_with_its_cookie_and_is_signed_in(hub, nobody, wallet):
    answer = nobody.send("GET", "/api/did/login/token", headers={"sec-fetch-site": "same-origin"})
    cookie = answer.headers["set-cookie"]
    assert re.fullmatch(r"aigne-hub-did=\w+; HttpOnly; Max-Age=600; Path=/; SameSite=lax", cookie)
    handshake = begin(nobody)
    handshake.token, handshake.url = answer.json["token"], answer.json["url"]
    go_through(handshake, wallet)
    theirs = handshake.status()
    assert "set-cookie" not in theirs.headers
    assert "did" not in theirs.json
    mine = handshake.status(cookie=cookie.partition(";")[0])
    assert mine.json["did"] == wallet.did.address
    assert "loginToken" not in mine.json
    assert "aigne-hub-session=" in mine.headers["set-cookie"]
    again = handshake.status(cookie=cookie.partition(";")[0])
    assert "aigne-hub-session=" not in again.headers.get("set-cookie", "")


def test_no_other_site_begins_a_session(nobody):
    for headers in ({"sec-fetch-site": "cross-site"}, {"origin": "https://elsewhere.example"}):
        for path in ("/api/did/login/token", "/.well-known/service/api/did/login/token"):
            assert nobody.send("GET", path, headers=headers).status == 403


def test_a_login_token_is_sealed_for_who_gave_a_key(hub, nobody, wallet):
    from cryptography.hazmat.primitives.asymmetric.x25519 import (  # noqa: PLC0415 - only here
        X25519PrivateKey,
    )

    key = X25519PrivateKey.generate().public_key().public_bytes_raw()
    from aigne_hub.crypto import base64url  # noqa: PLC0415 - only here

    # A browser that gave a key gets it beside its cookie.
    answer = nobody.send(
        "GET",
        "/api/did/login/token",
        query={"_ek_": base64url.encode(key)},
        headers={"sec-fetch-site": "same-origin"},
    )
    browser = begin(nobody)
    browser.token, browser.url = answer.json["token"], answer.json["url"]
    go_through(browser, Wallet())
    cookie = answer.headers["set-cookie"].partition(";")[0]
    assert len(browser.status(cookie=cookie).json["loginToken"]) > 100
    assert "loginToken" not in browser.status().json
    handshake = begin(nobody, _ek_=base64url.encode(key))
    go_through(handshake, wallet)
    token = handshake.status(address="198.51.100.66").json["loginToken"]
    assert not token.startswith("blocklet-")
    assert len(token) > 100


@pytest.mark.parametrize("key", ["x", "A" * 42, "A" * 44, "!" * 43])
def test_what_is_no_key_to_seal_for(nobody, key):
    answer = nobody.get("/api/did/login/token", _ek_=key)
    assert (answer.status, answer.json["error"]["code"]) == (400, "invalid_request")


# Who becomes a user.


@pytest.fixture
def strict_hub(tmp_path):
    config = {
        "did": {
            "new_user_role": "guest",
            "terms_url": "https://hub.example/terms",
            "terms_sha256": "ab" * 32,
            "credential_type": "Passport",
            "credential_issuers": [did_of(ISSUER.did.address)],
        }
    }
    with HubProcess(tmp_path, config) as running:
        yield running


def test_terms_and_a_credential_for_new_users(strict_hub, wallet):
    api = Api(strict_hub)

    def offered(presented: str | None, *, agreed: object = True, digest: str = "") -> Any:
        handshake = begin(api)
        first = handshake.ask()
        request = handshake.answer(
            wallet, wallet.token(first["challenge"], [{"type": "authPrincipal"}])
        )
        kinds = [claim["type"] for claim in request["requestedClaims"]]
        assert kinds == ["profile", "agreement", "verifiableCredential"]
        claims = [
            {"type": "profile", "fullName": "Ann"},
            {"type": "agreement", "agreed": agreed, "digest": digest},
            {"type": "verifiableCredential", "presentation": presented or made(request)},
        ]
        return handshake.answer(wallet, wallet.token(request["challenge"], claims))

    def made(request: dict[str, Any]) -> str:
        return presentation(wallet, ISSUER, request["challenge"])

    refused(offered(None, agreed=False), "not agreed to")
    refused(offered(None, agreed="true"), "not agreed to")
    refused(offered(None, digest=multibase.encode(bytes(32))), "Other terms")
    refused(offered(presentation(wallet, ISSUER, "X")), "another challenge")
    assert did_of(wallet.did.address) not in users_of(strict_hub)
    assert offered(None)["status"] == "ok"
    assert users_of(strict_hub)[did_of(wallet.did.address)]["role"] == "guest"
    # Who is a user is not asked again.
    handshake = begin(api)
    assert go_through(handshake, wallet)["status"] == "ok"


def test_credentials_that_prove_nothing(strict_hub, wallet):
    api, stranger = Api(strict_hub), Wallet()
    wrong: list[tuple[Callable[[str], str], str]] = [
        (lambda c: presentation(wallet, stranger, c), "its issuer is none"),
        (lambda c: presentation(stranger, ISSUER, c), "its holder has not signed"),
        (
            lambda c: presentation(wallet, ISSUER, c, subject=stranger.did.address),
            "about somebody else",
        ),
        (lambda c: presentation(wallet, ISSUER, c, kind="Licence"), "no Passport"),
        (
            lambda c: presentation(wallet, ISSUER, c, expirationDate="2026-01-02T00:00:00Z"),
            "has expired",
        ),
        (
            lambda c: presentation(wallet, ISSUER, c, issuanceDate="2999-01-01T00:00:00Z"),
            "not valid yet",
        ),
        (
            lambda c: presentation(wallet, ISSUER, c).replace('\\"level\\": 1', '\\"level\\": 2'),
            "not signed",
        ),
        (lambda _: "{", "unreadable"),
        (lambda _: "x" * 40_000, "longer than"),
    ]
    for make, words in wrong:
        handshake = begin(api)
        first = handshake.ask()
        request = handshake.answer(
            wallet, wallet.token(first["challenge"], [{"type": "authPrincipal"}])
        )
        claims = given(wallet, request)
        claims[2]["presentation"] = make(request["challenge"])
        refused(handshake.answer(wallet, wallet.token(request["challenge"], claims)), words)
    missing = begin(api)
    first = missing.ask()
    request = missing.answer(wallet, wallet.token(first["challenge"], [{"type": "authPrincipal"}]))
    token = wallet.token(request["challenge"], given(wallet, request)[:2])
    refused(missing.answer(wallet, token), "no claim verifiableCredential")
    assert did_of(wallet.did.address) not in users_of(strict_hub)


def test_a_hub_that_takes_no_new_users(tmp_path, wallet):
    with HubProcess(tmp_path, {"did": {"new_users": False}}) as hub:
        api = Api(hub)
        known = Wallet()
        hub.cli("users", "create", "--email", "k@example.com", "--did", did_of(known.did.address))
        assert go_through(begin(api), known)["status"] == "ok"
        handshake = begin(api)
        refused(go_through(handshake, wallet), "takes no new users")
        assert handshake.status().json["status"] == "error"
        assert did_of(wallet.did.address) not in users_of(hub)


def test_a_disabled_user_stays_out(hub, nobody, wallet):
    go_through(begin(nobody), wallet)
    hub.cli("users", "disable", "--user", did_of(wallet.did.address))
    handshake = begin(nobody)
    refused(go_through(handshake, wallet), "disabled")
    assert "loginToken" not in handshake.status().json


def test_a_login_token_ends_with_its_user(hub, nobody, wallet):
    handshake = begin(nobody)
    go_through(handshake, wallet)
    key = handshake.status().json["loginToken"]
    assert Api(hub, key).get("/api/user/info").status == 200
    hub.cli("users", "disable", "--user", did_of(wallet.did.address))
    from tests.patience import until  # noqa: PLC0415 - only here

    until(lambda: Api(hub, key).get("/api/user/info").status == 401)


def test_an_email_of_a_wallet_is_nobodys(hub, nobody, wallet):
    """It has not been checked: it may be anybody's."""
    hub.cli("users", "create", "--email", "ann@example.com")
    go_through(begin(nobody), wallet)
    assert users_of(hub)[did_of(wallet.did.address)]["email"] is None


# What nobody should send.


@pytest.mark.parametrize("path", ["token", "status", "timeout", "auth"])
def test_there_are_three_actions(nobody, path):
    assert nobody.get(f"/api/did/delete/{path}", _t_="x").status == 404


@pytest.mark.parametrize("token", ["", "x", "0" * 32, "%00", "é"])
def test_an_unknown_session(nobody, wallet, token):
    for path in ("status", "timeout"):
        answer = nobody.get(f"/api/did/login/{path}", _t_=token)
        assert answer.status == 400
        assert answer.json["error"]
    refused(told(nobody.get("/api/did/login/auth", _t_=token)), "ession")
    sent = {**wallet.sent(wallet.token("x", [])), "_t_": token}
    refused(told(nobody.send("POST", "/api/did/login/auth", body=sent)), "ession")


@pytest.mark.parametrize(
    "sent",
    [
        {},
        {"userPk": 1, "userInfo": 2},
        {"userPk": "z", "userInfo": "a.b.c"},
        {"userPk": "0xzz", "userInfo": "a.b.c"},
        {"userPk": "z" * 3000, "userInfo": "a.b.c"},
        {"userPk": multibase.encode(bytes(32)), "userInfo": "a" * 70_000},
    ],
)
def test_an_answer_that_is_none(nobody, sent):
    handshake = begin(nobody)
    handshake.ask()
    refused(told(nobody.send("POST", handshake.path, body=sent)), "user")
    assert handshake.status().json["status"] == "scanned"


def test_claims_that_are_none(nobody, wallet):
    handshake = begin(nobody)
    challenge = handshake.ask()["challenge"]
    twice = [{"type": "authPrincipal"}] * 2
    for claims in (twice, [1], ["authPrincipal"], [{"type": 1}], [{}] * 17, "x", {"type": "x"}):
        refused(handshake.answer(wallet, wallet.token(challenge, claims)), "laim")
    # Who it is, the token itself says.
    request = handshake.answer(wallet, wallet.token(challenge, []))
    token = wallet.token(request["challenge"], [])
    refused(handshake.answer(wallet, token), "no claim profile")


def test_a_body_that_is_none(nobody):
    handshake = begin(nobody)
    for body in ([], "x", 1):
        assert nobody.send("POST", handshake.path, body=body).status == 400
    assert nobody.send("POST", handshake.path, body={"a": "x" * 140_000}).status == 413


def test_an_address_begins_so_many(hub, nobody):
    crowded = "203.0.113.99"
    for _ in range(did_sessions.STARTED_MAX):
        begin(nobody, address=crowded)
    answer = nobody.send("GET", "/api/did/login/token", headers={"x-forwarded-for": crowded})
    assert answer.status == 429
    begin(nobody)


def test_giving_up(nobody):
    handshake = begin(nobody)
    for address, left in (("198.51.100.66", 200), (HERE, 400)):
        path = "/api/did/login/timeout"
        headers = {"x-forwarded-for": address}
        assert nobody.send("GET", path, query={"_t_": handshake.token}, headers=headers).json == {
            "token": handshake.token
        }
        assert handshake.status().status == left


# The hub itself.


def test_the_hub_has_one_did_and_is_did_web(hub, nobody):
    found = {nobody.get("/.well-known/did.json").text for _ in range(6)}
    assert len(found) == 1
    document = json.loads(found.pop())
    assert document["id"] == f"did:web:127.0.0.1%3A{hub.port}"
    (method,) = document["verificationMethod"]
    did, key = document["alsoKnownAs"]
    assert parse(did).type.role is RoleType.APPLICATION
    public = did_key.parse(key).public_key
    assert method["publicKeyMultibase"] == key.removeprefix("did:key:")
    assert document["authentication"] == [method["id"]]
    assert begin(nobody).ask()["iss"] == did
    assert nobody.get("/__blocklet__.js", type="json").json["appPid"] == parse(did).address
    from aigne_hub.crypto.did import matches  # noqa: PLC0415 - only here

    assert matches(did, public)


def test_the_hubs_key_is_sealed_and_survives_a_restart(tmp_path):
    with HubProcess(tmp_path, {}) as hub:
        before = Api(hub).get("/.well-known/did.json").json["alsoKnownAs"]
        hub.stop()
        hub.start()
        assert Api(hub).get("/.well-known/did.json").json["alsoKnownAs"] == before
    database = sqlite3.connect(tmp_path / "hub.db")
    rows = database.execute("SELECT sealed_secret FROM identity WHERE kind = 'hub'").fetchall()
    database.close()
    assert len(rows) == 1
    assert len(rows[0][0]) > 100
