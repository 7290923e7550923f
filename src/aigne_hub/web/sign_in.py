"""The page on which people sign in with a password, or prove again who they are; signing out.

Who is unknown, disabled or without a password gets the answer of a wrong password, after the
same work.
"""

import hmac
from dataclasses import dataclass, field
from typing import Annotated, Any, Final

from fastapi import APIRouter, Depends, Request, Response
from fastapi.concurrency import run_in_threadpool
from starlette.responses import RedirectResponse

from aigne_hub.auth.passwords import Passwords
from aigne_hub.crypto.passwords import is_current
from aigne_hub.domain.errors import (
    Forbidden,
    HubError,
    InvalidRequest,
    NotFound,
    RetryLater,
    Unauthenticated,
)
from aigne_hub.storage import guesses, passwords, sessions, users
from aigne_hub.storage.users import User
from aigne_hub.web import device
from aigne_hub.web.backend import Backend, Hub
from aigne_hub.web.cookies import is_plain
from aigne_hub.web.declared import open_to_all
from aigne_hub.web.device import Device
from aigne_hub.web.forms import LONG_FORM_BYTES_MAX, Form, fields, form_of
from aigne_hub.web.network import network_of
from aigne_hub.web.next_page import own_path, target
from aigne_hub.web.origin import require_own
from aigne_hub.web.refusals import tell
from aigne_hub.web.rendering import renderer_of, root_of
from aigne_hub.web.session import (
    CSRF_FIELD,
    PerhapsSignedIn,
    Session,
    begin,
    check_csrf,
    clear_cookie,
    hidden_csrf,
    set_cookie,
)

FRESH: Final = {"cache-control": "no-store"}
_WRONG: Final = "The e-mail or the password is wrong."
_STALE: Final = (
    "This form was not made for this browser, or cookies are off. It has been made anew: "
    "please try again."
)


@dataclass(frozen=True, slots=True)
class Attempt:
    """Somebody says who they are. `user` is None for nobody the hub knows."""

    user: User | None
    stored: str | None = field(repr=False)
    subjects: list[guesses.Subject] = field(repr=False)


async def passwords_of(request: Request, hub: Hub) -> Passwords:
    """Return the one place of this process where passwords are hashed."""
    state = request.app.state
    if state.passwords is None:
        state.passwords = Passwords(hub.pepper, hub.randbytes)
    made: Passwords = state.passwords
    return made


Hashing = Annotated[Passwords, Depends(passwords_of)]


async def show(request: Request, hub: Hub, session: PerhapsSignedIn) -> Response:
    values = fields(request.scope["query_string"].decode("latin-1"))
    again = session is not None and "step-up" in values
    if session is not None and not again:
        return RedirectResponse(target(request, own_path(values.get("next", ""))), 303, FRESH)
    return _page(request, hub, values, session if again else None)


async def submit(
    request: Request, hub: Hub, hashing: Hashing, session: PerhapsSignedIn
) -> Response:
    form = await form_of(request, LONG_FORM_BYTES_MAX)
    person = session if "step-up" in form else None
    name = form.get("email", "") if person is None else person.user.email or ""
    try:
        require_own(request, hub.public_url())
        browser = _checked_device(request, hub, form)
        user, stored, renewed = await _proved(request, hub, hashing, form, name)
        token = await run_in_threadpool(_entered, request, hub, user, stored, renewed)
    except HubError as error:
        user_id = await run_in_threadpool(_named, hub, name)
        tell(request, "a sign-in was refused", error.code, factor="password", user=user_id)
        return _page(request, hub, form, person, error)
    done = RedirectResponse(target(request, own_path(form.get("next", ""))), 303, FRESH)
    set_cookie(done, request, token)
    device.keep(done, request, device.proven(browser, hub, user.id))
    return done


async def sign_out_page(request: Request, session: PerhapsSignedIn) -> Response:
    if session is None:
        return RedirectResponse(f"{root_of(request)}sign-in", 303, FRESH)
    return renderer_of(request).page(request, "sign_out.html", headers=FRESH, person=session)


async def sign_out(request: Request, hub: Hub, session: PerhapsSignedIn) -> Response:
    done = RedirectResponse(f"{root_of(request)}sign-in", 303, FRESH)
    if session is not None:
        await check_csrf(request, session)
        await run_in_threadpool(_left, hub, session)
    clear_cookie(done, request)
    return done


def _left(hub: Backend, session: Session) -> None:
    with hub.changing(f"user:{session.user.id}") as change:
        sessions.end(change, session.user, session.id)


