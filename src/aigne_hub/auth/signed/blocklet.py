"""The signatures of Blocklet Server's applications and components (`@blocklet/sdk` 1.17).

Both are Ed25519 over the SHA3-256 of canonical JSON, in hex. A remote application signs its id,
the time, its body and whom it calls for, but neither method nor path; a sibling component signs
them, too. Of a form neither signs the body: they sign `{}`.
"""

import hashlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from aigne_hub.auth.signed import query
from aigne_hub.auth.signed.claims import SECOND_US, SKEW_S, Head, Proof, instant_of
from aigne_hub.crypto import custodial
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import InvalidDid, did_of
from aigne_hub.crypto.strict_json import read_object
from aigne_hub.domain.errors import InvalidRequest, Unauthenticated

REMOTE_WINDOW_S: Final = 600
COMPONENT_LIFETIME_MAX_S: Final = 300
PREFIX_CHARS_MAX: Final = 100
# Of a body, told by its punctuation: a few hundredths of a second to write them down sorted.
VALUES_MAX: Final = 50_000
_MARKS: Final = (b",", b":", b"[", b"{")
# Paths whose bodies are forms.
_FORMS: Final = ("/audio/transcriptions",)
_STALE: Final = (
    "The signature's time is not now. Sign anew, with a clock that is right to the minute."
)


@dataclass(frozen=True, slots=True)
class RemoteClaim:
    """`x-app-id`, `x-timestamp`, `x-component-sig` and `x-app-user-did`."""

    app_did: str
    app_id: str
    timestamp: int
    end_user: str | None
    signature: bytes
    is_form: bool

    def proof(self, public_keys: Sequence[bytes], body: bytes) -> tuple[int, Proof] | None:
        """Try what the signer may have signed: without a user, also an empty one."""
        data = _data(body, is_form=self.is_form)
        said = canonical({"appId": self.app_id, "data": data, "timestamp": self.timestamp})
        tried = [_ending(said, "userDid", self.end_user or "")]
        if not self.end_user:
            tried = [said] if self.end_user is None else [said, *tried]
        signer = _signer(tried, public_keys, self.signature)
        if signer is None:
            return None
        mark = _mark(b"remote", public_keys[signer], self.signature)
        until_us = (self.timestamp + REMOTE_WINDOW_S + SKEW_S) * SECOND_US
        return signer, Proof(mark, until_us, _end_user(self.end_user))


def remote(head: Head, now_us: int) -> RemoteClaim:
    """Return what a remote application claims. Raises Unauthenticated."""
    app_id = head.text(b"x-app-id") or ""
    timestamp = instant_of(head.text(b"x-timestamp"), "x-timestamp")
    if abs(now_us - timestamp * SECOND_US) > REMOTE_WINDOW_S * SECOND_US:
        raise Unauthenticated(_STALE)
    try:
        app_did = did_of(app_id)
    except InvalidDid:
        raise Unauthenticated("x-app-id is not the DID of an application.") from None
    return RemoteClaim(
        app_did,
        app_id,
        timestamp,
        head.text(b"x-app-user-did"),
        _signature(head),
        _is_form(head),
    )


@dataclass(frozen=True, slots=True)
class ComponentClaim:
    """`x-component-sig` with its times; which component calls is no part of what is signed."""

    issued: int
    expires: int
    method: str
    paths: tuple[str, ...]
    asked: dict[str, Any]
    signature: bytes
    is_form: bool

    @property
    def app_did(self) -> None:
        """Siblings have one application's key, and do not say whose."""
        return

    def proof(self, public_keys: Sequence[bytes], body: bytes) -> tuple[int, Proof] | None:
        said = canonical(
            {
                "iat": self.issued,
                "exp": self.expires,
                "body": _data(body, is_form=self.is_form),
                "query": self.asked,
                "method": self.method,
            }
        )
        tried = [_ending(said, "url", path) for path in self.paths]
        signer = _signer(tried, public_keys, self.signature)
        if signer is None:
            return None
        mark = _mark(b"component", public_keys[signer], self.signature)
        return signer, Proof(mark, (self.expires + SKEW_S) * SECOND_US)


def component(head: Head, now_us: int, mounts: Iterable[str]) -> ComponentClaim:
    """Return what a sibling component claims. Raises Unauthenticated.

    `mounts` are prefixes that the signed path may have beside the one the request names.
    """
    issued = instant_of(head.text(b"x-component-sig-iat"), "x-component-sig-iat")
    expires = instant_of(head.text(b"x-component-sig-exp"), "x-component-sig-exp")
    if not 0 < expires - issued <= COMPONENT_LIFETIME_MAX_S:
        raise Unauthenticated(
            f"A component's signature is made for at most {COMPONENT_LIFETIME_MAX_S} seconds."
        )
    if issued * SECOND_US > now_us + SKEW_S * SECOND_US or expires * SECOND_US < now_us:
        raise Unauthenticated(_STALE)
    try:
        asked = query.parsed(head.query.decode("ascii"))
    except ValueError:
        raise Unauthenticated("The query cannot be read in only one way.") from None
    prefixes = ["", *mounts]
    sent = head.text(b"x-path-prefix")
    if sent and sent.startswith("/") and len(sent) <= PREFIX_CHARS_MAX:
        prefixes.append(sent.rstrip("/"))
    paths = tuple(dict.fromkeys(f"{prefix}{head.path}" for prefix in prefixes))
    return ComponentClaim(
        issued, expires, head.method.lower(), paths, asked, _signature(head), _is_form(head)
    )


def _data(body: bytes, *, is_form: bool) -> dict[str, Any]:
    """Return what of a body is signed. Raises ValueError, or Unauthenticated for too much."""
    if is_form or not body:
        return {}
    # All of it is read before anybody is known: what that may cost is bounded.
    if sum(map(body.count, _MARKS)) > VALUES_MAX:
        raise Unauthenticated(
            f"A body of more than {VALUES_MAX} values is signed by RFC 9421, by its digest."
        )
    return read_object(body)


def _ending(said: bytes, name: str, value: str) -> bytes:
    """Return canonical JSON with one more member, whose name sorts last."""
    return b'%b,"%b":%b}' % (said[:-1], name.encode(), canonical(value))


def _is_form(head: Head) -> bool:
    return head.path.endswith(_FORMS)


def _signature(head: Head) -> bytes:
    text = head.text(b"x-component-sig") or ""
    try:
        signature = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        signature = b""
    if len(signature) != custodial.SIGNATURE_BYTES:
        raise Unauthenticated("x-component-sig is an Ed25519 signature, 64 bytes in hex.")
    return signature


def _signer(said: Iterable[bytes], public_keys: Sequence[bytes], signature: bytes) -> int | None:
    """Return which key signed one of some messages."""
    for message in said:
        for at, public_key in enumerate(public_keys):
            if custodial.verify(public_key, message, signature):
                return at
    return None


def _mark(kind: bytes, public_key: bytes, signature: bytes) -> bytes:
    return hashlib.sha256(b"\0".join((kind, public_key + signature))).digest()


def _end_user(named: str | None) -> str | None:
    """Return the DID of whom an application calls for. Raises InvalidRequest."""
    if not named:
        return None
    try:
        return did_of(named)
    except InvalidDid as error:
        raise InvalidRequest(
            f"x-app-user-did is not a DID: {error.cause}.", param="x-app-user-did"
        ) from None
