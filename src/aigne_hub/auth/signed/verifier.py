"""Verifying who signed a request: its application, once, and never a bearer of anything."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field, replace
from types import ModuleType
from typing import Final, TypeVar

from aigne_hub.at_first_use import at_first_use
from aigne_hub.auth.signed.claims import (
    Application,
    Applications,
    Claim,
    Head,
    Proof,
    Replays,
)
from aigne_hub.domain.access import Principal, Role, Scope
from aigne_hub.domain.errors import Unauthenticated

# Applications remembered, and names remembered as unknown.
KNOWN_MAX: Final = 10_000
UNKNOWN_MAX: Final = 10_000
# Bodies that are read and verified at once, in threads: each may be tens of megabytes.
VERIFIED_AT_ONCE: Final = 2

_UNSIGNED: Final = (
    "This address takes requests that an application signed, and no API keys: those are for "
    "/api/v2 and /v1. How to sign is in the hub's documentation, under Identity."
)
_WRONG: Final = (
    "The signature is not one of an application that may call. Check what is signed, and that "
    "the operator has added the application: aigne-hub apps add"
)
_AGAIN: Final = "This signature was used before. Sign each request anew."

Remembered = TypeVar("Remembered", dict[str, Application], set[str])

# Nobody has registered this key (RFC 8032, 7.1, test 1); who does is still nobody.
_NOBODY: Final = Application(
    bytes.fromhex("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a"),
    Principal("nobody", "did:none", "none", "none", Role.GUEST, frozenset()),
)


@dataclass(slots=True)
class _Memory:
    """What is known until the next change: applications, names of none, and the siblings."""

    known: dict[str, Application] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    siblings: Sequence[Application] | None = None


class SignatureVerifier:
    """Turns signed requests into Principals. `forget` drops what is remembered of applications."""

    def __init__(
        self,
        applications: Applications,
        replays: Replays,
        now_us: Callable[[], int],
        *,
        public_url: Callable[[], str],
        mounts: Sequence[str],
    ) -> None:
        self._applications = applications
        self._replays = replays
        self._now_us = now_us
        self._public_url = public_url
        self._mounts = tuple(mounts)
        self._turns = asyncio.Semaphore(VERIFIED_AT_ONCE)
        self._memory = _Memory()

    def forget(self) -> None:
        self._memory = _Memory()

    async def verify(
        self,
        head: Head,
        body: Callable[[], Awaitable[bytes]],
        scope: Scope | None = Scope.INFERENCE,
    ) -> Principal:
        """Return the application that signed; raises Unauthenticated for everybody else.

        The body is read only for a signature whose form and time are right.
        """
        claim = await self._claim(head)
        candidates = await self._candidates(claim.app_did)
        content = await body()
        async with self._turns:
            found = await asyncio.to_thread(_proven, claim, candidates, content)
        if found is None:
            raise Unauthenticated(_WRONG)
        application, proof = found
        if not await self._replays.is_first(proof.mark, proof.until_us):
            raise Unauthenticated(_AGAIN)
        principal = application.principal
        if scope is not None:
            principal.require_scope(scope)
        if proof.end_user is not None:
            principal = replace(principal, user_did=proof.end_user)
        return principal

    async def _claim(self, head: Head) -> Claim:
        """Return what is claimed. Who claims in one way is not let in by another."""
        fields, now_us = head.fields, self._now_us()
        claim: Claim
        if b"signature-input" in fields:
            messages = await asyncio.to_thread(_messages)
            claim = messages.claimed(head, now_us, self._origins())
            return claim
        if b"x-app-id" not in fields and b"x-component-sig" not in fields:
            raise Unauthenticated(_UNSIGNED)
        blocklet = await asyncio.to_thread(_blocklet)
        if b"x-app-id" in fields:
            claim = blocklet.remote(head, now_us)
        else:
            claim = blocklet.component(head, now_us, self._mounts)
        return claim

    def _origins(self) -> list[str]:
        own = self._public_url().rstrip("/")
        return [own, *(f"{own}{mount}" for mount in self._mounts)]

    async def _candidates(self, did: str | None) -> Sequence[Application]:
        """Return whose keys are tried; for nobody's a key all the same, which takes as long."""
        # Into the memory of before the lookup: a change meanwhile has dropped it already.
        memory = self._memory
        if did is None:
            if memory.siblings is None:
                memory.siblings = await self._applications.siblings()
            return memory.siblings or (_NOBODY,)
        found = memory.known.get(did)
        if found is None and did not in memory.unknown:
            found = await self._applications.find(did)
            if found is not None:
                _bounded(memory.known, KNOWN_MAX)[did] = found
            else:
                _bounded(memory.unknown, UNKNOWN_MAX).add(did)
        return (found or _NOBODY,)


def _bounded(remembered: Remembered, most: int) -> Remembered:
    if len(remembered) >= most:
        remembered.clear()
    return remembered


def _proven(
    claim: Claim, candidates: Sequence[Application], body: bytes
) -> tuple[Application, Proof] | None:
    try:
        found = claim.proof([one.public_key for one in candidates], body)
    except ValueError:
        # What is signed cannot be read, so nobody can have signed it.
        return None
    if found is None or candidates[found[0]] is _NOBODY:
        return None
    return candidates[found[0]], found[1]


@at_first_use
def _messages() -> ModuleType:
    from aigne_hub.auth.signed import http_message  # noqa: PLC0415 - at first use

    return http_message


@at_first_use
def _blocklet() -> ModuleType:
    from aigne_hub.auth.signed import blocklet  # noqa: PLC0415 - at first use

    return blocklet
