"""Signed requests: every form of them, what each covers, and who is let in."""

import asyncio
import base64
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from tests.signing import App

from aigne_hub.auth.signed import blocklet, http_message
from aigne_hub.auth.signed.claims import Application, Head
from aigne_hub.auth.signed.verifier import SignatureVerifier
from aigne_hub.auth.verifier import fields_of
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import Forbidden, HubError, InvalidRequest, Unauthenticated

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
NOW = 1_700_000_000
PATH = "/api/v1/chat/completions"
PUBLIC_URL = "https://hub.example.com"
BODY = b'{"model":"openai/gpt-4o","messages":[{"role":"user","content":"hi"}]}'
APP, SIBLING, STRANGER = App.new(), App.new(), App.new()
USER = "did:abt:z1muQ3xqHQK2uiACHyChikobsiY5kLqtShA"


@pytest.fixture(scope="module")
def vectors() -> Any:
    if not WIRE.is_dir():
        pytest.skip(f"the vectors are not part of this repository: no folder {WIRE}")
    return json.loads((WIRE / "did-vectors.json").read_text())


def head(
    headers: Mapping[str, str], *, method: str = "POST", path: str = PATH, query: str = ""
) -> Head:
    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
    return Head(method, path, query.encode(), lines, fields_of(lines))


def application(app: App, **changed: Any) -> Application:
    principal = Principal(
        user_id="u",
        user_did="did:abt:payer",
        key_id=app.did,
        app_did=app.did,
        role=Role.MEMBER,
        scopes=frozenset({Scope.INFERENCE}),
        app_is_verified=True,
    )
    return Application(app.identity.public_key, replace(principal, **changed))


class Known:
    """Applications and marks in memory."""

    def __init__(self, *apps: Application, siblings: tuple[Application, ...] = ()) -> None:
        self.apps = {one.principal.app_did: one for one in apps}
        self.of_siblings = siblings
        self.asked: list[str] = []
        self.marks: dict[bytes, int] = {}

    async def find(self, did: str) -> Application | None:
        self.asked.append(did)
        return self.apps.get(did)

    async def siblings(self) -> tuple[Application, ...]:
        return self.of_siblings

    async def is_first(self, mark: bytes, until_us: int) -> bool:
        if mark in self.marks:
            return False
        self.marks[mark] = until_us
        return True


def made(known: Known | None = None, now_s: float = NOW) -> tuple[SignatureVerifier, Known]:
    known = known or Known(application(APP), siblings=(application(SIBLING),))
    return SignatureVerifier(
        known,
        known,
        lambda: int(now_s * 1_000_000),
        public_url=lambda: PUBLIC_URL,
        mounts=("/ai-kit",),
    ), known


def verified(
    given: Head, body: bytes = BODY, *, verifier: SignatureVerifier | None = None
) -> Principal:
    async def content() -> bytes:
        return body

    return asyncio.run((verifier or made()[0]).verify(given, content))


def refused(given: Head, body: bytes = BODY, *, now_s: float = NOW) -> str:
    with pytest.raises(Unauthenticated) as caught:
        verified(given, body, verifier=made(now_s=now_s)[0])
    return caught.value.message


def message_headers(**given: Any) -> dict[str, str]:
    return APP.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW, **given)


# -- what the packages signed ----------------------------------------------------------------


def test_the_vectors_of_a_remote_application_hold(vectors: Any):
    vector = vectors["remoteSig"]
    said = json.loads(vector["payload"])
    headers = {
        "x-app-id": said["appId"],
        "x-timestamp": str(said["timestamp"]),
        "x-component-sig": vector["sig"],
    }
    body = json.dumps(said["data"], indent=1).encode()
    claim = blocklet.remote(head(headers), NOW * 1_000_000)
    assert claim.app_did == f"did:abt:{said['appId']}"
    assert claim.proof([bytes.fromhex(vectors["wallets"][1]["pk"][2:])], body) is not None
    assert claim.proof([STRANGER.identity.public_key], body) is None
    assert claim.proof([bytes.fromhex(vectors["wallets"][1]["pk"][2:])], b"{}") is None


