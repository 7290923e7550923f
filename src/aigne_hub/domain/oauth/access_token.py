"""What an access token of the hub must say (RFC 9068) before anybody is looked up for it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.lifetimes import ACCESS_US, LEEWAY_US, SECOND_US

TYPES: Final = frozenset({"at+jwt", "application/at+jwt"})
HEADER: Final = frozenset({"alg", "kid", "typ"})
CLAIMS: Final = frozenset(
    {"iss", "aud", "sub", "client_id", "scope", "iat", "exp", "jti", "gid", "fid", "auth_time"}
)
TEXT_CHARS_MAX: Final = 2_048
INSTANT_MAX: Final = 2**40  # seconds; a later expiry is a mistake or a trick


class Refused(Exception):
    """A token that is not accepted. The message is for logs and tests, not for the caller."""


@dataclass(frozen=True, slots=True)
class AccessToken:
    """A token's claims, checked. `issued_us` and `expires_us` are Unix microseconds.

    `grant_id` is what a user (or an administrator) allowed the client; `family_id` the chain of
    tokens it belongs to, None for client credentials.
    """

    subject: str
    client_id: str
    audience: str
    scopes: tuple[str, ...]
    issued_us: int
    expires_us: int
    token_id: str
    grant_id: str
    family_id: str | None


def require_header(header: Mapping[str, Any], algorithms: Mapping[str, str]) -> str:
    """Return the id of the key that signed; `algorithms` has the one of each known key.

    Raises Refused. No other member is understood, so none is ignored: not `crit`, `jwk`, `jku`,
    `x5c` or `x5u`, from which a forger would like the key to be taken.
    """
    if header.keys() != HEADER:
        raise Refused("the header has other members than alg, kid and typ")
    key_id, algorithm, kind = header["kid"], header["alg"], header["typ"]
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise Refused("typ is not at+jwt")
    if not isinstance(key_id, str) or key_id not in algorithms:
        raise Refused("kid names no key of this hub")
    if algorithm != algorithms[key_id]:
        raise Refused("alg is not that of the key")
    return key_id


def require_claims(
    claims: Mapping[str, Any], *, issuer: str, audience: str | None, now_us: int
) -> AccessToken:
    """Return what a token says. Raises Refused.

    `audience` None accepts every audience: for introspection, where the token is not presented.
    """
    if claims.keys() - CLAIMS:
        raise Refused("a claim is unknown")
    if _text(claims, "iss") != issuer:
        raise Refused("iss is another")
    meant_for = _text(claims, "aud")
    if audience is not None and meant_for != audience:
        raise Refused("aud is another")
    issued_us, expires_us = _instant(claims, "iat"), _instant(claims, "exp")
    if issued_us > now_us + LEEWAY_US:
        raise Refused("iat lies ahead")
    if not issued_us < expires_us <= issued_us + ACCESS_US:
        raise Refused("exp is not within an hour of iat")
    if expires_us <= now_us:
        raise Refused("it has expired")
    scopes = tuple(_text(claims, "scope").split())
    if not scopes or any(scope not in scopes_of.KNOWN for scope in scopes):
        raise Refused("scope is not ours")
    return AccessToken(
        subject=_text(claims, "sub"),
        client_id=_text(claims, "client_id"),
        audience=meant_for,
        scopes=scopes,
        issued_us=issued_us,
        expires_us=expires_us,
        token_id=_text(claims, "jti"),
        grant_id=_text(claims, "gid"),
        family_id=_text(claims, "fid") if "fid" in claims else None,
    )


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= TEXT_CHARS_MAX:
        raise Refused(f"{name} is not a text")
    return value


def _instant(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < INSTANT_MAX:
        raise Refused(f"{name} is not a whole number of seconds")
    return value * SECOND_US
