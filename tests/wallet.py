"""A DID wallet for tests: keys, and the answers a person's wallet gives over HTTP."""

import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aigne_hub.crypto import arcblock_jwt, base64url, did_signature, multibase
from aigne_hub.crypto.canonical_json import canonical
from aigne_hub.crypto.did import (
    Did,
    DidType,
    HashType,
    KeyType,
    RoleType,
    address_of,
    hash_of,
    parse,
)
from tests.api import Answer, Api

HERE = "192.0.2.7"


def now_us() -> int:
    return time.time_ns() // 1_000


@dataclass(frozen=True)
class Wallet:
    """The keys of one DID."""

    key: KeyType = KeyType.ED25519
    role: RoleType = RoleType.ACCOUNT
    secret: bytes = field(default_factory=lambda: secrets.token_bytes(32))

    @property
    def public(self) -> bytes:
        return did_signature.public_key_of(self.key, self.secret)

    @property
    def did(self) -> Did:
        hash_type = HashType.KECCAK if self.key is KeyType.ETHEREUM else HashType.SHA3
        return parse(address_of(self.public, DidType(self.role, self.key, hash_type)))

    def token(self, challenge: str, claims: list[dict[str, Any]], **more: Any) -> str:
        """Return what it signs, for the request with a challenge."""
        body = {
            "action": "responseAuth",
            "challenge": challenge,
            "requestedClaims": claims,
            **more,
        }
        return arcblock_jwt.sign(self.did, self.secret, body, now_us())

    def signature(self, data: bytes) -> str:
        digest = hash_of(self.did.type.hash, data)
        return multibase.encode(did_signature.sign(self.key, self.secret, digest))

    def sent(self, token: str) -> dict[str, str]:
        return {"userPk": multibase.encode(self.public), "userInfo": token}


@dataclass
class Handshake:
    """One session of DID Connect, as its beginner and its wallet see it."""

    api: Api
    token: str
    url: str
    action: str = "login"
    address: str = HERE

    @property
    def path(self) -> str:
        """Where the wallet asks, as it reads it from the code."""
        query = parse_qs(urlsplit(self.url).query)
        return unquote(query["url"][0]).removeprefix(self.api.hub.address)

    def ask(self, path: str | None = None) -> dict[str, Any]:
        return told(self.api.get(path or self.path))

    def answer(self, wallet: Wallet, token: str, path: str | None = None) -> dict[str, Any]:
        answer = self.api.send("POST", path or self.path, body=wallet.sent(token))
        return told(answer)

    def status(self, address: str | None = None, **headers: str) -> Answer:
        sent = {"x-forwarded-for": address or self.address, **headers}
        path = f"/api/did/{self.action}/status"
        return self.api.send("GET", path, query={"_t_": self.token}, headers=sent)


def begin(
    api: Api,
    action: str = "login",
    *,
    address: str = HERE,
    headers: Mapping[str, str] | None = None,
    **query: str,
) -> Handshake:
    answer = api.send(
        "GET",
        f"/api/did/{action}/token",
        query=query or None,
        headers={"x-forwarded-for": address, **(headers or {})},
    )
    assert answer.status == 200, answer.text
    return Handshake(api, answer.json["token"], answer.json["url"], action, address)


def told(answer: Answer) -> dict[str, Any]:
    """Return what the hub told a wallet, once its signature has been checked."""
    assert answer.status == 200, answer.text
    said = answer.json
    assert set(said) == {"appPk", "authInfo"}
    verified = arcblock_jwt.verify(said["authInfo"], multibase.decode(said["appPk"]), now_us())
    assert verified.issuer.type.role is RoleType.APPLICATION
    return dict(verified.body)


def given(wallet: Wallet, request: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the claims that a willing person gives."""
    claims: list[dict[str, Any]] = []
    for asked in request["requestedClaims"]:
        claim = {"type": asked["type"]}
        match asked["type"]:
            case "profile":
                claim |= {"fullName": "Ann", "email": "ann@example.com"}
            case "signature":
                claim["sig"] = wallet.signature(multibase.decode(asked["origin"]))
            case "agreement":
                claim |= {"agreed": True, "digest": asked["digest"]}
        claims.append(claim)
    return claims


def go_through(handshake: Handshake, wallet: Wallet) -> dict[str, Any]:
    """Answer every step as a willing person does; return the last word."""
    request = handshake.ask()
    while "requestedClaims" in request:
        token = wallet.token(request["challenge"], given(wallet, request))
        request = handshake.answer(wallet, token)
    return request


def presentation(
    wallet: Wallet,
    issuer: Wallet,
    challenge: str,
    *,
    kind: str = "Passport",
    subject: str | None = None,
    **more: Any,
) -> str:
    """Return a presentation of a credential, as a wallet of ArcBlock makes it."""
    credential = {
        "@context": ["https://www.w3.org/2018/credentials/v1"],
        "id": "did:abt:z1",
        "type": ["VerifiableCredential", kind],
        "issuer": {
            "id": issuer.did.address,
            "pk": multibase.encode(issuer.public),
            "name": "Issuer",
        },
        "issuanceDate": "2026-01-01T00:00:00.000Z",
        "credentialSubject": {"id": subject or wallet.did.address, "level": 1},
        **more,
    }
    proved = {"proof": _proof(issuer, credential), **credential}
    shown = {
        "type": "VerifiablePresentation",
        "challenge": challenge,
        "verifiableCredential": [json.dumps(proved)],
    }
    return json.dumps({**shown, "proof": _proof(wallet, shown)})


def _proof(signer: Wallet, value: Mapping[str, Any]) -> dict[str, str]:
    signature = multibase.decode(signer.signature(canonical(dict(value))))
    return {"pk": multibase.encode(signer.public), "jws": base64url.encode(signature)}
