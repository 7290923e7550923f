"""/account: what belongs to the person who is signed in. Keys, programs, sessions, password."""

from typing import Any, Final

from fastapi import APIRouter, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from aigne_hub.domain.access import Role
from aigne_hub.domain.errors import (
    Conflict,
    Forbidden,
    HubError,
    InvalidRequest,
    NotFound,
    RateLimited,
)
from aigne_hub.domain.instants import format_instant
from aigne_hub.domain.passwords import BYTES_MAX, CHARS_MIN, require_good
from aigne_hub.storage import guesses, keys, passwords, sessions
from aigne_hub.storage.engine import View
from aigne_hub.storage.users import User
from aigne_hub.web.account_programs import programs_of, revoke_program
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.network import network_of
from aigne_hub.web.refusals import tell
from aigne_hub.web.rendering import renderer_of, root_of
from aigne_hub.web.session import (
    Session,
    SignedIn,
    begin,
    check_csrf,
    csrf_field,
    require_recent,
    set_cookie,
)
from aigne_hub.web.sign_in import FRESH, Hashing

PAGE: Final = "/account"
# Live keys of one person, as far as they make them here.
KEYS_MAX: Final = 100
_WRONG: Final = "The current password is wrong."


def show(request: Request, hub: Hub, session: SignedIn) -> Response:
    return _page(request, hub, session)


async def create_key(request: Request, hub: Hub, session: SignedIn) -> Response:
    """Make a key and show it, this once."""
    form = await check_csrf(request, session)
    require_recent(session, hub.clock.now_us(), PAGE)
    try:
        made = await run_in_threadpool(_made, hub, session.user, form.get("name", ""))
    except HubError as error:
        return await run_in_threadpool(_page, request, hub, session, problem=error)
    return await run_in_threadpool(_page, request, hub, session, made=made)


async def revoke_key(request: Request, hub: Hub, session: SignedIn, key_id: str) -> Response:
    await check_csrf(request, session)
    await run_in_threadpool(_revoked, hub, session.user, key_id)
    return _back(request)


async def end_session(request: Request, hub: Hub, session: SignedIn, session_id: str) -> Response:
    await check_csrf(request, session)
    await run_in_threadpool(_ended, hub, session.user, session_id)
    return _back(request)


async def end_others(request: Request, hub: Hub, session: SignedIn) -> Response:
    await check_csrf(request, session)
    require_recent(session, hub.clock.now_us(), PAGE)
    await run_in_threadpool(_others_ended, hub, session)
    return _back(request)


async def change_password(
    request: Request, hub: Hub, hashing: Hashing, session: SignedIn
) -> Response:
    """Change the password, or set the first one; every other session ends."""
    form = await check_csrf(request, session)
    new, user = form.typed.get("new", b""), session.user
    subjects = guesses.of_device(hub.pepper, session.id, user.id)
    try:
        if new != form.typed.get("again", b""):
            raise InvalidRequest("The two new passwords differ.", param="again")
        require_good(new, user.email)
        with hashing.place(network_of(request)):
            stored = await run_in_threadpool(_stored, hub, user, subjects)
            if stored is None:
                require_recent(session, hub.clock.now_us(), PAGE)
            elif not await hashing.match(stored, form.typed.get("current", b""), user.id):
                raise Forbidden(_WRONG)
            hashed = await hashing.hash(new, user.id)
        token = await run_in_threadpool(_changed, request, hub, session, stored, hashed, subjects)
    except HubError as error:
        if isinstance(error, Forbidden | RateLimited):
            tell(request, "a sign-in was refused", error.code, factor="password", user=user.id)
        return await run_in_threadpool(_page, request, hub, session, problem=error)
    done = _back(request)
    set_cookie(done, request, token)
    return done


def _made(hub: Backend, user: User, name: str) -> keys.NewKey:
    with hub.changing(f"user:{user.id}") as change:
        live = [one for one in keys.listed(change.connection, user) if one.revoked_us is None]
        if len(live) >= KEYS_MAX:
            raise Conflict(f"You have {KEYS_MAX} keys. Revoke one that you no longer need.")
        return keys.create(change, hub.keyring, hub.randbytes, hub.pepper, user=user, name=name)


