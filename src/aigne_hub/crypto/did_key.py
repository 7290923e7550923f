"""`did:key`: an identity that is a public key and nothing else (W3C CCG, did:key method v0.9).

`z`, base58 of a multicodec and the key. One text for each key: base58 without a second
spelling, the multicodec and the length that belong together, a point that is on its curve.
"""

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec

from aigne_hub.crypto import base58, custodial
from aigne_hub.crypto.did import InvalidDid

METHOD: Final = "did:key:"
DID_KEY_TEXT_MAX: Final = 120


class Codec(Enum):
    """The multicodec of a public key, as an unsigned varint, and how many bytes the key has."""

    ED25519 = (b"\xed\x01", 32)
    SECP256K1 = (b"\xe7\x01", 33)
    P256 = (b"\x80\x24", 33)

    def __init__(self, prefix: bytes, size: int) -> None:
        self.prefix = prefix
        self.size = size


_CURVES: Final[dict[Codec, type[ec.EllipticCurve]]] = {
    Codec.SECP256K1: ec.SECP256K1,
    Codec.P256: ec.SECP256R1,
}


@dataclass(frozen=True, slots=True)
class DidKey:
    """A checked did:key. `public_key` is compressed for the curves of ECDSA (SEC 1, 2.3.3)."""

    codec: Codec
    public_key: bytes

    def __str__(self) -> str:
        return METHOD + multibase(self.codec, self.public_key)


def multibase(codec: Codec, public_key: bytes) -> str:
    """Return the text of a public key, also as DID documents have it (`publicKeyMultibase`)."""
    return "z" + base58.encode(codec.prefix + public_key)


def of(codec: Codec, public_key: bytes) -> DidKey:
    """Return the did:key of a public key. Raises InvalidDid for bytes that are not one."""
    if len(public_key) != codec.size:
        raise InvalidDid(f"{len(public_key)} bytes are no {codec.name} public key")
    if codec is Codec.ED25519:
        if not custodial.is_sound(public_key):
            raise InvalidDid("the key is no point by which somebody can be known")
        return DidKey(codec, public_key)
    try:
        ec.EllipticCurvePublicKey.from_encoded_point(_CURVES[codec](), public_key)
    except ValueError:
        raise InvalidDid("the key is no point of its curve") from None
    return DidKey(codec, public_key)


def parse(text: str) -> DidKey:
    """Return the key that a did:key names. Raises InvalidDid."""
    if len(text) > DID_KEY_TEXT_MAX:
        raise InvalidDid(f"longer than {DID_KEY_TEXT_MAX} characters")
    if not text.startswith(f"{METHOD}z"):
        raise InvalidDid("it does not start with did:key:z")
    try:
        data = base58.decode(text.removeprefix(f"{METHOD}z"))
    except ValueError as error:
        raise InvalidDid(f"after the z, {error}") from None
    for codec in Codec:
        if data.startswith(codec.prefix):
            return of(codec, data.removeprefix(codec.prefix))
    raise InvalidDid("the key is of no kind known here: Ed25519, secp256k1 or P-256")
