import hashlib
import os

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from aigne_hub.crypto import custodial
from aigne_hub.crypto.custodial import new_identity, sign, verify
from aigne_hub.crypto.did import HashType, KeyType, RoleType, matches, parse

P = 2**255 - 19
D = -121665 * pow(121666, -1, P) % P


@pytest.mark.parametrize(
    ("role", "prefix"), [(RoleType.ACCOUNT, "z1"), (RoleType.APPLICATION, "zNK")]
)
def test_a_new_identity_is_a_did_of_its_role(role, prefix):
    for _ in range(20):
        identity = new_identity(role, os.urandom)
        parsed = parse(identity.did)
        assert identity.address.startswith(prefix)
        assert identity.did == f"did:abt:{identity.address}"
        assert (parsed.type.role, parsed.type.key) == (role, KeyType.ED25519)
        assert parsed.type.hash is HashType.SHA3
        assert matches(identity.did, identity.public_key)
        assert identity.secret_key[32:] == identity.public_key


def test_identities_come_from_the_random_source_alone():
    def same(size):
        return b"\x07" * size

    first = new_identity(RoleType.ACCOUNT, same)
    assert first == new_identity(RoleType.ACCOUNT, same)
    assert first.did != new_identity(RoleType.ACCOUNT, os.urandom).did


def test_repr_hides_the_secret_key():
    identity = new_identity(RoleType.ACCOUNT, os.urandom)
    assert "secret" not in repr(identity)
    assert repr(identity.secret_key) not in repr(identity)


def test_a_signature_is_of_one_key_one_text_and_one_hash():
    signer, other = (new_identity(RoleType.ACCOUNT, os.urandom) for _ in range(2))
    signature = sign(signer.secret_key, b"pay 5")
    assert len(signature) == 64
    assert verify(signer.public_key, b"pay 5", signature)
    assert not verify(signer.public_key, b"pay 50", signature)
    assert not verify(other.public_key, b"pay 5", signature)
    assert not verify(signer.public_key, b"pay 5", signature, HashType.SHA2)
    for position in range(64):
        forged = bytearray(signature)
        forged[position] ^= 1
        assert not verify(signer.public_key, b"pay 5", bytes(forged))


def test_s_above_the_group_order_is_refused():
    order = 2**252 + 27742317777372353535851937790883648493
    signer = new_identity(RoleType.ACCOUNT, os.urandom)
    signature = sign(signer.secret_key, b"x")
    s = int.from_bytes(signature[32:], "little") + order
    assert not verify(signer.public_key, b"x", signature[:32] + s.to_bytes(32, "little"))


@pytest.mark.parametrize("size", [0, 31, 33, 64])
def test_keys_and_signatures_of_a_wrong_shape_do_not_verify(size):
    signer = new_identity(RoleType.ACCOUNT, os.urandom)
    signature = sign(signer.secret_key, b"x")
    assert not verify((signer.public_key * 2)[:size], b"x", signature)
    if size != 64:
        assert not verify(signer.public_key, b"x", (signature * 2)[:size])


def test_a_damaged_secret_key_does_not_sign():
    secret_key = new_identity(RoleType.ACCOUNT, os.urandom).secret_key
    with pytest.raises(ValueError, match="a secret key has 64 bytes, got 32"):
        sign(secret_key[:32], b"x")
    with pytest.raises(ValueError, match="do not belong together"):
        sign(secret_key[:63] + bytes([secret_key[63] ^ 1]), b"x")


def x_squared(y):
    return (y * y - 1) * pow(D * y * y + 1, -1, P) % P


def double(x2, y):
    """Double a point of edwards25519 given as x squared and y: x2 and y determine both."""
    xy2 = D * x2 * y * y
    doubled_x2 = 4 * x2 * y * y * pow(1 + xy2, -2, P) % P
    return doubled_x2, (y * y + x2) * pow(1 - xy2, -1, P) % P


@pytest.mark.parametrize("y", sorted(custodial._SMALL_ORDER_Y))
def test_the_listed_points_have_an_order_that_divides_8(y):
    point = x_squared(y % P), y % P
    for _ in range(3):
        point = double(*point)
    assert point == (0, 1)


def test_the_list_holds_every_encoding():
    """Of the five y coordinates of the torsion points, 0 and 1 also fit in 255 bits plus P."""
    coordinates = {y % P for y in custodial._SMALL_ORDER_Y}
    assert len(coordinates) == 5
    assert {y for y in coordinates if y + P < 2**255} | {
        y + P for y in coordinates if y + P < 2**255
    } == {0, 1, P, P + 1}
    assert {P, P + 1} < custodial._SMALL_ORDER_Y


@pytest.mark.parametrize("sign_bit", [0, 1])
@pytest.mark.parametrize("y", sorted(custodial._SMALL_ORDER_Y))
def test_a_key_of_small_order_signs_nothing(y, sign_bit):
    """R = neutral element and S = 0 satisfy the equation whenever the key's order divides h."""
    public_key = (y | sign_bit << 255).to_bytes(32, "little")
    signature = (1).to_bytes(32, "little") + bytes(32)
    accepted_by_openssl = 0
    for number in range(200):
        message = str(number).encode()
        try:
            key = Ed25519PublicKey.from_public_bytes(public_key)
            key.verify(signature, hashlib.sha3_256(message).digest())
        except (InvalidSignature, ValueError):
            continue
        accepted_by_openssl += 1
        assert not verify(public_key, message, signature)
    # x = 0 has no odd spelling that OpenSSL reads; every other key shows why we must refuse.
    assert accepted_by_openssl or (sign_bit and y % P in {1, P - 1})
