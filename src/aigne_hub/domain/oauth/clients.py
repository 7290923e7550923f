"""Clients: what one is, and what it may say of itself when it registers (RFC 7591)."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Final

from aigne_hub.domain.oauth import redirects
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.errors import OAuthError, Refusal

NAME_CHARS_MAX: Final = 80
URI_CHARS_MAX: Final = 500
_ID_TOKEN_ALGORITHMS: Final = ("ES256", "EdDSA")
_NO_NAME: Final = "Unnamed client"
_VISIBLE: Final = re.compile(r"[\x21\x23-\x3b\x3d\x3f-\x5b\x5d\x5f\x61-\x7a\x7e]+")


class GrantType(StrEnum):
    """What a client may present to get a token."""

    CODE = "authorization_code"
    REFRESH = "refresh_token"
    CLIENT = "client_credentials"
    DEVICE = "urn:ietf:params:oauth:grant-type:device_code"


class Authentication(StrEnum):
    """How a client proves that it is itself. Public clients cannot."""

    NONE = "none"
    BASIC = "client_secret_basic"
    POST = "client_secret_post"


_DEFAULT_GRANTS: Final = (GrantType.CODE, GrantType.REFRESH)


@dataclass(frozen=True, slots=True)
class Described:
    """What a client says of itself, checked."""

    name: str
    native: bool
    authentication: Authentication
    redirect_uris: tuple[str, ...]
    grants: frozenset[GrantType]
    scopes: tuple[str, ...]
    id_token_algorithm: str
    uri: str | None = None


@dataclass(frozen=True, slots=True)
class Client:
    """A registered client. `is_known` when an administrator made it, not the client itself.

    `user_id` is for whom client credentials act, and who pays for that.
    """

    id: str
    app_did: str
    described: Described
    is_known: bool
    user_id: str | None
    created_us: int
    disabled: bool

    @property
    def is_public(self) -> bool:
        return self.described.authentication is Authentication.NONE

    def require_grant(self, grant: GrantType) -> None:
        if grant not in self.described.grants:
            raise OAuthError(Refusal.UNAUTHORIZED_CLIENT, "this client cannot use this grant_type")


def described(document: Mapping[str, Any], *, trusted: bool) -> Described:
    """Return client metadata (RFC 7591, section 2), checked; members we do not know are ignored.

    `trusted` is what an administrator asks for: confidential clients, client credentials and
    the scope `admin`. Raises OAuthError.
    """
    authentication = _member(document, "token_endpoint_auth_method", Authentication)
    if authentication is None:
        authentication = Authentication.BASIC if trusted else Authentication.NONE
    native = _kind(document)
    grants = _grants(document)
    if not trusted and (authentication is not Authentication.NONE or GrantType.CLIENT in grants):
        raise _bad("confidential clients are registered with an administrator's key")
    if GrantType.CLIENT in grants and authentication is Authentication.NONE:
        raise _bad("client_credentials needs a client that authenticates")
    if GrantType.REFRESH in grants and grants == {GrantType.REFRESH}:
        raise _bad("refresh_token needs another grant type that gives the first one")
    uris = _redirect_uris(document, native=native)
    if (GrantType.CODE in grants) != bool(uris):
        raise OAuthError(
            Refusal.INVALID_REDIRECT_URI,
            "authorization_code needs redirect_uris, and only it can use them",
        )
    _require_response_types(document, grants)
    algorithm = document.get("id_token_signed_response_alg", _ID_TOKEN_ALGORITHMS[0])
    if algorithm not in _ID_TOKEN_ALGORITHMS:
        raise _bad("id_token_signed_response_alg is ES256 or EdDSA")
    return Described(
        name=_name(document),
        native=native,
        authentication=authentication,
        redirect_uris=uris,
        grants=grants,
        scopes=_scopes(document, trusted=trusted),
        id_token_algorithm=algorithm,
        uri=_uri(document),
    )


def metadata(client: Client) -> dict[str, object]:
    """Return what a client registered, as RFC 7591 has it."""
    about = client.described
    document: dict[str, object] = {
        "client_id": client.id,
        "client_id_issued_at": client.created_us // 1_000_000,
        "client_name": about.name,
        "application_type": "native" if about.native else "web",
        "token_endpoint_auth_method": about.authentication.value,
        "grant_types": sorted(grant.value for grant in about.grants),
        "response_types": ["code"] if GrantType.CODE in about.grants else [],
        "redirect_uris": list(about.redirect_uris),
        "scope": " ".join(about.scopes),
        "id_token_signed_response_alg": about.id_token_algorithm,
    }
    if about.uri is not None:
        document["client_uri"] = about.uri
    return document


def _kind(document: Mapping[str, Any]) -> bool:
    kind = document.get("application_type", "web")
    if kind not in {"web", "native"}:
        raise _bad("application_type is web or native")
    if kind == "native" or "application_type" in document:
        return bool(kind == "native")
    # Native clients that follow RFC 8252 without OpenID Connect's member say it by their address.
    uris = document.get("redirect_uris")
    return isinstance(uris, list) and any(
        isinstance(uri, str) and not uri.startswith("https://") for uri in uris
    )


def _grants(document: Mapping[str, Any]) -> frozenset[GrantType]:
    named = document.get("grant_types")
    if named is None:
        return frozenset(_DEFAULT_GRANTS)
    if not isinstance(named, list) or not named or len(named) > len(GrantType):
        raise _bad("grant_types is a list of grant types")
    try:
        return frozenset(GrantType(grant) for grant in named)
    except (ValueError, TypeError):
        raise _bad("grant_types has one that is not served") from None


def _redirect_uris(document: Mapping[str, Any], *, native: bool) -> tuple[str, ...]:
    uris = document.get("redirect_uris", [])
    if not isinstance(uris, list) or len(uris) > redirects.URIS_MAX:
        raise OAuthError(
            Refusal.INVALID_REDIRECT_URI,
            f"redirect_uris is a list of at most {redirects.URIS_MAX}",
        )
    if not all(isinstance(uri, str) for uri in uris):
        raise OAuthError(Refusal.INVALID_REDIRECT_URI, "redirect_uris holds texts")
    return tuple(redirects.require_registrable(uri, native=native) for uri in dict.fromkeys(uris))


def _require_response_types(document: Mapping[str, Any], grants: frozenset[GrantType]) -> None:
    types = document.get("response_types")
    if types is not None and types != (["code"] if GrantType.CODE in grants else []):
        raise _bad("response_types is code for authorization_code, and none else")


def _scopes(document: Mapping[str, Any], *, trusted: bool) -> tuple[str, ...]:
    allowed = scopes_of.KNOWN if trusted else scopes_of.ORDINARY
    text = document.get("scope")
    if text is None:
        return scopes_of.ORDINARY
    if not isinstance(text, str) or len(text) > scopes_of.TEXT_CHARS_MAX:
        raise _bad("scope is a text of scopes")
    asked = set(text.split())
    if not asked or asked - set(allowed):
        raise _bad("scope has a value that this client cannot have")
    if not asked & scopes_of.HUB:
        asked.add("inference")
    return scopes_of.ordered(asked)


def _name(document: Mapping[str, Any]) -> str:
    name = document.get("client_name", _NO_NAME)
    if not isinstance(name, str) or not name.isprintable():
        raise _bad("client_name is a text")
    name = " ".join(name.split())
    if not 0 < len(name) <= NAME_CHARS_MAX:
        raise _bad(f"client_name has 1 to {NAME_CHARS_MAX} characters")
    return name


def _uri(document: Mapping[str, Any]) -> str | None:
    """Return the client's own page. Pictures (`logo_uri`) are never shown, so none is kept."""
    uri = document.get("client_uri")
    if uri is None:
        return None
    if (
        not isinstance(uri, str)
        or len(uri) > URI_CHARS_MAX
        or not uri.startswith("https://")
        or not _VISIBLE.fullmatch(uri)
    ):
        raise _bad("client_uri is an https address")
    return uri


def _member(
    document: Mapping[str, Any], name: str, kinds: type[Authentication]
) -> Authentication | None:
    value = document.get(name)
    if value is None:
        return None
    try:
        return kinds(value)
    except (ValueError, TypeError):
        raise _bad(f"{name} is one of {', '.join(kinds)}") from None


def _bad(problem: str) -> OAuthError:
    return OAuthError(Refusal.INVALID_CLIENT_METADATA, problem)
