"""The OpenAPI 3.1 document: the data plane, kept by hand, and what FastAPI generates."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from fastapi.openapi.utils import get_openapi

from aigne_hub.web.api.access import COOKIE_PATHS
from aigne_hub.web.codes import ERROR_CODES
from aigne_hub.web.declared import Access, Asks
from aigne_hub.web.guards import guarded
from aigne_hub.web.routers import every_router

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
# The member of an operation that names its permission.
PERMISSION = "x-aigne-hub-permission"
_SAID = {
    Asks.PERMISSION: "It takes the permission `{}`.",
    Asks.KEY: "With the permission `{}` it shows everybody's.",
    Asks.SIGNATURE: "An application signs it, or a key has the permission `{}`.",
}
Guards = Mapping[tuple[str, str], Access]
_DESCRIPTION = (
    "One address in front of every AI provider. Calls are authenticated with a key of this "
    "hub, recorded, metered and, where billing is on, charged in credits. "
    "Unknown members of a request go to the provider as they are."
)


def openapi_document(public_url: str, version: str) -> dict[str, Any]:
    """Return the document of a hub that is reached at `public_url`."""
    routers = every_router()
    document = get_openapi(
        title="AIGNE Hub",
        version=version,
        openapi_version="3.1.0",
        description=_DESCRIPTION,
        servers=[{"url": public_url}],
        routes=[route for router in routers for route in router.routes],
    )
    kept: dict[str, Any] = yaml.safe_load(_DATA_PLANE.read_text(encoding="utf-8"))
    document["tags"] = kept["tags"]
    document["paths"] = {**kept["paths"], **document["paths"]}
    _refuse_as_the_hub_does(document)
    _say_who_may_call(document, guarded(routers))
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


def _say_who_may_call(document: dict[str, Any], guards: Guards) -> None:
    """Add the permission that an operation takes, for people and for programs."""
    for (method, path), access in guards.items():
        operation = document["paths"].get(_written(path), {}).get(method.lower())
        if operation is None or access.permission is None:
            continue
        operation[PERMISSION] = access.permission.value
        said = _SAID[access.asks].format(access.permission.value)
        before = operation.get("description", "")
        operation["description"] = f"{before}\n\n{said}".strip()


def _written(path: str) -> str:
    """Return a path as the document has it, without the kinds of its parameters."""
    return re.sub(r":\w+}", "}", path)


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
