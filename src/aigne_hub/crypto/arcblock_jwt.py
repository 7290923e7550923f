"""ArcBlock's JSON Web Tokens: signed by the key of the DID that issues them.

Their header is `{"alg":…,"type":"JWT"}` and their instants are texts. Version 1.0.0 signs
`header.body` itself, 1.1.0 its SHA3-256. What the reference verifier (@arcblock/jwt 1.30) lets
through and this one does not is in docs/did.md.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aigne_hub.crypto import base64url, did_signature, passkey
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import Did, HashType, InvalidDid, KeyType, hash_of, matches, parse
from aigne_hub.crypto.strict_json import read_object

TOKEN_CHARS_MAX: Final = 65_536
TOLERANCE_S: Final = 5
LIFETIME_MAX_S: Final = 300
V1_0: Final = "1.0.0"
V1_1: Final = "1.1.0"

_ALGORITHMS: Final = {
    KeyType.ED25519: "Ed25519",
    KeyType.SECP256K1: "ES256K",
    KeyType.ETHEREUM: "Ethereum",
    KeyType.PASSKEY: "Passkey",
}
_SECOND_US: Final = 1_000_000
_INSTANT_DIGITS_MAX: Final = 12


class InvalidToken(ValueError):
    """A token that proves nothing. `cause` says why, in words safe to show."""

    def __init__(self, cause: str) -> None:
        super().__init__(f"not a valid token: {cause}")
        self.cause = cause


@dataclass(frozen=True, slots=True)
class VerifiedToken:
    """Who signed a token, and what it says."""

    issuer: Did
    body: Mapping[str, Any]


def sign(
    issuer: Did, secret_key: bytes, claims: Mapping[str, Any], now_us: int, version: str = V1_1
) -> str:
    """Return a token that ends LIFETIME_MAX_S from now.

    Members that are None or empty are left out, as the reference does. Raises ValueError for a
    version that the issuer's key cannot sign safely, and for passkeys.
    """
    now = now_us // _SECOND_US
    body = {
        "iss": f"did:abt:{issuer.address}",
        "iat": str(now),
        "nbf": str(now),
        "exp": str(now + LIFETIME_MAX_S),
        "version": version,
        **claims,
    }
    body = {name: value for name, value in body.items() if value is not None and value != ""}
    key = issuer.type.key
    signed = f"{_part({'alg': _ALGORITHMS[key], 'type': 'JWT'})}.{_part(body)}".encode()
    signature = did_signature.sign(key, secret_key, _message(key, version, signed))
    return f"{signed.decode()}.{base64url.encode(signature)}"


def verify(
    token: str, public_key: bytes, now_us: int, *, lifetime_max_s: int = LIFETIME_MAX_S
) -> VerifiedToken:
    """Return what a token says that the holder of a public key signed. Raises InvalidToken."""
    signed, header, body, signature = _parts(token)
    issuer = _issuer(body, public_key)
    key = issuer.type.key
    if header != {"alg": _ALGORITHMS[key], "type": "JWT"}:
        raise InvalidToken("its header is not the one for the issuer's kind of key")
    _check_instants(body, now_us, lifetime_max_s)
    try:
        message = _message(key, body.get("version"), signed)
    except ValueError as error:
        raise InvalidToken(str(error)) from None
    if key is KeyType.PASSKEY:
        sound = passkey.verify(public_key, message, signature)
    else:
        sound = did_signature.verify(key, public_key, message, signature)
    if not sound:
        raise InvalidToken("its signature is not the issuer's")
    return VerifiedToken(issuer, body)


def _message(key: KeyType, version: object, signed: bytes) -> bytes:
    """Return what is signed. Raises ValueError where the signature would not cover the token.

    ECDSA takes a digest. Given the text, as in version 1.0.0, the reference signs its first 32
    bytes, which are the header's: one token of a key would be good for every body.
    """
    if version == V1_1:
        return hash_of(HashType.SHA3, signed)
    if version != V1_0:
        raise ValueError("its version is not known here")
    if key is not KeyType.ED25519:
        raise ValueError("version 1.0.0 protects only tokens of Ed25519 keys")
    return signed


def _part(value: Mapping[str, Any]) -> str:
    return base64url.encode(canonical(value))


def _parts(token: str) -> tuple[bytes, dict[str, Any], dict[str, Any], bytes]:
    if len(token) > TOKEN_CHARS_MAX:
        raise InvalidToken(f"longer than {TOKEN_CHARS_MAX} characters")
    parts = token.split(".")
    if len(parts) != 3:
        raise InvalidToken("it has not three parts")
    try:
        header, body, signature = map(base64url.decode, parts)
        return (
            f"{parts[0]}.{parts[1]}".encode(),
            read_object(header),
            read_object(body),
            signature,
        )
    except ValueError as error:
        raise InvalidToken(f"a part is unreadable: {error}") from None


def _issuer(body: Mapping[str, Any], public_key: bytes) -> Did:
    named = body.get("iss")
    if not isinstance(named, str) or not named.startswith("did:"):
        raise InvalidToken("it names no issuer")
    try:
        issuer = parse(named)
    except InvalidDid as error:
        raise InvalidToken(f"its issuer is no DID: {error.cause}") from None
    if not matches(issuer, public_key):
        raise InvalidToken("its issuer is not of the public key")
    return issuer


def _check_instants(body: Mapping[str, Any], now_us: int, lifetime_max_s: int) -> None:
    now = -(-now_us // _SECOND_US)
    begun, ends = _instant(body, "iat"), _instant(body, "exp")
    if ends <= begun or ends - begun > lifetime_max_s:
        raise InvalidToken(f"it is not made for at most {lifetime_max_s} seconds")
    if ends + TOLERANCE_S < now:
        raise InvalidToken("it has expired")
    valid_from = _instant(body, "nbf") if "nbf" in body else begun
    if max(begun, valid_from) - TOLERANCE_S > now:
        raise InvalidToken("it is of the future: the clocks differ")


def _instant(body: Mapping[str, Any], name: str) -> int:
    """Return an instant in Unix seconds; ArcBlock writes a text, others write numbers."""
    value = body.get(name)
    if isinstance(value, str) and value.isascii() and value.isdigit():
        if len(value) <= _INSTANT_DIGITS_MAX and str(int(value)) == value:
            return int(value)
    elif type(value) is int and 0 <= value < 10**_INSTANT_DIGITS_MAX:
        return value
    raise InvalidToken(f"{name} is missing or no instant")
