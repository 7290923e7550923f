"""A wallet made of `@ocap/wallet` and `@arcblock/jwt` signs in at a running hub."""

import json
import random
import string
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.api import Api
from tests.clients.arcblock.asking import answers, run
from tests.hub import HubProcess
from tests.person import newcomer
from tests.wallet import Wallet

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType, did_of
from aigne_hub.crypto.did_export import wallet_json
from aigne_hub.web import qr

Play = dict[str, Any]


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HubProcess]:
    config = {"billing": {"enabled": True, "new_user_credits": "3"}}
    with HubProcess(tmp_path_factory.mktemp("wallet"), config) as running:
        yield running


def played(hub: HubProcess, home: Path, *plays: Play) -> list[Any]:
    """Let the wallet do what it is told, and return what each step gave."""
    (home / "plays.json").write_text(json.dumps({"hub": hub.address, "plays": plays}))
    run("wallet.mjs", home)
    told: list[Any] = json.loads((home / "told.json").read_text())
    return told


def login(name: str, action: str = "login", **how: Any) -> list[Play]:
    """Return the steps of somebody who signs in, or does another thing as willingly."""
    more = {"name": name, **how}
    return [
        {"do": "begin", **more, "action": action},
        {"do": "ask", "name": name},
        {"do": "answer", **more},
        {"do": "answer", **more},
        {"do": "status", "name": name},
    ]


@pytest.mark.parametrize("key", ["ed25519", "secp256k1", "ethereum"])
def test_a_new_wallet_signs_in_and_calls(hub: HubProcess, tmp_path: Path, key: str):
    steps = login("a", key=key)
    begun, asked, next_, last, status, did, *_ = played(
        hub, tmp_path, *steps, {"do": "did", "key": key}, *login("b", key=key)
    )
    assert begun["scheme"] == "https://abtwallet.io/i/"
    assert begun["begun"]["status"] == "created"
    assert [claim["type"] for claim in asked["requestedClaims"]] == ["authPrincipal"]
    assert [claim["type"] for claim in next_["requestedClaims"]] == ["profile"]
    assert last["status"] == "ok"
    assert status["body"]["status"] == "succeed"
    me = Api(hub, status["body"]["loginToken"])
    assert me.get("/api/user/info").json["user"]["did"] == did
    assert me.get("/v1/models").status == 200
    assert hub.cli("credits", "balance", "--user", did)["balance"] == "3"


def test_the_login_token_is_sealed_for_who_asked(hub: HubProcess, tmp_path: Path):
    told = played(hub, tmp_path, *login("a", seal=True))
    sealed, opened = told[-1]["body"]["loginToken"], told[-1]["opened"]
    assert sealed != opened
    assert Api(hub, opened).get("/api/user/info").status == 200
    assert Api(hub, sealed).get("/api/user/info").status == 401


def test_what_does_not_sign_in(hub: HubProcess, tmp_path: Path):
    """Another wallet, a refusal, old tokens, answers of before and of other sessions."""
    begun = [{"do": "begin", "name": name} for name in "abcdefg"]
    asks = [{"do": "ask", "name": name} for name in "abcdefg"]
    told = played(
        hub,
        tmp_path,
        *begun,
        *asks,
        {"do": "answer", "name": "a"},
        {"do": "answer", "name": "a", "wallet": "another"},
        {"do": "status", "name": "a"},
        {"do": "answer", "name": "b", "action": "declineAuth"},
        {"do": "status", "name": "b"},
        {"do": "answer", "name": "c", "shift": -400},
        {"do": "answer", "name": "c", "shift": 400},
        {"do": "answer", "name": "d"},
        {"do": "answer", "name": "d", "replay": True},
        {"do": "answer", "name": "e", "to": "f"},
        {"do": "status", "name": "f"},
    )[14:]
    first, another, forbidden, declined, error, old, early, fine, replayed, theirs, scanned = told
    assert "requestedClaims" in first
    assert "Another wallet" in another["errorMessage"]
    assert (forbidden["status"], "loginToken" in forbidden["body"]) == (403, False)
    assert "declined" in declined["errorMessage"]
    assert error["body"]["status"] == "error"
    assert "it has expired" in old["errorMessage"]
    assert "of the future" in early["errorMessage"]
    assert "requestedClaims" in fine
    assert "Challenge mismatch" in replayed["errorMessage"]
    assert "Challenge mismatch" in theirs["errorMessage"]
    assert scanned["body"]["status"] == "scanned"


def test_a_wallet_becomes_an_accounts(hub: HubProcess, tmp_path: Path):
    person, email = newcomer(hub)
    person.address = "127.0.0.1"
    person.sign_in(email)
    cookie = f"aigne-hub-session={person.token}"
    told = played(
        hub,
        tmp_path,
        *login("a", action="bind", cookie=cookie),
        {"do": "did"},
        *login("b"),
    )
    assert "requestedClaims" in told[2], told[2]
    signature = told[2]["requestedClaims"][0]
    assert (signature["type"], signature["typeUrl"]) == ("signature", "mime:text/plain")
    assert told[3]["status"] == "ok"
    did = told[5]
    (user,) = [user for user in hub.cli("users", "list") if user["email"] == email]
    assert user["did"] == did
    me = Api(hub, told[-1]["body"]["loginToken"]).get("/api/user/info").json
    assert me["user"]["did"] == did


def test_terms_and_a_credential(tmp_path: Path):
    issuer = Wallet(role=RoleType.APPLICATION)
    did = did_of(issuer.did.address)
    config = {
        "did": {
            "terms_url": "https://hub.example/terms",
            "terms_sha256": "ab" * 32,
            "credential_type": "Passport",
            "credential_issuers": [did],
        }
    }
    held = wallet_json(did, issuer.secret + issuer.public)
    (tmp_path / "hub").mkdir()
    with HubProcess(tmp_path / "hub", config) as hub:
        refused = played(hub, tmp_path, *login("a", issuer=held, agreed=False))
        assert "not agreed" in refused[3]["errorMessage"]
        assert "loginToken" not in refused[4]["body"]
        told = played(hub, tmp_path, *login("a", issuer=held))
        kinds = [claim["type"] for claim in told[2]["requestedClaims"]]
        assert kinds == ["profile", "agreement", "verifiableCredential"]
        assert told[3]["status"] == "ok", told[3]
        assert "loginToken" in told[4]["body"]


def test_an_exported_key_signs_in_from_a_wallet_of_its_own(hub: HubProcess, tmp_path: Path):
    _, email = newcomer(hub, None)
    exported = hub.cli("users", "export-did", "--user", email)
    told = played(hub, tmp_path, *login("a", json=exported), {"do": "did", "json": exported})
    assert told[3]["status"] == "ok"
    (user,) = [user for user in hub.cli("users", "list") if user["email"] == email]
    assert user["did"] == told[-1]


def test_the_hub_is_an_application_to_them(tmp_path: Path):
    identity = new_identity(RoleType.APPLICATION, lambda size: bytes(range(size)))
    assert answers([{"op": "did", "text": identity.did}], tmp_path) == [[3, 0, 1]]


def test_anothers_decoder_reads_our_codes(tmp_path: Path):
    rng = random.Random(5)
    counts = [1, 17, 18, 60, 106, 107, 165, 230, 271, 400, 586, 858]
    texts = ["".join(rng.choices(string.printable[:90], k=count)) for count in counts]
    texts.append("https://münchen.example/é😀")
    cases = [{"op": "qr", "rows": qr.modules(text), "scale": 4} for text in texts]
    assert answers(cases, tmp_path) == texts
