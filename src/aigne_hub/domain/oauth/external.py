"""Tokens of other issuers that the operator trusts: what they must say, and whom they mean."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from aigne_hub.domain.access import Scope
from aigne_hub.domain.oauth.access_token import INSTANT_MAX, TEXT_CHARS_MAX, Refused
from aigne_hub.domain.oauth.lifetimes import DAY_US, LEEWAY_US, SECOND_US

TYPES: Final = frozenset({"jwt", "at+jwt", "application/at+jwt"})
# `x5t` is a thumbprint that Microsoft's issuers add; the key is still looked up by `kid`.
HEADER: Final = frozenset({"alg", "kid", "typ", "x5t"})
# An ID token is proof for its client, not for the hub; these claims only it has.
ID_TOKEN_CLAIMS: Final = frozenset({"nonce", "at_hash", "c_hash"})
LIFETIME_US: Final = DAY_US
AUDIENCES_MAX: Final = 16
EMAIL: Final = "email"

# What a key of each kind may sign with, the first when it does not say.
ALGORITHMS: Final[Mapping[tuple[str, str], tuple[str, ...]]] = {
    ("RSA", ""): ("RS256", "PS256"),
    ("EC", "P-256"): ("ES256",),
    ("OKP", "Ed25519"): ("EdDSA",),
}
RSA_BITS_MIN: Final = 2_048


@dataclass(frozen=True, slots=True)
class ExternalIssuer:
    """An issuer: its exact name, for whom its tokens must be, and which claim names a user.

    `scopes` is what such a token allows, whatever it says itself. `jwks_uri` None means that the
    issuer's discovery document says it.
    """

    name: str
    audience: str
    jwks_uri: str | None
    user_claim: str
    scopes: frozenset[Scope]


@dataclass(frozen=True, slots=True)
class ExternalIdentity:
    """Whom a verified token means: an e-mail or a DID. `expires_us` is in Unix microseconds."""

    issuer: ExternalIssuer
    user: str
    expires_us: int


def algorithm_of(key: Mapping[str, Any]) -> str | None:
    """Return the one algorithm a published key verifies; None for a key that is not served."""
    allowed = ALGORITHMS.get((str(key.get("kty")), str(key.get("crv", ""))))
    if allowed is None or key.get("use", "sig") != "sig" or "d" in key:
        return None
    declared = key.get("alg", allowed[0])
    if declared == "Ed25519":
        declared = "EdDSA"
    return declared if declared in allowed else None


def require_header(header: Mapping[str, Any]) -> str:
    """Return the id of the key that is said to have signed. Raises Refused."""
    kind, key_id = header.get("typ", "JWT"), header.get("kid")
    if header.keys() - HEADER:
        raise Refused("the header has a member that is not understood")
    if not isinstance(kind, str) or kind.lower() not in TYPES:
        raise Refused("typ is not that of an access token")
    if not isinstance(key_id, str) or not 0 < len(key_id) <= TEXT_CHARS_MAX:
        raise Refused("kid is not a text")
    return key_id


def require_claims(
    claims: Mapping[str, Any], issuer: ExternalIssuer, now_us: int
) -> ExternalIdentity:
    """Return whom a verified token means. Raises Refused."""
    if claims.get("iss") != issuer.name:
        raise Refused("iss is another")
    if not _is_for(claims.get("aud"), issuer.audience):
        raise Refused("aud is another")
    if claims.keys() & ID_TOKEN_CLAIMS:
        raise Refused("it is an ID token")
    issued_us, expires_us = _instant(claims, "iat"), _instant(claims, "exp")
    if issued_us > now_us + LEEWAY_US or not issued_us < expires_us <= issued_us + LIFETIME_US:
        raise Refused("iat and exp do not belong together")
    if "nbf" in claims and _instant(claims, "nbf") > now_us + LEEWAY_US:
        raise Refused("it is not valid yet")
    if expires_us <= now_us:
        raise Refused("it has expired")
    user = claims.get(issuer.user_claim)
    if not isinstance(user, str) or not 0 < len(user) <= TEXT_CHARS_MAX:
        raise Refused("the claim that names the user is not a text")
    if issuer.user_claim == EMAIL and claims.get("email_verified") is not True:
        raise Refused("the e-mail is not verified")
    if "@" not in user and not user.startswith("did:"):
        raise Refused("the claim names no e-mail and no DID")
    return ExternalIdentity(issuer, user, expires_us)


def _is_for(audience: object, wanted: str) -> bool:
    if isinstance(audience, str):
        return audience == wanted
    if not isinstance(audience, list) or len(audience) > AUDIENCES_MAX:
        return False
    return all(isinstance(one, str) for one in audience) and wanted in audience


def _instant(claims: Mapping[str, Any], name: str) -> int:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int) or not 0 < value < INSTANT_MAX:
        raise Refused(f"{name} is not a whole number of seconds")
    return value * SECOND_US
