"""OAuth tokens on the data plane: what they spend, what ends them, and what is no token."""

import json

import pytest
from tests.hub import HubProcess
from tests.oauth import Person, Site
from tests.patience import until
from tests.tokens import Mint, claims_of, forgeries

from aigne_hub.crypto.jose.keys import Algorithm, NewKey
from aigne_hub.storage import (
    oauth_clients,
    oauth_families,
    oauth_grants,
    signing_keys,
)

BODY = json.dumps(
    {"model": "demo/echo", "messages": [{"role": "user", "content": "hello"}]}
).encode()
# One credit for each token of output.
CONFIG = {
    "billing": {"enabled": True},
    "models": [
        {"model": "demo/echo", "type": "chat", "rates": {"input": "0", "output": "1000000"}}
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("plane"), CONFIG, workers=2) as hub:
        yield Site(hub)


@pytest.fixture(scope="module")
def app(site):
    return site.client()


@pytest.fixture(scope="module")
def ada(site):
    person = Person.sign_in(site, "ada@example.com")
    site.hub.cli("credits", "grant", "--user", "ada@example.com", "--amount", "100000")
    return person


def chat(site, token, body=BODY, **headers):
    sent = {"authorization": f"Bearer {token}", "content-type": "application/json", **headers}
    return site.ask("POST", "/v1/chat/completions", body, sent)


def on_every_process(site, token, status):
    """Wait until calls have one status many times over: connections go to either process."""
    until(lambda: all(chat(site, token).status == status for _ in range(8)))


def test_a_token_pays_like_its_user_and_is_recorded_for_its_client(site, app, ada):
    token = ada.tokens(app)["access_token"]
    answer = chat(site, token, **{"x-aigne-hub-client-did": "did:abt:forged"})
    assert answer.status == 200, answer.text
    (call,) = site.hub.cli("calls", "list", "--user", "ada@example.com")[:1]
    assert call["app_did"] != "did:abt:forged"
    assert call["app_did"].startswith("did:abt:")


def test_calls_stop_where_the_allowance_does(site, ada):
    client = site.client(client_name="Capped")
    given = ada.tokens(client, {"amount": "3", "window": "total"})
    token = given["access_token"]
    small = json.dumps({**json.loads(BODY), "max_tokens": 1}).encode()
    statuses = [chat(site, token, small).status for _ in range(5)]
    assert statuses == [200, 200, 200, 402, 402]
    told = chat(site, token, small).json["error"]
    assert "grant credits in total" in told["message"]
    # What one client used up, another and the user's own key do not miss.
    other = site.client(client_name="Other")
    assert chat(site, ada.tokens(other)["access_token"], small).status == 200


def test_every_token_of_a_client_counts_together(site, ada):
    client = site.client(client_name="Twice")
    cap = {"amount": "2", "window": "total"}
    small = json.dumps({**json.loads(BODY), "max_tokens": 1}).encode()
    tokens = [ada.tokens(client, cap, prompt="consent")["access_token"] for _ in range(2)]
    assert [chat(site, token, small).status for token in tokens] == [200, 200]
    assert [chat(site, token, small).status for token in tokens] == [402, 402]


def test_a_user_sees_and_changes_what_clients_may_spend(site, ada):
    client = site.client(client_name="Seen")
    token = ada.tokens(client, {"amount": "1", "window": "month"})["access_token"]
    key = site.hub.cli("keys", "create", "--user", "ada@example.com")["key"]
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    grants = site.ask("GET", "/api/user/grants", headers=sent).json["grants"]
    (grant,) = [one for one in grants if one["client_id"] == client]
    assert (grant["client_name"], grant["scopes"]) == ("Seen", ["openid", "inference"])
    (limit,) = grant["limits"]
    assert (limit["amount"], limit["window"], limit["subject"]) == ("1", "month", "grant")
    path = f"/api/user/grants/{grant['id']}"
    raised = site.ask("PUT", path, b'{"credit_limit":"50","window":"day"}', sent).json
    assert [(one["amount"], one["window"]) for one in raised["limits"]] == [("50", "day")]
    freed = site.ask("PUT", path, b'{"credit_limit":null}', sent).json
    assert freed["limits"] == []
    assert site.ask("DELETE", path, headers=sent).json == {"ok": True}
    on_every_process(site, token, 401)
    assert site.ask("DELETE", path, headers=sent).status == 404
    assert all(one["client_id"] != client for one in _grants(site, sent))


def _grants(site, sent):
    return site.ask("GET", "/api/user/grants", headers=sent).json["grants"]


def test_a_grant_of_somebody_else_is_nobodys(site, app, ada):
    ada.tokens(app)
    bob = Person.sign_in(site, "bob@example.com")
    key = site.hub.cli("keys", "create", "--user", bob.user.id)["key"]
    mine = site.change(lambda _, change: oauth_grants.current(change.connection, ada.user.id, app))
    sent = {"authorization": f"Bearer {key}", "content-type": "application/json"}
    for grant_id in (mine.id, "nothing"):
        path = f"/api/user/grants/{grant_id}"
        assert site.ask("DELETE", path, headers=sent).status == 404
        assert site.ask("PUT", path, b'{"credit_limit":"1"}', sent).status == 404


# -- what ends a token in every process ---------------------------------------------------------


def revoked(site, app, given, person):
    site.form("/oauth/revoke", {"token": given["access_token"], "client_id": app})


def family_revoked(site, app, given, person):
    site.form("/oauth/revoke", {"token": given["refresh_token"], "client_id": app})


def user_disabled(site, app, given, person):
    site.hub.cli("users", "disable", "--user", person.user.id)


def client_disabled(site, app, given, person):
    site.change(lambda _, change: oauth_clients.disable(change, app))


def sessions_ended(site, app, given, person):
    site.change(lambda _, change: oauth_families.end_of_user(change, person.user.id, "password"))


def keys_leaked(site, app, given, person):
    site.hub.cli("oauth", "keys", "rotate", "--now")


@pytest.mark.parametrize(
    "end",
    [revoked, family_revoked, user_disabled, client_disabled, sessions_ended, keys_leaked],
)
def test_a_remembered_token_ends_in_every_process(site, end):
    client = site.client(client_name=end.__name__)
    person = Person.sign_in(site, f"{end.__name__}@example.com")
    site.hub.cli("credits", "grant", "--user", person.user.id, "--amount", "1000")
    given = person.tokens(client)
    on_every_process(site, given["access_token"], 200)
    end(site, client, given, person)
    on_every_process(site, given["access_token"], 401)


def test_a_key_that_was_followed_verifies_as_long_as_its_tokens_live(site, app, ada):
    token = ada.tokens(app)["access_token"]
    before = site.get("/.well-known/jwks.json").json["keys"]
    site.hub.cli("oauth", "keys", "rotate")
    after = site.get("/.well-known/jwks.json").json["keys"]
    assert {key["kid"] for key in before} < {key["kid"] for key in after}
    assert chat(site, token).status == 200
    states = {key["state"] for key in site.hub.cli("oauth", "keys", "list")}
    assert states >= {"followed", "next"} or states >= {"signs", "next"}
    # Published, and not yet used.
    assert chat(site, ada.tokens(app)["access_token"]).status == 200


# -- forgeries against a route that serves ------------------------------------------------------


def stolen(site, app, person):
    """Return a mint with the hub's own keys: whatever it makes is wrong only where it should be."""
    given = person.tokens(app)

    def keys(hub, change):
        found = {}
        for algorithm in Algorithm:
            signer = signing_keys.signer(
                change.connection, hub.keyring, algorithm, hub.clock.now_us()
            )
            known = signing_keys.find(change.connection, signer.id, hub.clock.now_us())
            found[algorithm] = NewKey(signer.id, algorithm, known.public, signer.private)
        return found, hub.clock.now_us() // 1_000_000

    found, now_s = site.change(keys)
    claims = claims_of(given["access_token"])
    return Mint(
        issuer=site.hub.address,
        now_s=now_s,
        eddsa=found[Algorithm.EDDSA],
        es256=found[Algorithm.ES256],
        subject=person.user.did,
        client_id=app,
        grant_id=claims["gid"],
        family_id=claims["fid"],
    )


@pytest.fixture(scope="module")
def mint(site, app, ada):
    return stolen(site, app, ada)


def test_a_mint_with_the_hubs_keys_makes_what_is_accepted(site, mint):
    assert chat(site, mint.token()).status == 200


def test_no_forgery_is_accepted_by_a_route(site, mint):
    accepted = []
    for name, make in forgeries():
        token = make(mint)
        if any(character in token for character in "\r\n"):
            continue
        answer = chat(site, token)
        if answer.status != 401:
            accepted.append((name, answer.status))
    assert accepted == []


@pytest.mark.parametrize(
    "changed",
    [
        {"gid": "another"},
        {"fid": "another"},
        {"client_id": "another"},
        {"sub": "did:abt:z1another"},
        {"scope": "models"},
        {"scope": "admin inference models"},
    ],
    ids=str,
)
def test_a_sound_token_opens_what_its_grant_does(site, mint, changed):
    """Even the hub's own key gives nobody what no user allowed."""
    token = mint.token(**changed)
    admin = site.bearer("/api/admin/grants", token)
    assert admin.status in {401, 403}
    assert chat(site, token).status in ({200} if "admin" in str(changed) else {401, 403})


def test_tokens_that_begin_alike_are_told_apart(site, mint):
    """LiteLLM kept what it knew of a token by its first characters (CVE-2026-35030)."""
    good = mint.token()
    assert chat(site, good).status == 200
    assert chat(site, good[:-8] + "AAAAAAAA").status == 401
    assert chat(site, good).status == 200


def test_what_was_spent_is_in_the_books(site):
    assert site.hub.cli("ledger", "verify")["ok"]
