"""Tokens of wallets: each trap of the reference verifier is a test here."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from aigne_hub.crypto import base58, base64url, did_signature
from aigne_hub.crypto.arcblock_jwt import (
    TOKEN_CHARS_MAX,
    InvalidToken,
    VerifiedToken,
    sign,
    verify,
)
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import (
    Did,
    DidType,
    HashType,
    KeyType,
    RoleType,
    address_of,
    hash_of,
    parse,
)

NOW = 1_795_421_530
NOW_US = NOW * 1_000_000
SECRET = bytes(range(1, 33))
WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"


def identity(key: KeyType = KeyType.ED25519) -> tuple[bytes, Did]:
    public = did_signature.public_key_of(key, SECRET)
    hash_type = HashType.KECCAK if key is KeyType.ETHEREUM else HashType.SHA3
    return public, parse(address_of(public, DidType(RoleType.ACCOUNT, key, hash_type)))


PUBLIC, DID = identity()


def token(head: object = None, key: KeyType = KeyType.ED25519, **changes: Any) -> str:
    """Return a right token but for what is changed; None leaves a member out."""
    _, did = identity(key)
    body = {
        "iss": f"did:abt:{did.address}",
        "iat": str(NOW),
        "nbf": str(NOW),
        "exp": str(NOW + 300),
        "version": "1.1.0",
        **changes,
    }
    body = {name: value for name, value in body.items() if value is not None}
    names = {KeyType.ED25519: "Ed25519", KeyType.SECP256K1: "ES256K", KeyType.ETHEREUM: "Ethereum"}
    return of_texts(canonical(head or {"alg": names[key], "type": "JWT"}), canonical(body), key)


def of_texts(header: bytes, body: bytes, key: KeyType = KeyType.ED25519) -> str:
    signed = f"{base64url.encode(header)}.{base64url.encode(body)}"
    signature = did_signature.sign(key, SECRET, hash_of(HashType.SHA3, signed.encode()))
    return f"{signed}.{base64url.encode(signature)}"


def refused(text: str, cause: str, public_key: bytes = PUBLIC) -> None:
    with pytest.raises(InvalidToken) as caught:
        verify(text, public_key, NOW_US)
    assert cause in caught.value.cause


@pytest.mark.parametrize("key", [KeyType.ED25519, KeyType.SECP256K1, KeyType.ETHEREUM])
def test_what_is_signed_verifies(key: KeyType):
    public, did = identity(key)
    text = sign(did, SECRET, {"challenge": "ABC", "nothing": None, "empty": ""}, NOW_US)
    said = verify(text, public, NOW_US)
    assert isinstance(said, VerifiedToken)
    assert said.issuer == did
    assert said.body == {
        "iss": f"did:abt:{did.address}",
        "iat": str(NOW),
        "nbf": str(NOW),
        "exp": str(NOW + 300),
        "version": "1.1.0",
        "challenge": "ABC",
    }


def test_the_recorded_tokens_verify_and_are_signed_the_same():
    if not WIRE.is_dir():
        pytest.skip(f"the vectors are not part of this repository: no folder {WIRE}")
    vectors = json.loads((WIRE / "did-vectors.json").read_text())
    wallets = {each["name"]: each for each in vectors["wallets"]}
    seen = 0
    for vector in vectors["jwt"]:
        wallet = wallets[vector["name"]]
        public, secret = (bytes.fromhex(wallet[name][2:]) for name in ("pk", "sk"))
        body = vector["decoded"]["body"]
        now_us = int(body["iat"]) * 1_000_000
        claims = {name: body[name] for name in ("action", "challenge", "requestedClaims")}
        did = parse(wallet["did"])
        if vector["version"] == "1.0.0" and did.type.key is not KeyType.ED25519:
            with pytest.raises(ValueError, match=r"1\.0\.0 protects only"):
                sign(did, secret, claims, now_us, "1.0.0")
            continue
        assert verify(vector["token"], public, now_us).body == body
        assert sign(did, secret, claims, now_us, vector["version"]) == vector["token"]
        seen += 1
    assert seen == 8


def test_every_token_of_the_recorded_handshake_verifies():
    if not WIRE.is_dir():
        pytest.skip(f"the trace is not part of this repository: no folder {WIRE}")
    steps = json.loads((WIRE / "did-connect-trace.json").read_text())
    told = [(s["response"]["authInfo"], s["response"]["appPk"]) for s in steps if "authInfo" in s]
    told += [(s["body"]["userInfo"], s["body"]["userPk"]) for s in steps if "body" in s]
    assert len(told) == 5
    for text, public_key in told:
        assert verify(text, base58.decode(public_key[1:]), NOW_US).body["iat"] == "1795421529"


@pytest.mark.parametrize("name", ["exp", "iat"])
def test_a_token_without_instants_is_refused(name: str):
    """The reference takes one without exp, which then never expires."""
    refused(token(**{name: None}), f"{name} is missing")


@pytest.mark.parametrize("value", ["", "x", "-1", "1e9", "01", " 1", "0x10", 1.5, True, [], "٣"])
@pytest.mark.parametrize("name", ["exp", "iat", "nbf"])
def test_an_instant_is_a_whole_number_of_seconds(name: str, value: object):
    refused(token(**{name: value}), f"{name} is missing or no instant")


def test_an_instant_may_be_a_number():
    assert verify(token(exp=NOW + 300, iat=NOW, nbf=NOW), PUBLIC, NOW_US)


def test_nbf_may_be_missing():
    assert verify(token(nbf=None), PUBLIC, NOW_US)


@pytest.mark.parametrize("exp", [NOW + 301, NOW + 10**9, NOW, NOW - 1])
def test_the_lifetime_is_capped(exp: int):
    refused(token(exp=str(exp)), "not made for at most 300 seconds")


@pytest.mark.parametrize(
    ("shift", "cause"), [(-305, ""), (-306, "expired"), (5, ""), (6, "of the")]
)
def test_clocks_may_differ_by_five_seconds(shift: int, cause: str):
    instants = {"iat": NOW + shift, "nbf": NOW + shift, "exp": NOW + shift + 300}
    text = token(**{name: str(value) for name, value in instants.items()})
    if cause:
        refused(text, cause)
    else:
        assert verify(text, PUBLIC, NOW_US)


def test_a_token_of_the_future_is_refused_by_nbf_alone():
    refused(token(nbf=str(NOW + 60)), "of the future")


@pytest.mark.parametrize(
    "head",
    [
        {"alg": "ES256K", "type": "JWT"},
        {"alg": "Ethereum", "type": "JWT"},
        {"alg": "Passkey", "type": "JWT"},
        {"alg": "none", "type": "JWT"},
        {"alg": "ed25519", "type": "JWT"},
        {"alg": "EdDSA", "type": "JWT"},
        {"alg": "HS256", "type": "JWT"},
        {"alg": ["Ed25519"], "type": "JWT"},
        {"alg": "Ed25519"},
        {"alg": "Ed25519", "typ": "JWT"},
        {"alg": "Ed25519", "type": "jwt"},
        {"alg": "Ed25519", "type": "JWT", "crit": ["exp"]},
        {"alg": "Ed25519", "type": "JWT", "kid": "../../dev/null"},
        {"alg": "Ed25519", "type": "JWT", "jwk": {"kty": "OKP"}},
    ],
)
def test_the_algorithm_is_of_the_issuers_key_and_the_header_says_nothing_else(head: object):
    """The reference asks the header which algorithm it is."""
    refused(token(head), "its header is not the one for the issuer's kind of key")


def test_the_issuer_is_of_the_public_key_that_is_given():
    other, _ = identity(KeyType.SECP256K1)
    refused(token(), "its issuer is not of the public key", other)
    stranger = did_signature.public_key_of(KeyType.ED25519, bytes(32))
    refused(token(), "its issuer is not of the public key", stranger)


def test_the_body_cannot_name_another_issuer():
    """The reference lets the payload override it when it signs."""
    _, other = identity(KeyType.SECP256K1)
    refused(token(iss=f"did:abt:{other.address}"), "its issuer is not of the public key")


@pytest.mark.parametrize("iss", [None, 1, "", DID.address, "did:web:example.com", "did:abt:z1"])
def test_the_issuer_is_a_did(iss: object):
    refused(token(iss=iss), "issuer")


@pytest.mark.parametrize(
    "version", [None, "", "1", "1.0", "1.2.0", "2.0.0", "v1.1.0", 1.1, "1.1.0 "]
)
def test_an_unknown_version_is_refused(version: object):
    """The reference signs 1.2.0 hashed and verifies it as if it were not."""
    refused(token(version=version), "its version is not known here")


def test_a_signature_over_the_text_is_not_one_over_its_hash():
    signed = token().rpartition(".")[0]
    plain = base64url.encode(did_signature.sign(KeyType.ED25519, SECRET, signed.encode()))
    refused(f"{signed}.{plain}", "its signature is not the issuer's")
    refused(token(version="1.0.0"), "its signature is not the issuer's")


@pytest.mark.parametrize("key", [KeyType.SECP256K1, KeyType.ETHEREUM])
def test_version_1_0_0_is_for_ed25519_alone(key: KeyType):
    public, _ = identity(key)
    refused(token(key=key, version="1.0.0"), "version 1.0.0 protects only", public)


def test_a_high_s_is_refused():
    public, _ = identity(KeyType.SECP256K1)
    text = token(key=KeyType.SECP256K1)
    head, _, signature = text.rpartition(".")
    der = base64url.decode(signature)
    from cryptography.hazmat.primitives.asymmetric.utils import (  # noqa: PLC0415 - only here
        decode_dss_signature,
        encode_dss_signature,
    )

    r, s = decode_dss_signature(der)
    high = encode_dss_signature(r, did_signature.SECP256K1_ORDER - s)
    assert verify(text, public, NOW_US)
    refused(f"{head}.{base64url.encode(high)}", "its signature is not the issuer's", public)


def test_a_der_signature_has_one_spelling():
    public, _ = identity(KeyType.SECP256K1)
    head, _, signature = token(key=KeyType.SECP256K1).rpartition(".")
    der = base64url.decode(signature)
    for spoiled in (der + b"\0", b"\x30\x81" + der[1:], der[:-1], b""):
        text = f"{head}.{base64url.encode(spoiled)}"
        refused(text, "its signature is not the issuer's", public)


def test_a_member_stands_there_once():
    body = canonical({"iss": f"did:abt:{DID.address}", "iat": str(NOW), "version": "1.1.0"})
    twice = body[:-1] + b',"exp":"%d","exp":"%d"}' % (NOW + 300, NOW + 299)
    refused(of_texts(b'{"alg":"Ed25519","type":"JWT"}', twice), "a member stands there twice")
    head = b'{"alg":"none","alg":"Ed25519","type":"JWT"}'
    refused(of_texts(head, body), "a member stands there twice")


@pytest.mark.parametrize(
    ("spoil", "cause"),
    [
        (lambda text: text + "=", "not base64url"),
        (lambda text: text.replace(".", "=.", 1), "not base64url"),
        (lambda text: "+" + text[1:], "not base64url"),
        (lambda text: text + "\n", "not base64url"),
        (lambda text: text.rpartition(".")[0], "three parts"),
        (lambda text: text + ".x", "three parts"),
        (lambda text: text.rpartition(".")[0] + ".", "signature"),
        (lambda _: "", "three parts"),
        (lambda _: "a" * (TOKEN_CHARS_MAX + 1), "longer than"),
        # Ed25519's 64 bytes leave four bits over in base64, which must be zero.
        (lambda text: text[:-1] + chr(ord(text[-1]) + 1), "second spelling"),
    ],
)
def test_a_token_has_one_spelling(spoil: Any, cause: str):
    refused(spoil(token()), cause)


@pytest.mark.parametrize("body", [b"[]", b"1", b"{", b"\xff", b"[" * 10_000, b'{"a":NaN}'])
def test_what_is_no_object_is_refused(body: bytes):
    refused(of_texts(b'{"alg":"Ed25519","type":"JWT"}', body), "a part is unreadable")


@given(st.text(max_size=200))
def test_any_text_is_refused_cleanly(text: str):
    with pytest.raises(InvalidToken):
        verify(text, PUBLIC, NOW_US)
