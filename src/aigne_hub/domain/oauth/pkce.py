"""Proof Key for Code Exchange (RFC 7636). The only method is S256, and everybody needs it."""

import hashlib
import hmac
import re
from base64 import urlsafe_b64encode
from typing import Final

from aigne_hub.domain.oauth.errors import OAuthError, Refusal

METHOD: Final = "S256"
# RFC 7636, 4.1: 43 to 128 unreserved characters. An S256 challenge always has 43.
_VERIFIER: Final = re.compile(r"[A-Za-z0-9._~-]{43,128}")
_CHALLENGE: Final = re.compile(r"[A-Za-z0-9_-]{43}")


def require_challenge(challenge: str | None, method: str | None) -> str:
    """Return the challenge of an authorization request. Raises OAuthError."""
    if not challenge:
        raise OAuthError(Refusal.INVALID_REQUEST, "code_challenge is missing: PKCE is required")
    # Without a method the default is `plain` (4.3), which is not served either.
    if method != METHOD:
        raise OAuthError(Refusal.INVALID_REQUEST, "code_challenge_method must be S256")
    if not _CHALLENGE.fullmatch(challenge):
        raise OAuthError(Refusal.INVALID_REQUEST, "code_challenge must be 43 base64url characters")
    return challenge


def require_verifier(verifier: str | None) -> str:
    """Return the verifier of a token request, well formed. Raises OAuthError."""
    if not verifier or not _VERIFIER.fullmatch(verifier):
        raise OAuthError(
            Refusal.INVALID_REQUEST, "code_verifier must be 43 to 128 unreserved characters"
        )
    return verifier


def challenge_of(verifier: str) -> str:
    """Return the S256 challenge of a verifier (4.2)."""
    digest = hashlib.sha256(verifier.encode("ascii")).digest()
    return urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def proves(verifier: str, challenge: str) -> bool:
    """Tell, in constant time, whether a verifier is the one behind a challenge."""
    return hmac.compare_digest(challenge_of(verifier), challenge)
