"""Verifiable credentials as ArcBlock's wallets present them (`@arcblock/vc` 1.30).

A presentation is signed by its holder and carries the challenge; each credential in it is a text
of JSON, signed by its issuer over its canonical form without the proof.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from aigne_hub.crypto import base58, base64url, did_signature
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import Did, InvalidDid, hash_of, matches, parse
from aigne_hub.crypto.strict_json import read_object

PRESENTATION_CHARS_MAX: Final = 32_768
CREDENTIALS_MAX: Final = 8


class InvalidCredential(ValueError):
    """A presentation that proves nothing. The message says why, in words safe to show."""


@dataclass(frozen=True, slots=True)
class Required:
    """A credential that is asked for: one of the issuers says that the holder has a type."""

    type: str
    issuers: frozenset[str]


def verify_presentation(
    text: str, holder: Did, challenge: str, required: Required, now_us: int
) -> None:
    """Check that a holder presents the credential that is required. Raises InvalidCredential."""
    if len(text) > PRESENTATION_CHARS_MAX:
        raise InvalidCredential(f"longer than {PRESENTATION_CHARS_MAX} characters")
    presentation = _object(text)
    if presentation.get("challenge") != challenge:
        raise InvalidCredential("it was made for another challenge")
    signed = canonical_of({k: v for k, v in presentation.items() if k != "proof"})
    if not any(_is_signed(signed, proof, holder) for proof in _list(presentation.get("proof"))):
        raise InvalidCredential("its holder has not signed it")
    for each in _list(presentation.get("verifiableCredential")):
        credential = _object(each) if isinstance(each, str) else {}
        if required.type in _list(credential.get("type")):
            _check(credential, holder, required, now_us)
            return
    raise InvalidCredential(f"there is no {required.type} in it")


def canonical_of(value: Mapping[str, Any]) -> bytes:
    try:
        return canonical(dict(value))
    except ValueError as error:
        raise InvalidCredential(str(error)) from None


def _check(credential: Mapping[str, Any], holder: Did, required: Required, now_us: int) -> None:
    subject = credential.get("credentialSubject")
    if _did(subject.get("id") if isinstance(subject, dict) else None) != holder:
        raise InvalidCredential("it is about somebody else")
    begun = _instant_us(credential.get("issuanceDate"))
    if begun is None or begun > now_us:
        raise InvalidCredential("it is not valid yet")
    if "expirationDate" in credential:
        ends = _instant_us(credential["expirationDate"])
        if ends is None or ends <= now_us:
            raise InvalidCredential("it has expired")
    named = credential.get("issuer")
    issuer = _did(named.get("id") if isinstance(named, dict) else None)
    if issuer is None or issuer.address not in required.issuers:
        raise InvalidCredential("its issuer is none that this hub trusts")
    signed = canonical_of({k: v for k, v in credential.items() if k not in {"proof", "signature"}})
    if not any(_is_signed(signed, proof, issuer) for proof in _list(credential.get("proof"))):
        raise InvalidCredential("its issuer has not signed it")


def _is_signed(signed: bytes, proof: object, signer: Did) -> bool:
    """Tell whether a proof is the signer's: the key that it names has to be the DID's."""
    if not isinstance(proof, dict):
        return False
    key, signature = proof.get("pk"), proof.get("jws")
    if not (isinstance(key, str) and key.startswith("z") and isinstance(signature, str)):
        return False
    try:
        public_key, raw = base58.decode(key[1:]), base64url.decode(signature)
    except ValueError:
        return False
    if not matches(signer, public_key):
        return False
    digest = hash_of(signer.type.hash, signed)
    return did_signature.verify(signer.type.key, public_key, digest, raw)


def _did(value: object) -> Did | None:
    try:
        return parse(value) if isinstance(value, str) else None
    except InvalidDid:
        return None


def _instant_us(value: object) -> int | None:
    try:
        found = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        return None
    if found is None or found.tzinfo is None:
        return None
    return (found - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def _object(text: str) -> dict[str, Any]:
    try:
        return read_object(text.encode())
    except ValueError as error:
        raise InvalidCredential(f"it is unreadable: {error}") from None


def _list(value: object) -> Collection[Any]:
    items = value if isinstance(value, list) else [value]
    return items[:CREDENTIALS_MAX]
