"""HTTP message signatures (RFC 9421) with Ed25519 and Content-Digest (RFC 9530).

What has to be signed is the hub's choice, not the signer's: the method, the whole address, the
body's digest, and parameters that say who, when, until when and what once. Which signature
counts is told by its tag, which is signed, and never by its label, which is not.
"""

import hashlib
from collections.abc import ItemsView, Sequence
from dataclasses import dataclass
from typing import Any, Final

import http_sf
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from http_message_signatures import (
    HTTPMessageSignaturesException,
    HTTPMessageVerifier,
    HTTPSignatureKeyResolver,
    InvalidSignature,
)
from http_message_signatures.algorithms import ED25519

from aigne_hub.auth.signed.claims import SECOND_US, SKEW_S, Head, Proof
from aigne_hub.crypto.custodial import is_sound
from aigne_hub.crypto.did import InvalidDid, did_of
from aigne_hub.domain.errors import Unauthenticated

TAG: Final = "aigne-hub"
LIFETIME_MAX_S: Final = 300
NONCE_CHARS_MIN: Final = 16
NONCE_CHARS_MAX: Final = 128
SIGNATURES_MAX: Final = 8
FIELD_BYTES_MAX: Final = 8_192
_ALGORITHM: Final = "ed25519"
_INPUT: Final = b"signature-input"
_UNREADABLE: Final = "Signature-Input cannot be read (RFC 9421, section 4.1)."


class _Lines:
    """A request's header lines, in order, repeated ones each by itself."""

    def __init__(self, head: Head) -> None:
        self._lines = [(n.decode("latin-1"), v.decode("latin-1")) for n, v in head.headers]

    def items(self) -> Sequence[tuple[str, str]]:
        return self._lines


@dataclass(frozen=True, slots=True)
class _Message:
    method: str
    url: str
    headers: _Lines


class _OneKey(HTTPSignatureKeyResolver):
    def __init__(self, public_key: bytes) -> None:
        self._key = Ed25519PublicKey.from_public_bytes(public_key)

    def resolve_public_key(self, key_id: str) -> Ed25519PublicKey:
        del key_id  # whose key this is was found by it
        return self._key


class _Verifier(HTTPMessageVerifier):
    """The library's, told the time by the hub's clock, which `claimed` has looked at."""

    def validate_created_and_expires(self, sig_input: Any, max_age: Any = None) -> None:
        del sig_input, max_age


@dataclass(frozen=True, slots=True)
class MessageClaim:
    """A signature of this message that is made as the hub asks."""

    app_did: str
    nonce: str
    expires: int
    head: Head
    urls: tuple[str, ...]

    def proof(self, public_keys: Sequence[bytes], body: bytes) -> tuple[int, Proof] | None:
        for at, public_key in enumerate(public_keys):
            if is_sound(public_key) and any(self._holds(public_key, body, u) for u in self.urls):
                said = b"\0".join((b"message", self.app_did.encode(), self.nonce.encode()))
                mark = hashlib.sha256(said).digest()
                return at, Proof(mark, (self.expires + SKEW_S) * SECOND_US)
        return None

    def _holds(self, public_key: bytes, body: bytes, url: str) -> bool:
        verifier = _Verifier(signature_algorithm=ED25519, key_resolver=_OneKey(public_key))
        message = _Message(self.head.method, url, _Lines(self.head))
        try:
            verifier.verify(message, max_age=None, expect_tag=TAG, body=body)
        except (InvalidSignature, HTTPMessageSignaturesException):
            return False
        return True


def claimed(head: Head, now_us: int, origins: Sequence[str]) -> MessageClaim:
    """Return what a message's signature claims. Raises Unauthenticated, saying what it lacks.

    `origins` are the addresses of the hub that may be signed, without a path's first slash.
    """
    covered, said = _tagged(head)
    _require_covered(covered, head)
    created, expires = said.get("created"), said.get("expires")
    if type(created) is not int or type(expires) is not int:
        raise Unauthenticated("A signature for the hub has the parameters created and expires.")
    if not 0 < expires - created <= LIFETIME_MAX_S:
        raise Unauthenticated(f"A signature is made for at most {LIFETIME_MAX_S} seconds.")
    if created * SECOND_US > now_us + SKEW_S * SECOND_US or expires * SECOND_US < now_us:
        raise Unauthenticated("The signature's time is not now. Sign anew, with a right clock.")
    nonce = said.get("nonce")
    if not isinstance(nonce, str) or not NONCE_CHARS_MIN <= len(nonce) <= NONCE_CHARS_MAX:
        raise Unauthenticated(
            f"A signature for the hub has a nonce of {NONCE_CHARS_MIN} to {NONCE_CHARS_MAX} "
            f"characters."
        )
    if said.get("alg", _ALGORITHM) != _ALGORITHM:
        raise Unauthenticated("The hub verifies signatures of the algorithm ed25519.")
    try:
        app_did = did_of(str(said.get("keyid")))
    except InvalidDid:
        raise Unauthenticated("keyid is the DID of the application that signs.") from None
    tail = head.path + (f"?{head.query.decode('latin-1')}" if head.query else "")
    urls = tuple(f"{origin}{tail}" for origin in origins)
    return MessageClaim(app_did, nonce, expires, head, urls)


def _tagged(head: Head) -> tuple[set[str], dict[str, Any]]:
    """Return what the one signature with the hub's tag covers, and its parameters."""
    field = b", ".join(value for name, value in head.headers if name == _INPUT)
    if len(field) > FIELD_BYTES_MAX:
        raise Unauthenticated(f"Signature-Input is longer than {FIELD_BYTES_MAX} bytes.")
    try:
        found: Any = http_sf.parse(field, tltype="dictionary", on_duplicate_key=_refuse)
    except (ValueError, TypeError):
        raise Unauthenticated(_UNREADABLE) from None
    members: ItemsView[str, Any] = found.items()
    if len(members) > SIGNATURES_MAX:
        raise Unauthenticated(f"A message has at most {SIGNATURES_MAX} signatures.")
    ours = [member for _, member in members if member[1].get("tag") == TAG]
    if len(ours) != 1 or not isinstance(ours[0][0], list):
        raise Unauthenticated(f'Exactly one signature of a message has tag="{TAG}".')
    items, said = ours[0]
    return {value for value, parameters in items if not parameters}, said


def _refuse(name: str, context: str) -> None:
    raise ValueError(f"{name} stands there twice in a {context}")


def _require_covered(covered: set[str], head: Head) -> None:
    missing = {"@method"} - covered
    if "@target-uri" not in covered:
        missing |= {"@authority", "@path"} - covered
        if head.query:
            missing |= {"@query"} - covered
    if head.method not in {"GET", "HEAD"}:
        missing |= {"content-digest"} - covered
    if missing:
        raise Unauthenticated(
            f"The signature does not cover {', '.join(sorted(missing))}. It has to cover @method, "
            f"@target-uri (or @authority, @path and @query) and, with a body, content-digest."
        )
