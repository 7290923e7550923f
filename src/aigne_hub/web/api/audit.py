"""Who changed what: `GET /api/admin/audit`."""

from typing import Annotated, Any

from fastapi import APIRouter, Query

from aigne_hub.storage import audit
from aigne_hub.web.api.allowed import MayReadAudit
from aigne_hub.web.backend import Hub

_CHARS_MAX = 200
_LIMIT_MAX = 1_000


def list_changes(
    _: MayReadAudit,
    hub: Hub,
    actor: Annotated[str | None, Query(max_length=_CHARS_MAX, description="Who did it.")] = None,
    action: Annotated[
        str | None, Query(max_length=_CHARS_MAX, description="What, or how that begins.")
    ] = None,
    object: Annotated[  # noqa: A002 - what the parameter is called outside
        str | None, Query(max_length=_CHARS_MAX, description="What it was done to.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=_LIMIT_MAX, description="How many.")] = 50,
) -> dict[str, Any]:
    """List changes, newest first; `action` may be the beginning of one, such as `key.`.

    `head` is the hash of the newest entry of all: whoever notes it elsewhere can prove later
    that nothing before it was changed (`aigne-hub audit verify --head`).
    """
    with hub.reading() as view:
        found = list(audit.entries(view, audit.Wanted(actor, action, object), limit=limit))
        end = audit.head(view)
    return {"changes": found, "entries": end.seq, "head": end.hash.hex()}


def audit_router() -> APIRouter:
    router = APIRouter(prefix="/api/admin", tags=["Administration"])
    router.get("/audit", operation_id="listChanges", summary="Who changed what")(list_changes)
    return router
