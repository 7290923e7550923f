"""Signing in with a wallet in a browser without script: the code, the account, the key."""

import base64
import hashlib
import json
import re

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from tests.api import Api
from tests.hub import HubProcess
from tests.person import Person, age, id_of, leads_to, newcomer, rows
from tests.wallet import Handshake, Wallet, given, go_through

from aigne_hub.crypto.custodial import new_identity
from aigne_hub.crypto.did import RoleType, did_of, parse
from aigne_hub.crypto.did_export import FORMAT
from aigne_hub.storage import schema
from aigne_hub.web.session import RECENT_US

PAGE, ACCOUNT = "/sign-in/wallet", "/account/wallet"
WORDS = "several words of mine"


@pytest.fixture(scope="module")
def hub(tmp_path_factory):
    with HubProcess(tmp_path_factory.mktemp("wallet-pages"), {}) as running:
        yield running


def shown(person: Person, answer, came_from: str = PAGE) -> tuple[str, Handshake]:
    """Return the page with the code, and the handshake that the code is for."""
    page = leads_to(answer, came_from)
    text = person.get(page).text
    (url,) = re.findall(r'href="(https://abtwallet\.io/[^"]+)"', text)
    token = page.partition("_t_=")[2]
    return page, Handshake(Api(person.hub), token, url.replace("&amp;", "&"))


def test_a_person_signs_in_by_a_code(hub):
    person, wallet = Person(hub), Wallet()
    assert f'action="{"sign-in/wallet"}"' in person.get("/sign-in").text.replace('"./', '"')
    page, handshake = shown(person, person.post(PAGE, {"next": "/account?x=1"}))
    waiting = person.get(page)
    assert '<meta http-equiv="refresh" content="3">' in waiting.text
    assert '<svg class="qr"' in waiting.text
    assert "<script" not in waiting.text
    assert waiting.headers["cache-control"] == "no-store"
    request = handshake.ask()
    assert "has read the code" in person.get(page).text
    while "requestedClaims" in request:
        token = wallet.token(request["challenge"], given(wallet, request))
        request = handshake.answer(wallet, token)
    assert leads_to(person.get(page), PAGE) == "/account?x=1"
    assert did_of(wallet.did.address) in person.get("/account").text
    # The page knows the way once the outcome has been collected, and signs nobody in twice.
    person.cookies.pop("aigne-hub-session")
    person.get(page)
    assert person.token is None


def test_a_code_is_for_the_browser_that_asked_for_it(hub):
    person, thief, wallet = Person(hub), Person(hub), Wallet()
    page, handshake = shown(person, person.post(PAGE, {}))
    assert thief.get(page).status == 404
    go_through(handshake, wallet)
    assert thief.get(page).status == 404
    assert thief.token is None
    person.get(page)
    assert person.token is not None


@pytest.mark.parametrize(
    "headers",
    [{"sec_fetch_site": "cross-site"}, {"origin": "https://elsewhere.example"}],
)
def test_no_other_site_begins_it(hub, headers):
    person = Person(hub)
    answer = person.post(PAGE, {}, **headers)
    assert answer.status == 403
    assert not person.cookies


@pytest.mark.parametrize("back_to", ["//elsewhere.example", "https://elsewhere.example", "/\\x"])
def test_it_leads_nowhere_else(hub, back_to):
    person = Person(hub)
    page, handshake = shown(person, person.post(PAGE, {"next": back_to}))
    go_through(handshake, Wallet())
    assert leads_to(person.get(page), PAGE) == "/account"


