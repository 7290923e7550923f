"""The rules of OAuth as pure functions: redirects, PKCE, scopes, resources, clients, codes."""

import pytest

from aigne_hub.domain.oauth import clients, pkce, redirects, resources, scopes, user_codes
from aigne_hub.domain.oauth.errors import OAuthError, Refusal

WEB = "https://app.example.com/cb"

REGISTRABLE = [
    (WEB, False),
    ("https://app.example.com:8443/cb", False),
    ("https://app.example.com/cb?tenant=1", False),
    ("https://app.example.com", False),
    ("http://127.0.0.1/cb", True),
    ("http://127.0.0.1:7777/cb", True),
    ("http://[::1]:7777/cb", True),
    ("http://localhost:33418", True),
    ("com.example.app:/cb", True),
]
REFUSED = [
    ("http://app.example.com/cb", False),
    ("http://app.example.com/cb", True),
    ("http://127.0.0.1/cb", False),
    ("http://127.0.0.2/cb", True),
    ("http://localhost.evil.com/cb", True),
    ("http://127.0.0.1.evil.com/cb", True),
    ("http://127.0.0.1@evil.com/cb", True),
    ("https://10.0.0.1/cb", False),
    ("https://169.254.169.254/cb", False),
    ("https://[fd00::1]/cb", False),
    ("https://2130706433/cb", False),
    ("https://0x7f.1/cb", False),
    ("https://127.1/cb", False),
    ("https://localhost/cb", False),
    ("https://intranet/cb", False),
    ("https://metadata.google.internal/cb", False),
    ("https://printer.local/cb", False),
    ("https://app.example.com/cb#part", False),
    ("https://app.example.com/cb#", False),
    ("https://user@app.example.com/cb", False),
    ("https://user:pw@app.example.com/cb", False),
    ("https://app.example.com\\@evil.com/cb", False),
    ("https://*.example.com/cb", False),
    ("https://app.example.com/*", False),
    ("https://app.example.com/a/../cb", False),
    ("https://app.example.com/a/%2e%2e/cb", False),
    ("https://app.example.com/a%2fcb", False),
    ("https://app.example.com//cb", False),
    ("https://app.example.com/./cb", False),
    ("https://APP.example.com/cb", False),
    ("https://app.example.com:0/cb", False),
    ("https://app.example.com:99999/cb", False),
    ("https://app.exämple.com/cb", False),
    ("https://app.example.com/c b", False),
    ("https://app.example.com/\ncb", False),
    ('https://app.example.com/"cb', False),
    ("https:///cb", False),
    ("https://", False),
    ("//app.example.com/cb", False),
    ("/cb", False),
    ("", False),
    ("javascript:alert(1)", True),
    ("data:text/html,hi", True),
    ("file:///etc/passwd", True),
    ("vbscript:x", True),
    ("myapp:/cb", True),
    ("com.example.app:/cb", False),
    ("https://app.example.com/" + "a" * 2_000, False),
]


@pytest.mark.parametrize(("uri", "native"), REGISTRABLE)
def test_an_address_may_be_registered(uri, native):
    assert redirects.require_registrable(uri, native=native) == uri
    assert redirects.matches([uri], uri, native=native)


@pytest.mark.parametrize(("uri", "native"), REFUSED)
def test_an_address_may_not_be_registered(uri, native):
    with pytest.raises(OAuthError) as refused:
        redirects.require_registrable(uri, native=native)
    assert refused.value.error is Refusal.INVALID_REDIRECT_URI


@pytest.mark.parametrize(
    "asked",
    [
        WEB + "/",
        WEB + "?a=b",
        WEB + "#",
        WEB + "#x",
        WEB.upper(),
        WEB.replace("/cb", "//cb"),
        WEB.replace("/cb", "/CB"),
        WEB.replace("/cb", "/%63b"),
        WEB.replace("/cb", "/x/../cb"),
        WEB.replace("/cb", "/%2e/cb"),
        WEB.replace("com/", "com:443/"),
        WEB.replace("com/", "com:8443/"),
        WEB.replace("https://", "https://x@"),
        WEB.replace("https://", "http://"),
        WEB.replace("app.", ""),
        WEB.replace("app.example.com", "app.example.com.evil.com"),
        "https://evil.com/?" + WEB,
        " " + WEB,
        "",
    ],
)
@pytest.mark.parametrize("native", [True, False])
def test_nothing_but_what_was_registered_is_answered(asked, native):
    assert not redirects.matches([WEB], asked, native=native)


