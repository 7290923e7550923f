"""`providers test` asks every kind for its models, where and with the key that the vendor wants."""

import json
from collections.abc import Iterator

import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from tests.contract.scripted import Answer, Scripted, scripted
from tests.contract.test_providers import FIXTURES, SECRET

from aigne_hub.catalog.snapshot import Credential, Provider
from aigne_hub.providers.profiles import profile_of
from aigne_hub.server.probe import Target, probe, targets_of

LISTS = {
    "azure": "/openai/v1/models",
    "azure-deployments": "/openai/v1/models",
    "anthropic": "/v1/models",
    "cohere": "/compatibility/v1/models",
    "deepseek": "/models",
    "doubao": "/api/v3/models",
    "fireworks": "/inference/v1/models",
    "google": "/v1beta/models",
    "groq": "/openai/v1/models",
    "mistral": "/v1/models",
    "ollama": "/v1/models",
    "openai": "/v1/models",
    "openrouter": "/api/v1/models",
    "poe": "/v1/models",
    "together": "/v1/models",
    "vllm": "/v1/models",
    "xai": "/v1/models",
}
SHAPES = {"google": {"models": [{"name": "models/m"}]}, "together": [{"id": "m"}]}


@pytest.fixture(scope="module")
def upstream() -> Iterator[Scripted]:
    with scripted() as server:
        yield server


def provider(upstream: Scripted, name: str) -> Provider:
    vendor = FIXTURES[name]
    keys = () if vendor.get("keyless") else (Credential("id", "main", 1, SECRET),)
    base_url = f"{upstream.url}/{name}{vendor['mount']}"
    return Provider("id", name, vendor["kind"], base_url, trusted=True, credentials=keys)


@pytest.mark.parametrize("name", LISTS)
def test_a_key_is_tried_where_its_vendor_lists_models(upstream: Scripted, name: str):
    upstream.seen.clear()
    upstream.offered = {f"/{name}{LISTS[name]}": SHAPES.get(name, {"data": [{"id": "m"}]})}
    (found,) = probe(targets_of(provider(upstream, name)), {}, model="m")
    assert (found.ok, found.detail) == (True, "answers with 1 models")
    (seen,) = upstream.seen
    served = FIXTURES[name]["serves"][0]["key"]
    if served is not None:
        assert seen.headers[served[0]] == served[1]
    (missing,) = probe(targets_of(provider(upstream, name)), {}, model="other")
    assert not missing.ok


@pytest.mark.parametrize("name", sorted(FIXTURES.keys() - LISTS))
def test_a_vendor_without_a_list_is_not_asked(upstream: Scripted, name: str):
    upstream.seen.clear()
    assert profile_of(FIXTURES[name]["kind"], provider(upstream, name).base_url).models_path is None
    (found,) = probe(targets_of(provider(upstream, name)), {})
    assert found.ok
    assert "only a call shows" in found.detail
    assert upstream.seen == []


@pytest.mark.parametrize(
    ("answer", "ok", "said"),
    [
        (Answer((b'{"access_token":"ya29.t","expires_in":3600}',)), True, "gives a token"),
        (Answer((b'{"error":"invalid_grant"}',), 400), False, "400: invalid_grant"),
    ],
)
def test_a_service_account_is_tried_by_its_token(
    upstream: Scripted, answer: Answer, ok: bool, said: str
):
    key = generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    account = {
        "type": "service_account",
        "private_key_id": "k1",
        "private_key": pem,
        "client_email": "hub@p.iam.gserviceaccount.com",
        "token_uri": f"{upstream.url}/token",
    }
    upstream.answer = answer
    upstream.seen.clear()
    vertex = provider(upstream, "vertex")
    (found,) = probe([Target(vertex, Credential("id", "main", 1, json.dumps(account)))], {})
    assert found.ok is ok
    assert said in found.detail
    (seen,) = upstream.seen
    assert seen.path == "/token"
    assert b"jwt-bearer" in seen.body
    (broken,) = probe([Target(vertex, Credential("id", "main", 1, "{}"))], {})
    assert (broken.ok, broken.detail.startswith("its key is not")) == (False, True)
