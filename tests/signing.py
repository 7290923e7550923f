"""Applications that sign their requests, as Blocklet Server's do and as RFC 9421 says."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Self

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from http_message_signatures import (
    HTTPMessageSigner,
    HTTPSignatureKeyResolver,
)
from http_message_signatures.algorithms import ED25519

from aigne_hub.crypto import custodial
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import RoleType

COVERED = ("@method", "@target-uri", "content-digest")
LIFETIME_S = 300


@dataclass
class _Message:
    method: str
    url: str
    headers: dict[str, str]


class _Key(HTTPSignatureKeyResolver):
    def __init__(self, seed: bytes) -> None:
        self._key = Ed25519PrivateKey.from_private_bytes(seed)

    def resolve_private_key(self, key_id: str) -> Ed25519PrivateKey:
        del key_id
        return self._key


@dataclass(frozen=True)
class App:
    """An application and its secret key."""

    identity: custodial.Identity = field(repr=False)

    @classmethod
    def new(cls) -> Self:
        return cls(custodial.new_identity(RoleType.APPLICATION, secrets.token_bytes))

    @property
    def did(self) -> str:
        return self.identity.did

    @property
    def address(self) -> str:
        return self.identity.address

    @property
    def public_key(self) -> str:
        return f"0x{self.identity.public_key.hex()}"

    def signed(self, said: Mapping[str, Any]) -> str:
        return "0x" + custodial.sign(self.identity.secret_key, canonical(dict(said))).hex()

    def remote(
        self, body: bytes = b"", *, at: int | None = None, user: str | None = None
    ) -> dict[str, str]:
        """Return the headers of a remote application's call."""
        at = int(time.time()) if at is None else at
        said = {"appId": self.address, "timestamp": at, "data": json.loads(body or b"{}")}
        if user:
            said["userDid"] = user
        return {
            "x-app-id": self.address,
            "x-timestamp": str(at),
            "x-component-sig": self.signed(said),
            "x-app-user-did": user or "",
        }

    def component(
        self,
        path: str,
        body: bytes = b"",
        *,
        method: str = "post",
        query: Mapping[str, Any] | None = None,
        at: int | None = None,
        lasts: int = LIFETIME_S,
    ) -> dict[str, str]:
        """Return the headers of a sibling component's call."""
        at = int(time.time()) if at is None else at
        said = {
            "iat": at,
            "exp": at + lasts,
            "body": json.loads(body or b"{}"),
            "query": dict(query or {}),
            "method": method,
            "url": path,
        }
        return {
            "x-component-did": "z8iZwyBfqwNcGbLCiUnFAQLEzT8sJd2TSjbM2",
            "x-component-sig": self.signed(said),
            "x-component-sig-iat": str(at),
            "x-component-sig-exp": str(at + lasts),
            "x-component-sig-version": "v1",
        }

    def message(
        self,
        url: str,
        body: bytes | None = b"",
        *,
        method: str = "POST",
        covered: tuple[str, ...] = COVERED,
        at: int | None = None,
        lasts: int | None = LIFETIME_S,
        nonce: str | None = "",
        tag: str | None = "aigne-hub",
        key_id: str | None = None,
        label: str = "sig",
        headers: Mapping[str, str] | None = None,
    ) -> dict[str, str]:
        """Return the headers of a message that is signed by RFC 9421; a nonce is made up."""
        at = int(time.time()) if at is None else at
        message = _Message(method, url, dict(headers or {}))
        if body is not None and "content-digest" not in covered:
            body = None
        signer = HTTPMessageSigner(
            signature_algorithm=ED25519, key_resolver=_Key(self.identity.secret_key[:32])
        )
        signer.sign(
            message,
            key_id=self.did if key_id is None else key_id,
            created=datetime.fromtimestamp(at, UTC),
            expires=None if lasts is None else datetime.fromtimestamp(at + lasts, UTC),
            nonce=secrets.token_urlsafe(24) if nonce == "" else nonce,
            label=label,
            tag=tag,
            covered_component_ids=[one for one in covered if one != "content-digest"],
            append_if_signature_exists=True,
            body=body,
            use_existing_digest=headers is not None and "Content-Digest" in headers,
        )
        return message.headers
