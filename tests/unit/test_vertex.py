"""Vertex AI: where calls go, and the tokens that a service account is worth."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qs

import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey, generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.domain.errors import UpstreamError
from aigne_hub.domain.faults import Fault
from aigne_hub.hub_file.declared import DeclaredCredential
from aigne_hub.providers.connecting import connected, misfit
from aigne_hub.providers.profiles import languages_of
from aigne_hub.providers.service_account import ServiceAccount, token_in
from aigne_hub.providers.tokens import AGAIN_S, AHEAD_S, Tokens
from aigne_hub.providers.vertex import said_below_a_model
from aigne_hub.transport import ConnectFailed

BASE = "https://us-central1-aiplatform.googleapis.com/v1/projects/p/locations/us-central1"
KEY = generate_private_key(public_exponent=65537, key_size=2048)
PEM = KEY.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
ACCOUNT = {
    "type": "service_account",
    "project_id": "p",
    "private_key_id": "k1",
    "private_key": PEM,
    "client_email": "hub@p.iam.gserviceaccount.com",
    "token_uri": "https://oauth2.googleapis.com/token",
}
START_S = 1_800_000_000


class Clock:
    def __init__(self) -> None:
        self.s = START_S

    def now_us(self) -> int:
        return self.s * 1_000_000

    def monotonic_us(self) -> int:
        return self.now_us()


class Answer:
    def __init__(self, status: int, body: bytes) -> None:
        self.status = status
        self._body = body

    async def read(self) -> bytes:
        return self._body


class Client:
    """Answers the token endpoint with what `grants` returns, and notes every request."""

    def __init__(self, grants: Callable[[], Answer] | None = None) -> None:
        self.heads: list[list[str]] = []
        self.bodies: list[bytes] = []
        self.asked = 0
        self._grants = grants or (lambda: granted(f"ya29.{self.asked}"))

    async def send(self, origin: Any, head: bytes, body: bytes) -> Any:
        if origin.host == "oauth2.googleapis.com":
            self.asked += 1
            await asyncio.sleep(0)
            self.grant = head, body
            return self._grants()
        self.heads.append(head.decode().split("\r\n")[:-1])
        self.bodies.append(body)
        return None


def granted(token: str = "ya29.t", lasts: int = 3_600) -> Answer:
    return Answer(200, json.dumps({"access_token": token, "expires_in": lasts}).encode())


def upstream(client: Any, language: str, secret: str, clock: Any = None) -> Any:
    provider = Provider("id", "p", "vertex", BASE, trusted=True, credentials=())
    credential = Credential("id", "main", 1, secret=secret)
    return connected(client, provider, credential, language, clock or Clock())


def sent(language: str, model: str, operation: str, body: bytes = b"{}") -> tuple[list[str], Any]:
    client: Any = Client()
    serving = upstream(client, language, "ya29.fixed").serving(model)
    asyncio.run(serving.send(operation, body, b"anthropic-beta: b\r\n"))
    return client.heads[0], json.loads(client.bodies[0])


@pytest.mark.parametrize(
    ("model", "method", "path"),
    [
        ("gemini-3-pro", "generateContent", "google/models/gemini-3-pro:generateContent"),
        (
            "gemini-3-pro",
            "streamGenerateContent",
            "google/models/gemini-3-pro:streamGenerateContent?alt=sse",
        ),
        ("publishers/meta/models/l", "countTokens", "meta/models/l:countTokens"),
    ],
)
def test_gemini_is_below_the_project(model: str, method: str, path: str):
    head, _ = sent("gemini", model, f"v1beta/models/x:{method}")
    assert head[0] == (f"POST /v1/projects/p/locations/us-central1/publishers/{path} HTTP/1.1")
    assert "authorization: Bearer ya29.fixed" in head


CLAUDE = "claude-sonnet-4-5@20250929"


@pytest.mark.parametrize(
    ("operation", "given", "target", "said"),
    [
        ("messages", {"model": "m", "a": 1}, f"{CLAUDE}:rawPredict", {"a": 1}),
        (
            "messages",
            {"model": "m", "stream": True},
            f"{CLAUDE}:streamRawPredict",
            {"stream": True},
        ),
        (
            "messages/count_tokens",
            {"model": "m", "a": 1},
            "count-tokens:rawPredict",
            {"model": "m", "a": 1},
        ),
    ],
)
def test_claude_is_a_raw_prediction(
    operation: str, given: dict[str, Any], target: str, said: dict[str, Any]
):
    head, body = sent("anthropic", CLAUDE, operation, json.dumps(given).encode())
    assert head[0].endswith(f"/publishers/anthropic/models/{target} HTTP/1.1")
    assert "anthropic-beta: b" in head
    assert body == {"anthropic_version": "vertex-2023-10-16", **said}


def test_a_body_keeps_the_version_it_has():
    body, _ = said_below_a_model(b'{"anthropic_version":"other"}', "mine")
    assert json.loads(body) == {"anthropic_version": "other"}
    for odd in (b"[1]", b"{", b'"\xff"'):
        assert said_below_a_model(odd, "mine") == (odd, False)


def test_a_models_name_tells_its_language():
    assert languages_of("vertex", CLAUDE) == {"anthropic"}
    assert languages_of("vertex", "gemini-3-pro") == {"gemini"}
    assert languages_of("vertex") == {"anthropic", "gemini"}


# -- service accounts ---------------------------------------------------------------------


def part(text: str) -> Any:
    return json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))


def test_an_assertion_is_signed_and_says_what_google_asks():
    form = parse_qs(ServiceAccount.parse(json.dumps(ACCOUNT)).request(START_S).decode())
    assert form["grant_type"] == ["urn:ietf:params:oauth:grant-type:jwt-bearer"]
    head, claims, signature = form["assertion"][0].split(".")
    assert part(head) == {"alg": "RS256", "typ": "JWT", "kid": "k1"}
    assert part(claims) == {
        "iss": ACCOUNT["client_email"],
        "scope": "https://www.googleapis.com/auth/cloud-platform",
        "aud": ACCOUNT["token_uri"],
        "iat": START_S,
        "exp": START_S + 3_600,
    }
    public = KEY.public_key()
    assert isinstance(public, RSAPublicKey)
    raw = base64.urlsafe_b64decode(signature + "=" * (-len(signature) % 4))
    public.verify(raw, f"{head}.{claims}".encode(), PKCS1v15(), SHA256())


def tokens(client: Any, clock: Clock) -> Tokens:
    account = ServiceAccount.parse(json.dumps(ACCOUNT))
    return Tokens(client, account, clock, trusted=True)


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


async def test_calls_at_once_share_one_request_and_later_ones_need_none():
    client, clock = Client(), Clock()
    kept = tokens(client, clock)
    assert await asyncio.gather(*(kept.current() for _ in range(5))) == ["ya29.1"] * 5
    assert await kept.current() == "ya29.1"
    assert client.asked == 1
    head, _ = client.grant
    assert head.startswith(b"POST /token HTTP/1.1\r\n")


async def test_a_token_is_renewed_beside_the_calls_before_it_ends():
    client, clock = Client(), Clock()
    kept = tokens(client, clock)
    await kept.current()
    clock.s += 3_600 - AHEAD_S
    assert await kept.current() == "ya29.1"
    await settle()
    assert await kept.current() == "ya29.2"
    assert client.asked == 2


async def test_a_renewal_that_fails_is_tried_again_and_the_old_token_used_to_its_end():
    answers = [granted("ya29.old"), Answer(503, b""), Answer(503, b""), granted("ya29.new")]
    client, clock = Client(lambda: answers.pop(0)), Clock()
    kept = tokens(client, clock)
    await kept.current()
    clock.s += 3_600 - AHEAD_S
    for _ in range(3):
        assert await kept.current() == "ya29.old"
        await settle()
    assert client.asked == 2
    clock.s += AGAIN_S
    assert await kept.current() == "ya29.old"
    await settle()
    clock.s = START_S + 3_600
    assert await kept.current() == "ya29.new"


async def test_a_call_that_leaves_does_not_take_the_token_from_others():
    client, clock = Client(), Clock()
    kept = tokens(client, clock)
    leaving = asyncio.create_task(kept.current())
    staying = asyncio.create_task(kept.current())
    await asyncio.sleep(0)
    leaving.cancel()
    assert await staying == "ya29.1"
    assert client.asked == 1


def gone() -> Answer:
    raise ConnectFailed("refused")


@pytest.mark.parametrize(
    ("grants", "said", "fault"),
    [
        (lambda: Answer(400, b'{"error":"invalid_grant"}'), "400: invalid_grant", Fault.REFUSED),
        (lambda: Answer(400, b'{"error":"it says ya29.secret"}'), "answered 400.", Fault.REFUSED),
        (lambda: Answer(401, b'{"error":"invalid_client"}'), "401: invalid_client", Fault.REFUSED),
        (lambda: Answer(429, b""), "answered 429", Fault.THROTTLED),
        (lambda: Answer(503, b""), "answered 503", Fault.BROKEN),
        (lambda: Answer(200, b"<html>"), "without a token", Fault.BROKEN),
        (lambda: granted(""), "without a token", Fault.BROKEN),
        (lambda: granted("a\r\nb: c"), "without a token", Fault.BROKEN),
        (lambda: granted(lasts=0), "without a token", Fault.BROKEN),
        (gone, "refused", Fault.UNREACHABLE),
    ],
)  # fmt: skip
async def test_no_token_is_an_error_of_the_upstream_and_asked_for_anew(
    grants, said: str, fault: Fault
):
    client = Client(grants)
    kept = tokens(client, Clock())
    for _ in range(2):
        with pytest.raises(UpstreamError, match="No access token") as caught:
            await kept.current()
        assert said in caught.value.message
        assert "secret" not in caught.value.message
        assert caught.value.fault is fault
    assert client.asked == 2


def test_a_token_is_not_believed_to_last_longer_than_any_does():
    body = json.dumps({"access_token": "t", "expires_in": 10**9}).encode()
    assert token_in(200, body, START_S).ends_s == START_S + 3_600


def test_a_service_account_opens_a_call():
    client: Any = Client()
    serving = upstream(client, "gemini", json.dumps(ACCOUNT)).serving("gemini-3-pro")
    asyncio.run(serving.send("v1/models/x:generateContent", b"{}"))
    assert "authorization: Bearer ya29.1" in client.heads[0]
    assert PEM not in repr(ServiceAccount.parse(json.dumps(ACCOUNT)))


@pytest.mark.parametrize(
    ("secret", "said"),
    [
        ("{}", "its type is another"),
        (json.dumps(ACCOUNT | {"private_key": ""}), "without private_key"),
        (json.dumps(ACCOUNT | {"private_key": "pem"}), "not one in PEM"),
    ],
)
def test_a_bad_service_account_is_found_before_any_call(secret: str, said: str):
    found = misfit("vertex", BASE, ["ya29.fixed", secret])
    assert found is not None
    assert found[0] == "credentials[1].api_key"
    assert said in found[1]
    assert misfit("vertex", BASE, [json.dumps(ACCOUNT)]) is None


def test_a_bad_service_account_that_was_stored_fails_its_calls_alone():
    serving = upstream(Client(), "anthropic", "{}").serving(CLAUDE)
    with pytest.raises(UpstreamError, match="own credential is not the JSON") as caught:
        asyncio.run(serving.send("messages", b"{}"))
    assert caught.value.fault is Fault.REFUSED


def test_a_key_that_signs_nothing_is_refused():
    client: Any = Client()
    secret = json.dumps(ACCOUNT | {"private_key": PEM.replace("A", "?")})
    serving = upstream(client, "gemini", secret).serving("gemini-3-pro")
    with pytest.raises(UpstreamError, match="No access token") as caught:
        asyncio.run(serving.send("v1/models/x:generateContent", b"{}"))
    assert caught.value.fault is Fault.REFUSED
    assert client.asked == 0


def test_an_address_without_a_project_is_found_before_any_call():
    found = misfit("vertex", "https://us-central1-aiplatform.googleapis.com", [])
    assert found is not None
    assert found[0] == "base_url"
    assert "/v1/projects/PROJECT/locations/REGION" in found[1]


def test_a_file_of_many_lines_is_a_key_on_one():
    key = DeclaredCredential(name="main", api_key=json.dumps(ACCOUNT, indent=2)).api_key
    assert json.loads(key.get_secret_value()) == ACCOUNT
    assert "\n" not in key.get_secret_value()
    with pytest.raises(ValueError, match="begins like JSON"):
        DeclaredCredential(name="main", api_key='{"private_key": ')