def _checked_device(request: Request, hub: Backend, form: Form) -> Device:
    """Return the browser that a form was made for. Raises Forbidden for any other."""
    browser = device.device_of(request)
    sent = form.get(CSRF_FIELD, "").encode("utf-8", "replace")
    if browser is None or not hmac.compare_digest(sent, device.csrf_of(browser, hub).encode()):
        raise Forbidden(_STALE)
    return browser


async def _proved(
    request: Request, hub: Backend, hashing: Passwords, form: Form, name: str
) -> tuple[User, str, str | None]:
    """Return who somebody has proved to be, the hash that proved it, and perhaps a newer one.

    Raises Unauthenticated, RateLimited or Overloaded.
    """
    password = form.typed.get("password", b"")
    with hashing.place(network_of(request)):
        attempt = await run_in_threadpool(_attempt, request, hub, name)
        user_id = attempt.user.id if attempt.user else ""
        right = await hashing.match(attempt.stored, password, user_id)
        if not right or attempt.user is None or attempt.stored is None:
            raise Unauthenticated(_WRONG)
        await run_in_threadpool(_forgiven, hub, attempt.subjects)
        renewed = None
        if not is_current(attempt.stored):
            renewed = await hashing.hash(password, user_id)
    return attempt.user, attempt.stored, renewed


def _attempt(request: Request, hub: Backend, name: str) -> Attempt:
    """Count a try, and return what it is to be compared with. Raises RateLimited."""
    account = name.lower()[: users.EMAIL_MAX]
    now, browser = hub.clock.now_us(), device.device_of(request)
    user = stored = None
    with hub.reading() as view:
        try:
            found = users.find(view, users.normalised_email(account))
        except (InvalidRequest, NotFound):
            found = None
        if found is not None and not found.disabled:
            user, stored = found, passwords.stored(view, found.id)
        if found is not None and browser is not None and device.known(browser, hub, found.id):
            subjects = guesses.of_device(hub.pepper, browser.name, account)
        else:
            subjects = guesses.of_address(hub.pepper, network_of(request), account)
        # Whoever has to wait must not keep the journal from writing.
        guesses.require_open(view, now, subjects)
    with hub.posting() as view:
        guesses.claim(view, now, subjects)
    return Attempt(user, stored, subjects)


def _named(hub: Backend, name: str) -> str:
    """Return whom a try was about, for the log: a stranger's text may be a password."""
    try:
        with hub.reading() as view:
            return users.find(view, users.normalised_email(name[: users.EMAIL_MAX])).id
    except (InvalidRequest, NotFound):
        return ""


def _forgiven(hub: Backend, subjects: list[guesses.Subject]) -> None:
    with hub.posting() as view:
        guesses.forgive(view, subjects)


def _entered(request: Request, hub: Backend, user: User, stored: str, renewed: str | None) -> str:
    """Begin the session. What changed since the password was compared counts."""
    with hub.changing(f"user:{user.id}") as change:
        now = users.find(change.connection, user.id)
        if now.disabled or passwords.stored(change.connection, user.id) != stored:
            raise Unauthenticated(_WRONG)
        if renewed is not None:
            passwords.renew(change, now, stored, renewed)
        return begin(request, hub, change, now, "password")


def _page(
    request: Request,
    hub: Backend,
    values: Form,
    person: Session | None,
    problem: HubError | None = None,
) -> Response:
    browser = device.device_of(request) or device.new_device(hub)
    headers = dict(FRESH)
    if isinstance(problem, RetryLater):
        headers["retry-after"] = str(problem.retry_after_s)
    shown: dict[str, Any] = {
        "problem": problem.message if problem else "",
        "email": values.get("email", "")[: users.EMAIL_MAX],
        "next": own_path(values.get("next", "")),
        "csrf": hidden_csrf(device.csrf_of(browser, hub)),
        "insecure": _is_insecure(request, hub),
        "again": person,
        "person": person,
    }
    status = problem.status if problem else 200
    page = renderer_of(request).page(
        request, "sign_in.html", status=status, headers=headers, **shown
    )
    device.keep(page, request, browser)
    return page


def _is_insecure(request: Request, hub: Backend) -> bool:
    """Tell whether no browser will keep the cookie: no TLS, and not this very machine."""
    by_tls = request.scope["scheme"] == "https" or hub.public_url().startswith("https://")
    return not by_tls and not is_plain(request)


def sign_in_router() -> APIRouter:
    router = APIRouter(
        include_in_schema=False, dependencies=[open_to_all("whoever signs in is not known yet")]
    )
    router.get("/sign-in")(show)
    router.post("/sign-in")(submit)
    router.get("/sign-out")(sign_out_page)
    router.post("/sign-out")(sign_out)
    return router
