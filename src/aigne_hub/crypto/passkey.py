"""Assertions by passkeys: what an authenticator signs for a challenge (WebAuthn level 2, 7.2).

The public key is a COSE key (RFC 9052): P-256 with ES256, or Ed25519. The page that asked the
authenticator is the wallet's, so origin and relying party are not the hub's and only have to be
there; that the person was present and verified is required, as the reference does.
"""

import hashlib
import hmac
from typing import Final

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256

from aigne_hub.crypto import base64url, custodial
from aigne_hub.crypto.strict_json import read_object

ASSERTION_BYTES_MAX: Final = 8_192

# RFC 9052 section 7, RFC 9053 sections 2 and 7.
_KTY, _ALG, _CRV, _X, _Y = 1, 3, -1, -2, -3
_OKP, _EC2 = 1, 2
_ES256, _EDDSA = -7, -8
_P256, _ED25519 = 1, 6
_COSE_MEMBERS_MAX: Final = 8

_AUTHENTICATOR_BYTES_MIN: Final = 37
_FLAGS_AT: Final = 32
_USER_PRESENT, _USER_VERIFIED = 0x01, 0x04

_PublicKey = ec.EllipticCurvePublicKey | Ed25519PublicKey


def verify(public_key: bytes, challenge: bytes, assertion: bytes) -> bool:
    """Tell whether an assertion is a passkey's for a challenge.

    `assertion` is JSON with authenticatorData, clientDataJSON and signature, each in base64url.
    False, never an error, for anything else and for keys of other kinds.
    """
    if len(assertion) > ASSERTION_BYTES_MAX:
        return False
    try:
        key = _key(public_key)
        said = read_object(assertion)
        data, client, signature = (
            base64url.decode(_str(said.get(name)))
            for name in ("authenticatorData", "clientDataJSON", "signature")
        )
        client_data = read_object(client)
        asked = _str(client_data.get("challenge"))
        if client_data.get("type") != "webauthn.get" or client_data.get("crossOrigin") is True:
            return False
        if not hmac.compare_digest(base64url.decode(asked), challenge):
            return False
        flags = data[_FLAGS_AT] if len(data) >= _AUTHENTICATOR_BYTES_MIN else 0
        if not (flags & _USER_PRESENT and flags & _USER_VERIFIED):
            return False
        _check(key, signature, data + hashlib.sha256(client).digest())
    except (ValueError, InvalidSignature):
        return False
    return True


def _check(key: _PublicKey, signature: bytes, signed: bytes) -> None:
    if isinstance(key, Ed25519PublicKey):
        key.verify(signature, signed)
    else:
        key.verify(signature, signed, ec.ECDSA(SHA256()))


def _str(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("not a text")  # noqa: TRY004 - a value of theirs, not a type of ours
    return value


def _key(cose: bytes) -> _PublicKey:
    members, rest = _map(cose)
    if rest:
        raise ValueError("something follows the key")
    kind = (members.get(_KTY), members.get(_ALG), members.get(_CRV))
    x, y = members.get(_X), members.get(_Y)
    if not isinstance(x, bytes):
        raise ValueError("the key has no x")  # noqa: TRY004 - a value of theirs, not a type of ours
    if kind == (_OKP, _EDDSA, _ED25519) and custodial.is_sound(x):
        return Ed25519PublicKey.from_public_bytes(x)
    if kind == (_EC2, _ES256, _P256) and isinstance(y, bytes) and len(x) == len(y) == 32:
        return ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + x + y)
    raise ValueError("a key of another kind")


def _map(data: bytes) -> tuple[dict[int, int | bytes], bytes]:
    """Read a CBOR map from integers to integers and byte strings: all that these keys have."""
    major, count, data = _head(data)
    if major != 5 or count > _COSE_MEMBERS_MAX:
        raise ValueError("not a small CBOR map")
    members: dict[int, int | bytes] = {}
    for _ in range(count):
        name, data = _item(data)
        value, data = _item(data)
        if not isinstance(name, int) or name in members:
            raise ValueError("a member's name is no integer, or stands there twice")
        members[name] = value
    return members, data


def _item(data: bytes) -> tuple[int | bytes, bytes]:
    major, number, data = _head(data)
    match major:
        case 0:
            return number, data
        case 1:
            return -1 - number, data
        case 2 if number <= len(data):
            return data[:number], data[number:]
        case _:
            raise ValueError("not an integer and not a byte string")


def _head(data: bytes) -> tuple[int, int, bytes]:
    """Read the head of a CBOR item (RFC 8949, section 3)."""
    if not data:
        raise ValueError("the key ends early")
    major, short = data[0] >> 5, data[0] & 0b11111
    size = {24: 1, 25: 2, 26: 4}.get(short, 0)
    if (short >= 24 and not size) or len(data) < 1 + size:
        raise ValueError("the key ends early")
    number = int.from_bytes(data[1 : 1 + size]) if size else short
    return major, number, data[1 + size :]