LOOPBACK = "http://127.0.0.1:1234/cb"


@pytest.mark.parametrize("port", ["", ":80", ":51004", ":1234"])
def test_a_native_client_listens_on_any_port(port):
    asked = f"http://127.0.0.1{port}/cb"
    assert redirects.matches([LOOPBACK], asked, native=True)
    assert redirects.matches([LOOPBACK], asked, native=False) is (asked == LOOPBACK)


@pytest.mark.parametrize(
    "asked",
    [
        "http://localhost:1234/cb",
        "http://127.0.0.1:1234/cb/",
        "http://127.0.0.1:1234/cb?x=1",
        "http://127.0.0.1:x/cb",
        "http://127.0.0.1:1234@evil.com/cb",
        "https://127.0.0.1:1234/cb",
        "http://127.0.0.1:1234/",
    ],
)
def test_a_port_is_all_that_may_differ(asked):
    assert not redirects.matches([LOOPBACK], asked, native=True)


def test_an_answer_keeps_the_query_of_its_address():
    answer = redirects.answered(WEB + "?t=1", [("code", "a b"), ("state", "&")])
    assert answer == WEB + "?t=1&code=a+b&state=%26"


# RFC 7636, appendix B.
VERIFIER = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"
CHALLENGE = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"


def test_a_verifier_proves_its_challenge():
    assert pkce.challenge_of(VERIFIER) == CHALLENGE
    assert pkce.proves(VERIFIER, CHALLENGE)
    assert not pkce.proves(VERIFIER[:-1] + "l", CHALLENGE)


@pytest.mark.parametrize(
    ("challenge", "method"),
    [
        (None, "S256"),
        ("", "S256"),
        (CHALLENGE, None),
        (CHALLENGE, "plain"),
        (CHALLENGE, "s256"),
        (CHALLENGE, "S512"),
        (CHALLENGE + "=", "S256"),
        (CHALLENGE[:-1], "S256"),
        (CHALLENGE[:-1] + "~", "S256"),
    ],
)
def test_a_challenge_is_s256_or_refused(challenge, method):
    with pytest.raises(OAuthError):
        pkce.require_challenge(challenge, method)


@pytest.mark.parametrize(
    "verifier", [None, "", "a" * 42, "a" * 129, "a" * 42 + "+", "a" * 42 + "é"]
)
def test_a_verifier_of_another_form_is_refused(verifier):
    with pytest.raises(OAuthError):
        pkce.require_verifier(verifier)


@pytest.mark.parametrize("length", [43, 128])
def test_a_verifier_has_43_to_128_characters(length):
    assert pkce.require_verifier("a" * length)


@pytest.mark.parametrize(
    ("text", "granted"),
    [
        (None, ("inference",)),
        ("", ("inference",)),
        ("openid", ("openid", "inference")),
        ("models openid", ("openid", "models")),
        ("models models", ("models",)),
    ],
)
def test_who_asks_for_nothing_of_the_hub_may_call_models(text, granted):
    assert scopes.parsed(text, scopes.ORDINARY) == granted


@pytest.mark.parametrize("text", ["admin", "inference root", "openid " * 200])
def test_a_scope_that_a_client_cannot_have_is_refused(text):
    with pytest.raises(OAuthError) as refused:
        scopes.parsed(text, scopes.ORDINARY)
    assert refused.value.error is Refusal.INVALID_SCOPE


def test_a_refreshed_token_never_gains_a_scope():
    assert scopes.narrowed(None, ("openid", "inference")) == ("openid", "inference")
    assert scopes.narrowed("inference", ("openid", "inference")) == ("inference",)
    for text in ("models", "inference admin", ""):
        with pytest.raises(OAuthError):
            scopes.narrowed(text, ("openid", "inference"))


HUB = "https://hub.example"


@pytest.mark.parametrize(
    ("asked", "audience"),
    [
        ([], HUB),
        ([""], HUB),
        ([HUB], HUB),
        ([HUB + "/"], HUB),
        (["https://api.example/v1"], "https://api.example/v1"),
        (["https://api.example/v1"] * 2, "https://api.example/v1"),
    ],
)
def test_a_token_is_for_one_resource(asked, audience):
    assert resources.requested(asked, HUB) == audience


