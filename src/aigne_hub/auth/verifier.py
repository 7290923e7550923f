"""Verifying who calls: from memory after the first time."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol
from urllib.parse import unquote

from aigne_hub.auth.refusals import Refusals
from aigne_hub.crypto import api_key
from aigne_hub.domain.access import Principal, Scope
from aigne_hub.domain.errors import Unauthenticated

# Digests remembered as unknown, so that a wrong key in a loop does not reach the database.
UNKNOWN_MAX = 10_000
PRINCIPALS_MAX = 100_000
CLIENT_DID_MAX = 256

_WRONG = "The API key is not valid. Check that it was copied whole and has not been revoked."
_WRONG_TOKEN = "The access token is not valid, has expired or was revoked. Get a new one."  # noqa: S105 - a message
_MISSING = (
    "No API key was sent. Send it as `Authorization: Bearer <key>`; "
    "an owner makes one with `aigne-hub keys create`."
)

Headers = Sequence[tuple[bytes, bytes]]
# Lower-cased names; of a repeated header the first.
Fields = Mapping[bytes, bytes]


def fields_of(headers: Headers) -> Fields:
    return dict(reversed(headers))


class KeyDirectory(Protocol):
    async def find(self, digest: bytes) -> Principal | None:
        """Return the live principal of a key's digest; None when unknown, revoked or disabled."""
        ...


class TokenDirectory(Protocol):
    async def find(self, token: str) -> Principal | None:
        """Return the live principal of an access token; None for a text that is none."""
        ...


class Verifier:
    """Turns request headers into a Principal. `forget` drops everything remembered.

    Keys and tokens are remembered by a keyed hash of the whole that is quicker than the one
    they are stored by, so that no key is kept longer than the connection it came on. A token's
    signature is verified once; it is remembered until it expires or anything changes.
    """

    def __init__(
        self,
        directory: KeyDirectory,
        tokens: TokenDirectory,
        pepper: bytes,
        now_us: Callable[[], int],
    ) -> None:
        self._directory = directory
        self._tokens = tokens
        self._pepper = pepper
        # Copied for every call, so that its own part of the work is done once.
        self._keyed = hashlib.blake2b(key=pepper, digest_size=32)
        self._now_us = now_us
        self._refusals = Refusals()
        self._known: dict[bytes, Principal] = {}
        self._unknown: set[bytes] = set()

    def forget(self) -> None:
        self._known = {}
        self._unknown = set()

    async def verify(self, fields: Fields, scope: Scope | None = Scope.INFERENCE) -> Principal:
        """Return who calls; raises Unauthenticated, or Forbidden without the scope, if any."""
        token = presented(fields)
        if token is None:
            raise Unauthenticated(_MISSING)
        keyed = self._keyed.copy()
        keyed.update(token)
        mark = keyed.digest()
        principal = self._known.get(mark)
        if principal is None:
            principal = await self._first_time(token.decode("latin-1"), mark)
        if principal.expires_us is not None:
            principal.require_live(self._now_us())
        if scope is not None:
            principal.require_scope(scope)
        return principal

    async def _first_time(self, token: str, mark: bytes) -> Principal:
        is_token = api_key.looks_like_jwt(token)
        wrong = _WRONG_TOKEN if is_token else _WRONG
        if mark in self._unknown or not (is_token or api_key.is_well_formed(token)):
            raise self._refused(wrong, mark)
        known, unknown = self._known, self._unknown
        if is_token:
            principal = await self._tokens.find(token)
        else:
            principal = await self._directory.find(api_key.digest(token, self._pepper))
        if principal is None:
            if len(unknown) >= UNKNOWN_MAX:
                unknown.clear()
            unknown.add(mark)
            raise self._refused(wrong, mark)
        if len(known) >= PRINCIPALS_MAX:
            known.clear()
        # Into the memory of before the lookup: a change meanwhile has dropped it already.
        known[mark] = principal
        return principal

    def _refused(self, message: str, mark: bytes) -> Unauthenticated:
        """Tell the log by a keyed hash, which is the same for the same key and shows none."""
        self._refusals.tell(self._now_us(), "a key was refused", key=mark[:8].hex())
        return Unauthenticated(message)


def presented(fields: Fields) -> bytes | None:
    """Return the credential a request carries, by the order of the contract."""
    sent = fields.get(b"authorization")
    if sent is not None and sent[:7].lower() == b"bearer ":
        return sent[7:].strip()
    for name in _ALTERNATIVES:
        sent = fields.get(name)
        if sent is not None:
            return sent.strip()
    return None


_ALTERNATIVES = (b"x-api-key", b"x-goog-api-key", b"api-key")


def app_did(principal: Principal, fields: Fields) -> str:
    """Return whom a call is recorded for: an OAuth client, else the one named, else the key's."""
    named = fields.get(b"x-aigne-hub-client-did")
    if named is not None and not principal.app_is_verified:
        text = unquote(named.decode("latin-1")).strip()
        if text.isprintable() and 0 < len(text) <= CLIENT_DID_MAX:
            return text
    return principal.app_did