def test_the_vectors_of_a_component_hold(vectors: Any):
    vector = vectors["componentSig"]
    said = json.loads(vector["payload"])
    headers = {
        "x-component-sig": vector["sig"],
        "x-component-sig-iat": str(said["iat"]),
        "x-component-sig-exp": str(said["exp"]),
    }
    body = json.dumps(said["body"]).encode()
    claim = blocklet.component(head(headers, query="a=1"), NOW * 1_000_000, ())
    assert claim.proof([bytes.fromhex(vectors["wallets"][1]["pk"][2:])], body) is not None
    other = blocklet.component(head(headers, query="a=2"), NOW * 1_000_000, ())
    assert other.proof([bytes.fromhex(vectors["wallets"][1]["pk"][2:])], body) is None


# -- who is let in ---------------------------------------------------------------------------


def test_each_form_lets_its_application_in():
    for given, app in (
        (head(APP.remote(BODY, at=NOW)), APP),
        (head(SIBLING.component(PATH, BODY, at=NOW)), SIBLING),
        (head(message_headers()), APP),
    ):
        assert verified(given).app_did == app.did


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"authorization": "Bearer blocklet-key"},
        {"x-api-key": "blocklet-key"},
        {"x-component-did": "z8iZ", "x-app-user-did": USER},
    ],
)
def test_what_is_not_signed_is_nobody(headers: dict[str, str]):
    assert "no API keys" in refused(head(headers))


@pytest.mark.parametrize(
    "headers",
    [
        STRANGER.remote(BODY, at=NOW),
        {**STRANGER.remote(BODY, at=NOW), "x-app-id": APP.address},
        {**STRANGER.component(PATH, BODY, at=NOW)},
        {**APP.component(PATH, BODY, at=NOW)},
        STRANGER.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW),
        STRANGER.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW, key_id=APP.did),
    ],
    ids=["unknown", "as another", "component", "no sibling", "message", "message as another"],
)
def test_a_stranger_is_refused_in_the_same_words(headers: dict[str, str]):
    words = refused(head({**APP.remote(BODY, at=NOW), "x-component-sig": "00" * 64}))
    assert refused(head(headers)) == words


def test_nobodys_key_is_nobodys():
    """RFC 8032's first test key has a public secret, and stands in for unknown applications."""
    seed = bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60")
    app = App(
        replace(
            STRANGER.identity,
            secret_key=seed
            + bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
        )
    )
    refused(head(app.remote(BODY, at=NOW)))
    refused(head(app.component(PATH, BODY, at=NOW)))


def test_one_form_is_no_way_around_another():
    good, bad = APP.remote(BODY, at=NOW), {"x-app-id": STRANGER.address, "x-timestamp": str(NOW)}
    component = SIBLING.component(PATH, BODY, at=NOW)
    refused(head({**component, **bad}))
    refused(head({**good, "signature-input": "sig=()", "signature": "sig=:AA==:"}))
    verified(head({**good, "authorization": "Bearer nonsense"}))


def test_an_application_has_only_its_scopes():
    verifier, _ = made(Known(application(APP, scopes=frozenset({Scope.MODELS}))))
    with pytest.raises(Forbidden):
        verified(head(APP.remote(BODY, at=NOW)), verifier=verifier)


def test_applications_are_remembered_until_something_changes():
    verifier, known = made()
    for second in range(3):
        verified(head(APP.remote(BODY, at=NOW - second)), verifier=verifier)
        with pytest.raises(Unauthenticated):
            verified(head(STRANGER.remote(BODY, at=NOW)), verifier=verifier)
    assert known.asked == [APP.did, STRANGER.did]
    known.apps.clear()
    verifier.forget()
    with pytest.raises(Unauthenticated):
        verified(head(APP.remote(BODY, at=NOW - 9)), verifier=verifier)


def test_a_body_is_not_waited_for_in_vain():
    async def never() -> bytes:
        raise AssertionError("the body was read")

    for headers in ({}, APP.remote(at=NOW - 601), {"signature-input": "sig=()"}):
        with pytest.raises(Unauthenticated):
            asyncio.run(made()[0].verify(head(headers), never))


