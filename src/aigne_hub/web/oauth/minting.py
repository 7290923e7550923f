"""Tokens in the making: access tokens (RFC 9068) and ID tokens (OpenID Connect Core, section 2)."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from aigne_hub.crypto.jose.compact import encoded
from aigne_hub.crypto.jose.keys import Algorithm, signed
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.lifetimes import ACCESS_US, SECOND_US
from aigne_hub.storage import signing_keys
from aigne_hub.web.backend import Backend

ACTOR: Final = "oauth"
_ACCESS_TYPE: Final = "at+jwt"
_ID_TYPE: Final = "JWT"
# How an ID token's at_hash is made: by the hash of its own algorithm (Core, 3.1.3.6).
_HASHES: Final = {Algorithm.EDDSA: hashlib.sha512, Algorithm.ES256: hashlib.sha256}


@dataclass(frozen=True, slots=True)
class Issued:
    """For what tokens are made. `authenticated_us` is when the user signed in, None for nobody."""

    subject: str
    client_id: str
    scopes: tuple[str, ...]
    resource: str
    grant_id: str
    family_id: str | None = None
    authenticated_us: int | None = None
    nonce: str | None = None


def token_answer(
    hub: Backend, issued: Issued, *, id_token_algorithm: str, refresh: str | None = None
) -> dict[str, object]:
    """Return the answer of the token endpoint (RFC 6749, 5.1)."""
    now = hub.clock.now_us()
    access = _access_token(hub, issued, now)
    answer: dict[str, object] = {
        "access_token": access,
        "token_type": "Bearer",
        "expires_in": ACCESS_US // SECOND_US,
        "scope": " ".join(issued.scopes),
    }
    if refresh is not None:
        answer["refresh_token"] = refresh
    if scopes_of.OPENID in issued.scopes and issued.authenticated_us is not None:
        algorithm = Algorithm(id_token_algorithm)
        answer["id_token"] = _id_token(hub, issued, now, algorithm, access)
    return answer


def ensure_keys(hub: Backend) -> None:
    """Make the first signing keys, in one process of all."""
    with hub.reading() as view:
        if not signing_keys.is_due(view, hub.clock.now_us(), age_us=_EVER):
            return
    with hub.changing(ACTOR) as change:
        if signing_keys.is_due(change.connection, hub.clock.now_us(), age_us=_EVER):
            signing_keys.rotate(change, hub.keyring)


_EVER: Final = 2**62


def _access_token(hub: Backend, issued: Issued, now_us: int) -> str:
    now = now_us // SECOND_US
    claims: dict[str, object] = {
        "iss": hub.public_url(),
        "aud": issued.resource,
        "sub": issued.subject,
        "client_id": issued.client_id,
        "scope": " ".join(issued.scopes),
        "iat": now,
        "exp": now + ACCESS_US // SECOND_US,
        "jti": hub.ids(),
        "gid": issued.grant_id,
    }
    if issued.family_id is not None:
        claims["fid"] = issued.family_id
    if issued.authenticated_us is not None:
        claims["auth_time"] = issued.authenticated_us // SECOND_US
    return _signed(hub, claims, _ACCESS_TYPE, Algorithm.EDDSA)


def _id_token(hub: Backend, issued: Issued, now_us: int, algorithm: Algorithm, access: str) -> str:
    assert issued.authenticated_us is not None
    now = now_us // SECOND_US
    hashed = _HASHES[algorithm](access.encode()).digest()
    claims: dict[str, object] = {
        "iss": hub.public_url(),
        "sub": issued.subject,
        "aud": issued.client_id,
        "iat": now,
        "exp": now + ACCESS_US // SECOND_US,
        "auth_time": issued.authenticated_us // SECOND_US,
        "at_hash": encoded(hashed[: len(hashed) // 2]),
    }
    if issued.nonce is not None:
        claims["nonce"] = issued.nonce
    return _signed(hub, claims, _ID_TYPE, algorithm)


def _signed(hub: Backend, claims: dict[str, object], kind: str, algorithm: Algorithm) -> str:
    signer = _signer(hub, algorithm)
    if signer is None:
        ensure_keys(hub)
        signer = _signer(hub, algorithm)
    assert signer is not None
    return signed(claims, kind=kind, key_id=signer.id, algorithm=algorithm, private=signer.private)


def _signer(hub: Backend, algorithm: Algorithm) -> signing_keys.Signer | None:
    with hub.reading() as view:
        return signing_keys.signer(view, hub.keyring, algorithm, hub.clock.now_us())


def with_user(scopes: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that mean something where no user is: none of OpenID Connect's."""
    return tuple(scope for scope in scopes if scope in scopes_of.HUB)
