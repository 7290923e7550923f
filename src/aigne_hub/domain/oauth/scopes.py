"""Scopes of OAuth: OpenID Connect's, and the hub's own."""

from collections.abc import Collection, Iterable
from typing import Final

from aigne_hub.domain.access import Scope
from aigne_hub.domain.oauth.errors import OAuthError, Refusal

OPENID: Final = "openid"
PROFILE: Final = "profile"
EMAIL: Final = "email"
OFFLINE: Final = "offline_access"
# In the order in which they are written.
KNOWN: Final = (OPENID, PROFILE, EMAIL, OFFLINE, *(scope.value for scope in Scope))
HUB: Final = frozenset(scope.value for scope in Scope)
# What a client may ask for unless an administrator lets it have more.
ORDINARY: Final = tuple(scope for scope in KNOWN if scope != Scope.ADMIN)
TEXT_CHARS_MAX: Final = 500

# What people read on the consent page.
MEANINGS: Final = {
    OPENID: "know who you are: your identifier (DID)",
    PROFILE: "read your role",
    EMAIL: "read your e-mail address",
    OFFLINE: "stay connected when you are away",
    Scope.INFERENCE.value: "call models, which spends your credit",
    Scope.MODELS.value: "list models and their prices",
    Scope.ADMIN.value: "administer this hub with your role",
}


def parsed(text: str | None, allowed: Iterable[str]) -> tuple[str, ...]:
    """Return the scopes that a request asks for, in a stable order. Raises OAuthError.

    A request that names none of the hub's gets `inference` (contract, section 4).
    """
    if text is not None and len(text) > TEXT_CHARS_MAX:
        raise OAuthError(Refusal.INVALID_SCOPE, "scope is too long")
    asked = set((text or "").split())
    if asked - set(allowed):
        raise OAuthError(Refusal.INVALID_SCOPE, "scope has a value this client cannot ask for")
    if not asked & HUB:
        asked.add(Scope.INFERENCE.value)
    return ordered(asked)


def narrowed(text: str | None, granted: Collection[str]) -> tuple[str, ...]:
    """Return the scopes of a refreshed token: those granted, or some (RFC 6749, section 6)."""
    if text is None:
        return ordered(granted)
    asked = set(text.split())
    if not asked or asked - set(granted):
        raise OAuthError(Refusal.INVALID_SCOPE, "scope goes beyond what was granted")
    return ordered(asked)


def ordered(scopes: Collection[str]) -> tuple[str, ...]:
    return tuple(scope for scope in KNOWN if scope in scopes)


def hub_scopes(scopes: Iterable[str]) -> frozenset[Scope]:
    """Return what scopes allow on the hub itself."""
    return frozenset(Scope(scope) for scope in scopes if scope in HUB)