# -- once ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "headers",
    [
        APP.remote(BODY, at=NOW),
        SIBLING.component(PATH, BODY, at=NOW),
        message_headers(nonce="a nonce of enough"),
    ],
)
def test_a_signature_is_good_once(headers: dict[str, str]):
    verifier, known = made()
    verified(head(headers), verifier=verifier)
    (until_us,) = known.marks.values()
    for _ in range(2):
        with pytest.raises(Unauthenticated, match="used before"):
            verified(head(headers), verifier=verifier)
    # No instant at which the signature would still be good is later than what is remembered.
    late, _ = made(now_s=until_us / 1_000_000)
    with pytest.raises(Unauthenticated, match="not now"):
        verified(head(headers), verifier=late)


@pytest.mark.parametrize("spelling", [str.upper, lambda text: text.removeprefix("0x")])
def test_another_spelling_is_the_same_signature(spelling: Callable[[str], str]):
    verifier, known = made()
    headers = APP.remote(BODY, at=NOW)
    verified(head(headers), verifier=verifier)
    respelt = spelling(headers["x-component-sig"].removeprefix("0x"))
    with pytest.raises(Unauthenticated, match="used before"):
        verified(head({**headers, "x-component-sig": respelt}), verifier=verifier)
    assert len(known.marks) == 1


def test_a_nonce_is_used_once_whatever_it_is_signed_with():
    verifier, _ = made()
    verified(head(message_headers(nonce="a nonce of enough")), verifier=verifier)
    again = APP.message(f"{PUBLIC_URL}{PATH}", b"{}", at=NOW + 1, nonce="a nonce of enough")
    with pytest.raises(Unauthenticated, match="used before"):
        verified(head(again), b"{}", verifier=verifier)


def test_only_what_was_signed_rightly_is_remembered():
    verifier, known = made()
    for headers in (STRANGER.remote(BODY, at=NOW), STRANGER.component(PATH, BODY, at=NOW)):
        with pytest.raises(Unauthenticated):
            verified(head(headers), verifier=verifier)
    assert not known.marks


# -- when ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("off_s", "good"), [(0, True), (600, True), (-600, True), (601, False)])
def test_a_remote_applications_clock_is_right_to_ten_minutes(off_s: int, good: bool):
    given = head(APP.remote(BODY, at=NOW + off_s))
    if good:
        verified(given)
    else:
        assert "not now" in refused(given)
        assert "not now" in refused(head(APP.remote(BODY, at=NOW - off_s)))


@pytest.mark.parametrize(
    ("at", "lasts", "good"),
    [(0, 300, True), (60, 300, True), (61, 300, False), (-300, 300, True), (-301, 300, False)],
)
def test_a_component_has_five_minutes(at: int, lasts: int, good: bool):
    given = head(SIBLING.component(PATH, BODY, at=NOW + at, lasts=lasts))
    if good:
        verified(given)
    else:
        assert "not now" in refused(given)


@pytest.mark.parametrize("lasts", [301, 100_000, 0, -5])
def test_a_signature_is_not_made_for_longer(lasts: int):
    assert "300 seconds" in refused(head(SIBLING.component(PATH, BODY, at=NOW, lasts=lasts)))
    assert "300 seconds" in refused(head(message_headers(lasts=lasts)))


@pytest.mark.parametrize(
    "text", ["", "now", "-5", "1e9", "1700000000.5", "\u0661\u0667", "9" * 13, "0x5"]
)
def test_times_are_whole_seconds(text: str):
    for headers in (
        {**APP.remote(BODY, at=NOW), "x-timestamp": text},
        {**SIBLING.component(PATH, BODY, at=NOW), "x-component-sig-iat": text},
        {**SIBLING.component(PATH, BODY, at=NOW), "x-component-sig-exp": text},
    ):
        refused(head(headers))


@pytest.mark.parametrize("off_s", [-300 - 1, 300])
def test_a_message_signed_by_a_clock_five_minutes_off_is_refused(off_s: int):
    headers = APP.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW + off_s)
    assert "not now" in refused(head(headers))


