"""Other people's OAuth clients complete every flow: openid-client, oauth4webapi, Authlib."""

import json
import subprocess
from pathlib import Path

import pytest
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.jwk import KeySet
from tests.environments import modules_of, node
from tests.hub import HubProcess
from tests.oauth import CALLBACK, Person, Site

SCRIPTS = Path(__file__).parent / "oauth"
DEVICE = "urn:ietf:params:oauth:grant-type:device_code"
RUN_S = 120.0


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("clients"), {}) as hub:
        hub.admin_key = hub.cli("keys", "create", "--user", hub.user, "--scope", "admin")["key"]
        yield Site(hub)


@pytest.fixture(scope="module")
def ada(site):
    return Person.sign_in(site, "ada@example.com")


def confidential(site, method):
    made = site.register(
        key=site.hub.admin_key,
        client_name="Known",
        redirect_uris=[CALLBACK],
        grant_types=["authorization_code", "refresh_token", "client_credentials"],
        token_endpoint_auth_method=method,
        id_token_signed_response_alg="EdDSA",
    ).json
    return [made["client_id"], made["client_secret"], method]


def visited(person, address):
    """Do what a person does in a browser; return where it ends up."""
    path = address.removeprefix(person.site.hub.address)
    page = person.get(path)
    if page.status == 303:
        return page.location
    fields = {**page.hidden(), "decision": "allow"}
    return person.post(path.partition("?")[0], fields).headers.get("location", "")


@pytest.mark.parametrize("script", ["use_openid_client", "use_oauth4webapi"])
def test_a_client_for_node_completes_every_flow(site, ada, script, tmp_path):
    given = {
        "issuer": site.hub.address,
        "callback": CALLBACK,
        "confidential": [
            confidential(site, method) for method in ("client_secret_basic", "client_secret_post")
        ],
    }
    # Node looks for packages beside the script and above it.
    (tmp_path / "node_modules").symlink_to(modules_of("openid-node"))
    there = tmp_path / f"{script}.mjs"
    there.write_bytes((SCRIPTS / f"{script}.mjs").read_bytes())
    with subprocess.Popen(
        [str(node()), str(there), json.dumps(given)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        done = None
        for line in process.stdout:
            said = json.loads(line)
            if "done" in said:
                done = said["done"]
                break
            went = {"went": visited(ada, said["visit"])}
            process.stdin.write(json.dumps(went) + "\n")
            process.stdin.flush()
        if done is None:
            process.kill()
            pytest.fail(process.stderr.read()[-3000:])
        process.wait(RUN_S)
    assert done["claims"]["sub"] == done["info"]["sub"] == ada.user.did
    assert done["claims"]["iss"] == site.hub.address
    assert set(done["scope"].split()) >= {"openid", "inference"}
    assert (done["reused"], done["revoked"]) == ("invalid_grant", "invalid_grant")
    assert done["device"] == "inference"
    for result in done["results"]:
        assert (result["scope"], result["live"], result["dead"]) == ("models", True, False)
        assert result["sub"] == ada.user.did
    assert done.get("access", True)
    assert done.get("servers", [site.hub.address]) == [site.hub.address]


def test_authlib_completes_every_flow(site, ada, monkeypatch):
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")
    about = site.get("/.well-known/oauth-authorization-server").json
    endpoint = about["token_endpoint"]
    for method in ("client_secret_basic", "client_secret_post"):
        client_id, secret, _ = confidential(site, method)
        with OAuth2Client(
            client_id,
            secret,
            scope="openid inference",
            redirect_uri=CALLBACK,
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            code_challenge_method="S256",
            token_endpoint=endpoint,
            trust_env=False,
        ) as client:
            verifier = "v" * 64
            url, state = client.create_authorization_url(
                about["authorization_endpoint"], code_verifier=verifier, nonce="n-7"
            )
            went = visited(ada, url)
            token = client.fetch_token(
                endpoint, authorization_response=went, state=state, code_verifier=verifier
            )
            keys = KeySet.import_key_set(client.get(about["jwks_uri"]).json())
            _require_sound(token["id_token"], keys, client_id, site.hub.address, ada)
            told = client.get(about["userinfo_endpoint"])
            assert told.json()["sub"] == ada.user.did
            again = client.refresh_token(endpoint, refresh_token=token["refresh_token"])
            assert again["refresh_token"] != token["refresh_token"]
            seen = client.introspect_token(
                about["introspection_endpoint"], token=again["access_token"]
            )
            assert seen.json()["active"]
            revoked = client.revoke_token(
                about["revocation_endpoint"], token=again["refresh_token"]
            )
            assert revoked.status_code == 200
            own = client.fetch_token(endpoint, grant_type="client_credentials", scope="models")
            assert own["scope"] == "models"
    _device(site, ada, about)


def _device(site, ada, about):
    client_id = site.client(grant_types=[DEVICE], redirect_uris=[])
    with OAuth2Client(client_id, token_endpoint_auth_method="none", trust_env=False) as client:
        begun = client.request(
            "POST",
            about["device_authorization_endpoint"],
            data={"client_id": client_id},
            withhold_token=True,
        ).json()
        visited(ada, begun["verification_uri_complete"])
        token = client.fetch_token(
            about["token_endpoint"], grant_type=DEVICE, device_code=begun["device_code"]
        )
        assert token["scope"] == "inference"


def _require_sound(id_token, keys, client_id, issuer, person):
    quiet = jwt.JWSRegistry(algorithms=["EdDSA"])
    with pytest.warns(match="EdDSA"):
        decoded = jwt.decode(id_token, keys, registry=quiet)
    claims = CodeIDToken(
        decoded.claims,
        decoded.header,
        {"iss": {"value": issuer}, "aud": {"value": client_id}},
        {"nonce": "n-7"},
    )
    claims.validate()
    assert claims["sub"] == person.user.did
