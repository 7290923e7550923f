"""Keys of other issuers (JWKS, RFC 7517): fetched when needed, kept, and fetched rarely.

Whoever shows tokens with made-up key ids causes at most one fetch in REFETCH_US for an issuer.
Addresses that the operator declared may be private; one that an issuer's own document names may
not, unless it is on the issuer's own origin.
"""

import asyncio
import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping, Sequence
from typing import Any, Final

from aigne_hub.crypto.jose import compact
from aigne_hub.crypto.jose.keys import BadSignature, require_signed
from aigne_hub.domain.errors import Overloaded, Unauthenticated
from aigne_hub.domain.oauth.access_token import Refused
from aigne_hub.domain.oauth.external import (
    RSA_BITS_MIN,
    ExternalIdentity,
    ExternalIssuer,
    algorithm_of,
    require_claims,
    require_header,
)
from aigne_hub.ports import Clock
from aigne_hub.transport import Client, Target, TransportError, request_head

REFETCH_US: Final = 60 * 1_000_000
KEPT_US: Final = 3_600 * 1_000_000
# An issuer that cannot be reached is believed for so long.
STALE_US: Final = 24 * 3_600 * 1_000_000
KEYS_MAX: Final = 64
DOCUMENT_BYTES_MAX: Final = 256 * 1024
WITHIN_S: Final = 10.0
_DISCOVERY: Final = "/.well-known/openid-configuration"
_STRANGE: Final = "The access token is not valid, or its key is not known yet. Get a new one."

Keys = Mapping[str, tuple[str, Mapping[str, Any]]]


class _Known:
    """What is known of one issuer's keys."""

    def __init__(self) -> None:
        self.keys: Keys = {}
        self.fetched_us: int | None = None
        self.tried_us: int | None = None
        self.alone = asyncio.Lock()


class ExternalTokens:
    """Verifies tokens of the issuers that the operator declared. Belongs to one event loop."""

    def __init__(self, issuers: Sequence[ExternalIssuer], client: Client, clock: Clock) -> None:
        self._issuers = {issuer.name: issuer for issuer in issuers}
        self._known = {issuer.name: _Known() for issuer in issuers}
        self._client = client
        self._clock = clock

    def is_theirs(self, token: str) -> bool:
        """Tell whether a token says that one of these issuers made it."""
        try:
            issuer = compact.parts_of(token).claims.get("iss")
        except compact.Malformed:
            return False
        return isinstance(issuer, str) and issuer in self._issuers

    async def identity(self, token: str) -> ExternalIdentity | None:
        """Return whom a token means, None for one that is not sound.

        Raises Unauthenticated for a key that is not known yet, Overloaded when the issuer cannot
        be asked: neither is to be remembered.
        """
        try:
            parts = compact.parts_of(token)
            issuer = self._issuers[parts.claims["iss"]]
            key_id = require_header(parts.header)
            algorithm, public = await self._key(issuer, key_id)
            if parts.header.get("alg") not in _names(algorithm):
                return None
            require_signed(token, dict(public), parts.header["alg"])
            return require_claims(parts.claims, issuer, self._clock.now_us())
        except (compact.Malformed, Refused, BadSignature, KeyError):
            return None

    async def _key(self, issuer: ExternalIssuer, key_id: str) -> tuple[str, Mapping[str, Any]]:
        known = self._known[issuer.name]
        if self._is_wanting(known, key_id):
            async with known.alone:
                # Whoever waited for the lock finds what was fetched meanwhile.
                if self._is_wanting(known, key_id):
                    await self._fetch(issuer, known)
        found = known.keys.get(key_id)
        if found is None:
            raise Unauthenticated(_STRANGE)
        return found

    def _is_wanting(self, known: _Known, key_id: str) -> bool:
        now = self._clock.now_us()
        if known.tried_us is not None and now < known.tried_us + REFETCH_US:
            return False
        is_old = known.fetched_us is None or now >= known.fetched_us + KEPT_US
        return is_old or key_id not in known.keys

    async def _fetch(self, issuer: ExternalIssuer, known: _Known) -> None:
        now = known.tried_us = self._clock.now_us()
        try:
            uri, trusted = await self._address(issuer)
            known.keys = _usable(await self._document(uri, trusted=trusted))
            known.fetched_us = now
        except (TransportError, ValueError) as error:
            if known.fetched_us is None or now >= known.fetched_us + STALE_US:
                known.keys = {}
                raise Overloaded(
                    "The issuer of this token cannot be asked for its keys. Retry shortly."
                ) from error

    async def _address(self, issuer: ExternalIssuer) -> tuple[str, bool]:
        if issuer.jwks_uri is not None:
            return issuer.jwks_uri, True
        about = await self._document(issuer.name.rstrip("/") + _DISCOVERY, trusted=True)
        uri = about.get("jwks_uri")
        if about.get("issuer") != issuer.name or not isinstance(uri, str):
            raise ValueError("the discovery document is not the issuer's")
        own = Target.parse(issuer.name, trusted=True).origin.key
        return uri, Target.parse(uri, trusted=True).origin.key == own

    async def _document(self, uri: str, *, trusted: bool) -> Mapping[str, Any]:
        target = Target.parse(uri, trusted=trusted)
        head = request_head("GET", target.origin, target.path, (("accept", "application/json"),))
        try:
            async with asyncio.timeout(WITHIN_S):
                body = await self._body(target, head)
        except TimeoutError:
            raise ValueError("does not answer in time") from None
        document = json.loads(body)
        if not isinstance(document, dict):
            raise ValueError("is not a JSON object")  # noqa: TRY004 - a value of theirs
        return document

    async def _body(self, target: Target, head: bytes) -> bytes:
        answer = await self._client.send(target.origin, head)
        try:
            if answer.status != 200:
                raise ValueError(f"answered {answer.status}")
            body = b""
            while (chunk := await answer.chunk()) is not None:
                body += chunk
                if len(body) > DOCUMENT_BYTES_MAX:
                    raise ValueError("is too large")
            return body
        finally:
            if not answer.complete:
                answer.close()


def _usable(document: Mapping[str, Any]) -> Keys:
    listed = document.get("keys")
    if not isinstance(listed, list) or len(listed) > KEYS_MAX:
        raise ValueError(f"is not a list of at most {KEYS_MAX} keys")
    found: dict[str, tuple[str, Mapping[str, Any]]] = {}
    for key in listed:
        if not isinstance(key, dict) or not isinstance(key.get("kid"), str):
            continue
        algorithm = algorithm_of(key)
        if algorithm is not None and _is_strong(key):
            found[key["kid"]] = (algorithm, key)
    return found


def _is_strong(key: Mapping[str, Any]) -> bool:
    if key["kty"] != "RSA":
        return True
    modulus = str(key.get("n", ""))
    try:
        size = len(urlsafe_b64decode(modulus + "=" * (-len(modulus) % 4))) * 8
    except ValueError:
        return False
    return size >= RSA_BITS_MIN


def _names(algorithm: str) -> tuple[str, ...]:
    """Return how a token may name an algorithm: RFC 9864 has another word for EdDSA."""
    return ("EdDSA", "Ed25519") if algorithm == "EdDSA" else (algorithm,)