# -- for whom --------------------------------------------------------------------------------


def test_the_end_user_is_on_record():
    principal = verified(head(APP.remote(BODY, at=NOW, user=USER.removeprefix("did:abt:"))))
    assert (principal.user_id, principal.user_did) == ("u", USER)


def test_an_empty_end_user_may_be_signed_or_not():
    said = {"appId": APP.address, "timestamp": NOW, "data": json.loads(BODY), "userDid": ""}
    without = APP.remote(BODY, at=NOW)
    signed = {**without, "x-component-sig": APP.signed(said)}
    for headers in (without, signed):
        assert verified(head(headers)).user_did == "did:abt:payer"
    del without["x-app-user-did"]
    verified(head(without))
    refused(head({**without, "x-component-sig": signed["x-component-sig"]}))


def test_an_end_user_nobody_signed_is_refused():
    refused(head({**APP.remote(BODY, at=NOW), "x-app-user-did": USER}))
    refused(head({**APP.remote(BODY, at=NOW, user=USER), "x-app-user-did": ""}))


def test_an_end_user_has_a_did():
    with pytest.raises(InvalidRequest):
        verified(head(APP.remote(BODY, at=NOW, user="somebody")))


# -- what is signed --------------------------------------------------------------------------


def flips(data: bytes) -> list[bytes]:
    """Return a text with each of its bits turned over."""
    found = []
    for at in range(len(data)):
        for bit in range(8):
            changed = bytearray(data)
            changed[at] ^= 1 << bit
            found.append(bytes(changed))
    return found


def flipped_header(given: Head, name: str) -> list[Head]:
    (value,) = [value for key, value in given.headers if key == name.encode()]
    found = []
    for changed in flips(value):
        lines = [(k, changed if k == name.encode() else v) for k, v in given.headers]
        found.append(replace(given, headers=lines, fields=fields_of(lines)))
    return found


def is_same(given: Head, name: str, other: Head) -> bool:
    """Tell whether a flip left a signature as it was: hex and base64 have two spellings of one."""
    one, two = (h.fields[name.encode()] for h in (given, other))
    if name == "x-component-sig":
        return one.lower() == two.lower()
    if name != "signature" or two[:5] != one[:5] or two[-3:] != one[-3:]:
        return False
    try:
        return base64.b64decode(one[5:-1]) == base64.b64decode(two[5:-1], validate=True)
    except ValueError:
        return False


@pytest.mark.parametrize("form", ["remote", "component", "message"])
def test_a_flipped_bit_of_anything_signed_is_refused(form: str):
    verifier, _ = made()
    query = "a=1"
    if form == "remote":
        given = head(APP.remote(BODY, at=NOW, user=USER))
        names = ["x-app-id", "x-timestamp", "x-component-sig", "x-app-user-did"]
    elif form == "component":
        given = head(SIBLING.component(PATH, BODY, at=NOW, query={"a": "1"}), query=query)
        names = ["x-component-sig", "x-component-sig-iat", "x-component-sig-exp"]
    else:
        headers = APP.message(f"{PUBLIC_URL}{PATH}?{query}", BODY, at=NOW)
        given = head(headers, query=query)
        names = ["content-digest", "signature", "signature-input"]
    tried = [
        (one, BODY)
        for name in names
        for one in flipped_header(given, name)
        if not is_same(given, name, one)
    ]
    tried += [(given, body) for body in flips(BODY)]
    if form != "remote":
        tried += [(replace(given, path=p.decode("latin-1")), BODY) for p in flips(PATH.encode())]
        tried += [(replace(given, query=q), BODY) for q in flips(query.encode())]
        tried.append((replace(given, method="PUT"), BODY))

    async def all_refused() -> int:
        count = 0
        for one, body in tried:

            async def content(body: bytes = body) -> bytes:
                return body

            try:
                await verifier.verify(one, content)
            except HubError:
                count += 1
        return count

    assert asyncio.run(all_refused()) == len(tried)
    verified(given, verifier=verifier)


