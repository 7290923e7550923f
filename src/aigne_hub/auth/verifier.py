"""Verifying who calls: from memory after the first time."""

from collections.abc import Callable, Sequence
from typing import Protocol
from urllib.parse import unquote

from aigne_hub.crypto import api_key
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import Unauthenticated

# Digests remembered as unknown, so that a wrong key in a loop does not reach the database.
UNKNOWN_MAX = 10_000
PRINCIPALS_MAX = 100_000
CLIENT_DID_MAX = 256

_WRONG = "The API key is not valid. Check that it was copied whole and has not been revoked."
_MISSING = (
    "No API key was sent. Send it as `Authorization: Bearer <key>`; "
    "an owner makes one with `aigne-hub keys create`."
)

Headers = Sequence[tuple[bytes, bytes]]


class KeyDirectory(Protocol):
    async def find(self, digest: bytes) -> Principal | None:
        """Return the live principal of a key's digest; None when unknown, revoked or disabled."""
        ...


class Verifier:
    """Turns request headers into a Principal. `forget` drops everything remembered."""

    def __init__(self, directory: KeyDirectory, pepper: bytes, now_us: Callable[[], int]) -> None:
        self._directory = directory
        self._pepper = pepper
        self._now_us = now_us
        self._known: dict[bytes, Principal] = {}
        self._unknown: set[bytes] = set()

    def forget(self) -> None:
        self._known = {}
        self._unknown = set()

    async def verify(self, headers: Headers, scope: Scope | None = Scope.INFERENCE) -> Principal:
        """Return who calls; raises Unauthenticated, or Forbidden without the scope, if any."""
        token = presented(headers)
        if token is None:
            raise Unauthenticated(_MISSING)
        digest = api_key.digest(token, self._pepper)
        principal = self._known.get(digest)
        if principal is None:
            principal = await self._first_time(token, digest)
        if principal.expires_us is not None:
            principal.require_live(self._now_us())
        if scope is not None:
            principal.require_scope(scope)
        return principal

    async def _first_time(self, token: str, digest: bytes) -> Principal:
        if digest in self._unknown or not api_key.is_well_formed(token):
            raise Unauthenticated(_WRONG)
        known, unknown = self._known, self._unknown
        principal = await self._directory.find(digest)
        if principal is None:
            if len(unknown) >= UNKNOWN_MAX:
                unknown.clear()
            unknown.add(digest)
            raise Unauthenticated(_WRONG)
        if len(known) >= PRINCIPALS_MAX:
            known.clear()
        # Into the memory of before the lookup: a change meanwhile has dropped it already.
        known[digest] = principal
        return principal


def presented(headers: Headers) -> str | None:
    """Return the credential a request carries, by the order of the contract."""
    found: dict[bytes, bytes] = {}
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                return value[7:].strip().decode("latin-1")
        elif name in _ALTERNATIVES:
            found.setdefault(name, value)
    for name in _ALTERNATIVES:
        if name in found:
            return found[name].strip().decode("latin-1")
    return None


_ALTERNATIVES = (b"x-api-key", b"x-goog-api-key", b"api-key")


def app_did(principal: Principal, headers: Headers) -> str:
    """Return the application a call is recorded for: the one it names, else the key's own."""
    for name, value in headers:
        if name == b"x-aigne-hub-client-did":
            text = unquote(value.decode("latin-1")).strip()
            if text.isprintable() and 0 < len(text) <= CLIENT_DID_MAX:
                return text
    return principal.app_did