@pytest.mark.parametrize(
    "asked",
    [
        ["https://a.example", "https://b.example"],
        ["https://a.example#x"],
        ["a.example"],
        ["/v1"],
        ["urn:a"],
        ["https://u@a.example"],
        ["https://a.example/ x"],
        ["https://[a"],
        ["https://a.example/" + "a" * 2_000],
    ],
)
def test_a_resource_that_is_none_is_refused(asked):
    with pytest.raises(OAuthError) as refused:
        resources.requested(asked, HUB)
    assert refused.value.error is Refusal.INVALID_TARGET


def test_a_client_that_says_little_is_public_and_ordinary():
    about = clients.described({"redirect_uris": [WEB], "logo_uri": "javascript:1"}, trusted=False)
    assert about.authentication is clients.Authentication.NONE
    assert about.grants == {clients.GrantType.CODE, clients.GrantType.REFRESH}
    assert about.scopes == scopes.ORDINARY
    assert not about.native


def test_a_loopback_address_makes_a_client_native():
    about = clients.described({"redirect_uris": ["http://127.0.0.1/cb"]}, trusted=False)
    assert about.native


@pytest.mark.parametrize(
    "document",
    [
        {},
        {"redirect_uris": []},
        {"redirect_uris": WEB},
        {"redirect_uris": [1]},
        {"redirect_uris": [WEB] + [f"{WEB}{n}" for n in range(16)]},
        {"redirect_uris": [WEB], "application_type": "desktop"},
        {"redirect_uris": ["http://127.0.0.1/cb"], "application_type": "web"},
        {"redirect_uris": [WEB], "token_endpoint_auth_method": "private_key_jwt"},
        {"redirect_uris": [WEB], "token_endpoint_auth_method": "client_secret_basic"},
        {"redirect_uris": [WEB], "token_endpoint_auth_method": []},
        {"redirect_uris": [WEB], "grant_types": ["implicit"]},
        {"redirect_uris": [WEB], "grant_types": ["password"]},
        {"redirect_uris": [WEB], "grant_types": ["client_credentials"]},
        {"redirect_uris": [WEB], "grant_types": []},
        {"redirect_uris": [WEB], "grant_types": "authorization_code"},
        {"redirect_uris": [WEB], "grant_types": [["authorization_code"]]},
        {"grant_types": ["refresh_token"]},
        {"redirect_uris": [WEB], "response_types": ["token"]},
        {"redirect_uris": [WEB], "response_types": ["code", "id_token"]},
        {"redirect_uris": [WEB], "scope": "admin"},
        {"redirect_uris": [WEB], "scope": ["inference"]},
        {"redirect_uris": [WEB], "scope": ""},
        {"redirect_uris": [WEB], "client_name": ""},
        {"redirect_uris": [WEB], "client_name": "a\u202eb"},
        {"redirect_uris": [WEB], "client_name": "a" * 81},
        {"redirect_uris": [WEB], "client_name": 7},
        {"redirect_uris": [WEB], "client_uri": "javascript:alert(1)"},
        {"redirect_uris": [WEB], "client_uri": 'https://a.example/">'},
        {"redirect_uris": [WEB], "id_token_signed_response_alg": "none"},
        {"redirect_uris": [WEB], "id_token_signed_response_alg": "HS256"},
    ],
)
def test_a_stranger_registers_nothing_else(document):
    with pytest.raises(OAuthError):
        clients.described(document, trusted=False)


def test_an_administrator_registers_what_authenticates():
    about = clients.described({"grant_types": ["client_credentials"]}, trusted=True)
    assert about.authentication is clients.Authentication.BASIC
    with pytest.raises(OAuthError, match="authenticates"):
        clients.described(
            {"grant_types": ["client_credentials"], "token_endpoint_auth_method": "none"},
            trusted=True,
        )


def test_a_user_code_is_read_as_people_type_it():
    code = user_codes.code_of(bytes(range(9)))
    assert code == "BCDFGHJKL"
    assert user_codes.shown(code) == "BCD-FGH-JKL"
    for typed in ("bcd-fgh-jkl", " BCD FGH JKL", "bcdfghjkl"):
        assert user_codes.normalised(typed) == code
    for typed in ("", "BCD-FGH-JK", "BCD-FGH-JKA", "BCD-FGH-JKLM"):
        assert user_codes.normalised(typed) is None


def test_a_user_code_is_drawn_evenly():
    assert user_codes.code_of(bytes([240, 255, 250])) is None
    assert user_codes.code_of(bytes([250, *range(9)])) == "BCDFGHJKL"


def test_a_guess_meets_a_code_less_than_once_in_a_million():
    chance = user_codes.LIVE_MAX * user_codes.GUESSES_MAX / 20**user_codes.LETTERS
    assert chance < 1e-6
