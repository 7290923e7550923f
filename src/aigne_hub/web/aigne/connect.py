"""The connect flow of the stock CLI: a session, a person's approval, a key (9.4).

The program that begins a session polls it until a key is there, reads it once more and deletes
the session. The key comes encrypted as CryptoJS does, with its passphrase beside it.
"""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import JSONResponse

from aigne_hub.crypto import base58, cryptojs
from aigne_hub.storage import connect_sessions
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.network import network_of

SERVICE = "/.well-known/service"
ACTOR = "page:connect"

_CHALLENGE_BYTES = 16
_FRESH = {"cache-control": "no-store"}

SessionId = Annotated[
    str,
    Query(
        alias="sid",
        min_length=1,
        max_length=connect_sessions.ID_CHARS_MAX,
        description="Id of the session.",
    ),
]


def begin(request: Request, hub: Hub) -> JSONResponse:
    """Begin a session, for a person to approve on a page."""
    now, address = hub.clock.now_us(), network_of(request)
    # Strangers who are refused must not keep the journal from writing.
    with hub.reading() as view:
        connect_sessions.require_room(view, now, address)
    with hub.posting() as view:
        session_id = connect_sessions.begin(view, now, hub.randbytes, address)
    return JSONResponse({"id": session_id}, headers=_FRESH)


def poll(sid: SessionId, hub: Hub) -> JSONResponse:
    """Return the key once somebody has approved the session; a minute later it is forgotten."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        approved, found = connect_sessions.poll(view, hub.keyring, now, sid)
    if not approved:
        return JSONResponse({"id": sid, "status": "waiting"}, headers=_FRESH)
    if found is None:
        with hub.changing(ACTOR) as change:
            found = connect_sessions.collect(change, hub.keyring, hub.randbytes, hub.pepper, sid)
    return JSONResponse({"id": sid, "status": "approved", **_wrapped(hub, found)}, headers=_FRESH)


def end(sid: SessionId, hub: Hub) -> JSONResponse:
    """End a session and forget its key's text."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        connect_sessions.poll(view, hub.keyring, now, sid)
    with hub.posting() as view:
        connect_sessions.end(view, now, sid)
    return JSONResponse({"id": sid, "status": "ended"}, headers=_FRESH)


def _wrapped(hub: Backend, key: connect_sessions.Collected) -> dict[str, str]:
    challenge = base58.encode(hub.randbytes(_CHALLENGE_BYTES))
    phrase = cryptojs.passphrase(challenge, key.key_id)
    secret = cryptojs.encrypt(key.text, phrase, hub.randbytes(cryptojs.SALT_BYTES))
    return {"accessKeyId": key.key_id, "accessKeySecret": secret, "challenge": challenge}


def connect_router() -> APIRouter:
    router = APIRouter(
        prefix=f"{SERVICE}/api/access-key/session",
        tags=["Clients"],
        dependencies=[open_to_all("a program asks for its key; the session's id is the secret")],
    )
    router.post("", operation_id="beginConnect", summary="Ask for a key")(begin)
    router.get("", operation_id="pollConnect", summary="The key, once it is approved")(poll)
    router.delete("", operation_id="endConnect", summary="The key has been read")(end)
    return router
