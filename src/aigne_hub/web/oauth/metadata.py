"""What clients read before anything else: RFC 8414, OpenID Connect Discovery, RFC 9728, JWKS."""

from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from aigne_hub.crypto.jose.keys import Algorithm, published
from aigne_hub.domain.oauth import pkce
from aigne_hub.domain.oauth import scopes as scopes_of
from aigne_hub.domain.oauth.clients import Authentication, GrantType
from aigne_hub.domain.oauth.lifetimes import JWKS_CACHE_S
from aigne_hub.storage import signing_keys
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.oauth.minting import ensure_keys

_KEPT: Final = {"cache-control": f"public, max-age={JWKS_CACHE_S}"}
_SECRET_WAYS: Final = [Authentication.BASIC.value, Authentication.POST.value]


def server_metadata(hub: Hub) -> JSONResponse:
    """Describe the authorization server."""
    return JSONResponse(_document(hub), headers=_KEPT)


def resource_metadata(hub: Hub) -> JSONResponse:
    """Describe the hub as what tokens are for (RFC 9728)."""
    issuer = hub.public_url()
    document = {
        "resource": issuer,
        "resource_name": "AIGNE Hub",
        "authorization_servers": [issuer],
        "scopes_supported": [scope for scope in scopes_of.KNOWN if scope in scopes_of.HUB],
        "bearer_methods_supported": ["header"],
        "resource_documentation": f"{issuer}/docs",
    }
    return JSONResponse(document, headers=_KEPT)


def key_set(hub: Hub) -> JSONResponse:
    """Return the public keys that verify now or will sign soon (RFC 7517)."""
    ensure_keys(hub)
    with hub.reading() as view:
        keys = signing_keys.listed(view, hub.clock.now_us())
    document = {"keys": [published(key.id, key.algorithm, key.public) for key in keys]}
    return JSONResponse(document, headers=_KEPT, media_type="application/jwk-set+json")


def _document(hub: Backend) -> dict[str, object]:
    issuer = hub.public_url()
    document: dict[str, object] = {
        "issuer": issuer,
        "authorization_endpoint": f"{issuer}/oauth/authorize",
        "token_endpoint": f"{issuer}/oauth/token",
        "device_authorization_endpoint": f"{issuer}/oauth/device_authorization",
        "introspection_endpoint": f"{issuer}/oauth/introspect",
        "revocation_endpoint": f"{issuer}/oauth/revoke",
        "userinfo_endpoint": f"{issuer}/oauth/userinfo",
        "jwks_uri": f"{issuer}/.well-known/jwks.json",
        "scopes_supported": list(scopes_of.KNOWN),
        "response_types_supported": ["code"],
        "response_modes_supported": ["query"],
        "grant_types_supported": [grant.value for grant in GrantType],
        "code_challenge_methods_supported": [pkce.METHOD],
        "token_endpoint_auth_methods_supported": [way.value for way in Authentication],
        "revocation_endpoint_auth_methods_supported": [way.value for way in Authentication],
        "introspection_endpoint_auth_methods_supported": _SECRET_WAYS,
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": [one.value for one in reversed(Algorithm)],
        "claims_supported": [
            "iss",
            "sub",
            "aud",
            "exp",
            "iat",
            "auth_time",
            "nonce",
            "at_hash",
            "email",
            "email_verified",
            "role",
            "preferred_username",
        ],
        "prompt_values_supported": ["none", "login", "consent"],
        "claims_parameter_supported": False,
        "request_parameter_supported": False,
        "request_uri_parameter_supported": False,
        "authorization_response_iss_parameter_supported": True,
        "service_documentation": f"{issuer}/docs",
    }
    if hub.oauth_registration != "off":
        document["registration_endpoint"] = f"{issuer}/oauth/register"
    return document


def metadata_router() -> APIRouter:
    router = APIRouter(
        prefix="/.well-known",
        tags=["Identity"],
        dependencies=[open_to_all("programs read what this server is")],
    )
    router.get(
        "/oauth-authorization-server",
        operation_id="oauthMetadata",
        summary="Authorization server (RFC 8414)",
    )(server_metadata)
    router.get(
        "/openid-configuration",
        operation_id="openidConfiguration",
        summary="OpenID provider",
    )(server_metadata)
    router.get(
        "/oauth-protected-resource",
        operation_id="oauthResource",
        summary="What tokens are for (RFC 9728)",
    )(resource_metadata)
    router.get("/jwks.json", operation_id="jwks", summary="Keys that verify tokens")(key_set)
    return router
