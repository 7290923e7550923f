"""Tokens of other issuers: whose keys are fetched rarely, and whom they may mean."""

import hmac
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from joserfc import jws
from joserfc.jwk import ECKey, OKPKey, RSAKey
from tests.hub import HubProcess
from tests.oauth import Site
from tests.tokens import part, written

AUDIENCE = "https://hub.example.com"


class Issuer:
    """Somebody else's authorization server, with keys that can change; counts who asks."""

    def __init__(self):
        self.keys = {}
        self.asked = []
        self.add("ec", ECKey.generate_key("P-256"))
        self.add("rsa", RSAKey.generate_key(2048))
        self.add("ed", OKPKey.generate_key("Ed25519"))
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                outer.asked.append(self.path)
                document = (
                    {"issuer": outer.name, "jwks_uri": f"{outer.name}/jwks"}
                    if "openid" in self.path
                    else {"keys": [*map(outer.public, outer.keys)]}
                )
                body = json.dumps(document).encode()
                self.send_response(200)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.name = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def add(self, name, key):
        self.keys[name] = key

    def public(self, name):
        return {**self.keys[name].as_dict(private=False), "kid": name}

    def token(self, by="ec", algorithm="ES256", header=None, **changed):
        now = int(time.time())
        claims = {
            "iss": self.name,
            "aud": AUDIENCE,
            "sub": "7",
            "email": "ada@example.com",
            "email_verified": True,
            "iat": now,
            "exp": now + 600,
            **changed,
        }
        claims = {name: value for name, value in claims.items() if value is not ...}
        head = {"alg": algorithm, "kid": by, "typ": "JWT", **(header or {})}
        text = f"{written(head)}.{written(claims)}"
        key = self.keys.get(by) or ECKey.generate_key("P-256")
        signature = jws.JWSRegistry.algorithms[algorithm].sign(text.encode(), key)
        return f"{text}.{part(signature)}"


@pytest.fixture(scope="module")
def issuer():
    made = Issuer()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture(scope="module")
def site(issuer, tmp_path_factory):
    declared = [{"issuer": issuer.name, "audience": AUDIENCE, "scopes": ["models"]}]
    config = {"oauth": {"issuers": declared}}
    with HubProcess(tmp_path_factory.mktemp("issuers"), config) as hub:
        hub.cli("users", "create", "--email", "ada@example.com")
        yield Site(hub)


def status(site, token):
    return site.bearer("/v1/models", token).status


@pytest.mark.parametrize(
    ("by", "algorithm"), [("ec", "ES256"), ("rsa", "RS256"), ("ed", "EdDSA"), ("ed", "Ed25519")]
)
def test_a_user_whom_the_hub_knows_gets_in(site, issuer, by, algorithm):
    assert status(site, issuer.token(by, algorithm)) == 200


def test_a_token_allows_what_the_operator_says(site, issuer):
    token = issuer.token(scope="admin inference")
    body = json.dumps({"model": "demo/echo", "messages": []}).encode()
    sent = {"authorization": f"Bearer {token}", "content-type": "application/json"}
    assert site.ask("POST", "/v1/chat/completions", body, sent).status == 403
    assert site.bearer("/api/admin/grants", token).status == 403


def test_an_audience_may_stand_among_others(site, issuer):
    assert status(site, issuer.token(aud=[AUDIENCE, "https://b.example"])) == 200


@pytest.mark.parametrize(
    "changed",
    [
        {"aud": "https://other.example"},
        {"aud": ["https://other.example"]},
        {"aud": [AUDIENCE, 7]},
        {"aud": ...},
        {"iss": "http://127.0.0.1:1"},
        {"email": "nobody@example.com"},
        {"email": ...},
        {"email": ["ada@example.com"]},
        {"email_verified": False},
        {"email_verified": "true"},
        {"email_verified": ...},
        {"exp": 1},
        {"exp": "2099-01-01"},
        {"exp": ...},
        {"exp": int(time.time()) + 10 * 24 * 3600},
        {"iat": int(time.time()) + 3600, "exp": int(time.time()) + 4000},
        {"iat": ...},
        {"nbf": int(time.time()) + 3600},
        {"nonce": "n"},
        {"at_hash": "h"},
    ],
    # Their names alone: some values are of the clock, and all processes must name a test alike.
    ids="-".join,
)
def test_a_token_that_says_anything_else_is_refused(site, issuer, changed):
    assert status(site, issuer.token(**changed)) == 401


@pytest.mark.parametrize(
    "header",
    [
        {"typ": "id_token"},
        {"typ": 1},
        {"crit": ["exp"]},
        {"jwk": {"kty": "EC"}},
        {"jku": "http://127.0.0.1:1/jwks"},
        {"x5u": "http://127.0.0.1:1/c"},
        {"alg": "none"},
        {"alg": "RS256"},
        {"alg": "HS256"},
        {"kid": 1},
        {"kid": "rsa"},
    ],
    ids=str,
)
def test_a_token_whose_head_says_anything_else_is_refused(site, issuer, header):
    assert status(site, issuer.token(header=header)) == 401


def test_a_public_key_is_no_secret(site, issuer):
    text = f"{written({'alg': 'HS256', 'kid': 'rsa', 'typ': 'JWT'})}."
    text += issuer.token().split(".")[1]
    signature = hmac.digest(issuer.keys["rsa"].as_pem(private=False), text.encode(), "sha256")
    assert status(site, f"{text}.{part(signature)}") == 401


def test_keys_that_nobody_knows_cause_one_fetch_a_minute(site, issuer):
    assert status(site, issuer.token()) == 200
    before = len(issuer.asked)
    for number in range(20):
        assert status(site, issuer.token(by=f"unknown {number}")) == 401
    assert len(issuer.asked) - before <= 2  # the document and the keys, once
    issuer.add("new", ECKey.generate_key("P-256"))
    assert status(site, issuer.token(by="new")) == 401
    assert status(site, issuer.token()) == 200


def test_the_hubs_own_tokens_and_keys_are_read_as_before(site):
    assert status(site, site.hub.key) == 200
    assert status(site, "a.b.c") == 401