@pytest.mark.parametrize(
    "body",
    [
        b'{"model":"a","model":"b"}',
        b"[]",
        b'"text"',
        b"not json",
        b"\xff\xfe",
        b'{"a":NaN}',
        b'{"a":"\\ud800"}',
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
        b"[" * 100_000,
    ],
    ids=["twice", "list", "text", "words", "bytes", "nan", "surrogate", "deep", "deeper"],
)
def test_a_body_that_two_would_read_differently_is_refused(body: bytes):
    for headers in (APP.remote(at=NOW), SIBLING.component(PATH, at=NOW)):
        refused(head(headers), body)


def test_a_body_that_takes_long_to_write_down_is_signed_by_its_digest():
    body = b'{"a":[' + b"1," * blocklet.VALUES_MAX + b"1]}"
    for headers in (APP.remote(body, at=NOW), SIBLING.component(PATH, body, at=NOW)):
        assert "RFC 9421" in refused(head(headers), body)
    verified(head(APP.message(f"{PUBLIC_URL}{PATH}", body, at=NOW)), body)
    picture = json.dumps({"image": "A" * 8_000_000}).encode()
    verified(head(APP.remote(picture, at=NOW)), picture)


def test_a_form_is_not_signed_and_nothing_else_passes_for_one():
    form, path = b"--x\r\n", "/api/v1/audio/transcriptions"
    assert verified(head(APP.remote(at=NOW), path=path), form).app_did == APP.did
    assert verified(head(SIBLING.component(path, at=NOW), path=path), form).app_did == SIBLING.did
    typed = {**APP.remote(at=NOW), "content-type": "multipart/form-data; boundary=x"}
    refused(head(typed), BODY)
    headers = APP.message(f"{PUBLIC_URL}{path}", form, at=NOW)
    refused(head(headers, path=path), form + b"more")


@pytest.mark.parametrize(
    ("signed", "sent"),
    [
        (PATH, {}),
        (f"/ai-kit{PATH}", {}),
        (f"/some/where{PATH}", {"x-path-prefix": "/some/where"}),
        (f"/some/where{PATH}", {"x-path-prefix": "/some/where/"}),
    ],
)
def test_a_component_signs_the_path_in_front_of_a_proxy(signed: str, sent: dict[str, str]):
    headers = {**SIBLING.component(signed, BODY, at=NOW), **sent}
    verified(head(headers))
    if sent:
        refused(head({**headers, "x-path-prefix": "/else/where"}))
        refused(head({**headers, "x-path-prefix": "some/where"}))


# -- RFC 9421 --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "covered",
    [
        ("@method", "@target-uri", "content-digest"),
        ("@method", "@authority", "@path", "@query", "content-digest"),
        ("@method", "@target-uri", "content-digest", "content-type", "@scheme"),
    ],
)
def test_a_message_covers_what_the_hub_asks_for(covered: tuple[str, ...]):
    url = f"{PUBLIC_URL}/ai-kit{PATH}?a=1"
    given = {"content-type": "application/json"}
    headers = APP.message(url, BODY, at=NOW, covered=covered, headers=given)
    assert verified(head(headers, query="a=1")).app_did == APP.did


def test_a_signature_that_is_made_by_hand_holds():
    """Written down by the RFC's sections 2.3 and 2.5, and signed without the library."""
    digest = base64.b64encode(hashlib.sha512(BODY).digest()).decode()
    params = (
        f'("@method" "@authority" "@path" "content-digest");created={NOW};expires={NOW + 60}'
        f';nonce="0123456789abcdef";keyid="{APP.address}";tag="aigne-hub"'
    )
    base = (
        f'"@method": POST\n"@authority": hub.example.com\n"@path": {PATH}\n'
        f'"content-digest": sha-512=:{digest}:\n"@signature-params": {params}'
    )
    key = Ed25519PrivateKey.from_private_bytes(APP.identity.secret_key[:32])
    signature = base64.b64encode(key.sign(base.encode())).decode()
    headers = {
        "content-digest": f"sha-512=:{digest}:",
        "signature-input": f"by-hand={params}",
        "signature": f"by-hand=:{signature}:",
    }
    assert verified(head(headers)).app_did == APP.did
    refused(head(headers, method="PATCH"))


