"""The OpenAPI 3.1 document: the data plane, kept by hand, and what FastAPI generates."""

from pathlib import Path
from typing import Any

import yaml
from fastapi.openapi.utils import get_openapi

from aigne_hub.web.api.access import COOKIE_PATHS
from aigne_hub.web.api.routers import api_routers
from aigne_hub.web.codes import ERROR_CODES
from aigne_hub.web.oauth.routers import oauth_routers
from aigne_hub.web.pages import pages_router
from aigne_hub.web.payment.webhooks import webhooks_router
from aigne_hub.web.probe_routes import operations_router

_DATA_PLANE = Path(__file__).parent / "data_plane.yaml"
# Paths whose operations take a key, and its four forms.
_KEYED = ("/api/", "/payment/api/")
# Paths whose callers prove who they are by a signature, or that are open to all.
_KEYLESS = ("/webhooks/", "/.well-known/", "/__blocklet__.js", "/oauth/")
_ANY_KEY: list[dict[str, list[str]]] = [
    {"bearer": []},
    {"x-api-key": []},
    {"x-goog-api-key": []},
    {"api-key": []},
]
_ACCOUNT = "Account"
_DESCRIPTION = (
    "One address in front of every AI provider. Calls are authenticated with a key of this "
    "hub, recorded, metered and, where billing is on, charged in credits. "
    "Unknown members of a request go to the provider as they are."
)


def openapi_document(public_url: str, version: str) -> dict[str, Any]:
    """Return the document of a hub that is reached at `public_url`."""
    document = get_openapi(
        title="AIGNE Hub",
        version=version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        servers=[{"url": public_url}],
        routes=[
            *operations_router().routes,
            *pages_router().routes,
            *webhooks_router().routes,
            *(route for router in oauth_routers() for route in router.routes),
            *(route for router in api_routers() for route in router.routes),
        ],
    )
    kept: dict[str, Any] = yaml.safe_load(_DATA_PLANE.read_text(encoding="utf-8"))
    document["tags"] = kept["tags"]
    document["paths"] = {**kept["paths"], **document["paths"]}
    _refuse_as_the_hub_does(document)
    generated = document["components"]["schemas"]
    components = kept["components"]
    components["schemas"] = {**components["schemas"], **generated}
    components["responses"] = _error_responses()
    error = components["schemas"]["ErrorObject"]["properties"]
    error["code"]["enum"] = [row.code for row in ERROR_CODES]
    document["components"] = components
    return document


def _refuse_as_the_hub_does(document: dict[str, Any]) -> None:
    """Put the hub's own refusals and credentials in the place of FastAPI's defaults."""
    for name in ("HTTPValidationError", "ValidationError"):
        document["components"]["schemas"].pop(name, None)
    for path, methods in document["paths"].items():
        if path.startswith(_KEYLESS):
            for operation in methods.values():
                operation["responses"].pop("422", None)
        if not path.startswith(_KEYED):
            continue
        for operation in methods.values():
            operation["responses"].pop("422", None)
            for status in (400, 401, 403, 404, 409):
                reference = {"$ref": f"#/components/responses/Error{status}"}
                operation["responses"].setdefault(str(status), reference)
            by_cookie = path.startswith(COOKIE_PATHS) and _ACCOUNT in operation["tags"]
            operation.setdefault("security", _ANY_KEY + [{"session": []}] * by_cookie)


def _error_responses() -> dict[str, Any]:
    """Return one response per status, named Error400 and so on, with the codes it can carry."""
    responses: dict[str, Any] = {}
    for row in ERROR_CODES:
        meaning = f"`{row.code}`: {row.meaning}"
        name = f"Error{row.status}"
        if name in responses:
            responses[name]["description"] += f" {meaning}"
            continue
        responses[name] = {
            "description": meaning,
            "headers": _error_headers(row.status),
            "content": {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}},
        }
    return responses


def _error_headers(status: int) -> dict[str, Any]:
    names = ["x-request-id", "x-aigne-hub-call-id", "Server-Timing"]
    if status in {429, 503}:
        names.append("retry-after")
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}
