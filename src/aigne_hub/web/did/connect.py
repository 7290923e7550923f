"""The routes of DID Connect (wire/aigne.md, section 9.6): token, status, timeout and auth."""

import re
from typing import Annotated, Any, Final

import orjson
from fastapi import APIRouter, Path, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse

from aigne_hub.crypto import multibase
from aigne_hub.domain.errors import Conflict, HubError, InvalidRequest, PayloadTooLarge
from aigne_hub.storage import did_sessions, users
from aigne_hub.storage.did_sessions import DidSession
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.did import binding, claims, flow
from aigne_hub.web.did.beginning import action_of, begun, encryption_key_of
from aigne_hub.web.did.messages import (
    PREFIXES,
    TOKEN,
    answer_url,
    app_info,
    final_message,
    identity_of,
    request_message,
    wallet_url,
)
from aigne_hub.web.forms import fields
from aigne_hub.web.origin import require_own
from aigne_hub.web.refusals import tell
from aigne_hub.web.session import PerhapsSignedIn, begin, set_cookie

ANSWER_BYTES_MAX: Final = 131_072

_FRESH = {"cache-control": "no-store"}
_NO_TOKEN = "The id of a session is needed, as `_t_`."  # noqa: S105 - a sentence
_GONE = "Session not found or expired. Start again."
_WALLET = re.compile(r"(?:arc|abt)wallet/(\d{1,6}\.\d{1,6}\.\d{1,6})")
_SYSTEMS = (("android", "android"), ("iphone", "ios"), ("ipad", "ios"), ("ipod", "ios"))

ActionName = Annotated[str, Path(max_length=20, description="`login`, `bind` or `switch`.")]
Token = Annotated[
    str,
    Query(
        alias=TOKEN,
        max_length=did_sessions.TOKEN_CHARS_MAX,
        description="The session, as `token` named it.",
    ),
]
EncryptionKey = Annotated[
    str | None,
    Query(alias="_ek_", max_length=64, description="Curve25519 key to seal the login token for."),
]


def token(
    request: Request,
    hub: Hub,
    action: ActionName,
    session: PerhapsSignedIn,
    encryption_key: EncryptionKey = None,
) -> JSONResponse:
    """Begin a session: its id, and the address that a wallet is shown as a code."""
    known = action_of(action)
    require_own(request, hub.public_url())
    value = binding.new_value(hub) if binding.is_browser(request) else None
    key = encryption_key_of(encryption_key)
    browser = None if value is None else binding.digest_of(hub, value)
    made = begun(request, hub, known, session, browser=browser, encryption_key=key)
    identity = identity_of(hub)
    with hub.reading() as view:
        found = did_sessions.find(view, hub.clock.now_us(), made)
    assert found is not None
    answer = JSONResponse(
        {
            "token": made,
            "status": "created",
            "url": wallet_url(answer_url(hub, found, prefix_of(request))),
            "appInfo": app_info(hub, identity),
            "memberAppInfo": None,
            "extra": {},
        },
        headers=_FRESH,
    )
    if value is not None:
        binding.put(answer, request, value)
    return answer


def status(request: Request, hub: Hub, action: ActionName, token: Token = "") -> JSONResponse:
    """Return how far the wallet is; a browser that asks after it succeeded is signed in."""
    found = _named(hub, action_of(action), token)
    if isinstance(found, str):
        return JSONResponse({"error": found}, 400, _FRESH)
    if found.status == "forbidden":
        return JSONResponse({"error": found.error}, 403, _FRESH)
    mine = binding.is_mine(request, hub, found)
    told = _told(hub, found, mine=mine)
    session_token = signed_in_by(request, hub, found) if mine else None
    answer = JSONResponse(told, headers=_FRESH)
    if session_token is not None:
        set_cookie(answer, request, session_token)
    return answer


def timeout(request: Request, hub: Hub, action: ActionName, token: Token = "") -> JSONResponse:
    """Give a session up that no wallet has read."""
    found = _named(hub, action_of(action), token)
    if isinstance(found, str):
        return JSONResponse({"error": found}, 400, _FRESH)
    if binding.is_mine(request, hub, found):
        with hub.posting() as view:
            did_sessions.drop(view, found)
    return JSONResponse({"token": token}, headers=_FRESH)


def ask(request: Request, hub: Hub, action: ActionName, token: Token = "") -> JSONResponse:
    """Tell a wallet what it is asked for; the answer is signed by the hub."""
    found = _named(hub, action_of(action), token)
    if isinstance(found, str):
        return _said(final_message(hub, error=found))
    try:
        with hub.posting() as view:
            did_sessions.scan(view, found, _wallet_of(request))
    except Conflict as error:
        return _said(final_message(hub, error=error.message))
    return _said(request_message(hub, found, claims.requested(hub, found), prefix_of(request)))