@pytest.mark.parametrize(
    ("covered", "lacks"),
    [
        (("@target-uri", "content-digest"), "@method"),
        (("@method", "content-digest"), "@authority, @path, @query"),
        (("@method", "@path", "@query", "content-digest"), "@authority"),
        (("@method", "@authority", "@query", "content-digest"), "@path"),
        (("@method", "@authority", "@path", "content-digest"), "@query"),
        (("@method", "@target-uri"), "content-digest"),
    ],
)
def test_a_message_that_covers_less_is_refused(covered: tuple[str, ...], lacks: str):
    headers = APP.message(f"{PUBLIC_URL}{PATH}?a=1", BODY, at=NOW, covered=covered)
    assert f"does not cover {lacks}." in refused(head(headers, query="a=1"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"lasts": None}, "created and expires"),
        ({"nonce": None}, "nonce"),
        ({"nonce": "short"}, "nonce"),
        ({"nonce": "n" * 129}, "nonce"),
        ({"tag": None}, 'tag="aigne-hub"'),
        ({"tag": "other"}, 'tag="aigne-hub"'),
        ({"key_id": "key-1"}, "keyid"),
        ({"key_id": ""}, "keyid"),
    ],
)
def test_a_message_says_what_the_hub_asks_for(given: dict[str, Any], words: str):
    assert words in refused(head(message_headers(**given)))


@pytest.mark.parametrize(
    "url", [f"http://hub.example.com{PATH}", f"https://other.example.com{PATH}"]
)
def test_a_message_for_somebody_else_is_refused(url: str):
    headers = APP.message(url, BODY, at=NOW)
    refused(head({**headers, "host": "other.example.com"}))


def test_a_label_is_no_part_of_what_is_signed():
    good = message_headers(label="a")
    verified(
        head(
            {
                k: v.replace("a=", "zz=", 1)
                for k, v in good.items()
                if k.lower().startswith("signature")
            }
            | {"content-digest": good["Content-Digest"]}
        )
    )
    # Somebody else's signature beside it, under whichever label, neither helps nor hurts.
    both = STRANGER.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW, tag="theirs", headers=good)
    assert verified(head(both)).app_did == APP.did
    swapped = dict(both)
    swapped["Signature"] = both["Signature"].replace("a=", "x=").replace("sig=", "a=", 1)
    refused(head(swapped))
    twice = STRANGER.message(f"{PUBLIC_URL}{PATH}", BODY, at=NOW, headers=good)
    assert "Exactly one" in refused(head(twice))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("Signature-Input", ""),
        ("Signature-Input", "sig"),
        ("Signature-Input", 'sig=1;tag="aigne-hub"'),
        ("Signature-Input", "é"),
        ("Signature-Input", "sig=(" + '"a" ' * 9_000 + ")"),
        ("Signature", ""),
        ("Signature", "sig=:AA==:"),
        ("Signature", "other=:AA==:"),
        ("Signature", "sig=1"),
    ],
)
def test_a_malformed_signature_is_refused(name: str, value: str):
    refused(head({**message_headers(), name: value}))


def test_another_algorithm_is_refused():
    headers = message_headers()
    for other in ("hmac-sha256", "none", "rsa-pss-sha512"):
        changed = headers["Signature-Input"].replace('alg="ed25519"', f'alg="{other}"')
        assert changed != headers["Signature-Input"]
        assert "ed25519" in refused(head({**headers, "Signature-Input": changed}))


def test_a_parameter_of_a_component_is_not_that_component():
    headers = message_headers()
    changed = headers["Signature-Input"].replace(
        '"content-digest"', '"content-digest";key="sha-256"'
    )
    assert changed != headers["Signature-Input"]
    assert "content-digest" in refused(head({**headers, "Signature-Input": changed}))


def test_the_clock_is_the_hubs():
    """The library would ask the machine's, which is years away from NOW."""
    assert http_message.claimed(head(message_headers()), NOW * 1_000_000, [PUBLIC_URL]).proof(
        [APP.identity.public_key], BODY
    )
