"""The signatures of Blocklet Server's applications and components (`@blocklet/sdk` 1.17).

Both are Ed25519 over the SHA3-256 of canonical JSON, in hex. A remote application signs its id,
the time, its body and whom it calls for, but neither method nor path; a sibling component signs
them, too. Of a form neither signs the body: they sign `{}`.
"""

import hashlib
from collections.abc import Iterable, Iterator, Sequence
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

    def proof(self, public_key: bytes, body: bytes) -> Proof | None:
        """Try what the signer may have signed: without a user, also an empty one."""
        data = _data(body, is_form=self.is_form)
        said = {"appId": self.app_id, "timestamp": self.timestamp, "data": data}
        if self.end_user:
            said["userDid"] = self.end_user
            tried: Sequence[dict[str, Any]] = (said,)
        elif self.end_user is None:
            tried = (said,)
        else:
            tried = (said, {**said, "userDid": ""})
        until_us = (self.timestamp + REMOTE_WINDOW_S + SKEW_S) * SECOND_US
        if not _signed(tried, public_key, self.signature):
            return None
        mark = _mark(b"remote", public_key, self.signature)
        return Proof(mark, until_us, _end_user(self.end_user))


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

    def proof(self, public_key: bytes, body: bytes) -> Proof | None:
        data = _data(body, is_form=self.is_form)
        if not _signed(self._tried(data), public_key, self.signature):
            return None
        mark = _mark(b"component", public_key, self.signature)
        return Proof(mark, (self.expires + SKEW_S) * SECOND_US)

    def _tried(self, data: dict[str, Any]) -> Iterator[dict[str, Any]]:
        for path in self.paths:
            yield {
                "iat": self.issued,
                "exp": self.expires,
                "body": data,
                "query": self.asked,
                "method": self.method,
                "url": path,
            }


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
    """Return what of a body is signed. Raises ValueError."""
    return {} if is_form or not body else read_object(body)


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


def _signed(said: Iterable[dict[str, Any]], public_key: bytes, signature: bytes) -> bool:
    return any(custodial.verify(public_key, canonical(one), signature) for one in said)


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
