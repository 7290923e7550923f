"""`/__blocklet__.js`: where in this origin AIGNE's clients find the hub.

It is the first thing that a stock client asks, at the root of the origin; the edge serves the
same below the mount point (wire/aigne.md, section 9.7).
"""

from typing import Annotated, Any, Literal
from urllib.parse import urlsplit

import orjson
from fastapi import APIRouter, Query, Response

from aigne_hub.gateway.head import MOUNT
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.did.messages import identity_of

PATH = "/__blocklet__.js"
# How clients know this component among others of an origin.
COMPONENT_DID = "z8ia3xzq2tMq8CRHfaXj1BTYJyYnEcHbqP8cJ"

_NAME = "AIGNE Hub"


def blocklet(
    hub: Hub,
    kind: Annotated[
        Literal["json", "js", ""], Query(alias="type", description="`json`, else a script.")
    ] = "",
) -> Response:
    """Describe the hub, as a script that sets `window.blocklet` or as JSON."""
    document = orjson.dumps(_described(hub))
    if kind == "json":
        return Response(document, media_type="application/json")
    return Response(b"window.blocklet = %b;\n" % document, media_type="text/javascript")


def mounted_at(hub: Backend) -> str:
    """Return the path of the mount point in the hub's origin, without a trailing slash."""
    return urlsplit(hub.public_url()).path.rstrip("/") + MOUNT


def _described(hub: Backend) -> dict[str, Any]:
    mount = mounted_at(hub)
    address = identity_of(hub).address
    return {
        "appName": _NAME,
        "appUrl": f"{hub.public_url()}/",
        "appPid": address,
        "prefix": f"{mount}/",
        "componentId": f"{address}/{COMPONENT_DID}",
        "componentMountPoints": [
            {
                "did": COMPONENT_DID,
                "name": COMPONENT_DID,
                "title": _NAME,
                "mountPoint": mount,
                "status": "running",
            }
        ],
        "preferences": {"creditBasedBillingEnabled": hub.billing},
    }


def blocklet_router() -> APIRouter:
    router = APIRouter(tags=["Clients"], dependencies=[open_to_all("clients ask what this is")])
    router.get(
        PATH,
        operation_id="getBlocklet",
        summary="Where clients find the hub",
        response_class=Response,
        response_description="The hub",
        responses={
            200: {
                "content": {
                    "application/json": {"schema": {"type": "object"}},
                    "text/javascript": {"schema": {"type": "string"}},
                }
            }
        },
    )(blocklet)
    return router
