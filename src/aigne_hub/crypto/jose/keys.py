"""Signing keys: made, written as JWK (RFC 7517), and used for one algorithm each.

joserfc is imported where it is first needed: many hubs sign nothing.
"""

import json
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from joserfc.jwk import Key
    from joserfc.jws import JWSRegistry


class Algorithm(StrEnum):
    """How the hub signs: Ed25519 (RFC 8037, `EdDSA`) or ECDSA with P-256 (RFC 7518, `ES256`)."""

    EDDSA = "EdDSA"
    ES256 = "ES256"


class BadSignature(Exception):
    """A token that a key did not sign."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key just made; `private` is JSON to be sealed. `id` is its thumbprint (RFC 7638)."""

    id: str
    algorithm: Algorithm
    public: dict[str, str]
    private: bytes = field(repr=False)


def new_key(algorithm: Algorithm) -> NewKey:
    """Make a key from the system's randomness."""
    from joserfc.jwk import ECKey, OKPKey  # noqa: PLC0415 - few hubs sign

    key: Key = (
        OKPKey.generate_key("Ed25519")
        if algorithm is Algorithm.EDDSA
        else ECKey.generate_key("P-256")
    )
    private = json.dumps(key.as_dict(private=True)).encode()
    return NewKey(key.thumbprint(), algorithm, _public(key), private)


def published(key_id: str, algorithm: Algorithm, public: dict[str, str]) -> dict[str, str]:
    """Return a public key as a JWK set has it."""
    return {**public, "kid": key_id, "alg": algorithm.value, "use": "sig"}


def signed(
    claims: dict[str, object], *, kind: str, key_id: str, algorithm: Algorithm, private: bytes
) -> str:
    """Return a token of a `kind` (its `typ`) in compact form."""
    from joserfc import jws  # noqa: PLC0415 - few hubs sign

    header = {"alg": algorithm.value, "kid": key_id, "typ": kind}
    payload = json.dumps(claims, separators=(",", ":")).encode()
    key = _imported(private)
    return jws.serialize_compact(header, payload, key, registry=_registry(algorithm.value))


def require_signed(token: str, public: dict[str, Any], algorithm: str) -> None:
    """Raise BadSignature unless a key signed a token with the algorithm of that key."""
    from joserfc import jws  # noqa: PLC0415 - few hubs are shown tokens
    from joserfc.errors import JoseError  # noqa: PLC0415 - as above

    try:
        key = _imported(json.dumps(public).encode())
        jws.deserialize_compact(token, key, registry=_registry(algorithm))
    except (JoseError, ValueError, TypeError, KeyError):
        raise BadSignature from None


def _public(key: "Key") -> dict[str, str]:
    return {name: str(value) for name, value in key.as_dict(private=False).items()}


@lru_cache(maxsize=16)
def _imported(text: bytes) -> Any:
    from joserfc.jwk import import_key  # noqa: PLC0415 - few hubs sign

    return import_key(json.loads(text))


@lru_cache(maxsize=8)
def _registry(algorithm: str) -> "JWSRegistry":
    """Return a registry that knows one algorithm and no other.

    joserfc warns of the name EdDSA, for which RFC 9864 has `Ed25519`; clients know the former.
    """
    from copy import copy  # noqa: PLC0415 - with joserfc

    from joserfc.jws import JWSRegistry  # noqa: PLC0415 - few hubs sign

    known = copy(JWSRegistry.algorithms[algorithm])
    known.security_warning = None

    class Pinned(JWSRegistry):
        algorithms = {algorithm: known}  # noqa: RUF012 - as its base has it

    return Pinned(algorithms=[algorithm])
