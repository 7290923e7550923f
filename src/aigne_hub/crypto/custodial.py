"""Identities the hub keeps for those who bring no wallet: every user and application has a DID.

Keys are Ed25519 in the wire format of ArcBlock wallets: a secret key is the 32-byte seed and
the 32-byte public key; a signature covers the hash of the data that the identity's type names.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from aigne_hub.crypto import base58
from aigne_hub.crypto.did import DidType, HashType, KeyType, RoleType, address_of, did_of, hash_of

SEED_BYTES = 32
SECRET_KEY_BYTES = 64
SIGNATURE_BYTES = 64

# The y coordinates of the points whose order divides 8, 0 and 1 also in their encodings above
# the field's prime. With such a public key one signature fits many messages, so it identifies
# nobody; OpenSSL does not refuse them.
_PRIME = 2**255 - 19
_ORDER_8_Y = 0x05FC536D880238B13933C6D305ACDFD5F098EFF289F4C345B027B2C28F95E826
_SMALL_ORDER_Y = frozenset({0, 1, _PRIME - 1, _PRIME, _PRIME + 1, _ORDER_8_Y, _PRIME - _ORDER_8_Y})
_D = -121665 * pow(121666, -1, _PRIME) % _PRIME
_Y_MASK = 2**255 - 1  # the top bit is the sign of x


@dataclass(frozen=True, slots=True)
class Identity:
    """A new DID with its keys. The secret key stays out of `repr`; seal it before storing."""

    did: str
    address: str
    public_key: bytes
    secret_key: bytes = field(repr=False)


def new_identity(role: RoleType, randbytes: Callable[[int], bytes]) -> Identity:
    """Make an Ed25519 identity, hashed with SHA3 unless the role forces SHA2.

    `randbytes(n)` returns n bytes from a cryptographically secure source.
    """
    seed = randbytes(SEED_BYTES)
    public_key = Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()
    address = address_of(public_key, DidType(role, KeyType.ED25519, HashType.SHA3))
    return Identity(did_of(address), address, public_key, seed + public_key)


def sign(secret_key: bytes, data: bytes, hash_type: HashType = HashType.SHA3) -> bytes:
    """Return the 64-byte Ed25519 signature of the hash of `data`.

    Raises ValueError when the secret key has not 64 bytes or its halves do not belong together.
    """
    if len(secret_key) != SECRET_KEY_BYTES:
        raise ValueError(f"a secret key has {SECRET_KEY_BYTES} bytes, got {len(secret_key)}")
    private_key = Ed25519PrivateKey.from_private_bytes(secret_key[:SEED_BYTES])
    if private_key.public_key().public_bytes_raw() != secret_key[SEED_BYTES:]:
        raise ValueError("the two halves of the secret key do not belong together")
    return private_key.sign(hash_of(hash_type, data))


def verify(
    public_key: bytes, data: bytes, signature: bytes, hash_type: HashType = HashType.SHA3
) -> bool:
    """Tell whether `signature` is that key's signature of the hash of `data`.

    False, never an error, for keys and signatures of a wrong shape, and for keys that are not
    sound.
    """
    if len(signature) != SIGNATURE_BYTES or not is_sound(public_key):
        return False
    try:
        key = Ed25519PublicKey.from_public_bytes(public_key)
        key.verify(signature, hash_of(hash_type, data))
    except (InvalidSignature, ValueError):
        return False
    return True


def public_key_of_text(text: str) -> bytes:
    """Return a sound key, of hex with or without `0x` or base58 behind a `z`; or ValueError."""
    key = (
        base58.decode(text[1:]) if text.startswith("z") else bytes.fromhex(text.removeprefix("0x"))
    )
    if not is_sound(key):
        raise ValueError("not an Ed25519 public key")
    return key


def is_sound(public_key: bytes) -> bool:
    """Tell whether bytes are an Ed25519 public key by which somebody can be known.

    That is a point of the curve, of large order, in the one encoding of RFC 8032, 5.1.3:
    OpenSSL takes bytes that are none of these.
    """
    if len(public_key) != SEED_BYTES or _is_small_order(public_key):
        return False
    y = int.from_bytes(public_key, "little") & _Y_MASK
    return y < _PRIME and _is_on_curve(y)


def _is_on_curve(y: int) -> bool:
    """Tell whether some x fits: x squared is (y squared - 1) / (d y squared + 1), if a square."""
    square = y * y
    ratio = (square - 1) * pow(_D * square + 1, -1, _PRIME)
    return pow(ratio, (_PRIME - 1) // 2, _PRIME) <= 1


def _is_small_order(public_key: bytes) -> bool:
    return int.from_bytes(public_key, "little") & _Y_MASK in _SMALL_ORDER_Y