def test_a_sign_in_replaces_the_session_that_was_there(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    before = person.token
    page, handshake = shown(person, person.post(PAGE, {}))
    go_through(handshake, Wallet())
    person.get(page)
    assert person.token not in {None, before}
    other = Person(hub, cookies={"aigne-hub-session": before or ""})
    assert leads_to(other.get("/account"), "/account").startswith("/sign-in")


def test_declining_is_told(hub):
    person, wallet = Person(hub), Wallet()
    page, handshake = shown(person, person.post(PAGE, {}))
    challenge = handshake.ask()["challenge"]
    handshake.answer(wallet, wallet.token(challenge, [], action="declineAuth"))
    told = person.get(page).text
    assert "You have declined the request." in told
    assert "http-equiv" not in told
    assert person.token is None


def test_an_account_takes_a_wallets_did(hub):
    """Its keys and credits stay, and so does what it is."""
    person, email = newcomer(hub)
    hub.cli("credits", "grant", "--user", email, "--amount", "7")
    key = hub.cli("keys", "create", "--user", email)["key"]
    person.sign_in(email)
    old = hub.cli("users", "list")
    (before,) = [user for user in old if user["email"] == email]
    wallet = Wallet()
    sent = person.fill(ACCOUNT, {"action": "bind"})
    page, handshake = shown(person, sent, ACCOUNT)
    handshake.action = "bind"
    request = handshake.ask()
    claims = [{"type": "authPrincipal"}]
    request = handshake.answer(wallet, wallet.token(request["challenge"], claims))
    (asked,) = request["requestedClaims"]
    assert asked["type"] == "signature"
    stranger = Wallet()
    text = b"something else"
    wrong = [{"type": "signature", "sig": wallet.signature(text)}]
    told = handshake.answer(wallet, wallet.token(request["challenge"], wrong))
    assert "is not one of the text" in told["errorMessage"]
    wrong = [{"type": "signature", "sig": stranger.signature(text)}]
    told = handshake.answer(wallet, wallet.token(request["challenge"], wrong))
    assert told["status"] == "error"
    right = wallet.token(request["challenge"], given(wallet, request))
    assert handshake.answer(wallet, right)["status"] == "ok"
    assert leads_to(person.get(page), PAGE) == ACCOUNT
    (after,) = [user for user in hub.cli("users", "list") if user["email"] == email]
    assert after == {**before, "did": did_of(wallet.did.address)}
    me = Api(hub, key).get("/api/user/info").json
    assert me["user"]["did"] == after["did"]
    assert hub.cli("credits", "balance", "--user", email)["balance"] == "7"
    # Calls of before are recorded by the DID of before.
    assert hub.cli("keys", "list", "--user", before["did"])
    again = Person(hub)
    page, handshake = shown(again, again.post(PAGE, {}))
    go_through(handshake, wallet)
    again.get(page)
    assert email in again.get("/account").text


def test_a_wallet_that_was_replaced_opens_the_account_no_more(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    lost, new = Wallet(), Wallet()
    for wallet in (lost, new):
        page, handshake = shown(person, person.fill(ACCOUNT, {"action": "bind"}), ACCOUNT)
        handshake.action = "bind"
        assert go_through(handshake, wallet)["status"] == "ok"
        person.get(page)
    finder = Person(hub)
    page, handshake = shown(finder, finder.post(PAGE, {}))
    go_through(handshake, lost)
    finder.get(page)
    account = finder.get("/account").text
    assert did_of(lost.did.address) in account
    assert email not in account


def test_a_did_of_another_user_is_not_taken(hub):
    wallet, person = Wallet(), Person(hub)
    _, handshake = shown(person, person.post(PAGE, {}))
    go_through(handshake, wallet)
    other, email = newcomer(hub)
    other.sign_in(email)
    _, handshake = shown(other, other.fill(ACCOUNT, {"action": "bind"}), ACCOUNT)
    handshake.action = "bind"
    assert "another user's" in go_through(handshake, wallet)["errorMessage"]


def test_binding_needs_a_person_who_has_just_signed_in(hub):
    person, email = newcomer(hub)
    assert Api(hub, hub.key).get("/api/did/bind/token").status == 401
    person.sign_in(email)
    csrf = person.csrf(ACCOUNT)
    age(hub, email, RECENT_US)
    answer = person.post(ACCOUNT, {"csrf": csrf, "action": "bind"})
    assert "step-up" in leads_to(answer, ACCOUNT)
    assert person.get("/api/did/bind/token").status == 403
    assert person.post(ACCOUNT, {"csrf": "0" * 64, "action": "bind"}).status == 403


def test_switching_to_another_user(hub):
    first, second = Wallet(), Wallet()
    person = Person(hub)
    for wallet in (second, first):
        page, handshake = shown(person, person.post(PAGE, {}))
        go_through(handshake, wallet)
        person.get(page)
    for wallet, words in ((first, "signed in already"), (Wallet(), "no user with this DID")):
        _, handshake = shown(person, person.fill(ACCOUNT, {"action": "switch"}), ACCOUNT)
        assert words in go_through(handshake, wallet)["errorMessage"]
    page, handshake = shown(person, person.fill(ACCOUNT, {"action": "switch"}), ACCOUNT)
    assert go_through(handshake, second)["status"] == "ok"
    assert leads_to(person.get(page), PAGE) == "/account"
    assert did_of(second.did.address) in person.get("/account").text


# The key of a custodial DID.


def opened(document: dict[str, object], passphrase: str) -> dict[str, object]:
    """Open an exported key as docs/did.md says."""
    kdf, cipher = document["kdf"], document["cipher"]
    key = hashlib.scrypt(
        passphrase.encode(),
        salt=base64.b64decode(kdf["salt"]),
        n=kdf["n"],
        r=kdf["r"],
        p=kdf["p"],
        maxmem=2**26,
        dklen=32,
    )
    sealed = base64.b64decode(document["sealed"])
    nonce = base64.b64decode(cipher["nonce"])
    content = AESGCM(key).decrypt(nonce, sealed, document["did"].encode())
    return dict(json.loads(content))


def test_a_person_takes_their_key_along(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    form = {"passphrase": WORDS, "again": WORDS}
    answer = person.fill(ACCOUNT, form, f"{ACCOUNT}/export")
    assert answer.headers["content-disposition"] == 'attachment; filename="did.json"'
    assert answer.headers["cache-control"] == "no-store"
    document = answer.json
    assert document["format"] == FORMAT
    wallet = opened(document, WORDS)
    seed = bytes.fromhex(wallet["sk"][2:])[:32]
    made = new_identity(RoleType.ACCOUNT, lambda _: seed)
    assert made.did == document["did"]
    assert (wallet["address"], wallet["pk"]) == (made.address, f"0x{made.public_key.hex()}")
    assert wallet["type"] == {
        "role": "ROLE_ACCOUNT",
        "pk": "ED25519",
        "hash": "SHA3",
        "address": "BASE58",
    }
    with pytest.raises(InvalidTag):
        opened(document, WORDS + "x")
    with pytest.raises(InvalidTag):
        opened({**document, "did": "did:abt:z1"}, WORDS)


def test_exporting_takes_a_fresh_sign_in_and_two_equal_passphrases(hub):
    person, email = newcomer(hub)
    person.sign_in(email)
    for form in (
        {"passphrase": WORDS, "again": "x"},
        {"passphrase": "short", "again": "short"},
        {"passphrase": "x" * 1100, "again": "x" * 1100},
    ):
        assert person.fill(ACCOUNT, form, f"{ACCOUNT}/export").status == 400
    exported = schema.audit_log.c.action == "user.export_did"
    mine = schema.audit_log.c.object == id_of(hub, email)
    assert rows(hub, schema.audit_log, exported, mine) == []
    csrf = person.csrf(ACCOUNT)
    age(hub, email, RECENT_US)
    form = {"csrf": csrf, "passphrase": WORDS, "again": WORDS}
    assert "step-up" in leads_to(person.post(f"{ACCOUNT}/export", form), ACCOUNT)
    assert person.post(f"{ACCOUNT}/export", {**form, "csrf": ""}).status == 403
    assert Person(hub).post(f"{ACCOUNT}/export", form).status == 303
    assert rows(hub, schema.audit_log, exported, mine) == []


def test_the_hub_keeps_no_key_of_who_brings_a_wallet(hub):
    person, wallet = Person(hub), Wallet()
    page, handshake = shown(person, person.post(PAGE, {}))
    go_through(handshake, wallet)
    person.get(page)
    assert "in your wallet" in person.get(ACCOUNT).text
    form = {"passphrase": WORDS, "again": WORDS}
    assert person.fill(ACCOUNT, form, f"{ACCOUNT}/export").status == 404


def test_the_command_exports_sealed_and_in_clear(hub, tmp_path):
    _, email = newcomer(hub, None)
    clear = hub.cli("users", "export-did", "--user", email)
    words = tmp_path / "words"
    words.write_text(f"{WORDS}\nand more\n")
    sealed = hub.cli("users", "export-did", "--user", email, "--passphrase-file", str(words))
    assert opened(sealed, WORDS) == clear
    assert parse(sealed["did"]).address == clear["address"]
    exported = schema.audit_log.c.action == "user.export_did"
    mine = schema.audit_log.c.object == id_of(hub, email)
    assert len(rows(hub, schema.audit_log, exported, mine)) == 2
    words.write_text("short")
    refused = hub.run("users", "export-did", "--user", email, "--passphrase-file", str(words))
    assert refused.returncode == 2
    missing = str(tmp_path / "missing")
    assert hub.run("users", "export-did", "--user", email, "--passphrase-file", missing).returncode
