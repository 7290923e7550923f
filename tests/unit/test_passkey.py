"""Passkeys: assertions as an authenticator makes them, and what is none."""

import hashlib
import json
from collections.abc import Callable

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256

from aigne_hub.crypto import arcblock_jwt, base64url, did_signature, passkey
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import (
    DidType,
    HashType,
    KeyType,
    RoleType,
    address_of,
    hash_of,
    matches,
    parse,
)

CHALLENGE = bytes(range(32))
P256 = ec.derive_private_key(7, ec.SECP256R1())
ED25519 = Ed25519PrivateKey.from_private_bytes(bytes(32))


def cose_p256() -> bytes:
    numbers = P256.public_key().public_numbers()
    x, y = numbers.x.to_bytes(32), numbers.y.to_bytes(32)
    return bytes.fromhex("a5010203262001215820") + x + bytes.fromhex("225820") + y


def cose_ed25519() -> bytes:
    return bytes.fromhex("a4010103272006215820") + ED25519.public_key().public_bytes_raw()


def sign_p256(data: bytes) -> bytes:
    return P256.sign(data, ec.ECDSA(SHA256()))


def asserted(
    sign: Callable[[bytes], bytes] = sign_p256, *, flags: int = 0x05, **client: object
) -> bytes:
    said = {
        "type": "webauthn.get",
        "challenge": base64url.encode(CHALLENGE),
        "origin": "https://wallet.example",
        **client,
    }
    client_data = json.dumps(said).encode()
    data = hashlib.sha256(b"wallet.example").digest() + bytes([flags]) + bytes(4)
    parts = {
        "authenticatorData": data,
        "clientDataJSON": client_data,
        "signature": sign(data + hashlib.sha256(client_data).digest()),
    }
    return json.dumps({name: base64url.encode(part) for name, part in parts.items()}).encode()


def test_an_assertion_of_either_kind_of_key():
    assert passkey.verify(cose_p256(), CHALLENGE, asserted())
    assert passkey.verify(cose_ed25519(), CHALLENGE, asserted(ED25519.sign))
    assert not passkey.verify(cose_ed25519(), CHALLENGE, asserted())


@pytest.mark.parametrize(
    "assertion",
    [
        asserted(flags=0x04),
        asserted(flags=0x01),
        asserted(type="webauthn.create"),
        asserted(challenge=base64url.encode(bytes(32))),
        asserted(challenge=base64url.encode(CHALLENGE) + "="),
        asserted(challenge=1),
        asserted(crossOrigin=True),
        asserted(lambda _: b"x"),
        b"",
        b"[]",
        b'{"authenticatorData":"","clientDataJSON":"","signature":""}',
        b" " * (passkey.ASSERTION_BYTES_MAX + 1),
    ],
)
def test_what_is_no_assertion_for_the_challenge(assertion: bytes):
    assert not passkey.verify(cose_p256(), CHALLENGE, assertion)


@pytest.mark.parametrize(
    "key",
    [
        b"",
        b"\xa0",
        b"\x80",
        cose_p256()[:-1],
        cose_p256() + b"\0",
        bytes.fromhex("a5010203262002215820") + cose_p256()[10:],  # P-384
        bytes.fromhex("a501020326200121582000"),
        bytes.fromhex("a60102010203262001") + cose_p256()[7:],  # a member twice
        bytes.fromhex("bf"),
        bytes.fromhex("a4010103272006215820") + bytes(32),  # of small order
        bytes.fromhex("a10143aabbcc"),
    ],
)
def test_what_is_no_key(key: bytes):
    assert not passkey.verify(key, CHALLENGE, asserted())


def test_a_token_of_a_passkey():
    key = cose_p256()
    did = parse(address_of(key, DidType(RoleType.PASSKEY, KeyType.PASSKEY, HashType.SHA2)))
    assert did.type == DidType(RoleType.PASSKEY, KeyType.PASSKEY, HashType.SHA2)
    assert matches(did, key)
    now = 1_795_421_530
    head = base64url.encode(canonical({"alg": "Passkey", "type": "JWT"}))
    body = {"iss": f"did:abt:{did.address}", "iat": str(now), "exp": str(now + 300)}
    part = base64url.encode(canonical({**body, "version": "1.1.0"}))
    challenge = hash_of(HashType.SHA3, f"{head}.{part}".encode())
    assertion = asserted(challenge=base64url.encode(challenge))
    token = f"{head}.{part}.{base64url.encode(assertion)}"
    assert arcblock_jwt.verify(token, key, now * 1_000_000).issuer == did
    other = f"{head}.{part}.{base64url.encode(asserted())}"
    with pytest.raises(arcblock_jwt.InvalidToken, match="its signature"):
        arcblock_jwt.verify(other, key, now * 1_000_000)


def test_nobody_but_an_authenticator_signs_with_a_passkey():
    with pytest.raises(ValueError, match="only its authenticator signs"):
        did_signature.sign(KeyType.PASSKEY, bytes(32), CHALLENGE)
    assert not did_signature.verify(KeyType.PASSKEY, cose_p256(), CHALLENGE, b"")
