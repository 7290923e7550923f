"""Signatures by the keys of DIDs, over a digest: Ed25519, and ECDSA on secp256k1 as DER.

Stricter than the reference where one signature would fit more than one thing: Ed25519 keys of
small order or in a second encoding, ECDSA with a high s, and ECDSA over anything but a digest.
The reference signs longer texts with ECDSA too, and then only their first 32 bytes count.
"""

from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.asymmetric.utils import (
    Prehashed,
    decode_dss_signature,
    encode_dss_signature,
)
from cryptography.hazmat.primitives.hashes import SHA256

from aigne_hub.crypto import custodial, keccak
from aigne_hub.crypto.did import KeyType

SECP256K1_ORDER: Final = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
DER_BYTES_MAX: Final = 72
PERSONAL_BYTES: Final = 65

_HALF_ORDER: Final = SECP256K1_ORDER // 2
# Digests of 48 and 64 bytes are cut to the order's length (FIPS 186-5, section 6.4.1).
_DIGEST_BYTES: Final = frozenset({32, 48, 64})
_CUT: Final = 32
_UNCOMPRESSED: Final = b"\x04"
_ECDSA: Final = ec.ECDSA(Prehashed(SHA256()))
_ECDSA_DETERMINISTIC: Final = ec.ECDSA(Prehashed(SHA256()), deterministic_signing=True)


def sign(key: KeyType, secret_key: bytes, message: bytes) -> bytes:
    """Return the signature of a message, given as it is signed: for ECDSA a digest.

    A secret key is the 32-byte seed, for Ed25519 also followed by its public key. ECDSA is
    deterministic (RFC 6979). Raises ValueError for another key or message, and for passkeys.
    """
    match key:
        case KeyType.ED25519:
            if len(secret_key) not in {custodial.SEED_BYTES, custodial.SECRET_KEY_BYTES}:
                raise ValueError("not the secret key of an Ed25519 identity")
            seed = secret_key[: custodial.SEED_BYTES]
            return Ed25519PrivateKey.from_private_bytes(seed).sign(message)
        case KeyType.SECP256K1 | KeyType.ETHEREUM:
            return _sign_ecdsa(secret_key, message)
        case KeyType.PASSKEY:
            raise ValueError("only its authenticator signs with a passkey")


def verify(key: KeyType, public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Tell whether a signature is a key's signature of a message, as `sign` takes them.

    False, never an error, for keys, messages and signatures of a wrong shape; always for
    passkeys, which sign other things (`crypto.passkey`).
    """
    match key:
        case KeyType.ED25519:
            return _verify_ed25519(public_key, message, signature)
        case KeyType.SECP256K1 | KeyType.ETHEREUM:
            point = ecdsa_key(key, public_key)
            return point is not None and _verify_ecdsa(point, message, signature)
        case KeyType.PASSKEY:
            return False


def verify_personal(public_key: bytes, text: bytes, signature: bytes) -> bool:
    """Tell whether an Ethereum key signed a text the way wallets show one to a person (EIP-191).

    The signature is r, s and v, 65 bytes. v only helps to find the public key, which is known
    here: it must be 27 or 28 and is otherwise not looked at.
    """
    if len(signature) != PERSONAL_BYTES or signature[64] not in {27, 28}:
        return False
    point = ecdsa_key(KeyType.ETHEREUM, public_key)
    if point is None:
        return False
    r, s = int.from_bytes(signature[:32]), int.from_bytes(signature[32:64])
    der = encode_dss_signature(r, s)
    return _verify_ecdsa(point, personal_digest(text), der)


def personal_digest(text: bytes) -> bytes:
    """Return what is signed of a text that a wallet shows to a person (EIP-191, version 0x45)."""
    return keccak.digest(b"\x19Ethereum Signed Message:\n%d%b" % (len(text), text), 256)


def public_key_of(key: KeyType, secret_key: bytes) -> bytes:
    """Return the public key in the shape that addresses are made of. Raises ValueError."""
    if key is KeyType.ED25519:
        seed = secret_key[: custodial.SEED_BYTES]
        return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    numbers = _private(secret_key).public_key().public_numbers()
    point = numbers.x.to_bytes(32) + numbers.y.to_bytes(32)
    return point if key is KeyType.ETHEREUM else _UNCOMPRESSED + point


def ecdsa_key(key: KeyType, public_key: bytes) -> ec.EllipticCurvePublicKey | None:
    """Return the point of a secp256k1 or Ethereum identity, None for bytes that are not one."""
    if key is KeyType.ETHEREUM:
        public_key = _UNCOMPRESSED + public_key
    if len(public_key) != 65 or not public_key.startswith(_UNCOMPRESSED):
        return None
    try:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256K1(), public_key)
    except ValueError:
        return None


def _verify_ed25519(public_key: bytes, message: bytes, signature: bytes) -> bool:
    if len(signature) != custodial.SIGNATURE_BYTES or not custodial.is_sound(public_key):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public_key).verify(signature, message)
    except (InvalidSignature, ValueError):
        return False
    return True


def _verify_ecdsa(point: ec.EllipticCurvePublicKey, digest: bytes, signature: bytes) -> bool:
    if len(digest) not in _DIGEST_BYTES or len(signature) > DER_BYTES_MAX:
        return False
    try:
        r, s = decode_dss_signature(signature)
        if s > _HALF_ORDER or encode_dss_signature(r, s) != signature:
            return False
        point.verify(signature, digest[:_CUT], _ECDSA)
    except (InvalidSignature, ValueError):
        return False
    return True


def _sign_ecdsa(secret_key: bytes, digest: bytes) -> bytes:
    if len(digest) not in _DIGEST_BYTES:
        raise ValueError("ECDSA signs a digest of 32, 48 or 64 bytes")
    signature = _private(secret_key).sign(digest[:_CUT], _ECDSA_DETERMINISTIC)
    r, s = decode_dss_signature(signature)
    return encode_dss_signature(r, min(s, SECP256K1_ORDER - s))


def _private(secret_key: bytes) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(secret_key)
    if len(secret_key) != 32 or not 0 < number < SECP256K1_ORDER:
        raise ValueError("not the secret key of a secp256k1 identity")
    return ec.derive_private_key(number, ec.SECP256K1())
