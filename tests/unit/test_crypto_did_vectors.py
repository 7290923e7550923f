"""Our codec against addresses, hashes and signatures made by the ArcBlock npm packages."""

import hashlib
import json
from pathlib import Path

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from aigne_hub.crypto import base58, custodial
from aigne_hub.crypto.did import (
    DidType,
    HashType,
    KeyType,
    RoleType,
    address_of,
    did_of,
    hash_of,
    matches,
    parse,
)

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
SECP256K1_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
WALLETS = (
    "ed25519/sha3/account",
    "ed25519/sha3/application",
    "ed25519/sha3/node->sha2",
    "secp256k1/sha3/account",
    "ed25519/sha3/account/base16",
    "ethereum",
)
ED25519_WALLETS = tuple(name for name in WALLETS if name.startswith("ed25519"))
POINT_WALLETS = tuple(name for name in WALLETS if not name.startswith("ed25519"))
HASH_INPUTS = (
    "hello",
    "0x68656c6c6f",
    "68656c6c6f",
    "z1muQ3xqHQK2uiACHyChikobsiY5kLqtShA",
    '{"a":1}',
    "deadbeef",
)


@pytest.fixture(scope="module")
def vectors():
    if not WIRE.is_dir():
        pytest.skip(f"the vectors are not part of this repository: no folder {WIRE}")
    return json.loads((WIRE / "did-vectors.json").read_text())


@pytest.fixture
def wallet(vectors, request):
    return next(each for each in vectors["wallets"] if each["name"] == request.param)


def raw(hexadecimal: str) -> bytes:
    return bytes.fromhex(hexadecimal.removeprefix("0x"))


def type_of(wallet) -> DidType:
    kind = wallet["type"]
    return DidType(RoleType(kind["role"]), KeyType(kind["pk"]), HashType(kind["hash"]))


def point_of(public_key: bytes) -> ec.EllipticCurvePublicKey:
    encoded = public_key if len(public_key) == 65 else b"\x04" + public_key
    return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), encoded)


def test_the_parametrized_names_are_all_there_is(vectors):
    assert tuple(each["name"] for each in vectors["wallets"]) == WALLETS
    assert tuple(vectors["hash"]) == HASH_INPUTS


@pytest.mark.parametrize("enum", [KeyType, HashType, RoleType])
def test_enum_values(vectors, enum):
    prefix = "ROLE_" if enum is RoleType else ""
    assert {prefix + each.name: each.value for each in enum} == vectors["enums"][enum.__name__]


@pytest.mark.parametrize("wallet", WALLETS, indirect=True)
def test_addresses(wallet):
    public_key, did_type = raw(wallet["pk"]), type_of(wallet)
    parsed = parse(wallet["did"])
    assert parsed.type == did_type
    assert parsed == parse(wallet["address"])
    assert matches(wallet["did"], public_key)
    assert parsed.address == address_of(public_key, did_type)
    bits = did_type.role << 10 | did_type.key << 5 | did_type.hash
    assert f"{bits:04x}" == wallet["typeHex"]
    if wallet["name"].endswith("base16"):
        assert base58.decode(parsed.address[1:]).hex() == wallet["address"][2:]
    else:
        assert parsed.address == wallet["address"]
        assert did_of(parsed.address) == wallet["did"]


@pytest.mark.parametrize("wallet", WALLETS, indirect=True)
def test_public_keys_in_base58(wallet):
    assert "z" + base58.encode(raw(wallet["pk"])) == wallet["pkBase58"]
    assert base58.decode(wallet["pkBase58"][1:]) == raw(wallet["pk"])


@pytest.mark.parametrize("wallet", ED25519_WALLETS, indirect=True)
def test_ed25519_signatures(wallet):
    hash_type, signature = type_of(wallet).hash, raw(wallet["sign_hello"])
    assert custodial.sign(raw(wallet["sk"]), b"hello", hash_type) == signature
    assert custodial.verify(raw(wallet["pk"]), b"hello", signature, hash_type)
    assert not custodial.verify(raw(wallet["pk"]), b"hellO", signature, hash_type)


@pytest.mark.parametrize("wallet", POINT_WALLETS, indirect=True)
def test_secp256k1_signatures_cover_the_hash_of_the_identitys_type(wallet):
    digest = hash_of(type_of(wallet).hash, b"hello")
    ecdsa = ec.ECDSA(Prehashed(SHA256()))
    point_of(raw(wallet["pk"])).verify(raw(wallet["sign_hello"]), digest, ecdsa)
    with pytest.raises(InvalidSignature):
        point_of(raw(wallet["pk"])).verify(
            raw(wallet["sign_hello"]), hash_of(HashType.SHA2, b"hello"), ecdsa
        )


@pytest.mark.parametrize("wallet", POINT_WALLETS, indirect=True)
def test_secp256k1_signatures_are_deterministic_with_low_s(wallet):
    """RFC 6979 with SHA-256, then the smaller of s and n - s."""
    private_key = ec.derive_private_key(int(wallet["sk"], 16), ec.SECP256K1())
    ecdsa = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)
    r, s = decode_dss_signature(private_key.sign(hash_of(type_of(wallet).hash, b"hello"), ecdsa))
    low = encode_dss_signature(r, min(s, SECP256K1_ORDER - s))
    assert low == raw(wallet["sign_hello"])


@pytest.mark.parametrize("text", HASH_INPUTS)
def test_hashes(vectors, text):
    vector = vectors["hash"][text]
    data = raw(vector["toUint8Array"])
    once = hash_of(HashType.SHA2, data)
    assert hash_of(HashType.SHA3, data) == raw(vector["sha3"])
    assert hash_of(HashType.KECCAK, data) == raw(vector["keccak"])
    assert once == raw(vector["sha2_1"])
    assert hash_of(HashType.SHA2, once) == raw(vector["sha2_default"])


def test_tokens_are_issued_by_the_identity_of_their_key(vectors):
    keys = {wallet["name"]: raw(wallet["pk"]) for wallet in vectors["wallets"]}
    assert len(vectors["jwt"]) == 10
    for token in vectors["jwt"]:
        issuer, public_key = token["decoded"]["body"]["iss"], keys[token["name"]]
        assert matches(issuer, public_key)
        assert not matches(issuer, public_key[:-1] + bytes([public_key[-1] ^ 1]))


def test_tokens_of_version_1_1_0_are_signed_over_the_sha3_of_their_text(vectors):
    keys = {wallet["name"]: raw(wallet["pk"]) for wallet in vectors["wallets"]}
    tokens = [token for token in vectors["jwt"] if token["version"] == "1.1.0"]
    assert len(tokens) == 5
    for token in tokens:
        text = token["token"].rpartition(".")[0].encode()
        signature, public_key = raw(token["decoded"]["signature"]), keys[token["name"]]
        if token["name"].startswith("ed25519"):
            assert custodial.verify(public_key, text, signature)
            assert not custodial.verify(public_key, text + b" ", signature)
        else:
            point_of(public_key).verify(
                signature, hashlib.sha3_256(text).digest(), ec.ECDSA(Prehashed(SHA256()))
            )


@pytest.mark.parametrize("name", ["remoteSig", "componentSig"])
def test_application_signatures(vectors, name):
    vector, application = vectors[name], vectors["wallets"][1]
    payload, signature = vector["payload"].encode(), raw(vector["sig"])
    assert custodial.sign(raw(application["sk"]), payload) == signature
    assert custodial.verify(raw(application["pk"]), payload, signature)
