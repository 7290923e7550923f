"""`/.well-known/did.json`: the hub as `did:web`, for whoever checks what it has signed."""

from typing import Any
from urllib.parse import quote, urlsplit

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from aigne_hub.crypto import did_key
from aigne_hub.crypto.did_key import Codec
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.did.messages import PREFIXES, identity_of

PATHS = ("/.well-known/did.json", "/did.json")
_KEPT = {"cache-control": "public, max-age=300"}


def document(hub: Hub) -> JSONResponse:
    """Return the DID document of the hub, with the key that signs what wallets are told."""
    return JSONResponse(_document(hub), headers=_KEPT, media_type="application/did+json")


def did_web_of(public_url: str) -> str:
    """Return the did:web of an address (https://w3c-ccg.github.io/did-method-web, section 3)."""
    url = urlsplit(public_url)
    parts = [quote(url.netloc, safe=""), *(quote(p, safe="") for p in url.path.split("/") if p)]
    return ":".join(["did:web", *parts])


def _document(hub: Backend) -> dict[str, Any]:
    identity = identity_of(hub)
    did = did_web_of(hub.public_url())
    key = did_key.multibase(Codec.ED25519, identity.public_key)
    method = f"{did}#{key}"
    return {
        "@context": ["https://www.w3.org/ns/did/v1", "https://w3id.org/security/multikey/v1"],
        "id": did,
        "alsoKnownAs": [identity.did, f"{did_key.METHOD}{key}"],
        "verificationMethod": [
            {"id": method, "type": "Multikey", "controller": did, "publicKeyMultibase": key}
        ],
        "authentication": [method],
        "assertionMethod": [method],
        "service": [
            {
                "id": f"{did}#did-connect",
                "type": "DIDConnect",
                "serviceEndpoint": f"{hub.public_url()}{PREFIXES[0]}",
            }
        ],
    }


def did_document_router() -> APIRouter:
    router = APIRouter(tags=["Sign-in"], dependencies=[open_to_all("it says who the hub is")])
    listed, below_a_path = PATHS
    router.get(listed, operation_id="didDocument", summary="The hub as did:web")(document)
    router.get(below_a_path, include_in_schema=False)(document)
    return router