async def take(request: Request, hub: Hub, action: ActionName, token: Token = "") -> JSONResponse:
    """Take a wallet's answer: it is told what comes next, or that it is done."""
    known, sent = action_of(action), await _sent(request)
    named = token or str(sent.get(TOKEN, ""))

    def refused(error: HubError) -> None:
        tell(request, "a wallet was refused", error.code, factor="wallet", action=known)

    def answered() -> dict[str, str]:
        found = _named(hub, known, named)
        if isinstance(found, str):
            return final_message(hub, error=found)
        return flow.answered(hub, found, sent, prefix_of(request), refused)

    return _said(await run_in_threadpool(answered))


def signed_in_by(request: Request, hub: Backend, found: DidSession) -> str | None:
    """Begin the browser's session once its wallet has succeeded; return the token for its cookie.

    None for a program, for what changes nobody's session, and for what was collected before.
    """
    if found.status != "succeed" or found.wanted.browser is None or found.wanted.action == "bind":
        return None
    assert found.user_id is not None
    with hub.changing(f"user:{found.user_id}") as change:
        if not did_sessions.collect(change.connection, found, hub.clock.now_us()):
            return None
        user = users.find(change.connection, found.user_id)
        return begin(request, hub, change, user, "wallet")


def named_session(hub: Backend, token: str) -> DidSession | None:
    with hub.reading() as view:
        return did_sessions.find(view, hub.clock.now_us(), token)


def prefix_of(request: Request) -> str:
    """Return under which of its two names the hub was asked, to name the same again."""
    path: str = request.scope["path"]
    return next((prefix for prefix in PREFIXES if path.startswith(f"{prefix}/")), PREFIXES[0])


def _named(hub: Backend, action: did_sessions.Action, token: str) -> DidSession | str:
    """Return the session of an action, or what is wrong with its name."""
    if not token:
        return _NO_TOKEN
    found = named_session(hub, token)
    return _GONE if found is None or found.wanted.action != action else found


def _told(hub: Backend, found: DidSession, *, mine: bool) -> dict[str, Any]:
    told: dict[str, Any] = {
        "token": found.token,
        "status": found.status,
        "currentStep": found.step,
        "mfaSupported": False,
        "extraParams": {"connectedDid": "", "connectedPk": "", "forceConnected": False},
        "appInfo": app_info(hub, identity_of(hub)),
        "memberAppInfo": None,
        "sourceToken": "",
    }
    if found.wallet:
        system, _, version = found.wallet.partition(" ")
        told["connectedWallet"] = {"os": system, "version": version, "jwt": "1.1.0"}
    if found.error:
        told["error"] = found.error
    if mine and found.public_key is not None:
        told |= {"did": found.did, "pk": multibase.encode(found.public_key), "mfaCode": 0}
    if mine and found.login_token is not None:
        told["loginToken"] = hub.keyring.open(found.login_token, **flow.place_of(found)).decode()
    return told


def _wallet_of(request: Request) -> str:
    """Return what a wallet says of itself: its system, a space, its version."""
    agent = request.headers.get("user-agent", "").lower()
    system = next((name for word, name in _SYSTEMS if word in agent), "")
    if not system and agent.startswith(("arcwallet", "abtwallet")):
        system = "web"
    version = _WALLET.search(agent)
    return f"{system} {version[1] if version else ''}"


async def _sent(request: Request) -> dict[str, Any]:
    """Read a wallet's answer, as JSON or as a form."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > ANSWER_BYTES_MAX:
            raise PayloadTooLarge(f"An answer has at most {ANSWER_BYTES_MAX} bytes.")
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/x-www-form-urlencoded":
        return dict(fields(body.decode("utf-8", "replace")))
    try:
        sent = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise InvalidRequest("The answer of a wallet is JSON.") from None
    if not isinstance(sent, dict):
        raise InvalidRequest("The answer of a wallet is an object.")
    return sent


def _said(message: dict[str, str]) -> JSONResponse:
    return JSONResponse(message, headers=_FRESH)


def did_connect_routers() -> list[APIRouter]:
    """Return the routes under both names; Blocklet Server's is not in the OpenAPI document."""
    return [_router(prefix, listed=prefix == PREFIXES[0]) for prefix in PREFIXES]


def _router(prefix: str, *, listed: bool) -> APIRouter:
    router = APIRouter(
        prefix=f"{prefix}/{{action}}",
        tags=["Sign-in"],
        include_in_schema=listed,
        dependencies=[open_to_all("a wallet signs its answers; a session's token is the secret")],
    )
    router.get("/token", operation_id="beginWallet", summary="Begin to sign in with a wallet")(
        token
    )
    router.post("/token", include_in_schema=False)(token)
    router.get("/status", operation_id="pollWallet", summary="How far the wallet is")(status)
    router.get("/timeout", operation_id="endWallet", summary="Give it up")(timeout)
    router.get("/auth", operation_id="askWallet", summary="What a wallet is asked for")(ask)
    router.post("/auth", operation_id="answerWallet", summary="A wallet's answer")(take)
    return router