def _revoked(hub: Backend, user: User, key_id: str) -> None:
    with hub.changing(f"user:{user.id}") as change:
        if all(one.id != key_id for one in keys.listed(change.connection, user)):
            raise NotFound("You have no such key.")
        keys.revoke(change, key_id)


def _ended(hub: Backend, user: User, session_id: str) -> None:
    with hub.changing(f"user:{user.id}") as change:
        sessions.end(change, user, session_id)


def _others_ended(hub: Backend, session: Session) -> None:
    with hub.changing(f"user:{session.user.id}") as change:
        sessions.end_all(change, session.user, but=session.id)


def _stored(hub: Backend, user: User, subjects: list[guesses.Subject]) -> str | None:
    """Return the hash of a user's password, and count a try at it. Raises RateLimited."""
    now = hub.clock.now_us()
    with hub.reading() as view:
        stored = passwords.stored(view, user.id)
        guesses.require_open(view, now, subjects)
    if stored is not None:
        with hub.posting() as view:
            guesses.claim(view, now, subjects)
    return stored


def _changed(
    request: Request,
    hub: Backend,
    session: Session,
    stored: str | None,
    hashed: str,
    subjects: list[guesses.Subject],
) -> str:
    """Write the new password, end all sessions and begin one; return its token."""
    user = session.user
    with hub.changing(f"user:{user.id}") as change:
        if passwords.stored(change.connection, user.id) != stored:
            raise Conflict("The password has just been changed. Sign in again.")
        guesses.forgive(change.connection, subjects)
        passwords.put(change, user, hashed)
        sessions.end_all(change, user)
        return begin(request, hub, change, user, session.method)


def _page(
    request: Request,
    hub: Backend,
    session: Session,
    *,
    made: keys.NewKey | None = None,
    problem: HubError | None = None,
) -> Response:
    with hub.reading() as view:
        shown = _shown(view, hub, session)
    return renderer_of(request).page(
        request,
        "account.html",
        status=problem.status if problem else 200,
        headers=FRESH,
        person=session,
        csrf=csrf_field(session),
        made=made,
        problem=problem.message if problem else "",
        password_chars=CHARS_MIN,
        password_bytes=BYTES_MAX,
        name_max=keys.NAME_MAX,
        **shown,
    )


def _shown(view: View, hub: Backend, session: Session) -> dict[str, Any]:
    now, user = hub.clock.now_us(), session.user
    live = [one for one in keys.listed(view, user) if one.revoked_us is None]
    return {
        "has_password": passwords.stored(view, user.id) is not None,
        "is_owner": user.role is Role.OWNER,
        "keys": [
            {
                "id": one.id,
                "name": one.name or "without a name",
                "prefix": one.prefix,
                "scopes": ", ".join(sorted(one.scopes)),
                "created": _day(one.created_us),
                "expires": "never" if one.expires_us is None else _day(one.expires_us),
            }
            for one in reversed(live)
        ],
        "programs": programs_of(view, user),
        "sessions": [
            {
                "id": one.id,
                "own": one.id == session.id,
                "agent": one.user_agent or "a browser that does not say what it is",
                "address": one.address,
                "method": one.method,
                "began": _minute(one.created_us),
                "used": _minute(one.used_us),
            }
            for one in sessions.listed(view, user, now)
        ],
    }


def _day(us: int) -> str:
    return format_instant(us)[:10]


def _minute(us: int) -> str:
    return format_instant(us)[:16].replace("T", " ")


def _back(request: Request) -> Response:
    return RedirectResponse(f"{root_of(request)}account", 303, FRESH)


def account_page_router() -> APIRouter:
    router = APIRouter(prefix=PAGE, include_in_schema=False)
    router.get("")(show)
    router.post("/keys")(create_key)
    router.post("/keys/{key_id}/revoke")(revoke_key)
    router.post("/programs/{grant_id}/revoke")(revoke_program)
    router.post("/sessions/others/end")(end_others)
    router.post("/sessions/{session_id}/end")(end_session)
    router.post("/password")(change_password)
    return router
