"""`/api/user/sessions`: where the caller's user is signed in."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request

from aigne_hub.domain.errors import Forbidden
from aigne_hub.domain.instants import format_instant
from aigne_hub.storage import sessions, users
from aigne_hub.web.api.access import Caller, actor
from aigne_hub.web.backend import Hub
from aigne_hub.web.session import present

_Id = Annotated[str, Path(max_length=64, description="Id of a session.")]


def list_sessions(caller: Caller, hub: Hub, request: Request) -> dict[str, Any]:
    """Return the sessions of the caller's user, the one used last first.

    `current` is the one whose cookie came with the request. OAuth clients are not told.
    """
    if caller.app_is_verified:
        raise Forbidden("An OAuth client is not told where its user is signed in.")
    asking = present(request, hub)
    with hub.reading() as view:
        user = users.find(view, caller.user_id)
        found = sessions.listed(view, user, hub.clock.now_us())
    current = None if asking is None else asking.id
    return {"sessions": [document(one, current) for one in found]}


def end_session(session_id: _Id, caller: Caller, hub: Hub) -> dict[str, Any]:
    """End a session: its cookie opens nothing any more."""
    with hub.changing(actor(caller)) as change:
        sessions.end(change, users.find(change.connection, caller.user_id), session_id)
    return {"ok": True}


def document(session: sessions.Session, current: str | None) -> dict[str, Any]:
    """Return what may be shown of a session."""
    return {
        "id": session.id,
        "method": session.method,
        "user_agent": session.user_agent,
        "address": session.address,
        "created_at": format_instant(session.created_us),
        "authenticated_at": format_instant(session.authenticated_us),
        "used_at": format_instant(session.used_us),
        "expires_at": format_instant(session.expires_us),
        "current": session.id == current,
    }


def sessions_router() -> APIRouter:
    router = APIRouter(prefix="/api/user/sessions", tags=["Account"])
    router.get("", operation_id="listSessions", summary="Where the caller is signed in")(
        list_sessions
    )
    router.delete("/{session_id}", operation_id="endSession", summary="End a session")(end_session)
    return router
